//! The names of models, shared by the requests that ask for them.
//!
//! There are few, and they come again and again: a name that has been met lately costs no memory. It is not kept in the
//! demand itself, for then every demand, lease and waiter were larger by the longest name, and most of all those that
//! ask for no model.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::sync::Arc;

/// How many are known at a time (I19).
const MOST: usize = 32;

thread_local! {
    /// Of each thread its own: nobody waits for it, and no two threads fight for the count of those who share a name.
    static KNOWN: RefCell<Known> = const { RefCell::new(Known(VecDeque::new())) };
}

/// The one that came last is the first.
struct Known(VecDeque<Arc<str>>);

/// A name that is kept as long as somebody has it.
pub(super) fn shared(name: &str) -> Arc<str> {
    KNOWN.try_with(|known| known.borrow_mut().shared(name)).unwrap_or_else(|_| name.into())
}

impl Known {
    fn shared(&mut self, name: &str) -> Arc<str> {
        let known = self.0.iter().position(|known| **known == *name).and_then(|at| self.0.remove(at));
        let shared = known.unwrap_or_else(|| name.into());
        self.0.truncate(MOST - 1);
        self.0.push_front(Arc::clone(&shared));
        shared
    }
}

#[cfg(not(key_commune_loom))]
#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn i19_the_names_that_came_last_are_shared() {
        let mut known = Known(VecDeque::new());
        let often = known.shared("often");
        for number in 0..10 * MOST {
            let name = format!("m{number}");
            assert!(*known.shared(&name) == *name && Arc::ptr_eq(&known.shared("often"), &often));
            assert!(known.0.len() <= MOST, "{number}");
        }
        let oldest = Arc::clone(known.0.back().unwrap());
        known.shared("one more");
        assert!(*known.shared(&oldest) == *oldest && !Arc::ptr_eq(&known.shared(&oldest), &oldest));
    }
}
