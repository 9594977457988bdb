//! Nothing is stuck for good: not a key, not a request that waits, not the pool.

use std::convert::Infallible;
use std::sync::mpsc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::poll;
use http::{Request, Response};
use http_body_util::Full;
use key_commune::clock::Timestamp;
use key_commune::demand::Demand;
use key_commune::hint::Hint;
use key_commune::outcome::{Outcome, Scope, Verdict};
use key_commune::pool::{Builder, Exhausted, KeyPool, Lease, Limits, Tried, Waiting};
use key_commune::select::{Candidates, FillFirst, Place, Select, Sticky, TwoChoices};
use key_commune::service::ReplayBody;
use key_commune::{Key, KeyCommuneLayer};
use tower::{Layer, ServiceExt, service_fn};

use super::{accept, asking, builder, pool, settle, take, throttle};
use crate::support::{secs, tokio_clock};

fn timed(keys: &[(&str, &str)], build: impl FnOnce(Builder) -> Builder) -> KeyPool {
    let (builder, _) = builder(keys);
    build(builder.clock(tokio_clock())).build().unwrap()
}

fn ask(pool: &KeyPool, demand: &Demand) -> Result<Lease, Exhausted> {
    pool.checkout(demand, &mut Tried::default(), pool.now())
}

fn wait(pool: &KeyPool, model: &str, longest: u64) -> Waiting {
    pool.wait(&asking(model), &Tried::default(), pool.now() + secs(longest))
}

/// Does it on a thread of its own, on tokio's paused time: a lock that one thread takes twice would hang the test.
fn unless_it_hangs(run: impl FnOnce() -> KeyPool + Send + 'static) {
    let (told, heard) = mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let pool = run();
            let lease = wait(&pool, "", 30).await;
            told.send(lease.is_ok_and(|lease| lease.is_probe())).unwrap();
        });
    });
    assert_eq!(heard.recv_timeout(secs(60)), Ok(true));
}

#[test]
fn accounts_and_keys_that_come_due_together_are_tried_by_who_waits() {
    for second in ["b", ""] {
        unless_it_hangs(move || {
            let pool = timed(&[("", "a"), ("", second)], |builder| builder);
            let tried = &mut Tried::default();
            for _ in 0..2 {
                let lease = pool.checkout(&Demand::default(), tried, pool.now()).unwrap();
                settle(&pool, lease, &throttle(Scope::Group, 5));
            }
            pool
        });
    }
}

#[test]
fn a_rest_beyond_all_numbers_is_no_more_than_long() {
    let (pool, clock) = pool(&[("", "")]);
    let id = pool.snapshot().members[0].id;
    for _ in 0..2 {
        for _ in 0..8 {
            clock.pass(secs(2));
            accept(&pool, take(&pool, "").unwrap());
        }
        clock.pass(secs(2));
        let verdict = Verdict::new(Outcome::Throttled).hint(Some(Hint::after(secs(u64::MAX))));
        settle(&pool, take(&pool, "").unwrap(), &verdict);
        assert!(pool.snapshot().members[0].until.unwrap() <= pool.now() + secs(3_600));
        pool.unblock(id);
    }
}

#[tokio::test]
async fn a_reset_beyond_all_numbers_is_no_more_than_long() {
    let (pool, _) = pool(&[("", "")]);
    let inner = service_fn(|_: Request<ReplayBody<Full<Bytes>>>| async {
        let answer = Response::builder()
            .header("x-ratelimit-remaining-requests", "0")
            .header("x-ratelimit-reset-requests", "99999999999999999999s");
        Ok::<_, Infallible>(answer.body(Full::new(Bytes::from("{}"))).unwrap())
    });
    let request = Request::get("https://api.openai.com/v1/models").body(Full::<Bytes>::default()).unwrap();
    let answer = KeyCommuneLayer::new(pool.clone()).layer(inner).oneshot(request).await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(take(&pool, "").unwrap_err().soonest, Some(pool.now() + secs(3_600)));
}

/// Names the first key, full or not.
struct Always;

impl Select for Always {
    fn select(&self, _: &dyn Candidates, _: &Demand) -> Option<Place> {
        Some(0)
    }
}

/// A request that looks in at a key that is full must not hide that there is room again.
#[test]
fn a_key_that_was_full_comes_back() {
    let (builder, _) = builder(&[("", "")]);
    let pool = builder.limits(Limits::default().concurrent(1)).select(Always).build().unwrap();
    for round in 0..50 {
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| (0..2_000).for_each(|_| drop(take(&pool, ""))));
            }
        });
        assert!(take(&pool, "").is_ok(), "round {round}: nothing is in flight, and the key is closed for good");
    }
}

/// Keys of another model whose rests are over, and which nobody asks for, hide the one that is waited for from nobody.
#[tokio::test(start_paused = true)]
async fn keys_that_serve_another_model_hide_nothing() {
    let others = [("a", "")].repeat(70);
    let pool = timed(&[&others[..], &[("b", "")]].concat(), |builder| builder);
    let members = pool.snapshot().members;
    let (own, others) = members.split_last().unwrap();
    for member in others {
        assert!(pool.block(member.id, pool.now() + secs(1)));
    }
    pool.block(own.id, pool.now() + secs(5));
    let begun = pool.now();
    assert_eq!(take(&pool, "b").unwrap_err().soonest, Some(begun + secs(5)));
    assert!(wait(&pool, "b", 60).await.is_ok());
    assert_eq!(pool.now() - begun, secs(5));
}

/// A request whose own key is out of use has nobody else stop looking for keys that are due.
#[test]
fn who_may_not_try_a_key_keeps_nobody_else_from_it() {
    let (builder, clock) = builder(&[("m", ""), ("m", ""), ("m", "")]);
    let pool = builder.select(Sticky::new(TwoChoices)).build().unwrap();
    let demand = |session: usize| Demand::default().model("m").session(&format!("s{session}"));
    let serve = |session| {
        let mut lease = ask(&pool, &demand(session)).unwrap();
        lease.settle(&Verdict::new(Outcome::Accepted), pool.now());
        lease.key_id()
    };
    let ids: Vec<_> = pool.snapshot().members.iter().map(|member| member.id).collect();
    let of = |id| (0..1_000).find(|&session| serve(session) == id).unwrap();
    let (first, second) = (of(ids[0]), of(ids[1]));
    pool.disable(ids[0]);
    pool.block(ids[1], pool.now() + secs(1));
    clock.pass(secs(2));
    serve(first);
    assert_eq!(serve(second), ids[1]);
}

/// Where no key of the first tier serves a model, those of the second are needed for it.
#[test]
fn a_key_of_a_later_tier_that_is_needed_is_tried() {
    let (builder, clock) = builder(&[("a", "")]);
    let spare = |number| Key::new(format!("sk-spare-{number:016}")).unwrap().models("b".parse().unwrap()).tier(1);
    let pool = builder.keys([spare(1), spare(2)]).build().unwrap();
    let rests = pool.snapshot().members[1].id;
    pool.block(rests, pool.now() + secs(1));
    clock.pass(secs(2));
    let lease = take(&pool, "b").unwrap();
    assert!(lease.key_id() == rests && lease.is_probe());
}

#[tokio::test(start_paused = true)]
async fn who_goes_away_before_anything_was_sent_has_used_nothing_up() {
    let pool = timed(&[("", "")], |builder| builder.limits(Limits::default().per_day(1)));
    let id = pool.snapshot().members[0].id;
    pool.block(id, pool.now() + secs(60));
    let waiting = wait(&pool, "", 30);
    pool.unblock(id);
    drop(waiting);
    assert!(take(&pool, "").is_ok(), "the day's only request");
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_tokens_hears_of_those_that_are_given_back() {
    let limits = Limits::default().tokens_per_minute(100);
    let pool = timed(&[("", "")], |builder| builder.limits(limits));
    let held = ask(&pool, &Demand::default().tokens(90)).unwrap();
    let begun = pool.now();
    let mut waiting = Box::pin(pool.wait(&Demand::default().tokens(50), &Tried::default(), begun + secs(60)));
    assert!(poll!(&mut waiting).is_pending());
    tokio::time::advance(secs(1)).await;
    // Refused by the provider: nothing was used.
    settle(&pool, held, &Verdict::new(Outcome::CallerFault));
    assert!(waiting.await.is_ok());
    assert_eq!(pool.now() - begun, secs(1));
}

/// Whoever comes later would have them at once.
#[tokio::test(start_paused = true)]
async fn who_needs_few_tokens_does_not_wait_for_many() {
    let limits = Limits::default().tokens_per_minute(60);
    let pool = timed(&[("", "")], |builder| builder.limits(limits));
    accept(&pool, ask(&pool, &Demand::default().tokens(60)).unwrap());
    let begun = pool.now();
    let wait = |tokens| pool.wait(&Demand::default().tokens(tokens), &Tried::default(), begun + secs(120));
    let (mut much, mut little) = (Box::pin(wait(60)), Box::pin(wait(1)));
    assert!(poll!(&mut much).is_pending() && poll!(&mut little).is_pending());
    assert!(little.await.is_ok());
    assert!(pool.now() - begun < secs(2));
    assert!(much.await.is_ok(), "and who needs many is served when they are there");
}

/// A request that stands before others and is not polled: they look at the clock themselves.
#[tokio::test(start_paused = true)]
async fn who_stands_behind_one_that_sleeps_is_served() {
    let pool = timed(&[("", "")], |builder| builder.limits(Limits::default().per_minute(60).burst(0)));
    accept(&pool, take(&pool, "").unwrap());
    let (_first, second) = (wait(&pool, "", 60), wait(&pool, "", 60));
    let begun = pool.now();
    assert!(second.await.is_ok());
    assert_eq!(pool.now() - begun, secs(2));
}

/// What others tell of a key's label does not end the rest of its account.
#[test]
fn a_new_label_ends_no_rest_of_an_account() {
    let with = |label| {
        let key = Key::new("sk-account-0123456789").unwrap().group("acct-a").label(label);
        builder(&[]).0.key(key).build().unwrap()
    };
    let (pool, other) = (with("old"), with("new"));
    let id = other.snapshot().members[0].id;
    assert!(other.block(id, other.now()) && other.unblock(id));
    settle(&pool, take(&pool, "").unwrap(), &Verdict::new(Outcome::QuotaSpent).scope(Scope::Group));
    pool.merge(other.drain(10));
    assert_eq!(pool.snapshot().members[0].label.as_deref(), Some("new"));
    assert!(take(&pool, "").is_err(), "it still rests");
    assert!(pool.unblock(id));
    assert!(take(&pool, "").is_ok(), "until an operator ends that");
}

/// A day begins while a request waits, and ends what was to rest for an hour.
#[tokio::test(start_paused = true)]
async fn who_waits_hears_of_a_new_day() {
    let reset = Duration::from_secs((Timestamp::from_unix(secs(1_700_000_000)).since_unix().as_secs() + 2) % 86_400);
    let pool = timed(&[("", "")], |builder| builder.daily_reset(reset).select(FillFirst));
    let begun = pool.now();
    settle(&pool, take(&pool, "").unwrap(), &Verdict::new(Outcome::QuotaSpent));
    assert_eq!(take(&pool, "").unwrap_err().soonest, Some(begun + secs(2)));
    assert!(wait(&pool, "", 10).await.is_ok());
    assert_eq!(pool.now() - begun, secs(2));
}

/// One who waits for a model whose key rests does not stand in the way of those who could be served.
#[tokio::test(start_paused = true)]
async fn who_waits_for_something_else_is_in_nobodys_way() {
    let pool = timed(&[("a", ""), ("b", "")], |builder| builder.pool_limits(Limits::default().concurrent(2)));
    let rests = pool.snapshot().members[0].id;
    pool.block(rests, pool.now() + secs(60));
    let mut waiting = Box::pin(wait(&pool, "a", 120));
    assert!(poll!(&mut waiting).is_pending());
    let held = [take(&pool, "b").unwrap(), take(&pool, "b").unwrap()];
    let mut behind = Box::pin(wait(&pool, "b", 120));
    assert!(poll!(&mut behind).is_pending());
    drop(held);
    assert!(behind.await.is_ok());
    assert!(waiting.await.is_ok());
}
