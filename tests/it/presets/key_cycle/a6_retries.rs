//! A6: what is sent again, to whom, and what the caller sees.

use futures_util::future::join_all;
use key_commune::demand::Routing;
use key_commune::{KeyCommuneLayer, Refusal};
use tower::Layer;

use super::super::{bad, hinted_for};
use super::{chat, client, pool, sent};
use crate::support::{Oops, Upstream, answer, assert_idle, fetch, key, ok, revoked, secs, send, throttled};

#[tokio::test(start_paused = true)]
async fn a6_1_a6_2_one_status_on_every_key() {
    // Status, what its callers saw and how often it asked; ours are what the invariants ask for.
    let table = [
        (200, 200, 1, "as it was"),
        (304, 304, 1, "as it was"),
        (400, 400, 1, "I4: 4 attempts and a 502"),
        (401, 503, 2, "I14: 1 attempt, and our 401 shown"),
        (402, 503, 2, "I14: 1 attempt, and our 402 shown"),
        (403, 403, 1, "as it was"),
        (404, 404, 1, "as it was"),
        (408, 408, 1, "as it was"),
        (413, 413, 1, "as it was"),
        (418, 418, 1, "I4: 16 attempts and a 502"),
        (422, 422, 1, "as it was"),
        (429, 429, 2, "I23: 16 attempts, and a 502 instead of the 429"),
        (500, 500, 1, "as it was"),
        (502, 502, 1, "I9: 16 attempts"),
        (503, 503, 1, "I9: 4 attempts on the same key"),
        (504, 504, 1, "I9: 4 attempts on the same key"),
        (520, 520, 1, "as it was"),
        (529, 529, 2, "overloaded: not processed, so asked elsewhere"),
    ];
    for (status, seen, attempts, why) in table {
        let (pool, upstream) = (pool(&["m", "m"]), bad(2, move || answer(status, &[], "body")));
        let got = fetch(&client(&pool, &upstream), chat("m")).await;
        assert_eq!((got.status.as_u16(), upstream.count()), (seen, attempts), "{status}: {why}");
        assert_eq!(got.text() == "body", seen == status, "{status}");
        assert_eq!(pool.snapshot().active(), 2);
    }
}

#[tokio::test(start_paused = true)]
async fn a6_1_i9_a_connection_that_broke_is_not_used_again_unless_nothing_was_sent() {
    for (never_sent, attempts) in [(false, 1), (true, 2)] {
        let upstream = Upstream::new(|mut call| async move {
            call.read().await;
            if call.number == 0 { Err(Oops("reset")) } else { Ok(ok()) }
        });
        let layer = KeyCommuneLayer::new(pool(&["m", "m"])).inspect(Routing::key_cycle());
        let layer = if never_sent { layer.never_sent(|_| true) } else { layer };
        let got = send(&layer.layer(upstream.clone()), chat("m")).await;
        assert_eq!((got.is_ok(), upstream.count()), (never_sent, attempts));
        assert!(sent(&upstream).iter().eq([0, 1].iter().take(attempts)), "never the same key");
    }
}

#[tokio::test(start_paused = true)]
async fn a6_2_a_429_goes_on_to_the_next_key_at_once() {
    let upstream = bad(2, || hinted_for("60"));
    let begun = tokio::time::Instant::now();
    let got = fetch(&client(&pool(&["m"; 3]), &upstream), chat("m")).await;
    assert_eq!((got.status.as_u16(), sent(&upstream), begun.elapsed()), (200, vec![0, 1, 2], secs(0)));
}

#[tokio::test(start_paused = true)]
async fn a6_2_i14_so_does_a_401_of_which_half_of_all_requests_died() {
    let (pool, upstream) = (pool(&["m", "m"]), bad(1, revoked));
    for _ in 0..10 {
        assert_eq!(fetch(&client(&pool, &upstream), chat("m")).await.status, 200);
    }
    let upstream = bad(2, revoked);
    let got = fetch(&client(&pool, &upstream), chat("m")).await;
    assert_eq!((got.status.as_u16(), upstream.count(), got.refusal), (503, 2, Some(Refusal::Refused)));
}

#[tokio::test(start_paused = true)]
async fn a6_3_i23_a_request_is_sent_once_with_each_key_and_sixteen_times_at_most() {
    for (count, attempts) in [(1, 1), (6, 6), (16, 16), (30, 16)] {
        let upstream = Upstream::in_turn(|_| throttled());
        fetch(&client(&pool(&vec!["m"; count]), &upstream), chat("m")).await;
        assert_eq!(upstream.count(), attempts);
        assert!((0..count).all(|number| upstream.uses(&key(number)) <= 1));
    }
}

#[tokio::test(start_paused = true)]
async fn a6_3_one_good_key_serves_everybody() {
    // There: 5.5 % of 200 requests at a time failed with one bad key of two, and half of all with five of six.
    for (keys, broken) in [(2, 1), (6, 5)] {
        let (pool, upstream) = (pool(&vec!["m"; keys]), bad(broken, throttled));
        let client = client(&pool, &upstream);
        let served = join_all((0..200).map(|_| fetch(&client, chat("m")))).await;
        assert!(served.iter().all(|got| got.status == 200));
        assert_idle(&pool);
    }
}

#[tokio::test(start_paused = true)]
async fn a6_4_every_second_key_is_tried_too_and_none_once_the_caller_has_gone() {
    let upstream = Upstream::new(|mut call| async move {
        call.read().await;
        tokio::time::sleep(secs(1)).await;
        Ok(throttled())
    });
    let pool = pool(&["m"; 4]);
    let client = client(&pool, &upstream);
    assert!(tokio::time::timeout(secs(2) + secs(1) / 2, fetch(&client, chat("m"))).await.is_err());
    tokio::time::sleep(secs(10)).await;
    assert_eq!(sent(&upstream), [0, 1, 2]);
    assert_idle(&pool);
}

#[tokio::test(start_paused = true)]
async fn a6_5_i14_the_last_answer_is_the_providers_own() {
    let said =
        |_| answer(429, &[("retry-after", "7"), ("x-request-id", "r-1")], r#"{"error":{"message":"slow down"}}"#);
    let got = fetch(&client(&pool(&["m", "m"]), &Upstream::in_turn(said)), chat("m")).await;
    assert_eq!((got.status.as_u16(), got.header("x-request-id")), (429, Some("r-1")));
    assert_eq!(got.json()["error"]["message"], "slow down");
    assert!(!got.text().contains("api.openai.com"));
}
