//! The figures of the issue: what a caller sees of bad keys is nothing.

use key_commune::KeyCommuneLayer;
use key_commune::health::State;
use tower::Layer;

use crate::support::{
    Upstream, assert_idle, builder, client, fetch, key, ok, post, revoked, secs, throttled, timed, tokio_clock,
};
use key_commune::health::Penalties;

/// The first key is revoked, the second throttled, the others work. Each answer takes a while.
fn one_revoked_one_throttled() -> Upstream {
    Upstream::new(|mut call| async move {
        let seen = call.read().await;
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        Ok(match seen.key() {
            sent if sent == key(0) => revoked(),
            sent if sent == key(1) => throttled(),
            _ => ok(),
        })
    })
}

#[tokio::test(start_paused = true)]
async fn of_600_requests_none_fails_with_one_key_of_three_revoked_and_one_throttled() {
    for penalties in [Penalties::default(), Penalties::default().jitter(false)] {
        let jitter = penalties == Penalties::default();
        let pool = builder(3).penalties(penalties).clock(tokio_clock()).build().unwrap();
        let upstream = one_revoked_one_throttled();
        let client = client(&pool, &upstream);
        for _ in 0..200 {
            assert_eq!(fetch(&client, post("x")).await.status.as_u16(), 200);
        }
        for _ in 0..10 {
            let burst: Vec<_> = (0..40)
                .map(|_| {
                    let client = client.clone();
                    tokio::spawn(async move { fetch(&client, post("x")).await.status.as_u16() })
                })
                .collect();
            for status in burst {
                assert_eq!(status.await.unwrap(), 200);
            }
        }
        let revoked = upstream.uses(&key(0));
        assert!(jitter || (1..=2).contains(&revoked), "the revoked key was tried {revoked} times");
        assert_eq!(pool.snapshot().members[0].state, State::Resting);
        assert_idle(&pool);
    }
}

#[tokio::test(start_paused = true)]
async fn a_cold_burst_of_forty_costs_each_bad_key_one_strike_and_no_request_anything() {
    let (pool, upstream) = (timed(3), one_revoked_one_throttled());
    let client = client(&pool, &upstream);
    let burst: Vec<_> = (0..40)
        .map(|_| {
            let client = client.clone();
            tokio::spawn(async move { fetch(&client, post("x")).await.status.as_u16() })
        })
        .collect();
    for status in burst {
        assert_eq!(status.await.unwrap(), 200);
    }
    assert!(upstream.uses(&key(0)) > 1 && upstream.uses(&key(1)) > 1, "it was a burst");
    let members = pool.snapshot().members;
    assert_eq!((members[0].state, members[0].rejections, members[0].throttles), (State::Resting, 1, 0));
    assert_eq!((members[1].state, members[1].rejections, members[1].throttles), (State::Resting, 0, 1));
    assert_eq!((members[2].state, pool.snapshot().outage), (State::Active, false));
    assert_idle(&pool);
}

#[tokio::test(start_paused = true)]
async fn the_first_request_is_served_though_nine_keys_of_ten_are_revoked() {
    for good in 0..10 {
        let pool = timed(10);
        let upstream = Upstream::answering(move |seen| if seen.key() == key(good) { ok() } else { revoked() });
        let client = client(&pool, &upstream);
        for _ in 0..20 {
            assert_eq!(fetch(&client, post("x")).await.status.as_u16(), 200);
        }
        assert!(upstream.count() <= 20 + 9);
        assert!(!pool.snapshot().outage, "a success proves that the keys were bad");
    }
}

#[tokio::test(start_paused = true)]
async fn a_pool_of_one_revoked_key_says_when_it_will_try_again_until_it_gives_up() {
    let (pool, upstream) = (timed(1), Upstream::in_turn(|_| revoked()));
    let client = client(&pool, &upstream);
    for (wait, attempts) in [("60", 1), ("3600", 2), ("86400", 3)] {
        assert_eq!(fetch(&client, post("x")).await.told(), (429, Some(wait)));
        assert_eq!(fetch(&client, post("x")).await.told(), (429, Some(wait)));
        assert_eq!(upstream.count(), attempts);
        tokio::time::advance(secs(wait.parse().unwrap())).await;
    }
    for _ in 0..3 {
        assert_eq!(fetch(&client, post("x")).await.told(), (503, None));
    }
    assert_eq!((upstream.count(), pool.snapshot().members[0].state), (4, State::Retired));
}

#[tokio::test(start_paused = true)]
async fn a_throttled_key_comes_back_by_itself_with_one_probe() {
    let pool = timed(1);
    let upstream = Upstream::new(|mut call| async move {
        call.read().await;
        tokio::time::sleep(secs(2)).await;
        Ok(if call.number == 0 { throttled() } else { ok() })
    });
    let client = KeyCommuneLayer::new(pool.clone()).max_wait(secs(90)).layer(upstream.clone());
    fetch(&client, post("x")).await;
    let waiting: Vec<_> = (0..500)
        .map(|_| {
            let client = client.clone();
            tokio::spawn(async move { fetch(&client, post("x")).await.status.as_u16() })
        })
        .collect();
    tokio::time::sleep(secs(61)).await;
    assert_eq!(upstream.count(), 2, "one real request probes, the others wait for its result");
    for status in waiting {
        assert_eq!(status.await.unwrap(), 200);
    }
    assert_idle(&pool);
}
