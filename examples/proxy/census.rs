//! How many keys there are to serve with, counted now and then: it takes a look at every key.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use key_commune::KeyPool;
use key_commune::health::State;
use tokio::time::Instant;

/// How long a count is good for.
const FRESH: Duration = Duration::from_millis(500);

#[derive(Default)]
pub(crate) struct Census(Mutex<Option<(Instant, Count)>>);

#[derive(Clone, Copy)]
struct Count {
    active: usize,
    /// In use, or in use again later.
    left: usize,
}

impl Census {
    /// Whether a request may find a key, now or later: in a commune it brings one.
    pub(crate) fn is_well(&self, pool: &KeyPool) -> bool {
        pool.is_commune() || self.count(pool).left > 0
    }

    /// How many keys serve anybody now.
    pub(crate) fn active(&self, pool: &KeyPool) -> usize {
        self.count(pool).active
    }

    fn count(&self, pool: &KeyPool) -> Count {
        let now = Instant::now();
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, count)) = known.filter(|&(since, _)| now < since + FRESH) {
            return count;
        }
        let snapshot = pool.snapshot();
        let left = snapshot.members.iter().filter(|member| member.state != State::Retired).count();
        let count = Count { active: snapshot.active(), left };
        *known = Some((now, count));
        count
    }
}
