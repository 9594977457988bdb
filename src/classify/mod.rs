//! An answer's head and the beginning of its body, or an error ─▶ what it says about the key.

use std::any::Any;

use http::{HeaderMap, StatusCode};

use crate::clock::Timestamp;
use crate::outcome::{Outcome, Verdict};

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
