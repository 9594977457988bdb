//! What comes: when, how many tokens it costs, and how long the provider will work on it.

use std::f64::consts::TAU;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

/// When requests come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Arrivals {
    /// Independently of each other. Their number is given, so that a load is what it is said to be.
    Poisson,
    /// In equal distances.
    Even,
}

/// One request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Work {
    pub(crate) at: Duration,
    pub(crate) latency: Duration,
    pub(crate) tokens: u64,
}

/// Tokens of the request in the middle, and how widely they are spread.
const TOKENS: (f64, f64) = (800.0, 0.67);
/// Their mean.
pub(crate) const MEAN_TOKENS: f64 = 1_000.0;
const MOST_TOKENS: f64 = 8_000.0;
/// Seconds that the request in the middle takes, and how widely they are spread.
const LATENCY: (f64, f64) = (1.0, 0.5);

/// So many requests within this time, in the order in which they come.
pub(crate) fn load(arrivals: Arrivals, count: usize, span: Duration, seed: u64) -> Vec<Work> {
    let mut chance = StdRng::seed_from_u64(seed);
    let mut moments: Vec<f64> = (0..count).map(|number| (number as f64 + 0.5) / count as f64).collect();
    if arrivals == Arrivals::Poisson {
        moments.fill_with(|| chance.random());
        moments.sort_by(f64::total_cmp);
    }
    moments.into_iter().map(|moment| work(&mut chance, span.mul_f64(moment))).collect()
}

fn work(chance: &mut StdRng, at: Duration) -> Work {
    let tokens = log_normal(chance, TOKENS).clamp(1.0, MOST_TOKENS) as u64;
    let latency = millis(Duration::from_secs_f64(log_normal(chance, LATENCY).clamp(0.1, 30.0)));
    Work { at: millis(at), latency, tokens }
}

/// Whole milliseconds, as tokio's timers have them.
fn millis(time: Duration) -> Duration {
    Duration::from_millis(time.as_millis() as u64)
}

/// By the method of Box and Muller.
fn log_normal(chance: &mut StdRng, (median, spread): (f64, f64)) -> f64 {
    let (radius, angle): (f64, f64) = (chance.random(), chance.random());
    let normal = (-2.0 * (1.0 - radius).ln()).sqrt() * (TAU * angle).cos();
    median * (spread * normal).exp()
}
