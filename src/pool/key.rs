//! A key, and what an operator says about it.

use std::num::NonZeroU8;

use crate::demand::Models;
use crate::origin::Origin;
use crate::record::{Record, Traits};
use crate::secret::Secret;

/// A key to be put into a pool, with what is known about it.
///
/// ```
/// use key_commune::pool::Key;
///
/// let key = Key::new("sk-test-0123456789abcdef")?.label("team blue");
/// # Ok::<(), key_commune::secret::SecretError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Key {
    pub(super) secret: Secret,
    pub(super) said: Said,
}

/// What an operator says about a key, boxed, for few of a million keys have any.
#[derive(Clone, Debug, Default)]
pub(super) struct Said {
    told: Option<Box<Told>>,
}

/// What an operator says about a key.
#[derive(Clone, Debug, Default, PartialEq)]
struct Told {
    label: Option<Box<str>>,
    origin: Option<Origin>,
    traits: Traits,
}

impl Key {
    /// The longest label, and the longest name of a group, in bytes; a longer one is cut.
    pub const MAX_LABEL: usize = 64;

    /// A key with this text.
    ///
    /// # Errors
    /// When the text cannot be a key, see [`Secret::new`].
    pub fn new(text: impl Into<String>) -> Result<Self, crate::secret::SecretError> {
        Secret::new(text).map(Self::from)
    }

    /// The same, under a name for people.
    #[must_use]
    pub fn label(mut self, label: &str) -> Self {
        self.told().label = Some(Self::cut(label));
        self
    }

    /// The same, sent to this origin instead of the pool's. It is never sent to any other.
    #[must_use]
    pub fn origin(mut self, origin: Origin) -> Self {
        self.told().origin = Some(origin);
        self
    }

    /// The same, for so many times the requests of a key of weight 1, as far as the strategy spreads them. Default: 1, and 0
    /// counts as 1. A pool of unequal keys takes 24 bytes more for each unit.
    ///
    /// ```
    /// use key_commune::{Key, KeyPool, Provider};
    ///
    /// let keys = [Key::new("sk-large-0123456789")?.weight(3), Key::new("sk-small-0123456789")?];
    /// let pool = KeyPool::builder(Provider::OPENAI).keys(keys).build()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn weight(mut self, weight: u8) -> Self {
        self.told().traits.weight = NonZeroU8::new(weight).unwrap_or(NonZeroU8::MIN);
        self
    }

    /// The same, in this tier: it serves a request, or is tried out after a rest, only while no key of a lower tier can
    /// serve it. Default: 0, the first.
    #[must_use]
    pub fn tier(mut self, tier: u8) -> Self {
        self.told().traits.tier = tier;
        self
    }

    /// The same, for these models alone. Without them it serves any model, and names none.
    ///
    /// ```
    /// use key_commune::{Key, KeyPool, Provider};
    ///
    /// let keys = [Key::new("sk-old-0123456789")?.models("gpt-4o*".parse()?), Key::new("sk-new-0123456789")?.models("others".parse()?)];
    /// let pool = KeyPool::builder(Provider::OPENAI).keys(keys).build()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn models(mut self, models: Models) -> Self {
        self.told().traits.models = Some(models);
        self
    }

    /// The same, of this account: what a provider counts by account, the keys of a group run out of together. An empty
    /// name is none.
    ///
    /// ```
    /// use key_commune::{Key, KeyPool, Provider};
    ///
    /// let keys = ["sk-one-0123456789", "sk-two-0123456789"].map(|text| Key::new(text).map(|key| key.group("acct-a")));
    /// let pool = KeyPool::builder(Provider::OPENAI).keys(keys.into_iter().collect::<Result<Vec<_>, _>>()?).build()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn group(mut self, group: &str) -> Self {
        self.told().traits.group = group_of(group);
        self
    }

    /// What of a text becomes a label.
    fn cut(label: &str) -> Box<str> {
        let mut bytes = 0;
        let fits = |letter: &char| {
            bytes += letter.len_utf8();
            bytes <= Self::MAX_LABEL
        };
        let cut: String = label.chars().filter(|letter| !letter.is_control()).take_while(fits).collect();
        cut.into()
    }

    /// The same, with all that a pool chooses it by.
    ///
    /// ```
    /// use key_commune::Key;
    /// use key_commune::record::Traits;
    ///
    /// let mut traits = Traits::default();
    /// (traits.tier, traits.models) = (1, Some("gpt-4o*,o3".parse()?));
    /// let key = Key::new("sk-test-0123456789abcdef")?.traits(traits);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn traits(mut self, traits: Traits) -> Self {
        if self.said.told.is_some() || traits != Traits::default() {
            self.told().traits = bounded(traits);
        }
        self
    }

    /// A key as a store knows it.
    pub(super) fn remembered(secret: Secret, record: &Record) -> Self {
        let told = Told::of(record);
        Self { secret, said: Said { told: (told != Told::default()).then(|| Box::new(told)) } }
    }

    /// Whether two records say the same about a key.
    pub(super) fn are_told_alike(one: &Record, other: &Record) -> bool {
        Told::of(one) == Told::of(other)
    }

    fn told(&mut self) -> &mut Told {
        self.said.told.get_or_insert_default()
    }
}

impl Said {
    pub(super) fn labelled(&self) -> Option<&str> {
        self.told.as_ref()?.label.as_deref()
    }

    pub(super) fn own_origin(&self) -> Option<&Origin> {
        self.told.as_ref()?.origin.as_ref()
    }

    pub(super) fn own_models(&self) -> Option<&Models> {
        self.told.as_ref()?.traits.models.as_ref()
    }

    pub(super) fn group_name(&self) -> Option<&str> {
        self.told.as_ref()?.traits.group.as_deref()
    }

    pub(super) fn own_weight(&self) -> u8 {
        self.told.as_ref().map_or(1, |told| told.traits.weight.get())
    }

    pub(super) fn own_tier(&self) -> u8 {
        self.told.as_ref().map_or(0, |told| told.traits.tier)
    }

    pub(super) fn own_traits(&self) -> Traits {
        self.told.as_ref().map_or_else(Traits::default, |told| told.traits.clone())
    }
}

impl Told {
    fn of(record: &Record) -> Self {
        let label = record.label.as_deref().map(Key::cut);
        Self { label, origin: record.origin.clone(), traits: bounded(record.traits.clone()) }
    }
}

fn bounded(mut traits: Traits) -> Traits {
    traits.group = traits.group.as_deref().and_then(group_of);
    traits
}

/// What of a text becomes the name of a group.
fn group_of(text: &str) -> Option<Box<str>> {
    Some(Key::cut(text)).filter(|group| !group.is_empty())
}

impl From<Secret> for Key {
    fn from(secret: Secret) -> Self {
        Self { secret, said: Said::default() }
    }
}
