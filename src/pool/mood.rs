//! How the pool as a whole is doing, in one word: nothing of it is set where a success has nothing to tell anybody.
//!
//! Written under the pool's lock, but for the word that there was a success.

use super::word::Standing;
use crate::sync::{AtomicU32, Ordering};

/// Failures are in the outage guard's journal: it wants to hear of a success.
const WATCHED: u32 = 1;
/// There was one.
const SUCCEEDED: u32 = 2;
/// The guard has tripped.
const OUTAGE: u32 = 4;
const GUARD: u32 = WATCHED | SUCCEEDED | OUTAGE;

/// The pool as a whole rests.
const POOL_CLOSED: u32 = 8;
/// It has strikes.
const POOL_STRUCK: u32 = 16;
/// Some key has something to make good for one model.
const PAIRS: u32 = 32;
const SCOPES: u32 = POOL_CLOSED | POOL_STRUCK | PAIRS;

/// The strategy wants to hear of every answer. Never changes.
const LISTENS: u32 = 64;

#[derive(Debug)]
pub(crate) struct Mood(AtomicU32);

/// How a success must be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Telling {
    /// Not at all, or by the mark that has just been set.
    Done,
    /// Under the lock.
    Lock,
}

impl Mood {
    pub(crate) fn new(listens: bool) -> Self {
        Self(AtomicU32::new(if listens { LISTENS } else { 0 }))
    }

    /// Whether nobody wants to hear of the success of a key without strikes.
    #[inline]
    pub(crate) fn is_quiet(&self) -> bool {
        self.read() == 0
    }

    /// Whether the strategy wants to hear of every answer.
    pub(crate) fn listens(&self) -> bool {
        self.read() & LISTENS != 0
    }

    /// A success happened.
    pub(crate) fn succeeded(&self) -> Telling {
        let mood = self.read();
        if mood & OUTAGE != 0 {
            return Telling::Lock;
        }
        if mood & (WATCHED | SUCCEEDED) == WATCHED {
            self.0.fetch_or(SUCCEEDED, Ordering::Relaxed);
        }
        Telling::Done
    }

    /// Under the lock: begins to watch for a success. Whether there was one since that was last done: in one step, lest a
    /// success in between be overlooked.
    pub(crate) fn watch(&self) -> bool {
        self.put(GUARD, WATCHED) & SUCCEEDED != 0
    }

    /// Whether a success happened since the journal was opened. Under the lock.
    pub(crate) fn had_success(&self) -> bool {
        self.read() & SUCCEEDED != 0
    }

    /// Under the lock: an outage begins, or the journal is closed. Forgets any success so far.
    pub(crate) fn set_outage(&self, outage: bool) {
        self.put(GUARD, if outage { WATCHED | OUTAGE } else { 0 });
    }

    #[inline]
    pub(crate) fn in_outage(&self) -> bool {
        self.read() & OUTAGE != 0
    }

    /// Under the lock: how the pool as a whole is doing, and whether any key has something to make good for one model.
    pub(crate) fn set_scopes(&self, pool: Standing, pairs: bool) {
        let pool = match pool {
            Standing::Clean => 0,
            Standing::Struck => POOL_STRUCK,
            Standing::Closed => POOL_CLOSED,
        };
        self.put(SCOPES, pool | if pairs { PAIRS } else { 0 });
    }

    /// Whether no key may be used at all.
    #[inline]
    pub(crate) fn is_pool_closed(&self) -> bool {
        self.read() & POOL_CLOSED != 0
    }

    /// Whether the pool as a whole has something to make good.
    pub(crate) fn is_pool_struck(&self) -> bool {
        self.read() & (POOL_CLOSED | POOL_STRUCK) != 0
    }

    /// Whether anything besides keys has something to make good.
    pub(crate) fn has_scopes(&self) -> bool {
        self.read() & SCOPES != 0
    }

    #[inline]
    fn read(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }

    /// Replaces some bits, in one step. Answers all as they were.
    fn put(&self, which: u32, bits: u32) -> u32 {
        let new = |mood| Some(mood & !which | bits);
        let (Ok(old) | Err(old)) = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, new);
        old
    }
}

#[cfg(all(test, not(key_commune_loom)))]
mod tests {
    use super::*;

    #[test]
    fn what_the_guard_and_the_scopes_say_does_not_disturb_each_other() {
        let mood = Mood::new(false);
        assert!(mood.is_quiet());
        mood.set_scopes(Standing::Closed, true);
        mood.set_outage(true);
        assert!(mood.in_outage() && mood.is_pool_closed() && mood.has_scopes());
        mood.set_scopes(Standing::Clean, false);
        assert!(mood.in_outage() && !mood.has_scopes() && !mood.is_quiet());
        assert_eq!(mood.succeeded(), Telling::Lock);
        mood.set_scopes(Standing::Struck, false);
        mood.set_outage(false);
        assert!(mood.is_pool_struck() && !mood.in_outage() && !mood.is_pool_closed());
        mood.set_scopes(Standing::Clean, false);
        assert!(mood.is_quiet());
    }

    #[test]
    fn a_success_is_noticed_once_somebody_watches() {
        let mood = Mood::new(true);
        assert_eq!((mood.succeeded(), mood.had_success()), (Telling::Done, false));
        assert!(!mood.watch());
        assert_eq!((mood.succeeded(), mood.had_success()), (Telling::Done, true));
        assert!(mood.watch() && !mood.had_success());
        mood.set_outage(false);
        assert!(mood.listens() && !mood.is_quiet());
    }
}
