//! The layer: what becomes of a request on its way out and of an answer on its way back.

pub(crate) mod hygiene;
