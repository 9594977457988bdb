//! The one atomic word of a member: how many requests it serves, whether it may serve another, whether it has strikes.
//!
//! Taking a member is one addition, undone if the word says that it is closed. The lower half counts; the upper half is
//! written only under the pool's lock.

use crate::sync::{AtomicU64, Ordering};

const CLOSED: u64 = 1 << 32;
const STRUCK: u64 = 1 << 33;
const COUNT: u64 = CLOSED - 1;

/// What the upper half says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Serves anybody; nothing is held against it.
    Clean,
    /// Serves anybody; the next success has strikes to clear.
    Struck,
    /// Serves nobody that the lock does not let in.
    Closed,
}

impl Standing {
    const fn bits(self) -> u64 {
        match self {
            Self::Clean => 0,
            Self::Struck => STRUCK,
            Self::Closed => CLOSED,
        }
    }
}

#[derive(Debug)]
pub(crate) struct Word(AtomicU64);

impl Word {
    pub(crate) fn new(standing: Standing) -> Self {
        Self(AtomicU64::new(standing.bits()))
    }

    /// Counts one request more, if the member is open.
    ///
    /// `AcqRel`: a lease reads the pool's step before it enters. Released here and acquired by the transition that
    /// follows, that read comes before the transition's step is published, so a lease given before a transition never
    /// carries its step (I6). The models of this folder fail if it is weakened.
    #[inline]
    pub(crate) fn enter(&self) -> bool {
        let open = self.0.fetch_add(1, Ordering::AcqRel) & CLOSED == 0;
        if !open {
            self.leave();
        }
        open
    }

    /// Counts one request more, open or not. Only under the pool's lock.
    pub(crate) fn admit(&self) {
        self.0.fetch_add(1, Ordering::AcqRel);
    }

    /// Counts one request less.
    #[inline]
    pub(crate) fn leave(&self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }

    /// Changes the standing. Only under the pool's lock, so that the difference is right.
    pub(crate) fn set(&self, standing: Standing) {
        let old = self.0.load(Ordering::Relaxed) & !COUNT;
        self.0.fetch_xor(old ^ standing.bits(), Ordering::AcqRel);
    }

    /// Whether a success has nothing to clear.
    #[inline]
    pub(crate) fn is_clean(&self) -> bool {
        self.0.load(Ordering::Acquire) & !COUNT == 0
    }

    #[inline]
    pub(crate) fn in_flight(&self) -> u32 {
        (self.0.load(Ordering::Relaxed) & COUNT) as u32
    }
}
