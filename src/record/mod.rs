//! Members as they are remembered, and how two memories become one.
//!
//! A store keeps [`Record`]s and is told [`Change`]s; it knows neither pools nor requests. Replicas change the same member
//! without asking each other, and their histories reach a store late, twice or in any order. So two changes of one key
//! have one result, whichever comes first (I20):
//!
//! - A later generation wins: a key that was removed and joins again begins anew. Within a generation removal wins,
//!   whatever others have learned about the key meanwhile, so that nobody brings a removed key back by accident.
//! - Of two records `(version, until, state)` decide, as one value: the greater wins whole. Where they are the same, the
//!   rest of the record decides, so that there is never a draw.
//! - The secret and the origin that it is sealed with go together; of two the one sealed later wins, so that sealing
//!   anew says nothing about how the key is doing.
//! - What rests beside a key, for one model or with others, is merged one by one: of each thing the later word stands.
//! - What is counted is kept per replica, merged by maximum and read as a sum.

mod change;
mod graves;
mod kept;
mod rest;
mod rests;
mod spent;
mod tally;
mod traits;

use std::cmp::Ordering;

use serde::{Deserialize, Deserializer, Serialize};

pub use change::{Change, Tombstone};
pub(crate) use graves::Graves;
pub use kept::Kept;
pub use rest::{Rest, RestOf};
pub use rests::Rests;
pub use spent::{Spent, UsageOfDay};
pub use tally::{Counts, Replica, Tallies, Tally};
pub use traits::Traits;

use crate::clock::Timestamp;
use crate::demand::Caller;
use crate::health::Condition;
use crate::origin::Origin;
use crate::secret::KeyId;

/// A member as it is remembered.
///
/// ```
/// use key_commune::record::Record;
/// use key_commune::secret::{Pepper, Secret};
///
/// let secret: Secret = "sk-test-0123456789abcdef".parse()?;
/// let id = Pepper::new([7; 32]).id("openai", &secret);
/// let record = Record::new(id, "openai", secret);
/// assert_eq!(record.display, "sk-t..cdef");
/// assert!(!format!("{record:?}").contains("0123456789"));
/// assert!(serde_json::to_string(&record).is_err(), "a secret in clear is not serialized");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Record {
    /// The name of the key.
    pub id: KeyId,
    /// Whose key it is.
    pub provider: String,
    /// Where the key may be sent, if not to the pool's origin.
    #[serde(default, deserialize_with = "origin")]
    pub origin: Option<Origin>,
    /// A form that a person recognises: `sk-t..qrst`.
    pub display: String,
    /// What an operator called it.
    #[serde(default)]
    pub label: Option<String>,
    /// By what a pool chooses it.
    #[serde(default)]
    pub traits: Traits,
    /// Counts up when a key that was removed joins again.
    #[serde(default)]
    pub generation: u32,
    /// Counts up with every change but those of the rests, the tallies and the seal.
    #[serde(default)]
    pub version: u64,
    /// Counts up when the secret is sealed anew, by a later master key.
    #[serde(default)]
    pub seal: u32,
    /// How the key is doing.
    #[serde(default)]
    pub condition: Condition,
    /// Since when it is in its state.
    #[serde(default)]
    pub since: Timestamp,
    /// Who has struck it, not owning it, since it last proved itself: none of them may strike it again (I22).
    #[serde(default)]
    pub strikers: Vec<Caller>,
    /// What rests beside it that it was refused for.
    #[serde(default, skip_serializing_if = "Rests::is_empty")]
    pub rests: Rests,
    /// When it joined.
    #[serde(default)]
    pub created: Timestamp,
    /// When it was last changed.
    #[serde(default)]
    pub updated: Timestamp,
    /// What each replica has counted.
    #[serde(default)]
    pub tallies: Tallies,
    /// What each replica's answers have said about tokens and cost of late.
    #[serde(default)]
    pub usage: UsageOfDay,
    /// The key's text, as far as it can be read here.
    pub secret: Kept,
}

impl Record {
    /// A key that nothing is known about yet.
    #[must_use]
    pub fn new(id: KeyId, provider: &str, secret: crate::secret::Secret) -> Self {
        Self {
            id,
            provider: provider.to_owned(),
            origin: None,
            display: secret.masked(),
            label: None,
            traits: Traits::default(),
            generation: 0,
            version: 0,
            seal: 0,
            condition: Condition::default(),
            since: Timestamp::ZERO,
            strikers: Vec::new(),
            rests: Rests::default(),
            created: Timestamp::ZERO,
            updated: Timestamp::ZERO,
            tallies: Tallies::default(),
            usage: UsageOfDay::default(),
            secret: Kept::Plain(secret),
        }
    }

    /// The same key, joining now. One that was removed before begins a new generation.
    #[must_use]
    pub fn joined(self, past: Option<Tombstone>, now: Timestamp) -> Self {
        let generation = past.map_or(self.generation, Tombstone::next);
        Self { generation, since: now, created: now, updated: now, ..self }
    }

    /// The same key in another condition, from now on.
    #[must_use]
    pub fn revised(self, condition: Condition, now: Timestamp) -> Self {
        let since = if condition.state == self.condition.state { self.since } else { now };
        Self { version: self.version.saturating_add(1), condition, since, updated: now, ..self }
    }

    /// What is left of the key if it is removed now.
    #[must_use]
    pub fn removed(&self, now: Timestamp) -> Tombstone {
        Tombstone { generation: self.generation, at: now, id: self.id }
    }

    /// The greater of two records of one key and generation, with what both have counted, what rests by either, and the
    /// later seal.
    fn merge(mut self, mut other: Self) -> Self {
        if self.order(&other) == Ordering::Less {
            std::mem::swap(&mut self, &mut other);
        }
        self.tallies.merge(&other.tallies);
        self.usage.merge(&other.usage);
        self.rests.merge(std::mem::take(&mut other.rests));
        if self.binding() < other.binding() {
            (self.seal, self.origin, self.secret) = (other.seal, other.origin, other.secret);
        }
        self
    }

    /// `condition` begins with `until` and `state`.
    fn order(&self, other: &Self) -> Ordering {
        let first = |record: &Self| (record.version, record.condition, record.since, record.updated, record.created);
        let texts = |record: &Self| (record.label.clone(), record.display.clone(), record.provider.clone());
        let said = || texts(self).cmp(&texts(other)).then_with(|| self.traits.cmp(&other.traits));
        let rest = || said().then_with(|| self.strikers.cmp(&other.strikers));
        first(self).cmp(&first(other)).then_with(rest)
    }

    /// What a seal holds together.
    fn binding(&self) -> (u32, Option<String>, &Kept) {
        (self.seal, self.origin.as_ref().map(Origin::to_string), &self.secret)
    }
}

/// Plain `http` is a matter of who lets the key join. Where records are sealed, nobody else can have written it.
fn origin<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Origin>, D::Error> {
    let text = Option::<std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
    text.map(|text| Origin::plain(&text).map_err(serde::de::Error::custom)).transpose()
}
