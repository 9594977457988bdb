//! A Tower layer that gives any HTTP client a pool of API keys.

pub mod secret;

pub mod clock;

pub mod origin;

mod error_body;

pub mod hint;

pub mod outcome;

pub mod slot;

pub mod classify;

pub mod provider;

pub mod scrub;

pub mod service;
