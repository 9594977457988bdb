//! The limit of one caller: a theoretical arrival time that threads share without a lock.

use std::time::Duration;

use super::{Rate, nanos};
use crate::clock::Timestamp;
use crate::sync::{AtomicU64, Ordering};

/// Holds one caller to a [`Rate`]. Takes no lock: however many requests come at once, exactly as many are admitted as if
/// they had come one after the other.
///
/// ```
/// use key_commune::clock::Timestamp;
/// use key_commune::rate::{Gate, Rate};
/// use std::time::Duration;
///
/// let (gate, rate) = (Gate::default(), Rate::per(2, Duration::from_secs(60)));
/// let now = Timestamp::from_unix(Duration::from_secs(1_000));
///
/// assert_eq!(gate.admit(rate, now), Ok(()));
/// assert_eq!(gate.admit(rate, now), Ok(()));
/// assert_eq!(gate.admit(rate, now), Err(Duration::from_secs(30)));
/// ```
#[derive(Debug, Default)]
pub struct Gate(AtomicU64);

impl Gate {
    /// Admits a request that comes `now`.
    ///
    /// # Errors
    /// When it comes too early: how long to wait before the next try.
    pub fn admit(&self, rate: Rate, now: Timestamp) -> Result<(), Duration> {
        self.admit_after(rate, now, |_| ())
    }

    /// The same, telling `announce` the next theoretical arrival time before each attempt to set it.
    pub(super) fn admit_after(&self, rate: Rate, now: Timestamp, announce: impl Fn(Timestamp)) -> Result<(), Duration> {
        let mut tat = self.tat();
        loop {
            // Times only grow, but for what is put back. So one that is out of date refuses what the true one refuses, or
            // what could be admitted since a moment ago, and sets nothing.
            let next = rate.admit(tat, now)?;
            announce(next);
            // Acquires and releases for the sake of what is announced; a gate by itself hands no other memory over.
            let (old, new) = (tat.nanos(), next.nanos());
            match self.0.compare_exchange_weak(old, new, Ordering::AcqRel, Ordering::Relaxed) {
                Ok(_) => return Ok(()),
                Err(seen) => tat = Timestamp::from_nanos(seen),
            }
        }
    }

    /// Gives back a request that was admitted at the moment `at` and did not take place.
    ///
    /// As much of its interval as has passed since is lost. Who gave it back in full would let two in at once where
    /// the pause before the second one has been there without the first.
    pub(crate) fn put_back(&self, rate: Rate, at: Timestamp, now: Timestamp) {
        let credit = nanos(rate.interval().saturating_sub(now - at));
        self.change(|tat| Timestamp::from_nanos(tat.nanos().saturating_sub(credit)));
    }

    /// Takes note that this much has been used by `now`, asked or not; reaches no farther ahead than `most`.
    pub(crate) fn charge(&self, used: Duration, most: Duration, now: Timestamp) {
        self.change(|tat| tat.max((tat.max(now) + used).min(now + most)));
    }

    fn change(&self, next: impl Fn(Timestamp) -> Timestamp) {
        let next = |tat| Some(next(Timestamp::from_nanos(tat)).nanos());
        // It answers an error only if there is no next.
        let _ = self.0.fetch_update(Ordering::AcqRel, Ordering::Relaxed, next);
    }

    pub(crate) fn tat(&self) -> Timestamp {
        Timestamp::from_nanos(self.0.load(Ordering::Relaxed))
    }

    /// Makes the theoretical arrival time no earlier than `tat`.
    pub(crate) fn raise(&self, tat: Timestamp) {
        self.0.fetch_max(tat.nanos(), Ordering::AcqRel);
    }
}
