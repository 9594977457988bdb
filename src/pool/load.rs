//! How much a member has to do, and has done: what strategies compare, and what its replica counts.

use super::counters::Unserved;
use super::member::Member;
use crate::clock::Timestamp;
use crate::record::Tally;
use crate::select::Load;
use crate::sync::Ordering;

impl Member {
    /// Counts the member as used as often, by its weight, as the others were while it was away: else it would be
    /// everybody's choice until it has caught up. Only under the pool's lock.
    pub(super) fn catch_up(&self, level: u64) {
        let missed = level.saturating_mul(self.weight().into()).saturating_sub(self.word.counts().1);
        self.word.skip(missed);
        self.before.fetch_sub(missed, Ordering::Relaxed);
    }

    /// Requests that it has served, or serves, since it joined.
    pub(super) fn uses(&self) -> u64 {
        self.before.load(Ordering::Relaxed).wrapping_add(self.word.counts().1)
    }

    /// Goes on from what its replica has counted before, which is heard of only now.
    pub(super) fn resume(&self, past: &Tally, now: Timestamp) {
        if past.day == now.day() {
            let throttles = past.today.throttles.saturating_add(self.throttles(now).into()).min(0xFFFF);
            self.throttles.store(past.day << 16 | throttles as u32, Ordering::Relaxed);
        }
        self.before.fetch_add(past.total.calls, Ordering::Relaxed);
        let client = past.last_client.map_or(0, |(_, client)| client.to_bits());
        let _ = self.client.compare_exchange(0, client, Ordering::Relaxed, Ordering::Relaxed);
        self.today.begin(past.day, past.before_today().calls);
    }

    /// All calls so far, how many of them have not ended, and those that were no successes since this was last asked. The
    /// next use marks it again.
    pub(super) fn take_counts(&self) -> (u64, u32, Unserved) {
        self.window.fetch_or(TAKEN, Ordering::SeqCst);
        let (in_flight, uses) = self.word.counts();
        (self.before.load(Ordering::Relaxed).wrapping_add(uses), in_flight, self.counters.take())
    }

    pub(super) fn load_today(&self, now: Timestamp) -> Load {
        Load::new(self.throttles(now), self.word.counts().0, self.uses_today(now))
    }

    /// Requests that it has served since midnight UTC, or serves: to the last one where somebody asks as often as it is
    /// used; else those of the first half minute may be missing.
    pub(super) fn uses_today(&self, now: Timestamp) -> u64 {
        self.today.part_of(self.uses(), now)
    }

    /// Counts the member among those that were used of late, and marks it for whoever keeps its counts.
    #[inline]
    pub(super) fn note_use(&self, now: Timestamp) {
        let window = window(now);
        if self.window.load(Ordering::SeqCst) != window {
            self.note_first_use(window, now);
        }
    }

    /// The first use in a window, or since the counts were taken.
    #[cold]
    fn note_first_use(&self, window: u32, now: Timestamp) {
        let last = self.window.swap(window, Ordering::SeqCst);
        if self.is_stranger() {
            return;
        }
        self.signals.marks.set(self.place);
        if last & !TAKEN != window {
            self.signals.used.note(window);
            // The present use is of today, and has been counted already.
            self.today.part_of(self.uses().saturating_sub(1), now);
        }
    }

    #[inline]
    pub(super) fn load(&self, now: Timestamp) -> Load {
        let (in_flight, uses) = self.word.counts();
        Load::new(self.late(now), in_flight, uses)
    }

    /// The same, but for what it has served of a model today.
    pub(super) fn load_for(&self, model: Option<&str>, now: Timestamp) -> Load {
        let uses = self.served().map_or(0, |served| served.of(model, now));
        Load { uses, ..self.load(now) }
    }

    /// How often it was throttled of late: the count halves with every span of about nine minutes.
    #[inline]
    fn late(&self, now: Timestamp) -> u32 {
        match self.late.load(Ordering::Relaxed) {
            0 => 0,
            packed => (packed & LATE).checked_shr(span(now).wrapping_sub(packed >> 12) & SPANS).unwrap_or(0),
        }
    }

    /// How often it was throttled since midnight UTC; 65,535 stands for any more.
    pub(super) fn throttles(&self, now: Timestamp) -> u32 {
        match self.throttles.load(Ordering::Relaxed) {
            0 => 0,
            packed if packed >> 16 == now.day() & 0xFFFF => packed & 0xFFFF,
            _ => 0,
        }
    }

    /// Counts a throttle. Only under the pool's lock.
    pub(super) fn note_throttle(&self, now: Timestamp) {
        let count = (self.throttles(now) + 1).min(0xFFFF);
        self.throttles.store(now.day() << 16 | count, Ordering::Relaxed);
        self.late.store(span(now) << 12 | (self.late(now) + 1).min(LATE), Ordering::Relaxed);
    }
}

/// In the window in which a member was last used: its counts have been taken since.
const TAKEN: u32 = 1 << 31;

/// The most throttles of late.
const LATE: u32 = (1 << 12) - 1;
const SPANS: u32 = (1 << 20) - 1;

/// The span of time, about nine minutes long, that `now` falls into.
#[inline]
fn span(now: Timestamp) -> u32 {
    (now.nanos() >> 39) as u32 & SPANS
}

/// The window of time, about 34 s long, that `now` falls into: a shift is all the hot path pays for it.
#[inline]
pub(super) fn window(now: Timestamp) -> u32 {
    (now.nanos() >> 35) as u32 & !TAKEN
}
