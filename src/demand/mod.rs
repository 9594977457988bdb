//! What a request asks of a key, and how that is found out.

mod id;
pub mod json;
mod known;
mod lexer;
mod models;
mod place;
mod reader;
mod routing;
mod said;
mod source;

use std::fmt;
use std::sync::Arc;

use http::request::Parts;
use serde::{Deserialize, Serialize};

pub use id::Id;
pub use models::{Models, ModelsError};
pub(crate) use place::may_have_json;
#[cfg(feature = "rules")]
pub(crate) use place::model_in_path;
pub(crate) use reader::{LONGEST, Raw, Reader, short};
pub use routing::Routing;
pub use source::Source;

/// What a request asks for. An empty demand is content with any key.
///
/// ```
/// use key_commune::demand::Demand;
///
/// let demand = Demand::default().model("gpt-4o").session("chat-17");
/// assert_eq!(demand.model_name(), Some("gpt-4o"));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Demand {
    model: Option<Arc<str>>,
    session: Option<Id>,
    previous_response: Option<Id>,
    caller: Option<Caller>,
    tokens: u64,
}

impl Demand {
    /// The longest name of a model, a session or a response that is believed, in bytes. A longer one counts as not given.
    pub const MAX_LEN: usize = 256;

    /// The same, for this model.
    #[must_use]
    pub fn model(mut self, name: &str) -> Self {
        self.model = Self::is_name(name).then(|| known::shared(name));
        self
    }

    /// The same, as part of this session.
    #[must_use]
    pub fn session(mut self, id: &str) -> Self {
        self.session = id_of(id);
        self
    }

    /// The same, as what follows this response or asks for it: only the key that got it knows it.
    #[must_use]
    pub fn previous_response(mut self, id: &str) -> Self {
        self.previous_response = id_of(id);
        self
    }

    /// The same, on behalf of this caller.
    #[must_use]
    pub fn caller(mut self, caller: Caller) -> Self {
        self.caller = Some(caller);
        self
    }

    /// The same, likely to use so many tokens, of the request and of its answer together: where keys are
    /// [limited](crate::pool::Limits::tokens_per_minute) in them. Default: 0; what an answer has used counts afterwards.
    #[must_use]
    pub fn tokens(mut self, count: u64) -> Self {
        self.tokens = count;
        self
    }

    /// The model asked for.
    pub fn model_name(&self) -> Option<&str> {
        self.model.as_deref()
    }

    /// The same, to be kept as long as the request is served.
    pub(crate) fn shared_model(&self) -> Option<&Arc<str>> {
        self.model.as_ref()
    }

    /// What stands for the session the request belongs to.
    pub fn session_id(&self) -> Option<Id> {
        self.session
    }

    /// What stands for the response that the request follows or asks for.
    pub fn previous_response_id(&self) -> Option<Id> {
        self.previous_response
    }

    /// Who asks.
    pub fn caller_id(&self) -> Option<Caller> {
        self.caller
    }

    /// How many tokens it is likely to use.
    pub fn tokens_needed(&self) -> u64 {
        self.tokens
    }

    /// Whether a text can be the name of something.
    pub(crate) fn is_name(text: &str) -> bool {
        (1..=Self::MAX_LEN).contains(&text.len())
    }
}

fn id_of(name: &str) -> Option<Id> {
    Demand::is_name(name).then(|| Id::of(name))
}

/// Who asks, as an opaque number: the pool only ever compares it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Caller(pub u64);

/// What an inspection came to.
#[derive(Debug)]
pub enum Inspection {
    /// This is what the request asks for.
    Demand(Demand),
    /// It cannot be told without the body: up to this many bytes of it are collected, and the question is asked again.
    NeedsBody(usize),
    /// The request must not be served, and why. It is answered with 400, before a key is chosen; the reason is for the
    /// caller to read.
    Refuse(Box<str>),
}

/// Finds out what a request asks for. Implemented for closures.
///
/// It is asked first with the head alone. If it needs the body, it is asked once more with the whole of it; for a body
/// beyond the bound, [`too_long`](Self::too_long) is asked. Whatever is answered then, [`Inspection::NeedsBody`] again
/// included, counts.
///
/// The head is what is about to be sent, without a credential.
pub trait Inspect: Send + Sync {
    /// What the request asks for, as far as it can be told from its head and what is known of its body.
    fn inspect(&self, head: &Parts, body: Option<&[u8]>) -> Inspection;

    /// The same for a body that is beyond the bound, or did not arrive whole. Default: what the head alone tells.
    fn too_long(&self, head: &Parts) -> Inspection {
        self.inspect(head, None)
    }

    /// Whether requests may be refused, so that none may pass unseen: it is then asked also where the application has
    /// put a [`Demand`] into the request's extensions, which still counts as the demand; and a request on which it
    /// panics is refused. Default: no.
    fn may_refuse(&self) -> bool {
        false
    }
}

impl<F: Fn(&Parts, Option<&[u8]>) -> Inspection + Send + Sync> Inspect for F {
    fn inspect(&self, head: &Parts, body: Option<&[u8]>) -> Inspection {
        self(head, body)
    }
}

impl fmt::Debug for dyn Inspect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Inspect")
    }
}
