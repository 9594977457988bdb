//! The atomics, the lock and the timer that the pool is built on: the usual ones, or loom's, which runs every interleaving
//! of a small test that the memory model allows (`RUSTFLAGS="--cfg key_commune_loom" cargo test --lib models`).

#[cfg(not(key_commune_loom))]
pub(crate) use std::sync::{
    Mutex, MutexGuard,
    atomic::{AtomicU32, AtomicU64, Ordering},
};

#[cfg(key_commune_loom)]
pub(crate) use loom::sync::{
    Mutex, MutexGuard,
    atomic::{AtomicU32, AtomicU64, Ordering},
};
#[cfg(not(key_commune_loom))]
pub(crate) use tokio::time::{Sleep, sleep};

/// In a model no time passes: who sleeps is woken by another thread, or the model has found a lost wake-up.
#[cfg(key_commune_loom)]
pub(crate) type Sleep = std::future::Pending<()>;

#[cfg(key_commune_loom)]
pub(crate) fn sleep(_: std::time::Duration) -> Sleep {
    std::future::pending()
}

/// Locks, whether or not a thread has panicked while it held the lock: all that is kept under it is valid at every
/// point where a panic can happen.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
