//! I23: no amplification.

use std::time::Duration;

use crate::support::{Oops, Upstream, answer, client, fetch, key, ok, post, revoked, send, streamed, timed};
use key_commune::KeyCommuneLayer;
use tower::Layer;

#[tokio::test(start_paused = true)]
async fn i23_what_rests_nobody_is_tried_three_times_at_most_with_a_breath_between() {
    for status in [529, 503, 500] {
        let upstream = Upstream::in_turn(move |_| answer(status, &[("retry-after", "1")], "busy"));
        let layer = KeyCommuneLayer::new(timed(8)).retry_failures(true);
        let started = tokio::time::Instant::now();
        let got = fetch(&layer.layer(upstream.clone()), post("x")).await;
        assert_eq!((got.status.as_u16(), upstream.count()), (status, 3));
        assert!(started.elapsed() <= Duration::from_millis(600), "{:?}", started.elapsed());
        let mut keys: Vec<_> = upstream.seen().iter().map(|seen| seen.key().to_owned()).collect();
        keys.sort_unstable();
        keys.dedup();
        assert_eq!(keys.len(), 3, "each time another key");
    }
}

#[tokio::test(start_paused = true)]
async fn i23_refusals_go_round_each_key_once_and_sixteen_at_most() {
    for (count, attempts) in [(1, 1), (2, 2), (7, 7), (16, 16), (17, 16), (40, 16)] {
        let upstream = Upstream::in_turn(|number| if number % 2 == 0 { revoked() } else { answer(429, &[], "") });
        fetch(&client(&timed(count), &upstream), post("x")).await;
        assert_eq!(upstream.count(), attempts, "{count} keys");
        assert!((0..count).all(|number| upstream.uses(&key(number)) <= 1));
    }
}

#[tokio::test(start_paused = true)]
async fn i23_refusals_do_not_eat_the_attempts_that_overload_may_take() {
    let upstream = Upstream::in_turn(|number| match number {
        0..5 => revoked(),
        5 | 6 => answer(529, &[], ""),
        _ => ok(),
    });
    assert_eq!(fetch(&client(&timed(10), &upstream), post("x")).await.status.as_u16(), 200);
    assert_eq!(upstream.count(), 8);
}

#[tokio::test(start_paused = true)]
async fn i23_attack_63_an_outage_is_not_made_worse_by_retries() {
    const RATE: u64 = 100;
    const SECONDS: u64 = 30;
    type Reply = fn() -> Result<http::Response<crate::support::Stepped>, Oops>;
    let failures: [(&str, Reply); 4] = [
        ("503 with a hint", || Ok(answer(503, &[("retry-after", "1")], ""))),
        ("529", || Ok(answer(529, &[], ""))),
        ("500", || Ok(answer(500, &[], ""))),
        ("event", || Ok(streamed(529, &[("content-type", "text/event-stream")], crate::support::Stepped::full("x")))),
    ];
    for (name, failure) in failures {
        let upstream = Upstream::new(move |mut call| async move {
            call.read().await;
            failure()
        });
        let client = KeyCommuneLayer::new(timed(20)).retry_failures(true).layer(upstream.clone());
        let mut tasks = Vec::new();
        let start = tokio::time::Instant::now();
        for _ in 0..RATE * SECONDS {
            let client = client.clone();
            tasks.push(tokio::spawn(async move { drop(send(&client, post("x")).await) }));
            tokio::time::sleep(Duration::from_millis(1_000 / RATE)).await;
        }
        for task in tasks {
            task.await.unwrap();
        }
        let (requests, attempts) = (RATE * SECONDS, upstream.count() as u64);
        // The last repeats come a pause after the last request; and a pool begins with a second's worth.
        let most = requests as f64 * 1.2 + 10.0 * (start.elapsed().as_secs_f64() + 1.0);
        assert!(attempts as f64 <= most, "{name}: {attempts} for {requests}, at most {most}");
        assert!(attempts > requests, "{name}: some are tried again");
    }
}
