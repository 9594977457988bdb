//! A3: what a failure means for its request.

use http::Response;
use key_commune::demand::Routing;
use key_commune::health::{Reason, State};
use key_commune::outcome::{Outcome, Scope};
use key_commune::pool::{KeyPool, MemberSnapshot};
use key_commune::{KeyCommuneLayer, Refusal, preset};
use tower::Layer;

use super::super::{bad, chat, hinted_for, pool};
use crate::support::{Got, Stepped, Upstream, answer, fetch, key, revoked, secs, throttled};

/// What a provider says.
type Said = fn() -> Response<Stepped>;

async fn ask(pool: &KeyPool, upstream: &Upstream) -> Got {
    let client = KeyCommuneLayer::new(pool.clone()).inspect(Routing::new()).layer(upstream.clone());
    fetch(&client, chat("m")).await
}

/// Nothing rests, and nothing is held against any key.
fn assert_clean(pool: &KeyPool) {
    let clean = |member: &MemberSnapshot| {
        member.state == State::Active && member.rests.is_empty() && (member.throttles, member.rejections) == (0, 0)
    };
    assert!(pool.snapshot().members.iter().all(clean), "{}", pool.snapshot());
}

#[tokio::test(start_paused = true)]
async fn a3_1_a3_2_i9_i15_a_server_error_is_the_callers_and_costs_the_key_nothing() {
    for status in [500, 502, 503, 504, 520] {
        let (pool, upstream) = (pool(preset::rotator, 3), bad(3, move || answer(status, &[], "as it came")));
        for _ in 0..6 {
            let got = ask(&pool, &upstream).await;
            assert_eq!((got.status.as_u16(), got.text().as_str()), (status, "as it came"));
        }
        assert_eq!(upstream.count(), 6, "once each");
        assert_clean(&pool);
    }
}

#[tokio::test(start_paused = true)]
async fn a3_1_i23_it_is_repeated_if_that_is_switched_on_and_with_another_key() {
    let (pool, upstream) = (pool(preset::rotator, 3), bad(1, || answer(500, &[], "")));
    let layer = KeyCommuneLayer::new(pool.clone()).inspect(Routing::new()).retry_failures(true);
    let got = fetch(&layer.layer(upstream.clone()), chat("m")).await;
    assert_eq!((got.status.as_u16(), upstream.count(), upstream.uses(&key(0))), (200, 2, 1));
    assert_clean(&pool);
}

#[tokio::test(start_paused = true)]
async fn a3_3_a_refused_key_cools_and_the_next_one_is_asked_at_once() {
    let refusals: [Said; 4] = [revoked, throttled, || hinted_for("3600"), || answer(402, &[], "")];
    for said in refusals {
        let (pool, upstream) = (pool(preset::rotator, 3), bad(2, said));
        let begun = tokio::time::Instant::now();
        assert_eq!(ask(&pool, &upstream).await.status, 200);
        assert_eq!((upstream.count(), begun.elapsed()), (3, secs(0)), "nobody sleeps on a key");
        assert_eq!(ask(&pool, &upstream).await.status, 200);
        assert_eq!(upstream.count(), 4, "both cool");
    }
}

#[tokio::test(start_paused = true)]
async fn a3_3_i4_a_callers_mistake_comes_back_as_it_is_and_costs_the_key_nothing() {
    for status in [400, 404, 405, 409, 413, 415, 422] {
        let (pool, upstream) = (pool(preset::rotator, 3), bad(3, move || answer(status, &[], "as it came")));
        let got = ask(&pool, &upstream).await;
        assert_eq!((got.status.as_u16(), got.text().as_str(), upstream.count()), (status, "as it came", 1));
        assert_clean(&pool);
    }
}

#[tokio::test(start_paused = true)]
async fn a3_4_the_last_failure_is_told_with_its_model_and_its_reason() {
    let pool = pool(preset::rotator, 1);
    let failures: [(Said, _); 3] = [
        (|| hinted_for("7"), Reason::Hinted(Outcome::Throttled)),
        (throttled, Reason::Outcome(Outcome::Throttled)),
        (|| answer(402, &[], ""), Reason::Outcome(Outcome::QuotaSpent)),
    ];
    for (said, reason) in failures {
        ask(&pool, &Upstream::in_turn(move |_| said())).await;
        let rest = pool.snapshot().members[0].rests.remove(0);
        assert_eq!((rest.scope, rest.model.as_deref(), rest.reason), (Scope::KeyModel, Some("m"), Some(reason)));
        tokio::time::advance(rest.until - pool.now()).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a3_5_i14_an_exhausted_pool_says_so_and_when_to_come_back() {
    let (pool_a, upstream) = (pool(preset::rotator, 2), bad(2, throttled));
    assert_eq!(ask(&pool_a, &upstream).await.told(), (429, Some("10")));
    assert_eq!(ask(&pool_a, &upstream).await.told(), (429, Some("10")), "not asked, and told the same");
    assert_eq!(upstream.count(), 2);
    let (pool_b, upstream) = (pool(preset::rotator, 2), bad(2, revoked));
    let got = ask(&pool_b, &upstream).await;
    assert_eq!(got.told(), (429, Some("300")), "what speaks of our keys is not shown");
    assert_eq!(got.refusal, Some(Refusal::Exhausted { retry_after: Some(secs(300)) }));
}
