//! How long a member takes to the head of an answer: an average that follows a rise at once and a fall slowly, as those of
//! Finagle and tower do, for it is dearer to find a slow key fast than the other way round.
//!
//! While nothing is heard the estimate falls towards nothing, so that a key which was slow is tried again.

use std::time::Duration;

use crate::clock::Timestamp;
use crate::sync::{AtomicU64, Ordering};

/// The estimate, an `f32` of nanoseconds, and the tick when it was made. 0 if nothing is known.
#[derive(Debug)]
pub(crate) struct Latency(AtomicU64);

impl Default for Latency {
    fn default() -> Self {
        Self(AtomicU64::new(0))
    }
}

impl Latency {
    /// The estimate, if there is one.
    pub(crate) fn read(&self, now: Timestamp, decay: Duration) -> Option<Duration> {
        let estimate = faded(self.0.load(Ordering::Relaxed), now, decay).0;
        (estimate > 0.0).then(|| Duration::from_nanos(estimate as u64))
    }

    /// An answer took so long, or did not come in that time. A quick refusal makes nobody look faster than silence does.
    pub(crate) fn note(&self, took: Duration, now: Timestamp, decay: Duration) {
        // What is faster than the clock ticks is fast, not unknown.
        let took = (took.as_nanos() as f32).max(1.0);
        let update = |packed| {
            let (estimate, share) = faded(packed, now, decay);
            let new = if took > estimate { took } else { estimate + took * (1.0 - share) };
            Some(u64::from(new.to_bits()) << 32 | u64::from(tick(now)))
        };
        let _ = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, update);
    }
}

/// What is left of an estimate, and how much of it that is.
fn faded(packed: u64, now: Timestamp, decay: Duration) -> (f32, f32) {
    let ticks = tick(now).wrapping_sub(packed as u32).cast_signed().max(0);
    let share = (-(ticks as f32) * TICK / decay.as_nanos().max(1) as f32).exp();
    (f32::from_bits((packed >> 32) as u32) * share, share)
}

/// The nanoseconds of a tick: about a millisecond. They begin anew after 52 days.
const TICK: f32 = (1 << 20) as f32;

fn tick(now: Timestamp) -> u32 {
    (now.nanos() >> 20) as u32
}

#[cfg(not(key_commune_loom))]
#[cfg(test)]
mod tests {
    use super::*;

    const DECAY: Duration = Duration::from_secs(10);

    fn at(millis: u64) -> Timestamp {
        Timestamp::from_unix(Duration::from_millis(1_700_000_000_000 + millis))
    }

    fn millis(latency: &Latency, now: u64) -> u128 {
        latency.read(at(now), DECAY).map_or(0, |estimate| estimate.as_millis())
    }

    #[test]
    fn rises_at_once_and_falls_slowly() {
        let latency = Latency::default();
        assert_eq!(latency.read(at(0), DECAY), None);
        latency.note(Duration::from_millis(100), at(0), DECAY);
        latency.note(Duration::from_secs(2), at(0), DECAY);
        assert!((1_999..=2_000).contains(&millis(&latency, 0)));
        latency.note(Duration::from_millis(100), at(1_000), DECAY);
        // 2,000 ms / e^0.1, and 100 ms * (1 - 1 / e^0.1).
        assert!((1_815..=1_823).contains(&millis(&latency, 1_000)), "{}", millis(&latency, 1_000));
        assert!(millis(&latency, 60_000) < 100, "what is not heard of fades");
    }

    #[test]
    fn an_answer_within_a_tick_of_the_clock_is_known() {
        let latency = Latency::default();
        latency.note(Duration::ZERO, at(0), DECAY);
        assert!(latency.read(at(0), DECAY).is_some());
    }
}
