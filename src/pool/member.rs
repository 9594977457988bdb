//! A key in the pool.

use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;

use super::counters::Counters;
use super::extras::Extras;
use super::key::{Key, Said};
use super::latency::Latency;
use super::limiter::Limiter;
use super::served::Served;
use super::shared::Shared;
use super::signals::Signals;
use super::today::Today;
use super::word::{Standing, Word};
use crate::clock::Timestamp;
use crate::demand::{Caller, Models};
use crate::rate::Rate;
use crate::record::Tally;
use crate::scrub::Scrubber;
use crate::secret::{KeyId, Secret};
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
    pub(super) late: AtomicU32,
    /// The window in which it was last used.
    pub(super) window: AtomicU32,
    pub(super) signals: Arc<Signals>,
    pub(super) value: HeaderValue,
    pub(super) place: u32,
    /// Throttles of a day: the day's number and theirs, of 16 bits each.
    pub(super) throttles: AtomicU32,
    pub(super) id: KeyId,
    pub(super) key: Said,
    extras: Option<Box<Extras>>,
    /// Calls of former processes, less the uses in the word that were none.
    pub(super) before: AtomicU64,
    pub(super) today: Today,
    /// The subnet of the caller that it served last; 0 if none is known.
    pub(super) client: AtomicU64,
    pub(super) counters: Counters,
}

/// The place of a key that is no member.
const NOWHERE: u32 = u32::MAX;

impl Member {
    /// A member with what its replica has counted so far.
    pub(super) fn new(place: usize, id: KeyId, key: Key, past: &Tally, shared: &Arc<Shared>) -> Self {
        let value = shared.slot.value(&key.secret);
        let apart = Some(key.secret).filter(|secret| *secret != Secret::held_by(&value));
        let limiter = shared.capacity.limiter();
        let has_extras = apart.is_some() || limiter.is_some() || has_extras(place, shared);
        Self {
            word: Word::new(Standing::Clean),
            late: AtomicU32::new(0),
            window: AtomicU32::new(u32::MAX),
            place: place as u32,
            signals: Arc::clone(&shared.signals),
            value,
            id,
            key: key.said,
            extras: has_extras.then(|| Box::new(Extras::new(apart, limiter))),
            throttles: AtomicU32::new((past.day & 0xFFFF) << 16 | past.today.throttles.min(0xFFFF) as u32),
            before: AtomicU64::new(past.total.calls),
            today: Today::new(past.day, past.before_today().calls),
            client: AtomicU64::new(past.last_client.map_or(0, |(_, client)| client.to_bits())),
            counters: Counters::default(),
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

    pub(super) fn extras(&self) -> Option<&Extras> {
        self.extras.as_deref()
    }

    /// The key's text: mostly what the value holds.
    pub(super) fn secret(&self) -> Secret {
        let apart = self.extras().and_then(|extras| extras.secret.clone());
        apart.unwrap_or_else(|| Secret::held_by(&self.value))
    }

    /// The key as it joined.
    pub(super) fn key(&self) -> Key {
        Key { secret: self.secret(), said: self.key.clone() }
    }

    /// How long it takes to answer, where the strategy asks.
    pub(super) fn latency(&self) -> Option<&Latency> {
        self.extras().map(|extras| &extras.latency)
    }

    /// What it has served of each model, where the strategy asks.
    pub(super) fn served(&self) -> Option<&Served> {
        self.extras().map(|extras| &extras.served)
    }

    /// What it has been asked for, where that is limited.
    pub(super) fn limiter(&self) -> Option<&Limiter> {
        self.extras()?.limiter.as_deref()
    }

    /// Holds its owner to a rate, in a commune.
    pub(super) fn admit(&self, rate: Rate, now: Timestamp) -> Result<(), Duration> {
        self.extras().map_or(Ok(()), |extras| extras.gate.admit(rate, now))
    }

    /// The pool that it belongs to, as long as anybody has it.
    pub(super) fn pool(&self) -> Option<Arc<Shared>> {
        self.signals.pool()
    }

    pub(super) fn note_client(&self, subnet: Subnet) {
        self.client.store(subnet.to_bits(), Ordering::Relaxed);
    }

    /// Where the caller that it served last comes from.
    pub(super) fn client(&self) -> Option<Subnet> {
        Subnet::from_bits(self.client.load(Ordering::Relaxed))
    }

    /// What masks echoes of this key. It takes microseconds to make and kilobytes to keep, so the first
    /// [`KEPT_SCRUBBERS`] members of a pool keep theirs, and the others make one when they need it.
    pub(super) fn scrubber(&self) -> Scrubber {
        let in_commune = || self.pool().is_some_and(|pool| pool.commune.is_some());
        let new = || if in_commune() { Scrubber::strict(&self.secret()) } else { Scrubber::new(&self.secret()) };
        let kept = self.extras().filter(|_| self.place < KEPT_SCRUBBERS);
        kept.map_or_else(new, |extras| extras.scrubber.get_or_init(new).clone())
    }
}

fn has_extras(place: usize, shared: &Shared) -> bool {
    let signals = &shared.signals;
    let asked_for = signals.latency_decay.is_some() || signals.counts_models;
    place < KEPT_SCRUBBERS as usize || shared.commune.is_some() || asked_for
}

#[cfg(not(key_commune_loom))]
#[cfg(test)]
mod tests {
    use http::HeaderName;

    use super::*;
    use crate::provider::Placement;
    use crate::{KeyPool, Provider};

    #[test]
    fn i11_what_every_request_touches_is_in_one_line() {
        assert_eq!(std::mem::offset_of!(Member, word), 0);
        assert_eq!(std::mem::offset_of!(Member, value) + size_of::<HeaderValue>(), 64);
        assert!(size_of::<Member>() <= 144, "a million of them count");
    }

    #[test]
    fn a_key_is_kept_apart_only_where_its_value_does_not_hold_it() {
        let header = Placement::Header(HeaderName::from_static("x-api-key"));
        let query = Placement::Query("key".into());
        for (slot, text, is_apart) in [
            (Placement::Bearer, "sk-test/0123456789", false),
            (header, "sk-test/0123456789", false),
            (query.clone(), "sk-test-0123456789", false),
            (query, "sk-test/0123456789", true),
        ] {
            let provider = Provider::custom("https://api.example.com").slot(slot.clone());
            let pool = KeyPool::new(provider, [text]).unwrap();
            let member = pool.0.with(|ledger| Arc::clone(&ledger.cell(0).unwrap().member));
            assert_eq!(member.secret().expose(), text, "{slot:?}");
            assert_eq!(member.extras().unwrap().secret.is_some(), is_apart, "{slot:?}");
            assert_eq!(member.value, pool.0.slot.value(&text.parse().unwrap()));
        }
    }
}
