//! How many tokens a request is taken to need.

use http::Request;
use key_commune::demand::Routing;

use super::{ask, post};

fn routing() -> Routing {
    Routing::new().models(false).sessions([]).previous_responses(false).tokens(true)
}

fn tokens(body: &str) -> u64 {
    ask(&routing(), post("/v1/chat/completions").body(body.as_bytes()).unwrap()).0.tokens_needed()
}

#[test]
fn a_quarter_of_the_bytes_and_what_the_answer_may_have() {
    for (members, allowed) in [
        ("", 0),
        (r#""max_tokens":100"#, 100),
        (r#""max_completion_tokens":100"#, 100),
        (r#""max_output_tokens":1e3"#, 1_000),
        (r#""generationConfig":{"x":1,"maxOutputTokens":50}"#, 50),
        (r#""generation_config":{"max_output_tokens":50}"#, 50),
        (r#""max_tokens":7,"max_completion_tokens":9"#, 9),
        (r#""max_tokens":7,"max_tokens":5"#, 5),
        (r#""max_tokens":18446744073709551616"#, 1 << 20),
        (r#""max_tokens":1e999"#, 1 << 20),
        (r#""max_tokens":-5"#, 0),
        (r#""max_tokens":"100""#, 0),
        (r#""max_tokens":null"#, 0),
        (r#""max_tokens":[100]"#, 0),
        (r#""generationConfig":[{"maxOutputTokens":50}]"#, 0),
        (r#""x":{"max_tokens":100}"#, 0),
    ] {
        let body = format!("{{{members}}}");
        assert_eq!(tokens(&body), body.len() as u64 / 4 + allowed, "{body}");
    }
    assert_eq!(tokens(&"not JSON".repeat(10)), 20);
}

#[test]
fn what_is_not_read_counts_by_its_announced_length() {
    let of = |builder: http::request::Builder, routing: &Routing| {
        ask(routing, builder.body(br#"{"max_tokens":100}"#.as_slice()).unwrap()).0.tokens_needed()
    };
    let small = routing().max_body(8);
    assert_eq!(of(post("/"), &small), 0);
    assert_eq!(of(post("/").header("content-length", "4000"), &small), 1_000);
    assert_eq!(of(post("/").header("content-length", u64::MAX.to_string()), &small), 1 << 20);
    assert_eq!(of(post("/").header("content-length", "many"), &small), 0);
    // Neither has a body of text.
    assert_eq!(of(post("/").method("GET").header("content-length", "4000"), &routing()), 0);
    let sound = Request::post("https://api.example/v1/audio").header("content-type", "audio/wav");
    assert_eq!(of(sound.header("content-length", "4000"), &routing()), 0);
    assert_eq!(of(post("/"), &routing().tokens(false)), 0, "not asked for");
}
