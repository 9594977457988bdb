//! I15: outages are not the keys' fault.

use key_commune::health::State;

use crate::support::{Upstream, answer, assert_idle, client, fetch, key, ok, post, revoked, secs, throttled, timed};

#[tokio::test(start_paused = true)]
async fn i15_when_all_keys_fail_alike_nobody_is_struck_and_a_key_that_succeeds_ends_it() {
    // Nobody rests after the roll-back: our own answer is 503, the provider's last answer is what it was.
    for (failure, told) in [(revoked as fn() -> _, 503), (throttled, 429)] {
        let pool = timed(5);
        let upstream = Upstream::in_turn(move |number| if number < 8 { failure() } else { ok() });
        let client = client(&pool, &upstream);
        let first = fetch(&client, post("x")).await;
        assert_eq!((first.told(), upstream.count()), ((told, Some("1")), 5), "a request finishes its own rotation");
        assert_eq!((pool.snapshot().active(), pool.snapshot().outage), (5, true), "rolled back");
        for number in 6..=8 {
            assert_eq!(fetch(&client, post("x")).await.told(), (told, Some("1")));
            assert_eq!(upstream.count(), number, "new requests make one attempt");
        }
        assert_eq!(fetch(&client, post("x")).await.status.as_u16(), 200);
        assert_eq!((pool.snapshot().active(), pool.snapshot().outage), (5, false));
        assert_idle(&pool);
    }
}

#[tokio::test(start_paused = true)]
async fn i15_a_request_that_succeeds_in_the_end_proves_that_the_keys_were_bad() {
    let pool = timed(6);
    let upstream = Upstream::answering(|seen| if seen.key() == key(5) { ok() } else { revoked() });
    let client = client(&pool, &upstream);
    for _ in 0..3 {
        assert_eq!(fetch(&client, post("x")).await.status.as_u16(), 200);
    }
    let resting = pool.snapshot().members.iter().filter(|member| member.state == State::Resting).count();
    assert_eq!((resting + 1, pool.snapshot().outage), (upstream.count() - 2, false));
}

#[tokio::test(start_paused = true)]
async fn i15_hints_are_obeyed_in_an_outage_too() {
    let pool = timed(4);
    let upstream = Upstream::in_turn(|number| match number {
        0..4 => throttled(),
        _ => answer(429, &[("retry-after", "20")], ""),
    });
    let client = client(&pool, &upstream);
    fetch(&client, post("x")).await;
    assert!(pool.snapshot().outage);
    for left in (0..4).rev() {
        fetch(&client, post("x")).await;
        assert_eq!(pool.snapshot().active(), left);
    }
    assert_eq!(fetch(&client, post("x")).await.told(), (429, Some("20")));
}

#[tokio::test(start_paused = true)]
async fn i15_failures_of_the_service_rest_no_key() {
    for status in [500, 502, 503, 504, 520, 529] {
        let pool = timed(4);
        let upstream = Upstream::in_turn(move |_| answer(status, &[], "down"));
        for _ in 0..10 {
            let got = fetch(&client(&pool, &upstream), post("x")).await;
            assert_eq!((got.status.as_u16(), got.text().as_str()), (status, "down"));
            tokio::time::advance(secs(1)).await;
        }
        assert_eq!(pool.snapshot().active(), 4);
    }
}
