//! A key in the pool.

use std::sync::{Arc, OnceLock, Weak};

use http::HeaderValue;

use super::counters::Counters;
use super::key::Key;
use super::latency::Latency;
use super::limiter::Limiter;
use super::served::Served;
use super::shared::Shared;
use super::signals::Signals;
use super::today::Today;
use super::word::{Standing, Word};
use crate::clock::Timestamp;
use crate::demand::{Caller, Models};
use crate::rate::Gate;
use crate::record::{Counts, Tally};
use crate::scrub::Scrubber;
use crate::secret::KeyId;
use crate::select::Load;
use crate::subnet::Subnet;
use crate::sync::{AtomicU32, AtomicU64, Ordering};

/// How many members keep their scrubber: about 20 MiB of them.
const KEPT_SCRUBBERS: u32 = 4_096;

/// A key in the pool. What every request touches comes first, and is as much as one cache line: hence the order. With the
/// count of its `Arc` before it, that is two lines wherever it lies.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Member {
    pub(super) word: Word,
    /// Throttles of late: 20 bits of the span's number, 12 of theirs.
    late: AtomicU32,
    /// The window in which it was last used.
    window: AtomicU32,
    pub(super) signals: Arc<Signals>,
    pub(super) value: HeaderValue,
    pub(super) place: u32,
    /// Throttles of a day: the day's number and theirs, of 16 bits each.
    throttles: AtomicU32,
    pub(super) pool: Weak<Shared>,
    pub(super) id: KeyId,
    pub(super) key: Key,
    scrubber: OnceLock<Scrubber>,
    /// Uses in the word that were none.
    skipped: AtomicU64,
    today: Today,
    pub(super) counters: Counters,
    /// How often its owner comes.
    pub(super) gate: Gate,
    /// Answers that others got with it, and that its owner got with others.
    given: AtomicU64,
    taken: AtomicU64,
    /// The subnet of the caller that it served last; 0 if none is known.
    client: AtomicU64,
    /// How long it takes to answer, where the strategy asks.
    pub(super) latency: Latency,
    /// What it has been asked for, where that is limited.
    pub(super) limiter: Option<Box<Limiter>>,
    /// What it has served of each model, where the strategy asks.
    pub(super) served: Option<Box<Served>>,
}

/// The place of a key that is no member.
const NOWHERE: u32 = u32::MAX;

impl Member {
    /// A member with what its replica has counted so far.
    pub(super) fn new(place: usize, id: KeyId, key: Key, past: &Tally, shared: &Arc<Shared>) -> Self {
        Self {
            word: Word::new(Standing::Clean),
            late: AtomicU32::new(0),
            window: AtomicU32::new(u32::MAX),
            place: place as u32,
            signals: Arc::clone(&shared.signals),
            pool: Arc::downgrade(shared),
            value: shared.slot.value(&key.secret),
            id,
            key,
            scrubber: OnceLock::new(),
            throttles: AtomicU32::new((past.day & 0xFFFF) << 16 | past.today.throttles.min(0xFFFF) as u32),
            skipped: AtomicU64::new(0),
            today: Today::new(past.day, past.before_today().calls),
            counters: Counters::new(past.total),
            gate: Gate::default(),
            given: AtomicU64::new(0),
            taken: AtomicU64::new(0),
            client: AtomicU64::new(past.last_client.map_or(0, |(_, client)| client.to_bits())),
            latency: Latency::default(),
            limiter: shared.capacity.limiter(),
            served: shared.signals.counts_models.then(Box::default),
        }
    }

    /// A caller's own key that is not in the pool.
    pub(super) fn stranger(id: KeyId, key: Key, shared: &Arc<Shared>) -> Self {
        Self::new(NOWHERE as usize, id, key, &Tally::default(), shared)
    }

    pub(super) fn is_stranger(&self) -> bool {
        self.place == NOWHERE
    }

    /// The caller that presents this key. The id is a keyed hash, so nobody can choose to be taken for another.
    pub(super) fn caller(&self) -> Caller {
        Caller((self.id.bits() >> 64) as u64)
    }

    /// What stands for it where sessions are spread over keys.
    pub(super) fn fingerprint(&self) -> u64 {
        self.id.bits() as u64
    }

    pub(super) fn weight(&self) -> u8 {
        self.key.own_weight()
    }

    pub(super) fn tier(&self) -> u8 {
        self.key.own_tier()
    }

    /// The models that it serves, if not all.
    pub(super) fn models(&self) -> Option<&Models> {
        self.key.own_models()
    }

    /// Counts the member as used as often, by its weight, as the others were while it was away: else it would be
    /// everybody's choice until it has caught up. Only under the pool's lock.
    pub(super) fn catch_up(&self, level: u64) {
        let missed = level.saturating_mul(self.weight().into()).saturating_sub(self.word.counts().1);
        self.word.skip(missed);
        self.skipped.fetch_add(missed, Ordering::Relaxed);
    }

    pub(super) fn give(&self) {
        self.given.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn take(&self) {
        self.taken.fetch_add(1, Ordering::Relaxed);
    }

    /// How many more answers its owner got with others than others got with it.
    pub(super) fn owes(&self) -> u64 {
        self.taken.load(Ordering::Relaxed).saturating_sub(self.given.load(Ordering::Relaxed))
    }

    pub(super) fn note_client(&self, subnet: Subnet) {
        self.client.store(subnet.to_bits(), Ordering::Relaxed);
    }

    /// Where the caller that it served last comes from.
    pub(super) fn client(&self) -> Option<Subnet> {
        Subnet::from_bits(self.client.load(Ordering::Relaxed))
    }

    /// Calls that have ended well, or are under way, since its process began.
    pub(super) fn served(&self) -> u64 {
        let (_, uses) = self.word.counts();
        self.counters.read(self.uses_here(uses), 0).successes
    }

    /// Requests that it has served, or serves, since it joined.
    pub(super) fn uses(&self) -> u64 {
        self.counters.before().saturating_add(self.uses_here(self.word.counts().1))
    }

    fn uses_here(&self, uses: u64) -> u64 {
        uses.saturating_sub(self.skipped.load(Ordering::Relaxed))
    }

    /// Goes on from what its replica has counted before, which is heard of only now.
    pub(super) fn resume(&self, past: &Tally, now: Timestamp) {
        if past.day == now.day() {
            let throttles = past.today.throttles.saturating_add(self.throttles(now).into()).min(0xFFFF);
            self.throttles.store(past.day << 16 | throttles as u32, Ordering::Relaxed);
        }
        self.counters.add(past.total);
        self.today.begin(past.day, past.before_today().calls);
    }

    /// Everything it has counted, and how many calls have not ended. The next use marks it again.
    pub(super) fn take_counts(&self) -> (Counts, u32) {
        self.window.fetch_or(TAKEN, Ordering::SeqCst);
        let (in_flight, uses) = self.word.counts();
        (self.counters.read(self.uses_here(uses), in_flight.into()), in_flight)
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
    pub(super) fn note_use(&self, signals: &Signals, now: Timestamp) {
        let window = window(now);
        if self.window.load(Ordering::SeqCst) != window {
            self.note_first_use(signals, window, now);
        }
    }

    /// The first use in a window, or since the counts were taken.
    fn note_first_use(&self, signals: &Signals, window: u32, now: Timestamp) {
        let last = self.window.swap(window, Ordering::SeqCst);
        signals.marks.set(self.place);
        if last & !TAKEN != window {
            signals.note_used(window);
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
        let uses = self.served.as_ref().map_or(0, |served| served.of(model, now));
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

    /// What masks echoes of this key. It takes microseconds to make and kilobytes to keep, so the first
    /// [`KEPT_SCRUBBERS`] members of a pool keep theirs, and the others make one when they need it.
    pub(super) fn scrubber(&self) -> Scrubber {
        let in_commune = || self.pool.upgrade().is_some_and(|pool| pool.commune.is_some());
        let new = || if in_commune() { Scrubber::strict(&self.key.secret) } else { Scrubber::new(&self.key.secret) };
        if self.place < KEPT_SCRUBBERS { self.scrubber.get_or_init(new).clone() } else { new() }
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

#[cfg(not(key_commune_loom))]
#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn i11_what_every_request_touches_is_in_one_line() {
        assert_eq!(std::mem::offset_of!(Member, word), 0);
        assert_eq!(std::mem::offset_of!(Member, value) + size_of::<HeaderValue>(), 64);
        assert!(size_of::<Member>() <= 256, "a million of them count");
    }
}
