use std::borrow::Cow;

use bytes::Bytes;
use http::request::Parts;

use super::edit::{Edit, edited};
use super::{Attempt, Rewrite};
use crate::demand::may_have_json;

/// Leaves out members of the JSON body: parameters that a provider refuses, wherever the key goes.
///
/// Only those of the object itself are left out, all of a name, however the name is escaped; what is inside of others stays.
#[derive(Clone, Debug)]
pub struct DropFields {
    names: Vec<Cow<'static, str>>,
}

impl DropFields {
    /// Leaves out the members with these names.
    #[must_use]
    pub fn new(names: impl IntoIterator<Item: Into<Cow<'static, str>>>) -> Self {
        Self { names: names.into_iter().map(Into::into).collect() }
    }
}

impl Rewrite for DropFields {
    fn rewrite(&self, _: &Parts, body: &[u8], _: &Attempt<'_>) -> Option<Bytes> {
        let is_doomed = |name: &str| self.names.iter().any(|doomed| **doomed == *name);
        edited(body, |name, _| if is_doomed(name) { Edit::Drop } else { Edit::Keep })
    }

    fn applies(&self, head: &Parts) -> bool {
        may_have_json(head)
    }
}
