//! Clients of a provider that limits its keys, on tokio's paused time: an hour takes as long as the work in it. The bench
//! `capacity` prints what comes out, and tests hold it to what it must reach.
//!
//! Every number is drawn from a seed. What a request costs is drawn with it, so that all clients get the same load.
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "the bench and the tests use it, neither all of it; they may panic"
)]

mod clients;
mod figures;
mod limit;
mod load;
mod provider;
mod run;

use std::time::Duration;

pub(crate) use clients::Kind;
pub(crate) use figures::Figures;
pub(crate) use limit::Counting;
pub(crate) use load::Arrivals;
pub(crate) use provider::{Tells, Terms};
pub(crate) use run::{Plan, run};

pub(crate) const MINUTE: Duration = Duration::from_secs(60);
/// How long a request waits for a key. One that is served later than that is late.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);
