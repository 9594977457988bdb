//! What stands between a caller and a provider: each request leaves with a key, each answer comes back without one.

pub mod scrub;
