//! A Tower layer that gives any HTTP client a pool of API keys.

pub mod secret;

pub mod clock;

pub mod hint;

pub mod outcome;

pub mod classify;

pub mod service;
