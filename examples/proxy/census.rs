//! How many keys there are to serve with, counted now and then: it takes a look at every key.

use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::{Response, StatusCode};
use key_commune::KeyPool;
use key_commune::health::State;
use tokio::time::Instant;

use crate::answer::{Body, json};

/// How long a count is good for.
const FRESH: Duration = Duration::from_millis(500);

pub(crate) struct Census {
    known: Mutex<Option<(Instant, Count)>>,
    /// Whether the store does not keep up.
    behind: Arc<AtomicBool>,
}

#[derive(Clone, Copy)]
struct Count {
    active: usize,
    /// In use, or in use again later.
    left: usize,
}

impl Census {
    pub(crate) fn new(behind: Arc<AtomicBool>) -> Self {
        Self { known: Mutex::default(), behind }
    }

    /// For whoever looks after the proxy.
    pub(crate) fn health(&self, pool: &KeyPool) -> Response<Body> {
        let is_well = self.is_well(pool);
        let (status, word) =
            if is_well { (StatusCode::OK, "ok") } else { (StatusCode::SERVICE_UNAVAILABLE, "exhausted") };
        let store = if self.behind.load(Relaxed) { r#","store":"behind""# } else { "" };
        json(status, format!(r#"{{"status":"{word}"{store}}}"#))
    }

    /// Whether a request may find a key, now or later: in a commune it brings one.
    fn is_well(&self, pool: &KeyPool) -> bool {
        pool.is_commune() || self.count(pool).left > 0
    }

    /// How many keys serve anybody now.
    pub(crate) fn active(&self, pool: &KeyPool) -> usize {
        self.count(pool).active
    }

    fn count(&self, pool: &KeyPool) -> Count {
        let now = Instant::now();
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
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
