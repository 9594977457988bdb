//! An answer's head and the beginning of its body, or an error ─▶ what it says about the key.
//!
//! Providers say the same few things in different words. Each dialect has one table, read from the top: the provider's
//! code and message first, the status last, which [`ByStatus`] knows for all of them. The rule it keeps: a caller's own
//! mistake (400, 404, 413, 422 …) never touches a key, unless the provider itself says that the key is meant.
//!
//! What is compressed says nothing here, so the layer asks for plain answers, unless it is told to
//! [keep](crate::KeyCommuneLayer::keep) the caller's `Accept-Encoding`.
//!
//! To judge a provider that is not here, wrap the nearest classifier:
//!
//! ```
//! use http::{HeaderMap, StatusCode};
//! use key_commune::classify::{Answer, ByStatus, Classify, Peek};
//! use key_commune::outcome::{Outcome, Verdict};
//!
//! /// This one answers 420 when it is asked too often.
//! struct Calm;
//!
//! impl Classify for Calm {
//!     fn peek(&self, status: StatusCode, headers: &HeaderMap) -> Peek {
//!         ByStatus.peek(status, headers)
//!     }
//!
//!     fn answer(&self, answer: &Answer<'_>) -> Verdict {
//!         match answer.status.as_u16() {
//!             420 => Verdict::new(Outcome::Throttled),
//!             _ => ByStatus.answer(answer),
//!         }
//!     }
//! }
//! ```

mod anthropic;
mod by_status;
mod dialect;
mod gemini;
mod openai;
mod openrouter;
mod said;
mod sse;
mod table;

use std::any::Any;

use http::{HeaderMap, StatusCode};

use crate::clock::Timestamp;
use crate::outcome::{Outcome, Verdict};

pub use anthropic::Anthropic;
pub use by_status::ByStatus;
pub use dialect::Dialect;
pub use gemini::Gemini;
pub use openai::OpenAi;
pub use openrouter::OpenRouter;

/// An answer as far as it has been read.
#[derive(Clone, Copy, Debug)]
pub struct Answer<'a> {
    /// The status of its head.
    pub status: StatusCode,
    /// The headers of its head.
    pub headers: &'a HeaderMap,
    /// The beginning of its body, as much as [`Classify::peek`] asked for and the bounds allowed; maybe nothing.
    pub body: &'a [u8],
    /// When it came.
    pub now: Timestamp,
}

/// How much of a body a classifier wants to see before the answer is judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peek {
    /// Nothing: the head says it all.
    Nothing,
    /// The first event of a server-sent event stream that is not a comment or a ping.
    Event,
    /// The body up to the bound.
    Body,
}

/// Judges answers.
pub trait Classify: Send + Sync {
    /// How much of the body [`answer`](Self::answer) wants to see.
    fn peek(&self, status: StatusCode, headers: &HeaderMap) -> Peek;

    /// What an answer says about the key that got it.
    fn answer(&self, answer: &Answer<'_>) -> Verdict;

    /// What an error of the inner service says. Unless a classifier knows that the request was never sent, it may have
    /// been processed.
    fn error(&self, error: &dyn Any) -> Verdict {
        let _ = error;
        Verdict::new(Outcome::Unreachable)
    }
}
