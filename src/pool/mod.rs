//! The pool: who may be used now, and what each answer changes.
//!
//! The pool in memory decides alone. Taking a key that may be used, and settling a success on one that has no strikes,
//! take no lock, allocate nothing and await nothing (I11); everything else takes one short lock.

mod admin;
mod affinity;
mod attribution;
mod bitmap;
mod budget;
mod builder;
mod capacity;
mod cell;
mod changes;
mod checkout;
mod commune;
mod counted;
mod counters;
mod due;
mod ending;
mod extras;
mod handover;
mod history;
mod ids;
mod key;
mod lane;
mod latency;
mod lease;
mod ledger;
mod limiter;
mod limits;
mod load;
mod marks;
mod member;
#[cfg(all(test, key_commune_loom))]
mod models;
mod mood;
mod openings;
mod outage;
mod pace;
mod random;
mod records;
mod refills;
mod renewal;
mod rests;
mod room;
mod roster;
mod scopes;
mod served;
mod settle;
mod shared;
mod signals;
mod snapshot;
mod spot;
mod strategy;
mod tier;
mod today;
mod tried;
mod usage;
mod used;
mod view;
mod waiting;
mod wish;
mod word;

use std::sync::Arc;

use crate::clock::Timestamp;
use crate::demand::Demand;
use crate::origin::Origin;
use crate::provider::Provider;
pub use admin::PoolError;
pub(crate) use attribution::Accusation;
pub use builder::Builder;
pub use commune::Commune;
pub(crate) use commune::{Allowed, Denied, Presented};
pub use key::Key;
pub use lease::Lease;
use ledger::Ledger;
pub use limits::Limits;
pub use records::Merged;
use shared::Shared;
pub use snapshot::{MemberSnapshot, Rest, Snapshot};
pub use tried::Tried;
pub use usage::ModelUsage;
pub use waiting::Waiting;
use wish::{Asked, Wish};

/// A pool of keys. Cloning it shares it.
///
/// ```
/// use key_commune::pool::KeyPool;
/// use key_commune::provider::Provider;
///
/// let pool = KeyPool::new(Provider::OPENAI, ["sk-one-0123456789", "sk-two-0123456789"])?;
/// assert_eq!(pool.snapshot().active(), 2);
/// # Ok::<(), key_commune::pool::PoolError>(())
/// ```
#[derive(Clone, Debug)]
pub struct KeyPool(Arc<Shared>);

impl KeyPool {
    /// A pool of these keys with the default rules.
    ///
    /// # Errors
    /// When there is no key, a text cannot be a key, or one comes twice.
    pub fn new(provider: Provider, keys: impl IntoIterator<Item: Into<String>>) -> Result<Self, PoolError> {
        let pool = Self::builder(provider).build()?;
        pool.add_all(keys)?;
        Ok(pool)
    }

    /// A pool with other rules.
    pub fn builder(provider: Provider) -> Builder {
        Builder::new(provider)
    }

    /// The provider that the keys belong to.
    pub fn provider(&self) -> &Provider {
        &self.0.provider
    }

    /// Where the keys may be sent, but for those that bring an origin of their own.
    pub fn origin(&self) -> &Origin {
        &self.0.origin
    }

    /// The present, by the pool's clock.
    #[inline]
    pub fn now(&self) -> Timestamp {
        self.0.clock.now()
    }

    /// The best key for a demand, not counting those that the request has tried already.
    ///
    /// # Errors
    /// [`Exhausted`] if none can serve it now.
    #[inline]
    pub fn checkout(&self, demand: &Demand, tried: &mut Tried, now: Timestamp) -> Result<Lease, Exhausted> {
        self.0.checkout(demand, tried, now)
    }

    /// Waits until a key can serve the demand, or until `deadline`: first come, first served.
    pub fn wait(&self, demand: &Demand, tried: &Tried, deadline: Timestamp) -> Waiting {
        let now = self.now();
        let wish = Wish::of(demand);
        let number = self.0.with(|ledger| ledger.join_queue(&Asked { wish: &wish, tried }, now));
        Waiting::new(self.clone(), number, demand.clone(), deadline)
    }

    /// Whether a request may try another key after a refusal: not in an outage that it began in, and not beyond
    /// [`Tried::MOST`].
    pub fn may_fail_over(&self, tried: &Tried) -> bool {
        !tried.is_single() && !tried.is_full()
    }

    /// Takes one repeat out of the retry budget, if it has one left and there is another key to try now: for repeats that
    /// may be processed twice, or that rest nobody (I23).
    pub fn may_repeat(&self, demand: &Demand, tried: &Tried, now: Timestamp) -> bool {
        let wish = Wish::of(demand);
        let asked = Asked { wish: &wish, tried };
        let draw =
            |ledger: &mut Ledger| ledger.has_untried(&asked, now) && ledger.budget.draw(self.0.random.requests(), now);
        self.may_fail_over(tried) && self.0.with(draw)
    }

    /// Tells that a request has tried all it may and failed, so that the pool can see whether the keys are to blame (I15).
    pub fn give_up(&self, now: Timestamp) {
        self.0.give_up(now);
    }

    /// The pool at this moment.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let now = self.now();
        self.0.with(|ledger| Snapshot::take(self.0.provider.name(), ledger, now))
    }

    /// Whether it matters which model a request asks for: a key serves [some models](Key::models) only, or
    /// [limits](Limits::concurrent_per_model) are by model. That changes as keys come and go; to ask takes no lock.
    ///
    /// ```
    /// use key_commune::{Key, KeyPool, Provider};
    ///
    /// let pool = KeyPool::new(Provider::OPENAI, ["sk-one-0123456789"])?;
    /// assert!(!pool.tells_models_apart());
    /// pool.add(Key::new("sk-two-0123456789")?.models("gpt-4o*".parse()?))?;
    /// assert!(pool.tells_models_apart());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn tells_models_apart(&self) -> bool {
        self.0.capacity.tells_models_apart() || self.0.roster.load().lanes.load().has_lists()
    }

    /// Whether there is more than one member to try.
    pub(crate) fn has_choice(&self) -> bool {
        self.0.roster.load().members.len() > 1
    }

    /// A number drawn at random, for whoever must not do what others do at the same moment.
    pub(crate) fn draw(&self) -> u64 {
        self.0.random.draw_other()
    }

    /// The headers that pass, each way, with a key that is not the caller's.
    pub(crate) fn allowed(&self) -> &Allowed {
        &self.0.allowed
    }

    pub(crate) fn slot(&self) -> &dyn crate::slot::Slot {
        &*self.0.slot
    }

    /// Which key gave the response that a request follows.
    #[cfg(all(test, not(key_commune_loom)))]
    pub(crate) fn owner_of_response(&self, demand: &Demand) -> Option<crate::secret::KeyId> {
        self.0.owner_of_response(demand)
    }

    /// What an exhausted pool can tell at this moment, to a request that has tried everything.
    pub(crate) fn exhausted(&self, demand: &Demand, now: Timestamp) -> Exhausted {
        self.0.exhausted(demand, None, now)
    }
}

/// No key can serve a request now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no key of the pool can serve this request now")]
#[non_exhaustive]
pub struct Exhausted {
    /// When the first key that rests may be tried again; `None` if none rests.
    pub soonest: Option<Timestamp>,
    /// Whether another request would find a key at once: this one has tried all that are open.
    pub open: bool,
    /// How many members the pool has.
    pub members: usize,
    /// Whether no member serves the model that is asked for.
    pub unserved: bool,
    at: Timestamp,
    /// When a key comes free that this very request has not tried.
    pub(crate) untried: Option<Timestamp>,
}

/// A wait that was foretold may take longer by this part of it.
const CAUTION: u32 = 16;

impl Exhausted {
    /// Whether a request that may wait until `deadline` should.
    pub(crate) fn is_worth_waiting(&self, deadline: Timestamp) -> bool {
        self.untried.is_some_and(|due| due + (due - self.at) / CAUTION <= deadline)
    }
}
