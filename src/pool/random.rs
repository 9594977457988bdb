//! Chance for the pool: counters put through a mixing function, so that drawing takes no lock, and a pool with a known
//! seed draws the same numbers again. The counters double as the number of requests.
//!
//! Each thread counts in a lane of its own, by a plain load and store: that is cheaper than an atomic addition, and no two
//! threads fight for a cache line. Where threads share a lane after all, two may draw the same number, which does no
//! harm, and a count may get lost: then the retry budget earns less, never more.

use std::sync::atomic::{AtomicUsize, Ordering as Std};

use crate::sync::{AtomicU64, Ordering};

/// splitmix64's increment: odd, so a counter visits every value before one comes again.
const STRIDE: u64 = 0x9E37_79B9_7F4A_7C15;

/// A power of two.
const LANES: usize = 64;

thread_local! {
    static THREAD: usize = {
        static THREADS: AtomicUsize = AtomicUsize::new(0);
        THREADS.fetch_add(1, Std::Relaxed)
    };
}

#[derive(Debug)]
pub(crate) struct Random {
    seed: u64,
    /// Draws for first attempts.
    lanes: Box<[Lane]>,
    /// Draws for anything else.
    others: AtomicU64,
}

/// On a cache line of its own: each request writes one.
#[derive(Debug)]
#[repr(align(64))]
struct Lane(AtomicU64);

impl Random {
    /// Begins at `seed`, or anywhere.
    pub(crate) fn new(seed: Option<u64>) -> Self {
        // Which lane a thread counts in is chance: a known seed needs a single one.
        let lanes = if seed.is_some() { 1 } else { LANES };
        let lane = |_| Lane(AtomicU64::new(0));
        Self {
            seed: seed.unwrap_or_else(rand::random),
            lanes: (0..lanes).map(lane).collect(),
            others: AtomicU64::new(0),
        }
    }

    /// A number for a new request.
    #[inline]
    pub(crate) fn draw(&self) -> u64 {
        let index = THREAD.with(|thread| *thread) & (self.lanes.len() - 1);
        let Some(Lane(lane)) = self.lanes.get(index) else { return 0 };
        let count = lane.load(Ordering::Relaxed);
        lane.store(count + 1, Ordering::Relaxed);
        self.number((index as u64) << 48 | count)
    }

    /// A number for anything else.
    pub(crate) fn draw_other(&self) -> u64 {
        self.number(!self.others.fetch_add(1, Ordering::Relaxed))
    }

    #[inline]
    fn number(&self, count: u64) -> u64 {
        mix(self.seed.wrapping_add(count.wrapping_mul(STRIDE)))
    }

    /// How many requests drew a number so far, or fewer.
    pub(crate) fn requests(&self) -> u64 {
        self.lanes.iter().map(|Lane(lane)| lane.load(Ordering::Relaxed)).sum()
    }
}

/// The number after `random`, good in its upper half: as a step of a multiplicative generator (Steele, Vigna:
/// "Computationally easy, spectrally good multipliers", 2021).
#[inline]
pub(crate) fn next(random: u64) -> u64 {
    random.wrapping_mul(0xF135_7AEA_2E62_A9C5)
}

/// The finishing steps of splitmix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators", 2014).
#[inline]
fn mix(state: u64) -> u64 {
    let a = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let b = (a ^ (a >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    b ^ (b >> 31)
}

/// A number below `bound`, evenly drawn but for a bias below `bound / 2^32`, out of the upper half of `random`.
#[inline]
pub(crate) fn below(random: u64, bound: usize) -> usize {
    (((random >> 32) * bound as u64) >> 32) as usize
}

#[cfg(all(test, not(key_commune_loom)))]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_known_seed_draws_the_same_numbers_again_in_any_thread() {
        let draw = || {
            let random = Random::new(Some(7));
            [random.draw(), random.draw(), random.draw_other(), random.draw_other()]
        };
        let here = draw();
        assert_eq!(here, std::thread::spawn(draw).join().unwrap());
        assert_eq!(BTreeSet::from(here).len(), 4);
    }

    /// Two threads in one lane may lose each other's counts, but never invent one.
    #[test]
    fn requests_are_never_counted_too_high() {
        let random = Random::new(Some(7));
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| (0..10_000).for_each(|_| _ = random.draw()));
            }
        });
        assert!((1..=20_000).contains(&random.requests()));
    }

    #[test]
    fn what_else_is_drawn_is_no_request() {
        let random = Random::new(None);
        assert_ne!(random.draw_other(), random.draw_other());
        assert_eq!(random.requests(), 0);
        random.draw();
        assert_eq!(random.requests(), 1);
    }
}
