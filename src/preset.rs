//! The predecessors' numbers: a pool that punishes, chooses and forgives as each of them did.
//!
//! A preset gives the numbers, not the defects: the invariants of this crate hold under each. Where a predecessor's rule
//! breaks one, it is not followed, and its doc says so.
//!
//! ```
//! use key_commune::{Key, Provider, preset};
//!
//! let pool = preset::api_key_lb(Provider::OPENAI).key(Key::new("sk-one-0123456789")?).build()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::time::Duration;

use crate::health::{Ladder, Penalties};
use crate::pool::{Builder, KeyPool};
use crate::provider::Provider;
use crate::select::{FillFirst, RoundRobin};

const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(86_400);

/// Key Commune: 401 blocks for a day, the third in a row retires; 429 blocks for 1, 2, 4 … minutes without a cap, the
/// fifteenth in a row retires. Hints are ignored; nothing else costs a key anything.
///
/// Not followed: any 2xx of an older request un-blocks a key (I5); a burst of failures counts as many (I6).
pub fn key_commune(provider: Provider) -> Builder {
    let penalties = silent()
        .hints(false)
        .rejected(Ladder::steps([DAY]).retires_at(3))
        .throttled(Ladder::doubling(MINUTE, Duration::MAX).retires_at(15));
    KeyPool::builder(provider).penalties(penalties)
}

/// `KeyCycleProxy`: each key in turn, and no memory of failures. Each answer that refuses moves on to the next key.
///
/// Not followed: 400 and 502 are sent to every key (I4, I9); one request is sent up to sixteen times (I23).
pub fn key_cycle(provider: Provider) -> Builder {
    KeyPool::builder(provider).select(RoundRobin::default()).penalties(silent().hints(false))
}

/// api-key-lb: 429 rests a key for what `Retry-After` says, else for a minute; the first key that does not rest serves.
///
/// Not followed: if all keys rest, the one that rests the shortest is asked all the same (I16); `Retry-After` has no
/// bound (I7); a connection that fails is tried again on the same key (I9).
pub fn api_key_lb(provider: Provider) -> Builder {
    KeyPool::builder(provider).select(FillFirst).penalties(silent().throttled(Ladder::steps([MINUTE])))
}

/// The rotator library: 10, 30, 60, 120 s and then 2 h for one failure after another, what the provider says if it says
/// something, and five minutes for 401.
///
/// Not followed: a caller's own mistakes and server errors cost a key its rest (I4, I15); a newer, shorter rest replaces a
/// longer one (I5).
pub fn rotator(provider: Provider) -> Builder {
    let ladder = [10, 30, 60, 120, 7_200].map(Duration::from_secs);
    let penalties = silent()
        .throttled(Ladder::steps(ladder))
        .quota_spent(Ladder::steps(ladder))
        .rejected(Ladder::steps([5 * MINUTE]))
        .hint_cap(DAY);
    KeyPool::builder(provider).penalties(penalties)
}

/// No outcome costs a key anything, and nothing is left to chance.
fn silent() -> Penalties {
    let nothing = || Ladder::steps([]);
    Penalties::default().jitter(false).throttled(nothing()).rejected(nothing()).quota_spent(nothing())
}
