//! A Tower layer that gives any HTTP client a pool of API keys.

pub mod secret;

pub mod clock;

pub mod origin;

pub mod hint;

pub mod outcome;

pub mod slot;

pub mod classify;

pub mod service;
