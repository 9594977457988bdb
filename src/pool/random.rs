//! Chance for the pool: a counter put through a mixing function, so that drawing takes no lock, threads never draw the same
//! number, and a pool with a known seed draws the same numbers again. The counter doubles as the number of requests.

use crate::sync::{AtomicU64, Ordering};

/// splitmix64's increment: odd, so the counter visits every value before one comes again.
const STRIDE: u64 = 0x9E37_79B9_7F4A_7C15;

/// On a cache line of its own: each request writes it.
#[derive(Debug)]
#[repr(align(64))]
pub(crate) struct Random {
    seed: u64,
    drawn: AtomicU64,
}

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self { seed, drawn: AtomicU64::new(0) }
    }

    /// A number for a new request.
    #[inline]
    pub(crate) fn draw(&self) -> u64 {
        let count = self.drawn.fetch_add(1, Ordering::Relaxed);
        mix(self.seed.wrapping_add(count.wrapping_mul(STRIDE)))
    }

    /// A number for anything else, out of what tells it from others of its kind.
    pub(crate) fn derive(&self, from: u64) -> u64 {
        mix(self.seed ^ from.wrapping_mul(STRIDE))
    }

    /// How many requests drew a number so far.
    pub(crate) fn requests(&self) -> u64 {
        self.drawn.load(Ordering::Relaxed)
    }
}

/// The number after `random`.
#[inline]
pub(crate) fn next(random: u64) -> u64 {
    mix(random.wrapping_add(STRIDE))
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
