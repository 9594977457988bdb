//! What the crate promises, tested from outside.

#![cfg(test)]

mod origin;
mod slot;
