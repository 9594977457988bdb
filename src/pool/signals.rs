//! What the hot path must know of the pool without asking for its lock: the present step, the next due time, the mood.

use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use super::marks::Marks;
use super::mood::Mood;
use super::shared::Shared;
use super::used::Used;
use crate::clock::Timestamp;
use crate::health::Step;
use crate::sync::{AtomicU32, AtomicU64, Ordering};

#[derive(Debug)]
pub(crate) struct Signals {
    step: AtomicU64,
    /// When there is something to do before a member is chosen: the first of what follows.
    next: AtomicU64,
    /// When something that rests may be probed by a request that any member serves.
    next_probe: AtomicU64,
    /// The same, by whatever request.
    next_due: AtomicU64,
    /// When a member that has been asked for all it may can be asked again.
    next_refill: AtomicU64,
    pub(crate) mood: Mood,
    /// Whether anything limits what members may be asked for.
    pub(crate) is_limited: bool,
    /// Whether what members serve is counted by model, if the strategy looks at that.
    pub(crate) counts_models: bool,
    /// Over which time the latency of members is averaged, if the strategy looks at it.
    pub(crate) latency_decay: Option<Duration>,
    /// How many requests wait.
    waiting: AtomicU32,
    /// How many members were used of late.
    pub(crate) used: Used,
    /// The members whose counts may have changed since they were last taken.
    pub(crate) marks: Marks,
    /// Whose signals these are.
    pool: OnceLock<Weak<Shared>>,
}

impl Signals {
    pub(crate) fn new(latency_decay: Option<Duration>, counts_models: bool, is_limited: bool) -> Self {
        Self {
            step: AtomicU64::new(0),
            next: AtomicU64::new(u64::MAX),
            next_probe: AtomicU64::new(u64::MAX),
            next_due: AtomicU64::new(u64::MAX),
            next_refill: AtomicU64::new(u64::MAX),
            mood: Mood::new(latency_decay.is_some() || counts_models),
            is_limited,
            counts_models,
            latency_decay,
            waiting: AtomicU32::new(0),
            used: Used::new(),
            marks: Marks::new(),
            pool: OnceLock::new(),
        }
    }

    /// From now on these are the signals of this pool.
    pub(super) fn belong_to(&self, pool: &Arc<Shared>) {
        let _ = self.pool.set(Arc::downgrade(pool));
    }

    /// The pool, as long as anybody has it.
    pub(super) fn pool(&self) -> Option<Arc<Shared>> {
        self.pool.get()?.upgrade()
    }

    /// The step that a lease carries. Read before the member is entered: see the [word](super::word).
    #[inline]
    pub(crate) fn step(&self) -> Step {
        self.step.load(Ordering::Acquire)
    }

    /// Published after the member's word has changed: see the [word](super::word).
    pub(crate) fn publish(&self, step: Step) {
        self.step.store(step, Ordering::Release);
    }

    /// Whether there is something to do before a member is chosen.
    #[inline]
    pub(crate) fn is_due(&self, now: Timestamp) -> bool {
        now >= read(&self.next)
    }

    pub(crate) fn next_probe(&self) -> Timestamp {
        read(&self.next_probe)
    }

    pub(crate) fn next_due(&self) -> Timestamp {
        read(&self.next_due)
    }

    pub(crate) fn is_refill_due(&self, now: Timestamp) -> bool {
        now >= read(&self.next_refill)
    }

    /// Under the lock.
    pub(crate) fn set_next_due(&self, due: Timestamp, probe: Timestamp) {
        write(&self.next_due, due);
        write(&self.next_probe, probe);
        write(&self.next, probe.min(read(&self.next_refill)));
    }

    /// Under the lock.
    pub(crate) fn set_next_refill(&self, at: Timestamp) {
        write(&self.next_refill, at);
        write(&self.next, at.min(read(&self.next_probe)));
    }

    pub(crate) fn has_waiting(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) > 0
    }

    pub(crate) fn set_waiting(&self, count: usize) {
        self.waiting.store(u32::try_from(count).unwrap_or(u32::MAX), Ordering::Relaxed);
    }
}

#[inline]
fn read(time: &AtomicU64) -> Timestamp {
    Timestamp::from_nanos(time.load(Ordering::Relaxed))
}

fn write(time: &AtomicU64, at: Timestamp) {
    time.store(at.nanos(), Ordering::Relaxed);
}
