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
use crate::pool::{Builder, Commune, KeyPool};
use crate::provider::Provider;
use crate::rate::Rate;
use crate::select::{FillFirst, NextTwo, RoundRobin, Sticky};

const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(86_400);

/// Key Commune: a commune of at most 200 keys, each presented once in two seconds. 401 blocks for a day, the third in a
/// row retires; 429 blocks for 1, 2, 4 … minutes without a cap, the fifteenth in a row retires. Hints are ignored; nothing else costs a key anything. What a
/// caller's own key meets while it is blocked counts as well. The better of the next two keys serves ([`NextTwo`]), or
/// the caller's own if that is better than both.
///
/// It judged by the status alone. Here the provider's words count too (a 403 that calls the key invalid is a rejection, a
/// 429 that speaks of money is none of those) unless the layer is given [`ByStatus`](crate::classify::ByStatus).
///
/// Not followed:
///
/// | it | here | by |
/// |---|---|---|
/// | any 2xx joins and un-blocks | a clean answer does, on an endpoint that proves a key | I17 |
/// | so does one that was asked for before the block | it does not | I5 |
/// | a 401 blocks, whoever met it | after another caller's, the key is suspect until a witness decides | I22 |
/// | each failure counts, whoever met it | a caller strikes another's key once; a burst is one strike | I22, I6 |
/// | a 401 cuts a longer block to a day | rests only get longer | I5 |
/// | one failure of all keys empties the pool | it is rolled back | I15 |
/// | a block ends by time, for its owner too | it ends with a success; till then the owner is on its own | I16, I17 |
/// | a retired key is forgotten | it keeps the number of its retirements, and its seat while there are others | I19 |
/// | one attempt; its failure is the caller's | another key is tried, the caller's own last | I14 |
/// | the refusal of another's key is shown | it is not | I18 |
/// | every call goes with every key | only calls that leave nothing behind, with the headers they need | I17 |
/// | any text in `Authorization` is a key | a bearer token is, or what stands where clients put keys | I2 |
/// | `GET /models` comes from a cache, without a key | there is no cache | I17 |
/// | the limit comes before the length, and a flood of keys lifts it | neither | I19 |
/// | bodies are collected, parsed and written anew | they pass as they are | I10 |
/// | redirects are followed | they go to the caller | I1 |
///
/// Its balancer shuffled the keys once a minute. In between, an even number of keys makes the same pairs in every round,
/// and as its counts were up to a minute old as well, half of the keys were never used. Here nothing is shuffled, but each
/// use counts at once, so both of a pair serve.
pub fn key_commune(provider: Provider) -> Builder {
    let penalties = silent()
        .hints(false)
        .rejected(Ladder::steps([DAY]).retires_at(3))
        .throttled(Ladder::doubling(MINUTE, Duration::MAX).retires_at(15));
    let rules = Commune::default().rate(Rate::new(Duration::from_secs(2))).forwarded_host(true);
    KeyPool::builder(provider).commune(rules).max_keys(200).select(NextTwo::default()).penalties(penalties)
}

/// `KeyCycleProxy`: each key in turn, and no memory of failures. Each answer that refuses moves on to the next key.
///
/// Not followed: 400 and 502 are sent to every key (I4, I9); one request is sent up to sixteen times (I23).
pub fn key_cycle(provider: Provider) -> Builder {
    KeyPool::builder(provider).select(RoundRobin::default()).penalties(silent().hints(false))
}

/// api-key-lb: 429 rests a key for what `Retry-After` says, else for a minute; a [session](crate::demand::Demand::session)
/// stays with its key, and what has none is served with the first key that does not rest.
///
/// Not followed: a hash of one byte that leaves keys from the 257th on without sessions, and moves nearly all sessions when
/// a key joins; a key that rests sends all its sessions to the first one. Neither: if all keys rest, the one that rests the shortest is asked all the same (I16); `Retry-After` has no
/// bound (I7); a connection that fails is tried again on the same key (I9).
pub fn api_key_lb(provider: Provider) -> Builder {
    KeyPool::builder(provider).select(Sticky::new(FillFirst)).penalties(silent().throttled(Ladder::steps([MINUTE])))
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
