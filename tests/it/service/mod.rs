//! The whole service around a provider in the test's hands, without a network. Each invariant by its name.

mod budget;
mod caller_faults;
mod cancel;
mod credentials;
mod errors;
mod exhaustion;
mod figures;
mod hints;
mod inspect;
mod lease;
mod memory;
mod origin;
mod outage;
mod peek;
mod readiness;
mod replay;
mod rewrite;
mod scrub;
mod usage;
