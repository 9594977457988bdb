//! Tests of the crate through its public interface.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)] // helpers are tests too

mod scrub;
