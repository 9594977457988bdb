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
use crate::pool::{Builder, Commune, KeyPool, Limits};
use crate::provider::Provider;
use crate::rate::Rate;
use crate::select::{FillFirst, LeastServed, NextTwo, RoundRobin, Sticky};

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);
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
    builder(provider, penalties).commune(rules).max_keys(200).select(NextTwo::default())
}

/// `KeyCycleProxy`: each key in turn, by one counter, among those that [serve](crate::Key::models) the model, and no memory
/// of failures. Each answer that refuses moves on to the next of them.
///
/// For its layer: [`Routing::key_cycle`](crate::demand::Routing::key_cycle). Where its code and what it documents disagree,
/// what it documents counts: `others` stands for the models that no key names, and no repeat leaves the keys that serve the
/// model. Its strategy `least_latency` is [`PeakEwma`](crate::select::PeakEwma), which measures answers instead of probes
/// without a key; `round_robin_health_weighted` is [`TwoChoices`](crate::select::TwoChoices).
///
/// Not followed:
///
/// | it | here | by |
/// |---|---|---|
/// | a model that nobody serves is answered with 500 | with 404, in the provider's shape | I14 |
/// | a path is written behind the key's base URL as it is, its query dropped | both are joined, and `..` refused | I1 |
/// | the client's credential replaces the key's, its `Host` the provider's | they are removed | I2 |
/// | redirects are followed | they go to the caller | I1 |
/// | 400 and 418 are sent to every key | they are the caller's | I4 |
/// | 502, 503, 504 and resets are sent again, on the same key first | they may have been processed | I9 |
/// | one request is sent up to sixteen times, in the end to any key | once with each key that serves its model | I23 |
/// | the first refusal of a key by 401 or 402 is the caller's | another key is tried | I14 |
/// | when no key is left, a 502 that names the provider's URL | the last answer, or a refusal with `Retry-After` | I14 |
pub fn key_cycle(provider: Provider) -> Builder {
    builder(provider, silent().hints(false)).select(RoundRobin::default())
}

/// api-key-lb: 429 rests a key for what `Retry-After` says, else for a minute; a [session](crate::demand::Demand::session)
/// stays with its key, and what has none, or whose key rests, is served with the first key that does not.
///
/// For its layer: [`Routing::api_key_lb`](crate::demand::Routing::api_key_lb).
///
/// Not followed:
///
/// | it | here | by |
/// |---|---|---|
/// | a session's key is a hash of one byte, modulo the keys | all keys are ranked: each has its share | I20 |
/// | the last thousand sessions are remembered | none is | I19 |
/// | if all keys rest, the one that rests the shortest is asked all the same | it is not before its time | I14, I16 |
/// | a rest ends by time | it ends with a success | I16 |
/// | `Retry-After` has no bound | an hour | I7 |
/// | 401 and 402 are the caller's | another key is tried | I14 |
/// | a connection that fails is tried again on the same key | only what was never sent, on another | I9 |
pub fn api_key_lb(provider: Provider) -> Builder {
    let penalties = silent().throttled(Ladder::steps([MINUTE]));
    builder(provider, penalties).select(Sticky::new(FillFirst).spread(false))
}

/// The rotator library: a key rests for the model alone, for 10, 30, 60, 120 s and then 2 h for one failure after another, or
/// exactly for what the provider says, which is no strike. 401 rests it for all models for five minutes, and so
/// do three models at the last step. At most one request at a time for each key and model; an idle key serves first, then
/// one that is busy with another model, of these the one that has served the model least today ([`LeastServed`]). At 03:00
/// UTC everything is forgiven but what the provider has named the end of.
///
/// For its layer: [`Routing::new`](crate::demand::Routing::new), and a
/// [`max_wait`](crate::KeyCommuneLayer::max_wait) of 30 s.
///
/// Not followed:
///
/// | it | here | by |
/// |---|---|---|
/// | server errors rest a key, after a repeat on it | they are not the key's fault | I15, I9 |
/// | a caller's mistake rests all keys | it comes back as it is | I4 |
/// | a failure of all keys rests all keys | 401 of all is rolled back | I15 |
/// | a newer, shorter rest replaces a longer one | rests only get longer | I5 |
/// | a rest ends by time | it ends with a success | I16 |
/// | a hint has no bound | a day | I7 |
/// | every key is tried | sixteen | I23 |
/// | who waits holds a key, or looks every 5 s, for ever | in turn, without a key, to a deadline | I14 |
/// | any failure is answered with 500 | the last answer, or a refusal with `Retry-After` | I14 |
/// | a lease whose answer nobody reads is held for ever | it ends with its drop | I24 |
/// | an answer that breaks off is a success | it is neither | I8 |
pub fn rotator(provider: Provider) -> Builder {
    let ladder = || Ladder::steps([10, 30, 60, 120, 7_200].map(Duration::from_secs));
    let penalties = silent()
        .by_model(true)
        .throttled(ladder())
        .quota_spent(ladder())
        .forbidden(ladder())
        .rejected(Ladder::steps([5 * MINUTE]))
        .lockout(3, 5 * MINUTE)
        .hints_strike(false)
        .hint_cap(DAY);
    let limits = Limits::default().concurrent_per_model(1);
    builder(provider, penalties).select(LeastServed).limits(limits).daily_reset(3 * HOUR)
}

/// Punishes so, and learns nothing else from it.
fn builder(provider: Provider, penalties: Penalties) -> Builder {
    KeyPool::builder(provider).penalties(penalties).learn_pace(false)
}

/// No outcome costs a key anything, and nothing is left to chance.
fn silent() -> Penalties {
    let nothing = || Ladder::steps([]);
    let penalties = Penalties::default().jitter(false).throttled(nothing()).rejected(nothing());
    penalties.quota_spent(nothing()).forbidden(nothing())
}
