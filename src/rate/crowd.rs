//! The limits of strangers: any number of callers in a table that never grows and never forgets.
//!
//! A map from callers to their times has to be bounded, since a fresh key costs a stranger nothing; and a bounded map has
//! to forget, so that a flood of fresh keys lifts the limits of those that it pushes out. Here is a count-min sketch
//! instead: four rows of cells, each cell a [`Gate`], and in each row one cell for each caller, told by a part of its id.
//! Who shares a cell with others finds the latest time of them all in it, never an earlier one than its own. So the
//! earliest of a caller's four cells is the nearest to the truth, and errs on the side of refusing, if at all.

use std::ptr;
use std::sync::OnceLock;
use std::time::Duration;

use super::{Gate, Rate};
use crate::clock::Timestamp;
use crate::secret::KeyId;

/// As many as a [`KeyId`] has independent parts of 32 bits.
const ROWS: usize = 4;
/// A power of two, so that a part is cut to size without a bias.
const CELLS: usize = 1 << 18;

/// Holds each of any number of strangers to a [`Rate`] of its own, in 8 MiB that are taken at the first use.
///
/// The cells of a stranger follow from its [`KeyId`], which nobody can steer who does not know the pepper. Nothing is
/// evicted, and no time in the table ever goes back. Therefore no flood of fresh ids lifts the limit of anybody. All that it
/// can do is to refuse other strangers, those of whom it has hit all four cells: at a burst of 1 one in 10,000 while 27,000
/// strangers come per interval, one in 16 at 180,000, nine in ten at a million. Such a refusal asks to wait for
/// one interval at most; one interval × burst after the flood nothing is left of it.
///
/// Takes no lock, and allocates nothing after the first use. Use one rate for one crowd: with several, the longest one
/// bounds what a stranger may suffer from others.
///
/// ```
/// use key_commune::clock::Timestamp;
/// use key_commune::rate::{Crowd, Rate};
/// use key_commune::secret::{Pepper, Secret};
/// use std::time::Duration;
///
/// let (crowd, rate) = (Crowd::default(), Rate::new(Duration::from_secs(2)));
/// let stranger = Pepper::random().id("openai", &Secret::new("sk-stranger")?);
/// let now = Timestamp::from_unix(Duration::from_secs(1_000));
///
/// assert_eq!(crowd.admit(stranger, rate, now), Ok(()));
/// assert_eq!(crowd.admit(stranger, rate, now), Err(Duration::from_secs(2)));
/// # Ok::<(), key_commune::secret::SecretError>(())
/// ```
#[derive(Debug, Default)]
pub struct Crowd(OnceLock<Table>);

impl Crowd {
    /// Admits a request of the stranger `id` that comes `now`.
    ///
    /// # Errors
    /// When it comes too early: how long to wait before the next try.
    pub fn admit(&self, id: KeyId, rate: Rate, now: Timestamp) -> Result<(), Duration> {
        self.0.get_or_init(|| Table::new(CELLS)).admit(id, rate, now)
    }
}

pub(super) struct Table([Box<[Gate]>; ROWS]);

impl Table {
    /// `cells` in each row: a power of two.
    pub(super) fn new(cells: usize) -> Self {
        Self(std::array::from_fn(|_| (0..cells).map(|_| Gate::default()).collect()))
    }

    /// The earliest cell decides, and its time is set last. Thus of two requests of the same stranger that come at once,
    /// be it by way of different cells, the one that is decided later has seen what the earlier one wrote.
    pub(super) fn admit(&self, id: KeyId, rate: Rate, now: Timestamp) -> Result<(), Duration> {
        // There are four of them, whatever the id.
        let Some(earliest) = self.cells(id).min_by_key(|cell| cell.tat()) else { return Err(Duration::MAX) };
        let others = || self.cells(id).filter(|cell| !ptr::eq(*cell, earliest));
        earliest.admit_after(rate, now, |next| others().for_each(|cell| cell.raise(next)))
    }

    /// One cell of each row.
    fn cells(&self, id: KeyId) -> impl Iterator<Item = &Gate> {
        let parts = (0..ROWS).map(move |row| (id.bits() >> (32 * row)) as usize);
        self.0.iter().zip(parts).filter_map(|(row, part)| row.get(part & (row.len() - 1)))
    }
}

impl std::fmt::Debug for Table {
    /// Not its million cells.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Table(..)")
    }
}

#[cfg(all(test, not(key_commune_loom)))]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    const NOW: Timestamp = Timestamp::from_unix(Duration::from_secs(1_700_000_000));
    const INTERVAL: Duration = Duration::from_secs(2);

    /// An id by the cell that it has in each row.
    fn id(cells: [u32; ROWS]) -> KeyId {
        let [a, b, c, d] = cells;
        format!("{d:08x}{c:08x}{b:08x}{a:08x}").parse().unwrap()
    }

    #[test]
    fn one_cell_of_its_own_is_enough() {
        let (table, rate) = (Table::new(8), Rate::new(INTERVAL));
        for row in 0..ROWS {
            let mut cells = [0; ROWS];
            cells[row] = 7;
            assert_eq!(table.admit(id(cells), rate, NOW), Ok(()), "shares all but row {row}");
        }
        assert_eq!(table.admit(id([7; ROWS]), rate, NOW), Err(INTERVAL), "all four are taken, each by another");
        assert_eq!(table.admit(id([7; ROWS]), rate, NOW + INTERVAL), Ok(()));
    }

    #[test]
    fn what_does_not_fit_a_row_is_cut() {
        let (table, rate) = (Table::new(8), Rate::new(INTERVAL));
        assert_eq!(table.admit(id([u32::MAX; ROWS]), rate, NOW), Ok(()));
        assert_eq!(table.admit(id([7; ROWS]), rate, NOW), Err(INTERVAL));
    }

    #[test]
    fn a_refused_request_moves_no_cell() {
        let (table, rate) = (Table::new(8), Rate::per(3, INTERVAL));
        let times = |table: &Table| table.0.iter().flatten().map(Gate::tat).collect::<Vec<_>>();
        while table.admit(id([1, 2, 3, 4]), rate, NOW).is_ok() {}
        let before = times(&table);
        assert!(table.admit(id([1, 2, 3, 4]), rate, NOW).is_err());
        assert_eq!(times(&table), before);
    }

    #[test]
    fn no_time_in_the_table_goes_back() {
        let (table, rate) = (Table::new(2), Rate::new(INTERVAL));
        assert_eq!(table.admit(id([0, 0, 0, 0]), rate, NOW + INTERVAL), Ok(()));
        // Comes by its own cell, with an older time for the three that it shares.
        assert_eq!(table.admit(id([1, 0, 0, 0]), rate, NOW), Ok(()));
        assert_eq!(table.admit(id([0, 0, 0, 0]), rate, NOW + INTERVAL), Err(INTERVAL));
        assert!(table.cells(id([0, 0, 0, 0])).all(|cell| cell.tat() == NOW + INTERVAL * 2));
    }

    /// However full the table: it is asked at random, far beyond what it has room for.
    #[test]
    fn no_flood_lifts_a_limit() {
        let (table, rate) = (Table::new(64), Rate::per(3, INTERVAL * 3));
        let (victim, truth) = (id([5; ROWS]), Gate::default());
        let (mut random, mut admitted) = (1_u64, 0);
        for step in 0..20_000 {
            let now = NOW + Duration::from_millis(step * 7);
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let stranger = [8, 24, 40, 48].map(|shift| (random >> shift) as u32);
            let _ = table.admit(id(stranger), rate, now);
            if table.admit(victim, rate, now).is_ok() {
                assert_eq!(truth.admit(rate, now), Ok(()), "step {step}");
                admitted += 1;
            }
        }
        assert!(admitted > 10, "the victim was admitted {admitted} times only");
    }
}
