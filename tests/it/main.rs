//! The crate from outside.

mod classify;
mod provider;
