//! I10: what may be kept of bodies is bounded; nobody gets a wrong answer for that.

use key_commune::demand::Routing;
use key_commune::pool::KeyPool;
use key_commune::rewrite::StripPrefix;
use key_commune::rules::Rules;
use key_commune::{KeyCommuneLayer, Provider, Refusal};
use tower::Layer;

use crate::support::{
    CHAT, Got, Stepped, Upstream, assert_idle, fetch, key, keys, ok, throttled, timed, to, tokio_clock,
};

const BODY: &str = r#"{"model":"openai/a"}"#;

/// A layer whose memory is full.
fn full(pool: &KeyPool) -> KeyCommuneLayer {
    KeyCommuneLayer::new(pool.clone()).max_replay_memory(0)
}

async fn sent(layer: KeyCommuneLayer, upstream: &Upstream, body: Stepped) -> Got {
    fetch(&layer.layer(upstream.clone()), to(CHAT, &[("content-type", "application/json")], body)).await
}

fn streamed() -> [Stepped; 2] {
    [Stepped::chunks([BODY]), Stepped::chunks([&BODY[..3], &BODY[3..]])]
}

#[tokio::test(start_paused = true)]
async fn a_body_at_hand_is_judged_without_room_to_keep_it() {
    for (pattern, status) in [("^openai/a$", 200), ("^b$", 400)] {
        let (pool, upstream) = (timed(2), Upstream::in_turn(|_| ok()));
        let layer = full(&pool).inspect(Rules::new().body("model", pattern).unwrap());
        assert_eq!(sent(layer, &upstream, Stepped::full(BODY)).await.status.as_u16(), status);
        assert_eq!(upstream.count(), usize::from(status == 200));
        assert_idle(&pool);
    }
}

#[tokio::test(start_paused = true)]
async fn it_goes_to_a_key_that_serves_its_model() {
    let all = keys(2).into_iter().zip(["openai/a", "b"]).map(|(key, models)| key.models(models.parse().unwrap()));
    let pool = KeyPool::builder(Provider::OPENAI).keys(all).seed(7).clock(tokio_clock()).build().unwrap();
    let upstream = Upstream::in_turn(|_| ok());
    for _ in 0..20 {
        sent(full(&pool).inspect(Routing::new()), &upstream, Stepped::full(BODY)).await;
    }
    assert_eq!((upstream.uses(&key(0)), upstream.uses(&key(1))), (20, 0));
}

#[tokio::test(start_paused = true)]
async fn it_is_changed_and_sent_once() {
    let (pool, upstream) = (timed(2), Upstream::in_turn(|_| throttled()));
    let got = sent(full(&pool).rewrite(StripPrefix::new("openai")), &upstream, Stepped::full(BODY)).await;
    assert_eq!((got.status.as_u16(), upstream.count()), (429, 1));
    assert_eq!(upstream.last().body, br#"{"model":"a"}"#);
}

/// Neither is it the caller's fault, nor is it known which key may serve it.
#[tokio::test(start_paused = true)]
async fn a_body_that_would_have_to_be_kept_to_be_read_is_refused_for_now() {
    let (pool, upstream) = (timed(2), Upstream::in_turn(|_| ok()));
    for layer in [
        full(&pool).inspect(Rules::new().body("model", "a").unwrap()),
        full(&pool).inspect(Routing::new()),
        full(&pool).rewrite(StripPrefix::new("openai")),
    ] {
        for body in streamed() {
            let got = sent(layer.clone(), &upstream, body).await;
            assert_eq!((got.told(), &got.refusal), ((503, Some("1")), &Some(Refusal::NoRoom)));
        }
    }
    assert_eq!(upstream.count(), 0);
    assert_idle(&pool);
    for body in streamed() {
        assert_eq!(sent(full(&pool), &upstream, body).await.status.as_u16(), 200, "nobody wants to read it");
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_that_is_too_long_is_so_whether_or_not_there_is_room() {
    let (pool, upstream) = (timed(2), Upstream::in_turn(|_| ok()));
    let rules = Rules::new().body("model", "a").unwrap().max_body(10);
    let got = sent(full(&pool).inspect(rules), &upstream, Stepped::chunks([BODY])).await;
    assert_eq!((got.status.as_u16(), upstream.count()), (400, 0));
}

#[tokio::test(start_paused = true)]
async fn layers_share_their_memory_with_their_clones_alone() {
    let pool = timed(2);
    let roomy = || KeyCommuneLayer::new(pool.clone()).inspect(Routing::new()).max_replay_memory(2 * 1024);
    let hangs = Upstream::new(|_| std::future::pending());
    let (one, other) = (roomy(), roomy());
    let clone = one.clone().layer(hangs);
    let mut held = Box::pin(fetch(&clone, to(CHAT, &[], Stepped::chunks([vec![b' '; 1_500]]))));
    assert!(futures_util::poll!(&mut held).is_pending());
    let upstream = Upstream::in_turn(|_| ok());
    for (layer, status) in [(one, 503), (other, 200)] {
        let got = sent(layer, &upstream, Stepped::chunks([vec![b' '; 1_500]])).await;
        assert_eq!(got.status.as_u16(), status);
    }
}
