//! Group E: poisoned health.

use key_commune::KeyCommuneLayer;
use key_commune::health::State;
use tower::Layer;

use crate::support::{
    CHAT, Step, Stepped, Upstream, answer, assert_idle, client, fetch, key, ok, post, revoked, secs, send, streamed,
    throttled, timed, to,
};

#[tokio::test(start_paused = true)]
async fn attack_32_a_thousand_failures_at_once_are_one_strike() {
    for failure in [throttled, revoked] {
        let pool = timed(1);
        let upstream = Upstream::new(move |mut call| async move {
            call.read().await;
            tokio::time::sleep(secs(1)).await;
            Ok(failure())
        });
        let client = client(&pool, &upstream);
        let burst: Vec<_> = (0..1_000)
            .map(|_| {
                let client = client.clone();
                tokio::spawn(async move { fetch(&client, post("x")).await.told().0 })
            })
            .collect();
        for status in burst {
            assert_eq!(status.await.unwrap(), 429);
        }
        let member = pool.snapshot().members.remove(0);
        assert_eq!((upstream.count(), member.throttles + member.rejections), (1_000, 1));
        assert_eq!(member.until, Some(pool.now() + secs(60)), "the first rung");
    }
}

#[tokio::test(start_paused = true)]
async fn attack_33_34_an_answer_that_comes_late_changes_nothing() {
    for (slow, remove) in [(ok as fn() -> http::Response<Stepped>, false), (revoked, true)] {
        let pool = timed(1);
        let upstream = Upstream::new(move |mut call| async move {
            call.read().await;
            if call.number == 0 {
                tokio::time::sleep(secs(5)).await;
                return Ok(slow());
            }
            Ok(revoked())
        });
        let client = client(&pool, &upstream);
        let early = tokio::spawn({
            let client = client.clone();
            async move { fetch(&client, post("x")).await }
        });
        tokio::task::yield_now().await;
        fetch(&client, post("x")).await;
        if remove {
            pool.remove(pool.snapshot().members[0].id);
        }
        early.await.unwrap();
        let members = pool.snapshot().members;
        assert_eq!(
            members.iter().map(|member| member.state).collect::<Vec<_>>(),
            if remove { vec![] } else { vec![State::Resting] }
        );
        assert_idle(&pool);
    }
}

#[tokio::test(start_paused = true)]
async fn attack_36_74_no_word_about_time_rests_a_key_for_more_than_an_hour() {
    let values = [
        "999999999999",
        "18446744073709551615",
        "99999999999999999999999",
        "+5",
        "-5",
        "1e3",
        "0x10",
        " 5 ",
        "5 5",
        "5.5",
        "",
        "Fri, 31 Dec 9999 23:59:59 GMT",
        "Thu, 01 Jan 1970 00:00:00 GMT",
        "NaN",
        "inf",
        "\u{0665}",
    ];
    for value in values {
        for name in ["retry-after", "retry-after-ms", "x-ratelimit-reset-requests", "ratelimit-reset"] {
            let pool = timed(1);
            let upstream = Upstream::in_turn(move |_| answer(429, &[(name, value)], ""));
            fetch(&client(&pool, &upstream), post("x")).await;
            let until = pool.snapshot().members[0].until;
            assert!(until.is_none_or(|until| until <= pool.now() + secs(3_600)), "{name}: {value}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn attack_37_who_hangs_up_at_the_head_hides_nothing() {
    let pool = timed(1);
    let body = || Stepped::chunks(["x"]).then(Step::Hang);
    let upstream = Upstream::in_turn(move |_| streamed(401, &[("content-type", "text/plain")], body()));
    drop(send(&client(&pool, &upstream), post("x")).await.unwrap());
    assert_eq!((pool.snapshot().members[0].state, pool.snapshot().members[0].rejections), (State::Resting, 1));
    assert_idle(&pool);
}

#[tokio::test(start_paused = true)]
async fn attack_37_who_hangs_up_while_a_refusal_is_read_hides_nothing() {
    let pool = timed(1);
    let body = || Stepped::chunks(["{\"error\":"]).then(Step::Hang);
    let upstream = Upstream::in_turn(move |_| streamed(429, &[("retry-after", "20")], body()));
    let client = client(&pool, &upstream);
    let mut request = Box::pin(send(&client, post("x")));
    assert!(tokio::time::timeout(secs(1), request.as_mut()).await.is_err(), "the body is still being read");
    drop(request);
    let member = &pool.snapshot().members[0];
    assert_eq!((member.state, member.until), (State::Resting, Some(pool.now() + secs(20))));
    assert_idle(&pool);
}

#[tokio::test(start_paused = true)]
async fn attack_38_a_probe_that_stalls_or_hangs_up_is_replaced() {
    for hangs_up in [false, true] {
        let pool = timed(1);
        let upstream = Upstream::new(|mut call| async move {
            call.read().await;
            match call.number {
                0 => Ok(throttled()),
                1 => std::future::pending().await,
                _ => Ok(ok()),
            }
        });
        let client = KeyCommuneLayer::new(pool.clone()).max_wait(secs(40)).layer(upstream.clone());
        fetch(&client, post("x")).await;
        tokio::time::sleep(secs(60)).await;
        let captor = tokio::spawn({
            let client = client.clone();
            async move { fetch(&client, post("x")).await }
        });
        tokio::time::sleep(secs(1)).await;
        if hangs_up {
            captor.abort();
        }
        let started = tokio::time::Instant::now();
        assert_eq!(fetch(&client, post("x")).await.status.as_u16(), 200);
        assert_eq!(started.elapsed(), secs(if hangs_up { 0 } else { 29 }), "its patience is 30 s");
        captor.abort();
        assert!(captor.await.is_err());
        assert_idle(&pool);
    }
}

#[tokio::test(start_paused = true)]
async fn attack_39_a_nomination_takes_no_header_of_ours_out() {
    for nominated in
        ["authorization", "Authorization, host", "close, authorization, connection, x-api-key", "content-type"]
    {
        let upstream = Upstream::in_turn(|_| ok());
        let sent = [("connection", nominated), ("connection", "authorization"), ("authorization", "Bearer caller")];
        fetch(&client(&timed(1), &upstream), to(CHAT, &sent, Stepped::full(""))).await;
        assert_eq!(upstream.last().headers, crate::support::map(&[("authorization", &format!("Bearer {}", key(0)))]));
    }
}
