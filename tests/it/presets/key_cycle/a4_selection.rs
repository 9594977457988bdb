//! A4: the model, and the key for it.

use std::time::Duration;

use http::{HeaderName, HeaderValue, Method};
use key_commune::demand::{Demand, Routing};
use key_commune::select::{PeakEwma, TwoChoices};
use key_commune::{KeyCommuneLayer, Refusal};
use tower::Layer;

use super::super::{body, hinted_for};
use super::{builder, chat, client, keys_for, pool, sent, serve};
use crate::support::{CHAT, Seen, Stepped, Upstream, answer, fetch, key, ok, revoked, to};

const KEYS: &[&str] = &["gpt-4", "gpt-4,o3", "others"];

#[tokio::test(start_paused = true)]
async fn a4_1_the_body_arrives_as_it_was_sent_however_it_came() {
    let text = r#"{"messages":[{"content":"çà 日本 😀"}],"model":"o3"}"#;
    let bytes = text.bytes().map(|byte| vec![byte]);
    let upstream = Upstream::answering(|_| ok());
    fetch(&client(&pool(KEYS), &upstream), to(CHAT, &[super::super::JSON], Stepped::chunks(bytes))).await;
    assert_eq!((upstream.last().body, sent(&upstream)), (text.as_bytes().to_vec(), vec![1]));
}

#[tokio::test(start_paused = true)]
async fn a4_2_what_is_no_object_with_a_text_model_is_refused_with_400() {
    let pool = pool(KEYS);
    for (text, why) in [
        ("no JSON", "it is not JSON"),
        (r#"{"model":"o3""#, "it is not JSON"),
        (r#"{"model":"o3"} more"#, "it is not JSON"),
        ("--x\r\ncontent-disposition: form-data; name=\"model\"\r\n\r\no3\r\n--x--", "it is not JSON"),
        ("{}", "missing field `model`"),
        (r#"["model"]"#, "missing field `model`"),
        (r#""o3""#, "missing field `model`"),
        ("null", "missing field `model`"),
        (r#"{"x":{"model":"o3"}}"#, "missing field `model`"),
        (r#"{"model":"o3","model":"o3"}"#, "duplicate field `model`"),
        (r#"{"model":"o3","x":1,"mod\u0065l":"gpt-4"}"#, "duplicate field `model`"),
        (r#"{"model":7}"#, "`model` is no name"),
        (r#"{"model":null}"#, "`model` is no name"),
        (r#"{"model":["o3"]}"#, "`model` is no name"),
    ] {
        let (got, sent) = serve(&pool, body(text)).await;
        assert_eq!((got.status.as_u16(), sent.len()), (400, 0), "{text}");
        let message = got.json()["error"]["message"].as_str().unwrap().to_owned();
        assert_eq!(message, format!("Invalid JSON payload: {why}"), "{text}");
        assert!(matches!(got.refusal, Some(Refusal::Denied(_))));
    }
}

#[tokio::test(start_paused = true)]
async fn a4_2_the_model_is_in_the_body_and_nowhere_else_whatever_the_body_is_declared_as() {
    let pool = pool(KEYS);
    let paths = ["/openai/deployments/gpt-4/chat", "/v1beta/models/gpt-4:generateContent", "/v1/chat?model=gpt-4"];
    for path in paths {
        for kind in ["application/json", "text/plain", "multipart/form-data; boundary=x"] {
            let request = |text: &'static str| {
                to(&format!("https://api.openai.com{path}"), &[("content-type", kind)], Stepped::full(text))
            };
            assert_eq!(serve(&pool, request(r#"{"model":"o3"}"#)).await.1, [1], "{path} {kind}");
            assert_eq!(serve(&pool, request("{}")).await.0.status, 400, "{path} {kind}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a4_2_an_empty_body_asks_for_others() {
    let pool = pool(KEYS);
    assert_eq!(serve(&pool, body("")).await.1, [2]);
    let mut get = body("");
    *get.method_mut() = Method::GET;
    assert_eq!(serve(&pool, get).await.0.status, 200, "what cannot have a body is content with any key");
}

#[tokio::test(start_paused = true)]
async fn a4_2_i7_what_cannot_be_judged_is_refused() {
    let pool = pool(KEYS);
    for text in [
        format!(r#"{{"model":"o3","x":"{}"}}"#, "x".repeat(1 << 20)),
        format!(r#"{{"model":"{}"}}"#, "m".repeat(Demand::MAX_LEN + 1)),
        r#"{"model":""}"#.to_owned(),
    ] {
        let (got, sent) = serve(&pool, body(&text)).await;
        assert_eq!((got.status.as_u16(), sent.len()), (400, 0));
    }
    let mut claimed = body("{}");
    claimed.extensions_mut().insert(Demand::default().model("o3"));
    assert_eq!(serve(&pool, claimed).await.0.status, 400, "an application's word opens no way round it");
}

#[tokio::test(start_paused = true)]
async fn a4_3_a_key_serves_the_models_it_names_and_others_those_that_none_does() {
    let pool = pool(KEYS);
    for (model, keys) in [("gpt-4", &[0, 1][..]), ("o3", &[1]), ("claude", &[2]), ("GPT-4", &[2]), ("gpt-4-mini", &[2])]
    {
        let found = keys_for(&pool, model, 10).await;
        assert!(found.iter().all(|number| keys.contains(number)), "{model}: {found:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a4_4_a_model_called_others_is_served_by_others() {
    assert_eq!(keys_for(&pool(KEYS), "others", 5).await, [2; 5]);
    let (got, _) = serve(&pool(&KEYS[..2]), chat("others")).await;
    assert_eq!(got.status, 404);
}

/// It answered 500.
#[tokio::test(start_paused = true)]
async fn a4_5_i14_a_model_that_no_key_serves_is_answered_as_the_provider_would() {
    let (got, sent) = serve(&pool(&KEYS[..2]), chat("claude")).await;
    assert_eq!((got.status.as_u16(), sent.len()), (404, 0));
    assert_eq!(got.refusal, Some(Refusal::UnknownModel("claude".into())));
    assert_eq!(got.json()["error"]["code"], "model_not_found");
}

#[tokio::test(start_paused = true)]
async fn a4_6_each_key_in_turn_by_one_counter_for_all_models() {
    let pool = pool(&["a,b", "a,b", "a,b"]);
    let mut found = Vec::new();
    for model in ["a", "b", "b", "a", "a", "b"] {
        found.extend(keys_for(&pool, model, 1).await);
    }
    assert_eq!(found, [0, 1, 2, 0, 1, 2]);
}

#[tokio::test(start_paused = true)]
async fn a4_6_in_turn_among_those_that_serve_the_model() {
    let pool = pool(&["a", "b", "a", "b", "a"]);
    for (model, keys) in [("a", &[0, 2, 4][..]), ("b", &[1, 3])] {
        let found = keys_for(&pool, model, 12).await;
        assert!(found.chunks(keys.len()).all(|round| round == found[..keys.len()].to_vec()), "{found:?}");
        let mut round = found[..keys.len()].to_vec();
        round.sort_unstable();
        assert_eq!(round, keys);
    }
}

/// What its README calls so; in its code it is `round_robin`.
#[tokio::test(start_paused = true)]
async fn a4_7_health_weighted_spares_a_key_that_was_refused_of_late() {
    let pool = builder(&["m", "m"]).select(TwoChoices).seed(7).build().unwrap();
    let upstream = super::super::bad(1, || hinted_for("9"));
    for _ in 0..20 {
        assert_eq!(fetch(&client(&pool, &upstream), chat("m")).await.status, 200);
    }
    assert!(upstream.uses(&key(0)) <= 1, "and asks it again if all have been refused as often");
}

#[tokio::test(start_paused = true)]
async fn a4_8_a4_9_least_latency_prefers_the_key_that_answers_soonest_of_those_that_serve_the_model() {
    let pool = builder(&["m", "m", "m", "x"]).select(PeakEwma::default()).seed(7).build().unwrap();
    let upstream = Upstream::new(|mut call| async move {
        let seen = call.read().await;
        let number = (0..4).find(|&number| seen.key() == key(number)).unwrap();
        tokio::time::sleep(Duration::from_millis([90, 10, 50, 1][number])).await;
        Ok(ok())
    });
    for _ in 0..60 {
        fetch(&client(&pool, &upstream), chat("m")).await;
    }
    let uses: [usize; 4] = std::array::from_fn(|number| upstream.uses(&key(number)));
    assert!(uses[1] > 35 && uses[3] == 0, "by the answers, not by probes: {uses:?}");
    assert_eq!(upstream.count(), 60, "nothing is sent that nobody asked for");
}

#[tokio::test(start_paused = true)]
async fn a4_10_a_repeat_stays_with_the_keys_that_serve_the_model_and_tries_each_once() {
    let pool = pool(KEYS);
    for (model, keys) in [("gpt-4", vec![0, 1]), ("o3", vec![1]), ("claude", vec![2])] {
        for said in [|| hinted_for("1"), revoked] {
            let upstream = Upstream::in_turn(move |_| said());
            fetch(&client(&pool, &upstream), chat(model)).await;
            let mut tried = sent(&upstream);
            tried.sort_unstable();
            assert_eq!(tried, keys, "{model}");
        }
    }
}

const FORBIDDEN: &str = r#"{"error":{"message":"Project p does not have access to model m","code":"model_not_found"}}"#;

#[tokio::test(start_paused = true)]
async fn a4_11_no_failure_is_remembered_whatever_it_was() {
    let pool = pool(&["m", "m"]);
    for said in [
        || hinted_for("60"),
        revoked,
        || answer(402, &[], ""),
        || answer(500, &[], ""),
        || answer(403, &[super::super::JSON], FORBIDDEN),
        || answer(200, &[("x-ratelimit-remaining-requests", "0"), ("x-ratelimit-reset-requests", "60s")], "{}"),
    ] as [fn() -> _; 6]
    {
        let upstream = Upstream::answering(move |seen: &Seen| if seen.key() == key(0) { said() } else { ok() });
        for _ in 0..10 {
            fetch(&client(&pool, &upstream), chat("m")).await;
        }
        assert!(upstream.uses(&key(0)) >= 5, "it is asked again and again");
        assert!(pool.snapshot().members.iter().all(|member| member.rests.is_empty() && member.until.is_none()));
    }
}

#[tokio::test(start_paused = true)]
async fn a4_sessions_may_be_looked_for_beside_the_model() {
    let header = HeaderName::from_static("x-chat");
    let upstream = Upstream::answering(|_| ok());
    let pool = builder(&["m", "m", "m"]).select(<key_commune::select::Sticky>::default()).build().unwrap();
    let layer = KeyCommuneLayer::new(pool).inspect(Routing::key_cycle().header(header.clone()));
    for _ in 0..10 {
        let mut request = chat("m");
        request.headers_mut().insert(header.clone(), HeaderValue::from_static("c-1"));
        fetch(&layer.clone().layer(upstream.clone()), request).await;
    }
    let keys = sent(&upstream);
    assert!(keys.iter().all(|number| *number == keys[0]), "{keys:?}");
}
