use std::borrow::Cow;

use bytes::Bytes;
use http::request::Parts;

use super::edit::{Edit, edited, last};
use super::{Attempt, Rewrite};
use crate::demand::{may_have_json, short};

/// Takes the provider's name off the model: `openai/gpt-4o` becomes `gpt-4o`, for clients that name the provider in front
/// of the model and providers that do not.
///
/// Only `model` in a JSON body is changed, and nothing else in it. Of several members of that name the last counts, and
/// only that one is sent: the provider reads what was read here.
///
/// ```
/// use key_commune::rewrite::StripPrefix;
/// use key_commune::{KeyCommuneLayer, KeyPool, Provider};
///
/// # let pool = KeyPool::new(Provider::OPENAI, ["sk-one-0123456789"])?;
/// let layer = KeyCommuneLayer::new(pool).rewrite(StripPrefix::default()).rewrite(StripPrefix::new("azure"));
/// # Ok::<(), key_commune::pool::PoolError>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct StripPrefix {
    /// The pool's provider, if it is not given.
    name: Option<Cow<'static, str>>,
}

impl StripPrefix {
    /// Takes off this name, and the slash behind it. Default: the name of the pool's provider.
    #[must_use]
    pub fn new(name: impl Into<Cow<'static, str>>) -> Self {
        Self { name: Some(name.into()) }
    }
}

impl Rewrite for StripPrefix {
    fn rewrite(&self, _: &Parts, body: &[u8], attempt: &Attempt<'_>) -> Option<Bytes> {
        let counts = last(body, "model")?;
        let model = short(counts)?;
        let prefix = self.name.as_deref().unwrap_or(attempt.provider);
        let bare = model.strip_prefix(prefix)?.strip_prefix('/').filter(|bare| !bare.is_empty())?;
        edited(body, |name, value| match name {
            "model" if std::ptr::eq(value, counts) => Edit::Replace(serde_json::Value::from(bare).to_string().into()),
            "model" => Edit::Drop,
            _ => Edit::Keep,
        })
    }

    fn applies(&self, head: &Parts) -> bool {
        may_have_json(head)
    }
}
