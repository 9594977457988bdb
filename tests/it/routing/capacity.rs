//! No key is asked for more than it may be, at a time or in a span of time; who finds no room waits in turn.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::Poll;
use std::time::Duration;

use futures_util::poll;
use key_commune::KeyPool;
use key_commune::hint::Hint;
use key_commune::outcome::{Outcome, Verdict};
use key_commune::pool::{Lease, Limits, Tried};
use key_commune::select::{LeastUsed, Sticky};

use super::{accept, asking, builder, in_secs, number, settle, take};
use crate::support::{secs, tokio_clock};

const TWO: &[(&str, &str)] = &[("", ""), ("", "")];

fn limited(keys: &[(&str, &str)], limits: Limits) -> (KeyPool, crate::support::Hand) {
    let (builder, clock) = builder(keys);
    (builder.limits(limits).build().unwrap(), clock)
}

fn in_flight(pool: &KeyPool) -> Vec<u32> {
    pool.snapshot().members.iter().map(|member| member.in_flight).collect()
}

#[test]
fn a_key_serves_so_many_requests_at_a_time() {
    let (pool, _) = limited(TWO, Limits::default().concurrent(2));
    let mut leases: Vec<_> = (0..4).map(|_| take(&pool, "").unwrap()).collect();
    assert_eq!(in_flight(&pool), [2, 2]);
    let full = take(&pool, "").unwrap_err();
    assert!(!full.open && full.soonest == in_secs(&pool, 1), "any moment: {full:?}");
    let freed = leases.remove(0);
    let key = number(&pool, &freed);
    accept(&pool, freed);
    let again = take(&pool, "").unwrap();
    assert_eq!(number(&pool, &again), key);
    assert!(take(&pool, "").is_err());
    drop((again, leases));
    assert_eq!(in_flight(&pool), [0, 0]);
}

#[test]
fn a_session_spills_while_its_key_is_full_and_returns_after() {
    let (builder, _) = builder(&[("", ""), ("", ""), ("", "")]);
    let pool = builder.select(<Sticky>::default()).limits(Limits::default().concurrent(1)).build().unwrap();
    let demand = asking("").session("chat-1");
    let lease = || pool.checkout(&demand, &mut Tried::default(), pool.now()).unwrap();
    let first = lease();
    let home = number(&pool, &first);
    let second = lease();
    assert_ne!(number(&pool, &second), home);
    drop((first, second));
    assert_eq!(number(&pool, &lease()), home);
}

#[test]
fn a_key_serves_so_many_requests_for_one_model_idle_keys_first() {
    let (builder, _) = builder(TWO);
    let pool = builder.select(LeastUsed).limits(Limits::default().concurrent_per_model(1)).build().unwrap();
    let a = take(&pool, "a").unwrap();
    let b = take(&pool, "b").unwrap();
    assert_ne!(number(&pool, &a), number(&pool, &b), "an idle key comes first");
    let other_a = take(&pool, "a").unwrap();
    assert_eq!(number(&pool, &other_a), number(&pool, &b), "then one that is busy with another model");
    assert!(take(&pool, "a").is_err(), "then there is none for this model");
    drop(take(&pool, "c").unwrap());
    let key = number(&pool, &a);
    drop(a);
    assert_eq!(number(&pool, &take(&pool, "a").unwrap()), key);
}

#[tokio::test(start_paused = true)]
async fn i14_who_waits_for_room_is_woken_by_a_release_in_turn() {
    let (builder, _) = builder(TWO);
    let pool = builder.limits(Limits::default().concurrent_per_model(1)).clock(tokio_clock()).build().unwrap();
    let deadline = pool.now() + secs(60);
    let held: Vec<_> = (0..2).map(|_| take(&pool, "m").unwrap()).collect();
    let demand = asking("m");
    let mut waiting: Vec<_> = (0..3).map(|_| Box::pin(pool.wait(&demand, &Tried::default(), deadline))).collect();
    for wait in &mut waiting {
        assert!(poll!(wait).is_pending());
    }
    let [mut first, mut second, mut third]: [_; 3] = waiting.try_into().ok().unwrap();
    let mut held = held.into_iter();
    drop(held.next());
    assert!(poll!(&mut second).is_pending() && poll!(&mut third).is_pending());
    let Poll::Ready(Ok(lease)) = poll!(&mut first) else { panic!("the first in line") };
    drop(second);
    drop(lease);
    let Poll::Ready(Ok(lease)) = poll!(&mut third) else { panic!("the second has left the line") };
    drop((lease, held));
    assert_eq!((in_flight(&pool), pool.snapshot().waiting), (vec![0, 0], 0), "I24");
}

#[test]
fn a_key_is_asked_at_the_pace_of_its_limit_and_not_once_more() {
    let (pool, clock) = limited(TWO, Limits::default().per_minute(60).burst(0));
    for second in 0..120 {
        let leases: Vec<_> = std::iter::from_fn(|| take(&pool, "").ok()).collect();
        assert_eq!(leases.len(), 2, "in second {second}");
        let full = take(&pool, "").unwrap_err();
        assert_eq!(full.soonest, in_secs(&pool, 1));
        for lease in leases {
            accept(&pool, lease);
        }
        clock.pass(secs(1));
    }
}

#[test]
fn what_was_never_sent_is_not_counted() {
    let (pool, _) = limited(&TWO[..1], Limits::default().per_minute(60).burst(0));
    for _ in 0..3 {
        settle(&pool, take(&pool, "").unwrap(), &Verdict::new(Outcome::Unreachable).unprocessed());
    }
    accept(&pool, take(&pool, "").unwrap());
    assert!(take(&pool, "").is_err());
}

#[test]
fn a_request_that_needs_more_tokens_than_are_left_leaves_smaller_ones_their_room() {
    let (pool, clock) = limited(&TWO[..1], Limits::default().tokens_per_minute(600));
    let ask = |tokens| pool.checkout(&asking("").tokens(tokens), &mut Tried::default(), pool.now());
    accept(&pool, ask(400).unwrap());
    assert_eq!(ask(300).unwrap_err().soonest, in_secs(&pool, 10), "ten tokens a second");
    accept(&pool, ask(200).unwrap());
    assert!(ask(1).is_err());
    clock.pass(secs(10));
    let refused = ask(100).unwrap();
    settle(&pool, refused, &Verdict::new(Outcome::CallerFault));
    accept(&pool, ask(100).unwrap());
    assert!(ask(1).is_err(), "what was refused has used nothing, and all the rest has");
}

#[test]
fn a_key_that_rests_is_tried_again_only_where_its_limits_have_room() {
    let (pool, clock) = limited(&TWO[..1], Limits::default().per_minute(1).burst(0));
    let throttled = Verdict::new(Outcome::Throttled).hint(Some(Hint::after(secs(5))));
    settle(&pool, take(&pool, "").unwrap(), &throttled);
    clock.pass(secs(5));
    assert_eq!(take(&pool, "").unwrap_err().soonest, in_secs(&pool, 55));
    clock.pass(secs(55));
    assert!(take(&pool, "").unwrap().is_probe());
}

#[tokio::test(start_paused = true)]
async fn the_pool_as_a_whole_keeps_its_pace_and_serves_those_who_wait_in_turn() {
    let (builder, _) = builder(TWO);
    let limits = Limits::default().per_second(10).burst(0);
    let pool = builder.pool_limits(limits).clock(tokio_clock()).build().unwrap();
    let begun = pool.now();
    let deadline = begun + secs(60);
    let served = |index: u32| {
        let pool = pool.clone();
        async move {
            let demand = asking("");
            let lease = match pool.checkout(&demand, &mut Tried::default(), pool.now()) {
                Ok(lease) => lease,
                Err(_) => pool.wait(&demand, &Tried::default(), deadline).await.unwrap(),
            };
            let at = pool.now() - begun;
            accept(&pool, lease);
            (index, at)
        }
    };
    let served = futures_util::future::join_all((0..30).map(served)).await;
    for (index, at) in served {
        let due = Duration::from_millis(100) * index;
        assert!((due..due + Duration::from_millis(3)).contains(&at), "{index} after {at:?}");
    }
    assert_eq!(pool.snapshot().waiting, 0);
}

#[test]
fn the_pool_as_a_whole_serves_so_many_at_a_time() {
    let (builder, _) = builder(TWO);
    let pool = builder.pool_limits(Limits::default().concurrent(3)).build().unwrap();
    let mut leases: Vec<_> = std::iter::from_fn(|| take(&pool, "").ok()).collect();
    assert_eq!(leases.len(), 3);
    leases.pop();
    leases.push(take(&pool, "").unwrap());
    assert!(take(&pool, "").is_err());
}

#[tokio::test(start_paused = true)]
async fn who_would_wait_beyond_its_deadline_is_told_so_at_once() {
    let (builder, _) = builder(TWO);
    let pool = builder.limits(Limits::default().per_second(1).burst(0)).clock(tokio_clock()).build().unwrap();
    let demand = asking("");
    let leases: Vec<_> = std::iter::from_fn(|| take(&pool, "").ok()).collect();
    assert_eq!(leases.len(), 2);
    let deadline = pool.now() + secs(60);
    let mut waiting = Vec::new();
    for behind in 0..20 {
        let promised = take(&pool, "").unwrap_err().soonest.unwrap() - pool.now();
        let (least, most) = (1.0 + f64::from(behind) / 2.0, 1.01 + f64::from(behind) / 2.0);
        assert!((least..most).contains(&promised.as_secs_f64()), "{promised:?} behind {behind}");
        let mut wait = Box::pin(pool.wait(&demand, &Tried::default(), deadline));
        assert!(poll!(&mut wait).is_pending());
        waiting.push(wait);
    }
    let begun = pool.now();
    let mut last = Duration::ZERO;
    for wait in waiting {
        accept(&pool, wait.await.unwrap());
        last = pool.now() - begun;
    }
    assert!((9.9..10.2).contains(&last.as_secs_f64()), "{last:?}");
}

#[tokio::test(start_paused = true)]
async fn nobody_looks_at_the_clock_but_the_first_in_line() {
    let (builder, _) = builder(&TWO[..1]);
    let reads = Arc::new(AtomicU32::new(0));
    let clock = tokio_clock();
    let counted = {
        let reads = Arc::clone(&reads);
        move || {
            reads.fetch_add(1, Ordering::Relaxed);
            key_commune::clock::Clock::now(&clock)
        }
    };
    let pool = builder.limits(Limits::default().per_second(1).burst(0)).clock(counted).build().unwrap();
    accept(&pool, take(&pool, "").unwrap());
    let deadline = pool.now() + secs(1_000);
    let before = reads.load(Ordering::Relaxed);
    let waits = (0..100).map(|_| async {
        let lease = pool.wait(&asking(""), &Tried::default(), deadline).await.unwrap();
        accept(&pool, lease);
    });
    futures_util::future::join_all(waits).await;
    let reads = reads.load(Ordering::Relaxed) - before;
    assert!(reads < 100 * 12, "{reads} looks for 100 requests that waited 100 s");
}

#[test]
fn however_many_threads_ask_no_key_has_more_than_it_may() {
    let (builder, _) = builder(TWO);
    let pool = builder.limits(Limits::default().concurrent(3)).build().unwrap();
    let most = AtomicU32::new(0);
    let served = AtomicU32::new(0);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut held: Vec<Lease> = Vec::new();
                for turn in 0..5_000 {
                    held.extend(take(&pool, "").ok());
                    if turn % 3 == 0 || held.len() > 2 {
                        held.drain(..).for_each(|lease| accept(&pool, lease));
                    }
                    if turn % 100 == 0 {
                        most.fetch_max(in_flight(&pool).into_iter().max().unwrap(), Ordering::Relaxed);
                    }
                    served.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
    assert_eq!(in_flight(&pool), [0, 0], "I24");
    assert!(most.into_inner() <= 3 + 4, "those who look for room are counted for a moment");
    let leases: Vec<_> = std::iter::from_fn(|| take(&pool, "").ok()).collect();
    assert_eq!(leases.len(), 6, "nobody is left outside after all that");
}

#[tokio::test(start_paused = true)]
async fn a_key_of_which_an_answer_says_that_nothing_is_left_is_not_asked_before_there_is() {
    use crate::support::{Upstream, client, fetch, ok, post};
    let (builder, _) = builder(TWO);
    let pool = builder.clock(tokio_clock()).build().unwrap();
    let upstream = Upstream::in_turn(|call| {
        let mut answer = ok();
        if call == 0 {
            for (name, value) in [("limit", "10"), ("remaining", "0"), ("reset", "60s")] {
                let name: http::HeaderName = format!("x-ratelimit-{name}-requests").parse().unwrap();
                answer.headers_mut().insert(name, http::HeaderValue::from_static(value));
            }
        }
        answer
    });
    let client = client(&pool, &upstream);
    fetch(&client, post("x")).await;
    let spent = pool.snapshot().members.iter().position(|member| member.uses == 1).unwrap();
    let uses = || pool.snapshot().members[spent].uses;
    for _ in 0..10 {
        fetch(&client, post("x")).await;
    }
    assert_eq!(uses(), 1, "ten a minute come back one by one");
    tokio::time::advance(secs(6)).await;
    fetch(&client, post("x")).await;
    assert_eq!(uses(), 2);
}

/// As many as it is asked for in so many steps of 10 ms.
fn served(pool: &KeyPool, clock: &crate::support::Hand, steps: usize) -> usize {
    let serve = |_| {
        clock.pass(Duration::from_millis(10));
        take(pool, "").map(|lease| accept(pool, lease)).is_ok()
    };
    (0..steps).map(serve).filter(|&served| served).count()
}

fn throttle(pool: &KeyPool, clock: &crate::support::Hand) {
    let verdict = Verdict::new(Outcome::Throttled).hint(Some(Hint::after(secs(1))));
    settle(pool, take(pool, "").unwrap(), &verdict);
    clock.pass(secs(1));
}

#[test]
fn a_key_that_was_throttled_for_another_reason_is_soon_asked_as_often_as_before() {
    let (pool, clock) = limited(&TWO[..1], Limits::default());
    assert_eq!(served(&pool, &clock, 500), 500);
    throttle(&pool, &clock);
    assert!(served(&pool, &clock, 200) < 195, "it is held to a pace");
    served(&pool, &clock, 6_000);
    assert_eq!(served(&pool, &clock, 500), 500, "it is held to none a minute later");
}

#[test]
fn a_key_that_is_asked_less_often_than_its_pace_is_led_no_faster_and_soon_held_to_none() {
    let (pool, clock) = limited(&TWO[..1], Limits::default());
    let serve_for = |seconds: u64| {
        for _ in 0..seconds / 2 {
            clock.pass(secs(2));
            assert_eq!(served(&pool, &clock, 1), 1);
        }
    };
    serve_for(60);
    throttle(&pool, &clock);
    serve_for(500);
    clock.pass(secs(2));
    assert_eq!(served(&pool, &clock, 90), 1, "as often as before");
    serve_for(700);
    clock.pass(secs(2));
    assert_eq!(served(&pool, &clock, 90), 90);
}
