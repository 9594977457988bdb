//! The tests that use the crate as its users do.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod classify;
#[cfg(all(feature = "hyper-client", feature = "reqwest", feature = "reqwest-middleware"))]
mod clients;
mod floors;
mod hints;
mod manifest;
mod origin;
mod pool;
mod provider;
mod proxy;
mod scrub;
mod slot;
mod support;
