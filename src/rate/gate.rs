//! The limit of one caller: a theoretical arrival time that threads share without a lock.

use std::time::Duration;

use super::Rate;
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
            // Times only grow. So one that is out of date refuses only what the true one refuses, and sets nothing.
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

    pub(crate) fn tat(&self) -> Timestamp {
        Timestamp::from_nanos(self.0.load(Ordering::Relaxed))
    }

    /// Makes the theoretical arrival time no earlier than `tat`.
    pub(crate) fn raise(&self, tat: Timestamp) {
        self.0.fetch_max(tat.nanos(), Ordering::AcqRel);
    }
}
