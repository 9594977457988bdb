//! The tests that use the crate as its users do.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod attacks;
mod capacity;
mod classify;
#[cfg(all(feature = "hyper-client", feature = "reqwest", feature = "reqwest-middleware"))]
mod clients;
mod commune;
mod demand;
mod floors;
mod hints;
mod json;
mod keeper;
mod manifest;
mod origin;
mod pool;
mod presets;
mod provider;
mod proxy;
mod rate;
mod record;
mod rewrite;
mod routing;
mod rules;
mod scrub;
mod select;
mod service;
mod slot;
mod store;
mod subnet;
mod support;
mod usage;
