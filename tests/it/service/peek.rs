//! I9: a 200 is no success before its first event, and reading that event changes no byte.

use key_commune::KeyCommuneLayer;
use key_commune::health::State;
use key_commune::pool::{Key, KeyPool};
use key_commune::provider::Provider;
use tower::Layer;

use crate::support::{
    CHAT, Step, Stepped, Upstream, answer, assert_idle, client, events, fetch, key, keys, ok, plain, post, read, secs,
    send, streamed, timed, to, tokio_clock,
};

const SSE: [(&str, &str); 1] = [("content-type", "text/event-stream")];
const PINGS: &str = ": PROCESSING\n\nevent: ping\ndata: {\"type\": \"ping\"}\n\n: PROCESSING\n\n";

fn pool(provider: Provider) -> KeyPool {
    let keys = [0, 1].map(|number| Key::new(key(number)).unwrap());
    let provider = provider.base("https://api.openai.com");
    KeyPool::builder(provider).penalties(plain()).keys(keys).clock(tokio_clock()).build().unwrap()
}

#[tokio::test(start_paused = true)]
#[expect(clippy::too_many_lines, reason = "a table")]
async fn i9_an_error_as_the_first_event_of_a_200_fails_over() {
    let anthropic = Provider::ANTHROPIC;
    let table = [
        (
            Provider::OPENAI,
            "data: {\"error\":{\"code\":\"rate_limit_exceeded\",\"message\":\"slow\"}}\n\n",
            State::Resting,
        ),
        (
            Provider::OPENAI,
            "data: {\"error\":{\"code\":\"invalid_api_key\",\"message\":\"bad\"}}\r\n\r\n",
            State::Resting,
        ),
        (
            anthropic.clone(),
            "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\"}}\n\n",
            State::Active,
        ),
        (
            anthropic,
            "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"rate_limit_error\",\"message\":\"m\"}}\n\n",
            State::Resting,
        ),
        (
            Provider::OPENROUTER,
            "data: {\"error\":{\"code\":429,\"message\":\"Rate limit exceeded\"}}\n\n",
            State::Resting,
        ),
    ];
    let good = "event: message_start\ndata: {\"type\":\"message_start\"}\n\n";
    for (provider, error, state) in table {
        for pings in ["", PINGS] {
            let pool = pool(provider.clone());
            let first = format!("{pings}{error}");
            let upstream =
                Upstream::in_turn(move |number| if number == 0 { events(&[&first]) } else { events(&[PINGS, good]) });
            let got = fetch(&client(&pool, &upstream), post("x")).await;
            assert_eq!((got.status.as_u16(), got.text()), (200, format!("{PINGS}{good}")), "{error}");
            assert_eq!(upstream.count(), 2, "{error}");
            let bad = upstream.seen()[0].key().to_owned();
            let position = usize::from(bad == key(1));
            assert_eq!(pool.snapshot().members[position].state, state, "{error}");
            assert_idle(&pool);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn i9_an_error_in_a_json_200_fails_over_where_the_provider_hides_them_there() {
    let error = r#"{"error":{"code":429,"message":"Rate limit exceeded"}}"#;
    let json = [("content-type", "application/json")];
    let upstream = Upstream::in_turn(move |number| if number == 0 { answer(200, &json, error) } else { ok() });
    let got = fetch(&client(&pool(Provider::OPENROUTER), &upstream), post("x")).await;
    assert_eq!((got.text().as_str(), upstream.count()), (r#"{"ok":true}"#, 2));
}

#[tokio::test(start_paused = true)]
async fn i9_a_later_error_is_passed_on_and_never_replayed() {
    let good = "data: {\"choices\":[]}\n\n";
    let error = "data: {\"error\":{\"code\":\"rate_limit_exceeded\"}}\n\n";
    let upstream = Upstream::in_turn(move |_| events(&[good, error]));
    let got = fetch(&client(&timed(2), &upstream), post("x")).await;
    assert_eq!((got.text(), upstream.count()), (format!("{good}{error}"), 1));
}

#[tokio::test(start_paused = true)]
async fn i10_reading_ahead_changes_no_byte_wherever_the_stream_is_cut() {
    let stream = format!("\u{feff}{PINGS}event: a\r\ndata: {{\"x\":1}}\r\n\r\ndata: é\n\ndata: [DONE]\n\n");
    for cut in 1..stream.len() {
        let bytes = stream.clone().into_bytes();
        let chunks = [bytes[..cut].to_vec(), bytes[cut..].to_vec()];
        let upstream = Upstream::in_turn(move |_| streamed(200, &SSE, Stepped::chunks(chunks.clone())));
        let got = fetch(&client(&timed(2), &upstream), post("x")).await;
        assert_eq!(got.body, stream.as_bytes(), "cut at {cut}");
    }
    let bytes = stream.clone().into_bytes();
    let upstream =
        Upstream::in_turn(move |_| streamed(200, &SSE, Stepped::chunks(bytes.iter().map(|byte| vec![*byte]))));
    let got = fetch(&client(&timed(2), &upstream), post("x")).await;
    assert_eq!(got.body, stream.as_bytes(), "byte by byte");
}

#[tokio::test(start_paused = true)]
async fn i7_a_slow_first_event_is_committed_to_after_two_seconds() {
    for pings in ["", PINGS] {
        let (pool, started) = (timed(2), tokio::time::Instant::now());
        let upstream = Upstream::in_turn(move |_| {
            let body = Stepped::chunks([pings.to_owned()]).then(Step::Wait(secs(60)));
            streamed(200, &SSE, body.then(Step::Data("data: {\"error\":{\"code\":429}}\n\n".into())))
        });
        let response = send(&client(&pool, &upstream), post("x")).await.unwrap();
        assert_eq!(started.elapsed(), secs(2));
        let got = read(response).await;
        assert_eq!(started.elapsed(), secs(60), "and the stream goes on as it comes");
        assert_eq!(got.text(), format!("{pings}data: {{\"error\":{{\"code\":429}}}}\n\n"));
        assert_eq!(upstream.count(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn i7_a_refusal_whose_body_does_not_end_is_judged_by_what_has_come() {
    let started = tokio::time::Instant::now();
    let upstream = Upstream::in_turn(|number| match number {
        0 => streamed(
            429,
            &[],
            Stepped::chunks([r#"{"error":{"message":"Please try again in 7s. Visit"#]).then(Step::Hang),
        ),
        _ => ok(),
    });
    let pool = timed(2);
    let got = fetch(&client(&pool, &upstream), post("x")).await;
    assert_eq!((got.status.as_u16(), started.elapsed()), (200, secs(2)));
    let resting = pool.snapshot().members.into_iter().find(|member| member.state == State::Resting).unwrap();
    assert_eq!(resting.until, Some(pool.now() + secs(7)));
    assert_idle(&pool);
}

#[tokio::test(start_paused = true)]
async fn i10_what_is_no_event_stream_is_not_waited_for() {
    let started = tokio::time::Instant::now();
    let upstream = Upstream::in_turn(|_| {
        streamed(
            200,
            &[("content-type", "application/json")],
            Stepped::new([Step::Wait(secs(30)), Step::Data("{}".into())]),
        )
    });
    let response = send(&client(&timed(2), &upstream), to(CHAT, &[], Stepped::full(""))).await.unwrap();
    assert_eq!(started.elapsed(), secs(0));
    assert_eq!(read(response).await.text(), "{}");
}

/// A wrong key is a 400 at Gemini's, which only its body tells from the caller's own.
#[tokio::test(start_paused = true)]
async fn a_refusal_is_understood_whatever_the_caller_can_decode() {
    const BAD: &str = r#"{"error":{"code":400,"message":"API key not valid. Please pass a valid API key.","status":"INVALID_ARGUMENT","details":[{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"API_KEY_INVALID"}]}}"#;
    let json = ("content-type", "application/json");
    let pool =
        || KeyPool::builder(Provider::GEMINI).keys(keys(2)).penalties(plain()).clock(tokio_clock()).build().unwrap();
    let upstream = Upstream::answering(move |seen| {
        let gzip = seen.headers.get("accept-encoding").is_some_and(|value| value.to_str().unwrap().contains("gzip"));
        match (seen.headers["x-goog-api-key"] == *key(0), gzip) {
            (false, _) => ok(),
            (true, false) => answer(400, &[json], BAD),
            (true, true) => answer(400, &[json, ("content-encoding", "gzip")], "\u{1f}\u{8}not to be read"),
        }
    });
    for encoding in ["identity", "gzip, deflate, br"] {
        let layer = KeyCommuneLayer::new(pool());
        let uri = "https://generativelanguage.googleapis.com/v1beta/models/gemini-2.5-flash:generateContent";
        let ask = || to(uri, &[json, ("accept-encoding", encoding)], Stepped::full("{}"));
        let plain = layer.layer(upstream.clone());
        let kept = layer.keep(http::header::ACCEPT_ENCODING).layer(upstream.clone());
        let mut mistaken = 0;
        for _ in 0..20 {
            mistaken += usize::from(fetch(&kept, ask()).await.status != 200);
        }
        assert_eq!(mistaken > 0, encoding != "identity", "who keeps it has it so");
        for _ in 0..20 {
            assert_eq!(fetch(&plain, ask()).await.status.as_u16(), 200, "{encoding}");
        }
    }
}
