//! The layer itself: what happens to a request between its caller and the inner service.

mod frames;
pub(crate) mod hygiene;
mod peek;
mod replay;
#[cfg(test)]
mod script;

pub use replay::{ReplayBody, Superseded};

/// Any error that can cross threads; the error of a request's body as the inner service sees it.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;
