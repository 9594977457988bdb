//! The one atomic word of a member: how many requests it serves, whether it may serve another, whether it has strikes,
//! how many it has served.
//!
//! Taking a member is one addition, undone if the word says that it is closed. From below: 24 bits count the requests in
//! flight, five tell whether and how it may be taken and are written only under the pool's lock, 35 bits count uses and turn
//! over unheeded.
//!
//! All of it is `Relaxed`. The word hands no other memory over: a member's other parts never change or are atomic
//! themselves. And the one order that counts is that of the pool's step. A lease reads the step (`Acquire`), then enters;
//! a transition closes the word, then publishes its step (`Release`). So whoever reads a transition's step enters behind
//! the transition, and sees what it made of the word: additions to one atomic happen one after the other, and each reads
//! what the one before it wrote. In other words, a lease given before a transition never carries its step (I6).

use crate::sync::{AtomicU64, Ordering};

const CLOSED: u64 = 1 << 24;
const STRUCK: u64 = 1 << 25;
const STANDING: u64 = CLOSED | STRUCK;
const SPENT: u64 = 1 << 26;
const BUSY: u64 = 1 << 27;
const PACED: u64 = 1 << 28;
const BARRED: u64 = CLOSED | SPENT | BUSY;
const IN_FLIGHT: u64 = CLOSED - 1;
const USE: u64 = 1 << 29;

/// Why a member that is well has no room for another request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Full {
    /// It has been asked for all that its limits in time allow.
    Spent,
    /// It serves as many requests as it may at a time.
    Busy,
}

impl Full {
    const fn bit(self) -> u64 {
        match self {
            Self::Spent => SPENT,
            Self::Busy => BUSY,
        }
    }
}

/// Who is let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
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

    /// Counts uses that were none, so that a member which was away is not used until it has caught up with the others.
    pub(crate) fn skip(&self, uses: u64) {
        self.0.fetch_add(uses.wrapping_mul(USE), Ordering::Relaxed);
    }

    /// Whether anybody is let in.
    #[inline]
    pub(crate) fn is_open(&self) -> bool {
        self.0.load(Ordering::Relaxed) & BARRED == 0
    }

    /// Whether it has been asked for all that it may be for now.
    pub(crate) fn is_spent(&self) -> bool {
        self.0.load(Ordering::Relaxed) & SPENT != 0
    }

    /// Whether its standing lets anybody in, full or not.
    pub(crate) fn is_well(&self) -> bool {
        self.0.load(Ordering::Relaxed) & CLOSED == 0
    }

    /// Counts one request more, if the member is open. Answers how many that makes, and whether the member is held to a pace.
    ///
    /// # Errors
    /// If it is not open: whether somebody may wait for room that this request seemed to take while it looked.
    #[inline]
    pub(crate) fn enter(&self) -> Result<(u32, bool), bool> {
        let old = self.0.fetch_add(USE + 1, Ordering::Relaxed);
        if old & BARRED != 0 {
            return Err(self.undo());
        }
        Ok(((old & IN_FLIGHT) as u32 + 1, old & PACED != 0))
    }

    /// Says whether the member is held to a pace. Only under the pool's lock.
    pub(crate) fn set_paced(&self, paced: bool) {
        if paced {
            self.0.fetch_or(PACED, Ordering::Relaxed);
        } else {
            self.0.fetch_and(!PACED, Ordering::Relaxed);
        }
    }

    /// Whether the member is held to a pace.
    pub(crate) fn is_paced(&self) -> bool {
        self.0.load(Ordering::Relaxed) & PACED != 0
    }

    /// Takes back that somebody was let in. Answers whether somebody may wait for that.
    pub(crate) fn undo(&self) -> bool {
        self.0.fetch_sub(USE + 1, Ordering::Relaxed) & BUSY != 0
    }

    /// Lets nobody in for lack of room, or somebody again. Answers how many requests are in flight. Only under the pool's
    /// lock.
    pub(crate) fn set_full(&self, why: Full, full: bool) -> u32 {
        let old = if full {
            self.0.fetch_or(why.bit(), Ordering::Relaxed)
        } else {
            self.0.fetch_and(!why.bit(), Ordering::Relaxed)
        };
        (old & IN_FLIGHT) as u32
    }

    /// Counts one request more, open or not. Answers how many that makes. Only under the pool's lock.
    pub(crate) fn admit(&self) -> u32 {
        (self.0.fetch_add(USE + 1, Ordering::Relaxed) & IN_FLIGHT) as u32 + 1
    }

    /// Counts one request less. Answers whether somebody may wait for that.
    #[inline]
    pub(crate) fn leave(&self) -> bool {
        self.0.fetch_sub(1, Ordering::Relaxed) & BUSY != 0
    }

    /// Changes the standing. Only under the pool's lock, so that the difference is right.
    pub(crate) fn set(&self, standing: Standing) {
        let old = self.0.load(Ordering::Relaxed) & STANDING;
        self.0.fetch_xor(old ^ standing.bits(), Ordering::Relaxed);
    }

    /// Whether a success has nothing to clear.
    #[inline]
    pub(crate) fn is_clean(&self) -> bool {
        self.0.load(Ordering::Relaxed) & STANDING == 0
    }

    /// Requests in flight, and requests so far.
    #[inline]
    pub(crate) fn counts(&self) -> (u32, u64) {
        let word = self.0.load(Ordering::Relaxed);
        ((word & IN_FLIGHT) as u32, word / USE)
    }
}
