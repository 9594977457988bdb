//! What the hot path must know of the pool without asking for its lock: the present step, the next due time, the mood.

use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use super::marks::Marks;
use super::shared::Shared;
use super::word::Standing;
use crate::clock::Timestamp;
use crate::health::Step;
use crate::sync::{AtomicU32, AtomicU64, Ordering};

/// Failures are in the outage guard's journal: it wants to hear of a success.
const WATCHED: u32 = 1;
/// There was one.
const SUCCEEDED: u32 = 2;
/// The guard has tripped.
const OUTAGE: u32 = 4;

/// The pool as a whole rests.
const POOL_CLOSED: u32 = 1;
/// It has strikes.
const POOL_STRUCK: u32 = 2;

#[derive(Debug)]
pub(crate) struct Signals {
    step: AtomicU64,
    next_due: AtomicU64,
    mood: AtomicU32,
    /// What rests or has strikes besides keys: see [`set_scopes`](Self::set_scopes).
    scopes: AtomicU32,
    /// Members first used in the present window and in the one before: window, before, present.
    used: AtomicU64,
    /// Over which time the latency of members is averaged, if the strategy looks at it.
    pub(crate) latency_decay: Option<Duration>,
    /// Whether what members serve is counted by model, if the strategy looks at that.
    pub(crate) counts_models: bool,
    /// Whether anything limits what members may be asked for.
    pub(crate) is_limited: bool,
    /// When a member that has been asked for all it may can be asked again.
    next_refill: AtomicU64,
    /// How many requests wait.
    waiting: AtomicU32,
    /// The members whose counts may have changed since they were last taken.
    pub(crate) marks: Marks,
    /// Whose signals these are.
    pool: OnceLock<Weak<Shared>>,
}

/// How a success must be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Telling {
    /// Not at all, or by the mark that has just been set.
    Done,
    /// Under the lock.
    Lock,
}

impl Signals {
    pub(crate) fn new(latency_decay: Option<Duration>, counts_models: bool, is_limited: bool) -> Self {
        Self {
            step: AtomicU64::new(0),
            next_due: AtomicU64::new(u64::MAX),
            mood: AtomicU32::new(0),
            scopes: AtomicU32::new(0),
            used: AtomicU64::new(0),
            latency_decay,
            counts_models,
            is_limited,
            next_refill: AtomicU64::new(u64::MAX),
            waiting: AtomicU32::new(0),
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

    #[inline]
    pub(crate) fn next_due(&self) -> Timestamp {
        Timestamp::from_nanos(self.next_due.load(Ordering::Relaxed))
    }

    pub(crate) fn set_next_due(&self, due: Timestamp) {
        self.next_due.store(due.nanos(), Ordering::Relaxed);
    }

    #[inline]
    pub(crate) fn is_refill_due(&self, now: Timestamp) -> bool {
        now.nanos() >= self.next_refill.load(Ordering::Relaxed)
    }

    pub(crate) fn set_next_refill(&self, at: Timestamp) {
        self.next_refill.store(at.nanos(), Ordering::Relaxed);
    }

    pub(crate) fn has_waiting(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) > 0
    }

    pub(crate) fn set_waiting(&self, count: usize) {
        self.waiting.store(u32::try_from(count).unwrap_or(u32::MAX), Ordering::Relaxed);
    }

    /// A success happened.
    #[inline]
    pub(crate) fn succeeded(&self) -> Telling {
        match self.mood.load(Ordering::Relaxed) {
            mood if mood & OUTAGE != 0 => Telling::Lock,
            mood if mood & (WATCHED | SUCCEEDED) == WATCHED => {
                self.mood.fetch_or(SUCCEEDED, Ordering::Relaxed);
                Telling::Done
            }
            _ => Telling::Done,
        }
    }

    /// Under the lock: begins to watch for a success. Whether there was one since that was last done: in one step, lest a
    /// success in between be overlooked.
    pub(crate) fn watch(&self) -> bool {
        self.mood.swap(WATCHED, Ordering::Relaxed) & SUCCEEDED != 0
    }

    /// Whether a success happened since the journal was opened. Under the lock.
    pub(crate) fn had_success(&self) -> bool {
        self.mood.load(Ordering::Relaxed) & SUCCEEDED != 0
    }

    /// Under the lock: what the journal is doing now. Forgets any success so far.
    pub(crate) fn set_mood(&self, watched: bool, outage: bool) {
        let mood = if watched { WATCHED } else { 0 } | if outage { OUTAGE } else { 0 };
        self.mood.store(mood, Ordering::Relaxed);
    }

    #[inline]
    pub(crate) fn in_outage(&self) -> bool {
        self.mood.load(Ordering::Relaxed) & OUTAGE != 0
    }

    /// Under the lock: how the pool as a whole is doing, and how many keys have something to make good for one model.
    pub(crate) fn set_scopes(&self, pool: Standing, pairs: usize) {
        let pool = match pool {
            Standing::Clean => 0,
            Standing::Struck => POOL_STRUCK,
            Standing::Closed => POOL_CLOSED,
        };
        let pairs = u32::try_from(pairs).unwrap_or(u32::MAX).min(u32::MAX >> 2);
        self.scopes.store(pairs << 2 | pool, Ordering::Relaxed);
    }

    /// Whether no key may be used at all.
    #[inline]
    pub(crate) fn is_pool_closed(&self) -> bool {
        self.scopes.load(Ordering::Relaxed) & POOL_CLOSED != 0
    }

    /// Whether the pool as a whole has something to make good.
    pub(crate) fn is_pool_struck(&self) -> bool {
        self.scopes.load(Ordering::Relaxed) & (POOL_CLOSED | POOL_STRUCK) != 0
    }

    /// Whether anything besides keys has something to make good.
    #[inline]
    pub(crate) fn has_scopes(&self) -> bool {
        self.scopes.load(Ordering::Relaxed) != 0
    }

    /// A member is used for the first time in `window`.
    pub(crate) fn note_used(&self, window: u32) {
        let update = |packed| Some(Used::from(packed).at(window).one_more().packed());
        let _ = self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, update);
    }

    /// How many members were used in `window` or the one before, whichever was more.
    pub(crate) fn used(&self, window: u32) -> u32 {
        let used = Used::from(self.used.load(Ordering::Relaxed)).at(window);
        used.before.max(used.present)
    }
}

/// The counts of two windows in one word: 20 bits of the window's number, 22 of each count.
#[derive(Clone, Copy)]
struct Used {
    window: u32,
    before: u32,
    present: u32,
}

impl Used {
    const COUNT: u64 = (1 << 22) - 1;
    const WINDOW: u32 = (1 << 20) - 1;

    fn from(packed: u64) -> Self {
        let window = (packed >> 44) as u32;
        Self { window, before: (packed >> 22 & Self::COUNT) as u32, present: (packed & Self::COUNT) as u32 }
    }

    fn packed(self) -> u64 {
        u64::from(self.window) << 44 | u64::from(self.before) << 22 | u64::from(self.present)
    }

    fn at(self, window: u32) -> Self {
        let window = window & Self::WINDOW;
        match window.wrapping_sub(self.window) & Self::WINDOW {
            0 => self,
            1 => Self { window, before: self.present, present: 0 },
            _ => Self { window, before: 0, present: 0 },
        }
    }

    fn one_more(self) -> Self {
        Self { present: (self.present + 1).min(Self::COUNT as u32), ..self }
    }
}
