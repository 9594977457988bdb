//! What has been counted for a member, in little room: a million of them count.

use std::time::Duration;

use crate::clock::Timestamp;
use crate::record::{Counts, Record, Replica, Tally};
use crate::subnet::Subnet;

/// A [`Tally`] without what was spent, which is kept where it is counted, and without the subnet of the last client, which
/// the member knows. Of times it knows the second, of a day no more than four thousand million calls.
#[derive(Clone, Debug)]
pub(super) struct Counted {
    total: Totals,
    today: [u32; 5],
    day: u32,
    last_success: u32,
    /// When the last call was whose origin is known; 0 if there was none.
    last_client: u32,
}

impl Counted {
    /// What a replica had counted, as far as it fits in here.
    pub(super) fn remembered(record: &Record, replica: Replica) -> Option<Tally> {
        let tally = record.tallies.of(replica)?;
        Some(Self::from(tally).tally(tally.last_client.map(|(_, client)| client)))
    }

    pub(super) fn tally(&self, client: Option<Subnet>) -> Tally {
        let last_client = client.filter(|_| self.last_client > 0).map(|client| (moment(self.last_client), client));
        Tally {
            total: self.total.counts(),
            day: self.day,
            today: Counts::from_all(self.today.map(u64::from)),
            last_success: moment(self.last_success),
            last_client,
            ..Tally::default()
        }
    }
}

impl From<Tally> for Counted {
    fn from(tally: Tally) -> Self {
        Self {
            total: Totals::from(tally.total),
            today: tally.today.all().map(|count| u32::try_from(count).unwrap_or(u32::MAX)),
            day: tally.day,
            last_success: second(tally.last_success),
            last_client: tally.last_client.map_or(0, |(at, _)| second(at).max(1)),
        }
    }
}

/// Counts of 48 bits, cut into 32 and 16.
#[derive(Clone, Copy, Debug)]
struct Totals([u32; 5], [u16; 5]);

impl Totals {
    const MOST: u64 = (1 << 48) - 1;

    fn counts(self) -> Counts {
        let mut all = self.0.map(u64::from);
        all.iter_mut().zip(self.1).for_each(|(low, high)| *low |= u64::from(high) << 32);
        Counts::from_all(all)
    }
}

impl From<Counts> for Totals {
    fn from(counts: Counts) -> Self {
        let all = counts.all().map(|count| count.min(Self::MOST));
        Self(all.map(|count| count as u32), all.map(|count| (count >> 32) as u16))
    }
}

/// The second that a moment falls into.
fn second(at: Timestamp) -> u32 {
    u32::try_from(at.since_unix().as_secs()).unwrap_or(u32::MAX)
}

fn moment(second: u32) -> Timestamp {
    Timestamp::from_unix(Duration::from_secs(second.into()))
}

#[cfg(all(test, not(key_commune_loom)))]
mod tests {
    use super::*;

    #[test]
    fn what_was_counted_comes_back_as_far_as_it_fits() {
        let at = Timestamp::from_unix(Duration::from_secs(1_780_000_000));
        let client = "192.0.2.0/24".parse().unwrap();
        let mut tally = Tally { day: 20_601, last_success: at, last_client: Some((at, client)), ..Tally::default() };
        tally.total = Counts::from_all([1 << 47 | 7, (1 << 32) + 1, u32::MAX.into(), 1, 0]);
        tally.today = Counts::from_all([5, 4, 3, 2, 1]);
        assert_eq!(Counted::from(tally).tally(Some(client)), tally);
        assert_eq!(Counted::from(Tally::default()).tally(Some(client)), Tally::default());
        (tally.total.calls, tally.today.calls, tally.last_success) = (u64::MAX, u64::MAX, Timestamp::MAX);
        let kept = Counted::from(tally).tally(None);
        assert_eq!((kept.total.calls, kept.today.calls), (Totals::MOST, u32::MAX.into()));
        assert!(kept.last_success > at && kept.last_client.is_none());
    }

    #[test]
    fn what_a_million_members_have_is_small() {
        assert!(size_of::<Counted>() <= 64);
    }
}
