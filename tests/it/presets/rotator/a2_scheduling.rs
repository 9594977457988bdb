//! A2: which key serves, and who waits.

use std::time::Duration;

use key_commune::KeyCommuneLayer;
use key_commune::demand::{Demand, Routing};
use key_commune::outcome::{Outcome, Verdict};
use key_commune::pool::Tried;
use key_commune::preset;
use tower::Layer;

use super::super::{chat, hinted_for, pool as timed};
use super::{ask, hinted, number, pool, serve, take};
use crate::support::{Upstream, answer, fetch, key, ok, secs};

#[test]
fn a2_1_the_key_that_served_the_model_least_today_is_first() {
    let (pool, clock) = pool(3);
    assert_eq!((0..7).map(|_| serve(&pool, "a")).collect::<Vec<_>>(), [0, 1, 2, 0, 1, 2, 0]);
    assert_eq!(serve(&pool, "b"), 0, "of each model for itself");
    assert_eq!((serve(&pool, "b"), serve(&pool, "a")), (1, 1));
    for outcome in [Outcome::Failed, Outcome::CallerFault, Outcome::Unreachable, Outcome::Aborted] {
        assert_eq!(ask(&pool, "c", &Verdict::new(outcome)), 0, "successes only");
    }
    assert_eq!(serve(&pool, "a"), 2);
    clock.pass(secs(86_400));
    assert_eq!((0..4).map(|_| serve(&pool, "a")).collect::<Vec<_>>(), [0, 1, 2, 0], "of the day");
}

#[test]
fn a2_2_a_key_that_cools_is_left_out_for_the_model_or_altogether() {
    let (pool, _) = pool(2);
    assert_eq!(ask(&pool, "a", &hinted(30)), 0);
    assert_eq!((0..3).map(|_| serve(&pool, "a")).collect::<Vec<_>>(), [1, 1, 1]);
    assert_eq!(serve(&pool, "b"), 0);
    assert_eq!(ask(&pool, "b", &Verdict::new(Outcome::Rejected)), 1);
    assert!(take(&pool, "a").is_none());
    assert_eq!((0..3).map(|_| serve(&pool, "b")).collect::<Vec<_>>(), [0, 0, 0]);
}

#[test]
fn a2_3_an_idle_key_is_first_however_often_it_has_served() {
    let (pool, _) = pool(2);
    let busy = take(&pool, "b").unwrap();
    assert_eq!(number(&pool, &busy), 0);
    assert_eq!((0..3).map(|_| serve(&pool, "a")).collect::<Vec<_>>(), [1, 1, 1]);
    drop(busy);
    assert_eq!(serve(&pool, "a"), 0);
}

#[test]
fn a2_4_then_one_that_is_busy_with_another_model_and_never_one_with_the_same() {
    let (pool, _) = pool(2);
    let a = take(&pool, "a").unwrap();
    let b = take(&pool, "b").unwrap();
    assert_eq!((number(&pool, &a), number(&pool, &b)), (0, 1));
    let second = take(&pool, "a").unwrap();
    assert_eq!(number(&pool, &second), 1);
    assert!(take(&pool, "a").is_none(), "one request at a time for each key and model");
    let many: Vec<_> = (0..40).map(|model| take(&pool, &format!("m{model}")).unwrap()).collect();
    assert_eq!(many.len(), 40, "as many models as there are");
}

/// Takes half a second for each.
fn slow() -> Upstream {
    Upstream::new(|mut call| async move {
        call.read().await;
        tokio::time::sleep(Duration::from_millis(500)).await;
        Ok(ok())
    })
}

#[tokio::test(start_paused = true)]
async fn a2_5_requests_for_the_same_model_are_served_in_turn_as_soon_as_one_ends() {
    let pool = timed(preset::rotator, 1);
    let client = KeyCommuneLayer::new(pool).inspect(Routing::new()).max_wait(secs(30)).layer(slow());
    let begun = tokio::time::Instant::now();
    let asking = ["same", "same", "other", "same"].map(|model| {
        let client = client.clone();
        async move {
            assert_eq!(fetch(&client, chat(model)).await.status, 200);
            begun.elapsed().as_millis()
        }
    });
    assert_eq!(futures_util::future::join_all(asking).await, [500, 1_000, 500, 1_500], "theirs came after 5 s");
}

#[tokio::test(start_paused = true)]
async fn a2_6_i14_if_all_keys_cool_the_first_to_be_back_is_waited_for_inside_the_deadline() {
    for (patience, status, waited) in [(30, 200, 20), (10, 429, 0)] {
        let upstream = Upstream::in_turn(|number| match number {
            0 => hinted_for("25"),
            1 => hinted_for("20"),
            _ => ok(),
        });
        let layer = KeyCommuneLayer::new(timed(preset::rotator, 2)).inspect(Routing::new());
        fetch(&layer.clone().layer(upstream.clone()), chat("m")).await;
        let begun = tokio::time::Instant::now();
        let got = fetch(&layer.max_wait(secs(patience)).layer(upstream), chat("m")).await;
        assert_eq!((got.status.as_u16(), begun.elapsed()), (status, secs(waited)));
        assert_eq!(got.header("retry-after"), Some("20").filter(|_| status == 429));
    }
}

#[tokio::test(start_paused = true)]
async fn a2_7_i23_every_key_is_tried_once_and_sixteen_at_most() {
    for (count, attempts) in [(1, 1), (5, 5), (16, 16), (20, 16)] {
        let upstream = Upstream::in_turn(|_| answer(429, &[], "slow down"));
        let client =
            KeyCommuneLayer::new(timed(preset::rotator, count)).inspect(Routing::new()).layer(upstream.clone());
        let got = fetch(&client, chat("m")).await;
        assert_eq!((got.status.as_u16(), got.text().as_str()), (429, "slow down"));
        assert_eq!(upstream.count(), attempts);
        assert!((0..count).all(|number| upstream.uses(&key(number)) <= 1));
    }
}

#[tokio::test(start_paused = true)]
async fn a2_8_a_release_wakes_whoever_waits_for_any_key() {
    let pool = timed(preset::rotator, 2);
    let held: [_; 2] = std::array::from_fn(|_| take(&pool, "m").unwrap());
    let mut kept = Vec::new();
    for lease in held {
        let waiting = tokio::spawn(pool.wait(&Demand::default().model("m"), &Tried::default(), pool.now() + secs(30)));
        tokio::task::yield_now().await;
        let released = lease.key_id();
        drop(lease);
        let lease = waiting.await.unwrap().unwrap();
        assert_eq!(lease.key_id(), released);
        kept.push(lease);
    }
    assert_eq!(pool.snapshot().waiting, 0);
}
