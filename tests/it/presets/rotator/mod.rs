//! What the rotator library and the article about it promise, row by row of `reference/llm-api-key-proxy.md`, A2 to A5 and
//! A7, on the preset. A test is named for its row; one that shows a deliberate difference also for the invariant that asks for it.
//!
//! | row | test, or difference |
//! |---|---|
//! | A2.1 to A2.4, A2.8 | `a2_scheduling` |
//! | A2.5 | as it was meant: in turn, and woken by a release (I14); their code looked every 5 s |
//! | A2.6 | I14: inside a deadline, and woken by the first rest that ends |
//! | A2.7 | I23: sixteen keys at most |
//! | A3.1, A3.2 | I9, I15: no repeat unless it is switched on, then on another key; no rest |
//! | A3.3 | `a3_failures`; I14: no wait on a key that is refused; I4: a caller's mistake is no failure of the key |
//! | A3.4 | `a3_failures` |
//! | A3.5 | I14: the provider's own answer, or a refusal with `Retry-After` |
//! | A4, hints | `a4_cooldowns`; I7: a day at most; I5: a newer hint does not shorten a rest; I16: who comes first after it probes |
//! | A4, no hints | `a4_cooldowns`; I4, I15: what is not the key's fault does not count |
//! | A4, 401 | `a4_cooldowns`; I15: 401 of all keys is rolled back |
//! | A4, three models | `a4_cooldowns`, as it was meant: their code never came to it |
//! | A4, the seed's, the later ones' and the provider-wide rests | other versions': they contradict the rows above |
//! | A5.1, A5.2 | `a5_reset`, in a process that goes on as well; the counts of a day begin with the day |
//! | A5.3 | `a5_reset`: by `unblock`, while the pool serves |
//! | A7.1, cooldowns and failures | `a7_memory` |

mod a2_scheduling;
mod a3_failures;
mod a4_cooldowns;
mod a5_reset;
mod a7_memory;

use key_commune::demand::Demand;
use key_commune::hint::Hint;
use key_commune::outcome::{Outcome, Verdict};
use key_commune::pool::{KeyPool, Lease, Tried};
use key_commune::preset;
use key_commune::provider::Provider;

use crate::support::{Hand, keys, secs};

/// The clock begins at 22:13:20 UTC.
fn pool(count: usize) -> (KeyPool, Hand) {
    let clock = Hand::new();
    (preset::rotator(Provider::OPENAI).keys(keys(count)).clock(clock.clone()).build().unwrap(), clock)
}

fn take(pool: &KeyPool, model: &str) -> Option<Lease> {
    pool.checkout(&Demand::default().model(model), &mut Tried::default(), pool.now()).ok()
}

fn number(pool: &KeyPool, lease: &Lease) -> usize {
    pool.snapshot().members.iter().position(|member| member.id == lease.key_id()).unwrap()
}

/// A request for a model, and what becomes of it. Answers with which key it went.
fn ask(pool: &KeyPool, model: &str, verdict: &Verdict) -> usize {
    let mut lease = take(pool, model).expect("a key");
    lease.settle(verdict, pool.now());
    number(pool, &lease)
}

fn serve(pool: &KeyPool, model: &str) -> usize {
    ask(pool, model, &Verdict::new(Outcome::Accepted))
}

fn throttled() -> Verdict {
    Verdict::new(Outcome::Throttled)
}

fn hinted(after: u64) -> Verdict {
    throttled().hint(Some(Hint::after(secs(after))))
}

/// For how many seconds the only key rests for a model yet; 0 if it does not.
fn rest(pool: &KeyPool, model: &str) -> u64 {
    let member = pool.snapshot().members.remove(0);
    let rest = member.rests.iter().find(|rest| rest.model.as_deref() == Some(model));
    rest.map_or(0, |rest| (rest.until - pool.now()).as_secs())
}

/// For how many seconds the only key rests for all models yet.
fn key_rest(pool: &KeyPool) -> u64 {
    pool.snapshot().members[0].until.map_or(0, |until| (until - pool.now()).as_secs())
}

/// So many failures in a row, each as soon as the rest before it is over; how long each rests the key for the model.
fn climb(pool: &KeyPool, clock: &Hand, model: &str, count: usize) -> Vec<u64> {
    let step = |_| {
        clock.pass(secs(rest(pool, model)));
        ask(pool, model, &throttled());
        rest(pool, model)
    };
    (0..count).map(step).collect()
}
