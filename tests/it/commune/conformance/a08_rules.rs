//! A8: which requests are let through. The rules by themselves are tested in `rules`.

use key_commune::rules::Rules;
use key_commune::{KeyCommuneLayer, Refusal};
use tower::Layer;

use super::super::{World, chat};
use super::commune;
use crate::support::{Got, Stepped, fetch, secs, to};

/// A chat of caller 0 with this body, through the shipped rule.
async fn judged(world: &World, body: &'static str) -> Got {
    let mut request = chat(0);
    *request.body_mut() = Stepped::full(body);
    through(world, request).await
}

async fn through(world: &World, request: http::Request<Stepped>) -> Got {
    world.pass(2);
    let rules = Rules::new().body("model", "^gpt-").unwrap();
    fetch(&KeyCommuneLayer::new(world.pool.clone()).inspect(rules).layer(world.upstream.clone()), request).await
}

fn why(got: &Got) -> (u16, String) {
    (got.status.as_u16(), got.json()["error"]["message"].as_str().unwrap_or_default().to_owned())
}

#[tokio::test]
async fn a08_1_and_2_a_request_that_keeps_the_rules_passes() {
    let world = commune(1);
    assert_eq!(judged(&world, r#"{"model":"gpt-4"}"#).await.status, 200);
    assert_eq!(world.upstream.last().body, br#"{"model":"gpt-4"}"#);
}

#[tokio::test]
async fn a08_3_one_that_does_not_is_told_why() {
    let cases = [
        (r#"{"messages":[]}"#, "Missing required body-json parameter: model"),
        (
            r#"{"model":"claude-3"}"#,
            r#"body-json parameter "model" with value "claude-3" does not match regex pattern: ^gpt-"#,
        ),
    ];
    for (body, message) in cases {
        let world = commune(1);
        let got = judged(&world, body).await;
        assert_eq!(why(&got), (400, message.to_owned()));
        assert_eq!((world.upstream.count(), world.member(0).unwrap().uses), (0, 0), "no key was touched");
    }
}

#[tokio::test]
async fn a07_3_5_8_the_key_is_looked_at_before_the_rules() {
    let world = commune(1);
    let got = through(&world, to(super::super::CHAT, &[], Stepped::full("{}"))).await;
    assert_eq!(got.refusal, Some(Refusal::NoCredential));
    let got = through(&world, to(super::super::CHAT, &[("authorization", "Bearer short")], Stepped::full("{}"))).await;
    assert_eq!(got.refusal, Some(Refusal::KeyTooShort));
}

#[tokio::test]
async fn a07_4_8_a_request_that_breaks_the_rules_counts_against_the_rate() {
    let world = commune(1);
    assert_eq!(judged(&world, "{}").await.status, 400);
    world.clock.pass(secs(1));
    let got = world.chat(0).await;
    assert_eq!(got.told(), (429, Some("1")));
}
