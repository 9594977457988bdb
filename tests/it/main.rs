//! The tests that use the crate as its users do.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod classify;
mod floors;
mod hints;
mod origin;
mod manifest;
mod provider;
mod scrub;
mod slot;
