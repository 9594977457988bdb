//! How much of the requests' bodies may be kept for replays: so much of one request, so much of all together (I10).
//!
//! The process's share is one atomic number. A reservation gives its part back when it is dropped, so the number is
//! zero again once nothing is kept.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};

const PER_REQUEST: usize = 1 << 20;
const PER_PROCESS: usize = 64 << 20;

/// The bounds of replay memory. Clones share the process's part.
#[derive(Clone, Debug)]
pub(crate) struct Limits {
    per_request: usize,
    shared: Arc<SharedBudget>,
}

impl Limits {
    /// At most `per_request` bytes of one body, while all bodies that know this `shared` stay inside it.
    pub(crate) fn new(per_request: usize, shared: Arc<SharedBudget>) -> Self {
        Self { per_request, shared }
    }

    /// The same, with another bound for a request.
    pub(crate) fn with_per_request(self, bytes: usize) -> Self {
        Self { per_request: bytes, ..self }
    }

    /// The same, with a part of the process's memory that is nobody else's.
    pub(crate) fn with_shared(self, bytes: usize) -> Self {
        Self { shared: Arc::new(SharedBudget::new(bytes)), ..self }
    }

    pub(crate) fn per_request(&self) -> usize {
        self.per_request
    }

    /// Nothing yet; to be grown.
    pub(super) fn reservation(&self) -> Reservation {
        Reservation { shared: Arc::clone(&self.shared), bytes: 0 }
    }

    /// Room for a whole body of this size, or `None` if it is more than one request or the process may keep.
    pub(super) fn reserve(&self, bytes: usize) -> Option<Reservation> {
        let mut room = self.reservation();
        (bytes <= self.per_request && room.grow(bytes)).then_some(room)
    }
}

impl Default for Limits {
    /// 1 MiB for a request, 64 MiB for all that are made so in this process.
    fn default() -> Self {
        static PROCESS: LazyLock<Arc<SharedBudget>> = LazyLock::new(|| Arc::new(SharedBudget::new(PER_PROCESS)));
        Self::new(PER_REQUEST, Arc::clone(&PROCESS))
    }
}

/// The bytes that all requests together may keep.
#[derive(Debug)]
pub(crate) struct SharedBudget {
    limit: usize,
    used: AtomicUsize,
}

impl SharedBudget {
    pub(crate) const fn new(limit: usize) -> Self {
        Self { limit, used: AtomicUsize::new(0) }
    }

    /// How many bytes are reserved right now.
    #[cfg(not(key_commune_loom))]
    #[cfg(test)]
    pub(crate) fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    fn take(&self, bytes: usize) -> bool {
        let more = |used: usize| used.checked_add(bytes).filter(|sum| *sum <= self.limit);
        self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_ok()
    }
}

/// A part of the process's budget. Goes back on drop.
#[derive(Debug)]
pub(super) struct Reservation {
    shared: Arc<SharedBudget>,
    bytes: usize,
}

impl Reservation {
    /// Takes more, or nothing if there is not enough left.
    pub(super) fn grow(&mut self, bytes: usize) -> bool {
        let granted = self.shared.take(bytes);
        if granted {
            self.bytes += bytes;
        }
        granted
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.shared.used.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}
