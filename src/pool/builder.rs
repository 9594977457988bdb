use std::hash::RandomState;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;

use super::admin::PoolError;
use super::affinity::{self, Affinity};
use super::capacity::Capacity;
use super::commune::{self, Allowed, Commune};
use super::ledger::Ledger;
use super::limits::Limits;
use super::random::Random;
use super::renewal::Renewal;
use super::roster::Roster;
use super::shared::Shared;
use super::signals::Signals;
use super::strategy::Strategy;
use super::waiting::Queue;
use super::{Key, KeyPool};
use crate::clock::{Clock, SystemClock};
use crate::health::Penalties;
use crate::provider::Provider;
use crate::rate::Crowd;
use crate::record::Replica;
use crate::secret::Pepper;
use crate::select::Select;
use crate::sync::Mutex;

/// Builds a [`KeyPool`] with other rules than the default ones.
///
/// ```
/// use key_commune::health::Penalties;
/// use key_commune::pool::{Key, KeyPool};
/// use key_commune::provider::Provider;
/// use key_commune::select::RoundRobin;
///
/// let pool = KeyPool::builder(Provider::ANTHROPIC)
///     .select(RoundRobin::default())
///     .penalties(Penalties::default().jitter(false))
///     .key(Key::new("sk-ant-0123456789")?.label("team blue"))
///     .build()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "a builder does nothing until it is built"]
pub struct Builder {
    provider: Provider,
    strategy: Strategy,
    penalties: Penalties,
    clock: Arc<dyn Clock>,
    pepper: Pepper,
    seed: Option<u64>,
    max_keys: Option<usize>,
    max_waiting: usize,
    max_responses: usize,
    keys: Vec<Key>,
    commune: Option<Commune>,
    replica: Replica,
    limits: Limits,
    pool_limits: Limits,
    daily_reset: Option<Duration>,
    learns_pace: bool,
}

impl Builder {
    pub(super) fn new(provider: Provider) -> Self {
        Self {
            provider,
            strategy: Strategy::TwoChoices,
            penalties: Penalties::default(),
            clock: Arc::new(SystemClock::new()),
            pepper: Pepper::random(),
            seed: None,
            max_keys: None,
            max_waiting: 1_024,
            max_responses: affinity::MOST,
            keys: Vec::new(),
            commune: None,
            replica: Replica::default(),
            limits: Limits::default(),
            pool_limits: Limits::default(),
            daily_reset: None,
            learns_pace: true,
        }
    }

    /// How a key is chosen. Default: [`TwoChoices`](crate::select::TwoChoices).
    pub fn select(mut self, strategy: impl Select + 'static) -> Self {
        self.strategy = Strategy::Other(Box::new(strategy));
        self
    }

    /// How long each outcome rests a key. Default: [`Penalties::default`].
    pub fn penalties(mut self, penalties: Penalties) -> Self {
        self.penalties = penalties;
        self
    }

    /// What tells the time. Default: [`SystemClock`].
    pub fn clock(mut self, clock: impl Clock + 'static) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// What makes key ids this pool's own. Default: random, so that ids change with every start.
    pub fn pepper(mut self, pepper: Pepper) -> Self {
        self.pepper = pepper;
        self
    }

    /// Where chance begins, so that a test draws the same numbers again. Default: random.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// The most keys the pool takes. Default: 4,294,967,294; in a commune 200.
    pub fn max_keys(mut self, most: usize) -> Self {
        self.max_keys = Some(most);
        self
    }

    /// Makes the pool one that its callers share: each presents a key of its own, and once that has proved itself, the
    /// caller's requests are served with any key of the pool. **The owners of keys can see what is sent with them, and
    /// the terms of many providers forbid to share keys.**
    pub fn commune(mut self, rules: Commune) -> Self {
        self.commune = Some(rules);
        self
    }

    /// What each key may be asked for. Requests beyond go with other keys, or wait; the provider never has to refuse them.
    /// Default: nothing is limited.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// What the pool as a whole may be asked for, where a provider counts by address. Limits by model do not apply. Default:
    /// nothing is limited.
    pub fn pool_limits(mut self, limits: Limits) -> Self {
        self.pool_limits = limits;
        self
    }

    /// Whether a key that was throttled is held to the pace that this has shown, and slowly led beyond it: for limits that
    /// nobody has [told](Self::limits), so that few calls are spent on finding out. Requests beyond it go with other keys, or
    /// wait. A key that was not throttled, and of which no good answer said that nothing is left, is held to none; and
    /// none is where limits are told, or in a commune. Default: yes.
    pub fn learn_pace(mut self, learn: bool) -> Self {
        self.learns_pace = learn;
        self
    }

    /// Forgets strikes, and ends the rests that come of them, every day at this time after midnight UTC: for providers whose
    /// limits begin anew then. A rest whose end the provider has named goes on. Default: never; a success clears strikes.
    pub fn daily_reset(mut self, time: Duration) -> Self {
        self.daily_reset = Some(time);
        self
    }

    /// The number that this process counts under where several share a store: each needs one of its own, the same after
    /// every start. Default: 0.
    pub fn replica(mut self, replica: Replica) -> Self {
        self.replica = replica;
        self
    }

    /// The most requests that wait for a key at once; one more is answered at once. Default: 1,024.
    pub fn max_waiting(mut self, most: usize) -> Self {
        self.max_waiting = most;
        self
    }

    /// The most responses of which the pool remembers the key, where the layer
    /// [follows](crate::KeyCommuneLayer::follow_responses) them; the oldest are forgotten. Default: 65,536, which take
    /// 3.2 MiB at most.
    pub fn max_responses(mut self, most: usize) -> Self {
        self.max_responses = most;
        self
    }

    /// Adds a key.
    pub fn key(mut self, key: Key) -> Self {
        self.keys.push(key);
        self
    }

    /// Adds keys.
    pub fn keys(mut self, keys: impl IntoIterator<Item = Key>) -> Self {
        self.keys.extend(keys);
        self
    }

    /// Builds the pool. It may be empty; keys can come later.
    ///
    /// # Errors
    /// When a key comes twice, there are more than [`max_keys`](Self::max_keys), or the provider's row is incomplete.
    pub fn build(self) -> Result<KeyPool, PoolError> {
        if self.provider.base_url().is_none() {
            return Err(PoolError::NoBase(self.provider.name()));
        }
        let usual = if self.commune.is_some() { commune::MAX_KEYS } else { usize::MAX };
        let max_keys = self.max_keys.unwrap_or(usual);
        let capacity = Arc::new(Capacity::new(self.limits, &self.pool_limits));
        let paced = capacity.limits_rates();
        let (decay, counts_models) = (self.strategy.latency_decay(), self.strategy.counts_models());
        let signals = Arc::new(Signals::new(decay, counts_models, capacity.limits_anything()));
        let roster = Arc::new(Roster::new(Box::default()));
        let queue = Queue::new(self.max_waiting);
        let mut ledger =
            Ledger::new(Arc::clone(&roster), Arc::clone(&signals), self.penalties, queue, Arc::clone(&capacity));
        ledger.renewal = self.daily_reset.map(|time| Renewal::new(time, self.clock.now()));
        ledger.tell_refill();
        let pool = KeyPool(Arc::new(Shared {
            slot: self.provider.credential_slot(),
            origin: self.provider.origin()?,
            allowed: Allowed::of(&self.provider),
            provider: self.provider,
            pepper: self.pepper,
            clock: self.clock,
            strategy: self.strategy,
            roster: ArcSwap::new(roster),
            signals,
            random: Random::new(self.seed),
            ledger: Mutex::new(ledger),
            capacity,
            learns_pace: self.learns_pace && !paced && self.commune.is_none(),
            max_keys: max_keys.min(u32::MAX as usize - 1),
            commune: self.commune,
            replica: self.replica,
            keyed: RandomState::new(),
            strangers: Crowd::default(),
            affinity: Affinity::new(self.max_responses),
        }));
        pool.0.signals.belong_to(&pool.0);
        pool.extend(self.keys)?;
        Ok(pool)
    }
}

impl std::fmt::Debug for Builder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Builder")
            .field("provider", &self.provider)
            .field("keys", &self.keys.len())
            .finish_non_exhaustive()
    }
}
