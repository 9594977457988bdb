//! What answers say about their tokens, in the forms that providers have, however they come.

use bytes::Bytes;
use http::HeaderValue;
use key_commune::usage::{Cost, Meter, Model, Usage};
use proptest::prelude::*;
use serde_json::{Value, json};

const JSON: &str = "application/json";
const EVENTS: &str = "text/event-stream; charset=utf-8";

fn meter(kind: &'static str) -> Meter {
    Meter::new(Some(&HeaderValue::from_static(kind))).unwrap()
}

fn read(kind: &'static str, pieces: &[&[u8]]) -> Option<Usage> {
    let mut meter = meter(kind);
    for piece in pieces {
        meter.feed(&Bytes::copy_from_slice(piece));
    }
    meter.finish()
}

/// Model, input, output, cached, cost.
type Said = (&'static str, u64, u64, u64, Option<u64>);

fn told(usage: Usage) -> (String, u64, u64, u64, Option<u64>) {
    let model = usage.model.map(|model| model.to_string()).unwrap_or_default();
    (model, usage.input, usage.output, usage.cached, usage.cost.map(Cost::as_micros))
}

/// Whole, byte by byte, and cut in two at every place: it is always the same.
fn check(kind: &'static str, answer: &str, said: Option<Said>) {
    let expected = said.map(|(model, input, output, cached, cost)| (model.to_owned(), input, output, cached, cost));
    let bytes = answer.as_bytes();
    let singly: Vec<&[u8]> = bytes.chunks(1).collect();
    assert_eq!(read(kind, &[bytes]).map(told), expected, "{answer}");
    assert_eq!(read(kind, &singly).map(told), expected, "byte by byte: {answer}");
    for cut in 0..bytes.len() {
        let (one, two) = bytes.split_at(cut);
        assert_eq!(read(kind, &[one, b"", two]).map(told), expected, "cut at {cut}: {answer}");
    }
}

const CHAT: &str = r#"{
  "id": "chatcmpl-B9MBs8CjcvOU2jLn4n570S5qMJKcT", "object": "chat.completion", "created": 1741569952,
  "model": "gpt-4.1-2025-04-14",
  "choices": [{"index": 0, "message": {"role": "assistant", "content": "Say \"usage\":{\"prompt_tokens\":7}", "refusal": null,
    "tool_calls": [{"function": {"name": "f", "arguments": "{\"model\":\"x\"}"}}]}, "logprobs": null, "finish_reason": "stop"}],
  "usage": {"prompt_tokens": 2006, "completion_tokens": 300, "total_tokens": 2306,
    "prompt_tokens_details": {"cached_tokens": 1920, "audio_tokens": 0},
    "completion_tokens_details": {"reasoning_tokens": 250, "cached_tokens": 5}},
  "service_tier": "default"
}"#;

const CHAT_EVENTS: &str = concat!(
    r#"data: {"id":"c","model":"gpt-4o-2024-08-06","choices":[{"index":0,"delta":{"content":"Hi"}}],"usage":null}"#,
    "\n\n",
    r#"data: {"id":"c","model":"gpt-4o-2024-08-06","choices":[{"index":0,"delta":{"content":" \"usage"}}],"usage":null}"#,
    "\n\n",
    r#"data: {"id":"c","model":"gpt-4o-2024-08-06","choices":[],"usage":{"prompt_tokens":19,"completion_tokens":10,"total_tokens":29}}"#,
    "\n\ndata: [DONE]\n\n",
);

const RESPONSE: &str = r#"{"id":"resp_1","object":"response","status":"completed","instructions":null,"model":"gpt-4o-mini-2024-07-18",
"output":[{"type":"message","content":[{"type":"output_text","text":"Hello!"}]}],"tools":[{"type":"function","parameters":{"usage":
{"input_tokens":1}}}],"usage":{"input_tokens":12033,"input_tokens_details":{"cached_tokens":11904},"output_tokens":44,
"output_tokens_details":{"reasoning_tokens":0},"total_tokens":12077},"user":null,"metadata":{}}"#;

const MESSAGE: &str = r#"{"model":"claude-sonnet-4-20250514","id":"msg_1","type":"message","role":"assistant","content":[
{"type":"tool_use","id":"t","name":"report","input":{"usage":{"input_tokens":9999,"output_tokens":9999},"model":"none"}}],
"stop_reason":"tool_use","usage":{"input_tokens":100,"cache_creation_input_tokens":20,"cache_read_input_tokens":3,
"cache_creation":{"ephemeral_5m_input_tokens":20},"output_tokens":50,"service_tier":"standard"}}"#;

const MESSAGE_EVENTS: &str = concat!(
    "event: message_start\r\n",
    r#"data: {"type":"message_start","message":{"id":"msg_1","model":"claude-opus-4","content":[],"usage":{"input_tokens":25,"cache_read_input_tokens":10,"output_tokens":1}}}"#,
    "\r\n\r\nevent: ping\r\ndata: {\"type\": \"ping\"}\r\n\r\n",
    r#"data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Hello"}}"#,
    "\r\n\r\n",
    r#"data: {"type":"message_delta","delta":{"stop_reason":null},"usage":{"output_tokens":8}}"#,
    "\r\n\r\nevent: message_delta\r\n",
    r#"data: {"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":15}}"#,
    "\r\n\r\nevent: message_stop\r\ndata: {\"type\":\"message_stop\"}\r\n\r\n",
);

const GEMINI: &str = r#"[{"candidates":[{"content":{"parts":[{"functionCall":{"args":{"usageMetadata":{"promptTokenCount":1}}}}]}}],
"usageMetadata":{"promptTokenCount":8,"candidatesTokenCount":2,"totalTokenCount":10},"modelVersion":"gemini-2.5-pro"}
,
{"candidates":[],"usageMetadata":{"promptTokenCount":8,"candidatesTokenCount":30,"thoughtsTokenCount":400,"toolUsePromptTokenCount":5,
"cachedContentTokenCount":6,"totalTokenCount":443},"modelVersion":"gemini-2.5-pro","responseId":"r"}]"#;

const GEMINI_EVENTS: &str = "data: {\"usageMetadata\":{\"promptTokenCount\":4},\"modelVersion\":\"g\"}\n\n\
    data: {\"candidates\":[],\"usageMetadata\":{\"promptTokenCount\":4,\"candidatesTokenCount\":9},\"modelVersion\":\"g\"}\n\n";

const GROQ_EVENTS: &str = "data: {\"model\":\"llama\",\"x_groq\":{\"id\":\"r\",\"usage\":{\"prompt_tokens\":38,\"completion_tokens\":4}}}\n\n";

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn every_form_is_understood() {
    let responses_events = format!(
        "event: response.created\ndata: {{\"type\":\"response.created\",\"response\":{{\"model\":\"early\",\"usage\":null}}}}\n\n\
         event: response.completed\ndata: {{\"type\":\"response.completed\",\"response\":{}}}\n\n",
        RESPONSE.replace('\n', "")
    );
    for (kind, answer, said) in [
        (JSON, CHAT, ("gpt-4.1-2025-04-14", 2006, 300, 1920, None)),
        (EVENTS, CHAT_EVENTS, ("gpt-4o-2024-08-06", 19, 10, 0, None)),
        (JSON, RESPONSE, ("gpt-4o-mini-2024-07-18", 12033, 44, 11904, None)),
        (EVENTS, &responses_events, ("gpt-4o-mini-2024-07-18", 12033, 44, 11904, None)),
        (JSON, MESSAGE, ("claude-sonnet-4-20250514", 123, 50, 3, None)),
        (EVENTS, MESSAGE_EVENTS, ("claude-opus-4", 35, 15, 10, None)),
        (JSON, GEMINI, ("gemini-2.5-pro", 13, 430, 6, None)),
        (EVENTS, GEMINI_EVENTS, ("g", 4, 9, 0, None)),
        (EVENTS, GROQ_EVENTS, ("llama", 38, 4, 0, None)),
        (
            JSON,
            r#"{"object":"list","data":[{"embedding":[0.1,-2e-5]}],"model":"ada","usage":{"prompt_tokens":8,"total_tokens":8}}"#,
            ("ada", 8, 0, 0, None),
        ),
        (
            JSON,
            r#"{"model":"mistral-small","usage":{"prompt_tokens":1,"completion_tokens":2},"choices":[{"text":"x"}]}"#,
            ("mistral-small", 1, 2, 0, None),
        ),
        (
            JSON,
            r#"{"model":"openai\/gpt-4o","usage":{"prompt_tokens":194,"completion_tokens":2,"cost":0.95,"cost_details":{"cost":19}}}"#,
            ("openai/gpt-4o", 194, 2, 0, Some(950_000)),
        ),
        (
            JSON,
            r#"{"usage":{"prompt_tokens":30,"input_tokens":20,"cache_read_input_tokens":10,"completion_tokens":1}}"#,
            ("", 30, 1, 10, None),
        ),
        (JSON, r#"{"usage":{"prompt_tokens":9,"prompt_cache_hit_tokens":7}}"#, ("", 9, 0, 7, None)),
        (
            JSON,
            r#"[{"usageMetadata":{"promptTokenCount":9}},{"usageMetadata":{"promptTokenCount":99}"#,
            ("", 9, 0, 0, None),
        ),
        (JSON, "{\"usage\":{\"prompt_tokens\":9}}\n{\"usage\":{\"completion_tokens\":1}}", ("", 9, 1, 0, None)),
    ] {
        check(kind, answer, Some(said));
    }
}

#[test]
fn what_stands_elsewhere_is_not_usage() {
    for answer in [
        "",
        "null",
        r#""usage""#,
        "{}",
        r#"{"model":"m"}"#,
        r#"{"usage":null}"#,
        r#"{"usage":{}}"#,
        r#"{"usage":{"total_tokens":5}}"#,
        r#"{"usage":[{"prompt_tokens":5}]}"#,
        r#"{"usage":[5,6,7]}"#,
        r#"{"usage":5,"prompt_tokens":5}"#,
        r#"["usage",{"prompt_tokens":5}]"#,
        r#"[[{"usage":{"prompt_tokens":5}}]]"#,
        r#"{"choices":[{"usage":{"prompt_tokens":5}}]}"#,
        r#"{"message":{"message":{"usage":{"prompt_tokens":5}}}}"#,
        r#"{"x":{"usage":{"prompt_tokens":5}}}"#,
        r#"{"x":"\",\"usage\":{\"prompt_tokens\":5}"}"#,
        r#"{"\"usage":{"prompt_tokens":5}}"#,
        r#"{"us\u0061ge":{"prompt_tokens":5}}"#,
        r#"{"usage":{"x":{"prompt_tokens":5}}}"#,
        r#"{"usage":{"cached_tokens":5}}"#,
        r#"{"usage":{"prompt_tokens":"5"}}"#,
        r#"{"usage":{"prompt_tokens":-5,"completion_tokens":-1e400,"cost":-0.1}}"#,
        r#"{"usage":{"prompt_tokens":null,"completion_tokens":true}}"#,
        r#"{"usage":{"prompt_tokens":5}"#,
        r#"{"usage":{"prompt_tokens":5},"x":tru}"#,
        "{\"usage\":{\"prompt_tokens\":5},\"x\":\"\u{1}\"}",
        r#"data: {"usage":{"prompt_tokens":5}}"#,
    ] {
        check(JSON, answer, None);
    }
    let broken = [b"{\"usage\":{\"prompt_tokens\":5},\"x\":\"".as_slice(), b"\xFF", b"\"}"];
    assert_eq!(read(JSON, &broken), None, "not UTF-8");
}

#[test]
fn numbers_are_bounded_and_the_last_one_counts() {
    let input = |number: &str| format!("{{\"usage\":{{\"prompt_tokens\":{number}}}}}");
    for (number, said) in [
        ("0", Some(0)),
        ("-0", Some(0)),
        ("12.0", Some(12)),
        ("1.9e1", Some(19)),
        ("18446744073709551615", Some(u64::MAX)),
        ("18446744073709551616", Some(u64::MAX)),
        ("1e400", Some(u64::MAX)),
        (&"9".repeat(100), None),
        ("5,\"prompt_tokens\":6", Some(6)),
        ("5,\"prompt_tokens\":null", Some(5)),
        ("5},\"usage\":{\"prompt_tokens\":7", Some(7)),
    ] {
        check(JSON, &input(number), said.map(|input| ("", input, 0, 0, None)));
    }
    check(JSON, &input(&format!("{0},\"toolUsePromptTokenCount\":{0}", u64::MAX)), Some(("", u64::MAX, 0, 0, None)));
    for (cost, micros) in [("0.00014", 140), ("1e-7", 0), ("5", 5_000_000), ("1e300", u64::MAX)] {
        check(JSON, &format!("{{\"usage\":{{\"cost\":{cost}}}}}"), Some(("", 0, 0, 0, Some(micros))));
    }
}

#[test]
fn a_model_is_a_short_word() {
    let (longest, longer) = ("m".repeat(Model::LONGEST), "m".repeat(Model::LONGEST + 1));
    for (model, said) in [
        (longest.as_str(), longest.as_str()),
        (&longer, ""),
        ("", ""),
        ("two words", ""),
        ("mod\\u00e8le", ""),
        ("modèle", ""),
        ("line\\n", ""),
        ("a\\u002fb", "a/b"),
    ] {
        let answer = format!("{{\"usage\":{{\"cost\":1}},\"model\":\"{model}\"}}");
        let usage = read(JSON, &[answer.as_bytes()]).unwrap();
        assert_eq!(usage.model.as_ref().map_or("", Model::as_str), said, "{model}");
    }
    assert_eq!(Model::new(""), None);
    let models = |models: &str| format!("{{\"model\":{models},\"usage\":{{\"cost\":1}}}}");
    check(JSON, &models("\"a\",\"model\":\"b\""), Some(("b", 0, 0, 0, Some(1_000_000))));
    check(JSON, &models("\"a\",\"model\":7"), Some(("a", 0, 0, 0, Some(1_000_000))));
    check(JSON, &models("[\"a\"]"), Some(("", 0, 0, 0, Some(1_000_000))));
}

#[test]
fn a_broken_event_costs_only_itself() {
    let good = "data: {\"model\":\"m\",\"usage\":{\"prompt_tokens\":5}}";
    let said = Some(("m", 5, 0, 0, None));
    for stream in [
        format!("{good}\n\n"),
        format!("{good}\n"),
        format!("\n\n\r\n{good}\n\n"),
        format!("data: {{\"usage\":{{\"prompt_tokens\":7}}\n\n{good}\n\n"),
        format!("data: \"usage\n\n{good}\n\n"),
        format!("data: \u{7f}\"usage\" oops\r\n\r\n{good}\r\n\r\n"),
        format!("data: [[[[[[[[\"usage\"\n\n{good}\n\n"),
        format!("dat\n{good}\n\n"),
        format!("dat\ndatum: \"usage\n: data: \"usage\n{good}\n\n"),
        format!("{good}\n\ndata: {{\"usage\":{{\"prompt_tokens\":7}}"),
        format!("{good}\n\n{{\"usage\":{{\"prompt_tokens\":7}}}}\n\n"),
        format!("{good}\n\ndata: {{\"model\":\"other\"}}\n\n"),
        "data: {\"model\":\"m\",\r\ndata:\"usage\":\r\ndata: {\"prompt_tokens\":5}\r\ndata: }\r\n\r\n".to_owned(),
    ] {
        check(EVENTS, &stream, said);
    }
    check(EVENTS, "data: {\"model\":\"m\",\"usa\ndata: ge\":{\"prompt_tokens\":5}}\n\n", None);
}

#[test]
fn what_is_neither_json_nor_an_event_stream_is_not_read() {
    for (kind, read) in [
        ("application/json", true),
        ("Application/JSON; charset=utf-8", true),
        ("application/problem+json", true),
        ("text/event-stream", true),
        ("text/event-stream;charset=utf-8", true),
        ("text/html", false),
        ("application/jsonx", false),
        ("audio/mpeg", false),
        ("", false),
    ] {
        assert_eq!(Meter::new(Some(&HeaderValue::from_static(kind))).is_some(), read, "{kind}");
    }
    assert!(Meter::new(None).is_none());
    assert!(Meter::new(Some(&HeaderValue::from_bytes(b"application/json\xFF").unwrap())).is_none());
}

#[test]
fn nothing_of_the_answer_is_kept() {
    assert!(size_of::<Meter>() <= 1_024, "{}", size_of::<Meter>());
    for (kind, begin) in [(JSON, "{\"x\":\""), (EVENTS, "data: {\"x\":\"")] {
        let mut meter = meter(kind);
        for text in [begin, &"text".repeat(1_000), "\",\"y\":", "123", "4, ", "[[", "\"\u{1}", "more"] {
            let chunk = Bytes::copy_from_slice(text.as_bytes());
            meter.feed(&chunk);
            assert!(chunk.is_unique(), "{kind}: {text}");
        }
    }
}

/// Of any length and depth.
#[test]
fn what_stands_around_usage_does_not_matter() {
    for around in ["\"".to_owned() + &"x".repeat(1 << 20) + "\"", "[".repeat(100_000) + &"]".repeat(100_000), {
        "{\"usage\":".repeat(50_000) + "1" + &"}".repeat(50_000)
    }] {
        let answer = format!("{{\"a\":{around},\"usage\":{{\"a\":{around},\"prompt_tokens\":5}},\"b\":{around}}}");
        let event = format!("data: {answer}\n\n");
        for (kind, text) in [(JSON, answer.as_bytes()), (EVENTS, event.as_bytes())] {
            let pieces: Vec<&[u8]> = text.chunks(4_001).collect();
            assert_eq!(read(kind, &pieces).unwrap().input, 5);
        }
    }
}

/// A tree that is made of the names that matter.
fn tree() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<u64>().prop_map(Value::from),
        (-9..9_i64).prop_map(Value::from),
        any::<f32>().prop_map(Value::from),
        "[a-z\"\\\\é/]{0,4}".prop_map(Value::from),
    ];
    let name = prop::sample::select(vec![
        "usage",
        "usageMetadata",
        "message",
        "response",
        "model",
        "modelVersion",
        "prompt_tokens",
        "input_tokens",
        "output_tokens",
        "cache_read_input_tokens",
        "prompt_tokens_details",
        "cached_tokens",
        "cost",
        "x",
        "a\"usage",
    ]);
    leaf.prop_recursive(5, 40, 5, move |inner| {
        prop_oneof![
            1 => prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            4 => prop::collection::btree_map(name.clone().prop_map(str::to_owned), inner, 0..6)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

/// The number of this name in the last usage object that has it.
fn last(answer: &Value, name: &str) -> Option<u64> {
    let number = |usage: &Value| {
        let number = usage.get(name)?;
        number.as_u64().or_else(|| number.as_f64().filter(|number| *number >= 0.0).map(|number| number as u64))
    };
    // Members come in the order of their names.
    let places = ["/message/usage", "/message/usageMetadata", "/response/usage", "/response/usageMetadata", "/usage"];
    let mut found = places.iter().chain(&["/usageMetadata"]).filter_map(|place| number(answer.pointer(place)?));
    found.next_back()
}

proptest! {
    #[test]
    fn a_tree_says_the_same(answer in tree(), cuts in prop::collection::vec(1..40_usize, 0..40)) {
        let text = answer.to_string();
        let mut pieces = Vec::new();
        let mut rest = text.as_bytes();
        for cut in cuts {
            let (piece, behind) = rest.split_at(cut.min(rest.len()));
            pieces.push(piece);
            rest = behind;
        }
        pieces.push(rest);
        let usage = read(JSON, &pieces);
        let answers = answer.as_array().cloned().unwrap_or_else(|| vec![answer.clone()]);
        let count = |name: &str| answers.iter().filter_map(|answer| last(answer, name)).next_back();
        let cache = count("cache_read_input_tokens");
        let input = count("prompt_tokens").unwrap_or_else(|| {
            count("input_tokens").unwrap_or(0).saturating_add(cache.unwrap_or(0))
        });
        prop_assert_eq!(usage.map_or(0, |usage| usage.input), input, "{}", text);
        prop_assert_eq!(usage.map_or(0, |usage| usage.output), count("output_tokens").unwrap_or(0), "{}", text);
    }

    #[test]
    fn any_bytes_are_read_alike_however_they_are_cut(
        parts in prop::collection::vec(prop::sample::select(vec![
            "data: ", "data:", "{", "}", "\"usage\":", "\"prompt_tokens\":", "1", "2", ",", "\n", "\n\n", "\r\n", "\r",
            "[", "]", "\"x", "\"", "\\", "\"model\":\"m\"", "{\"usage\":{\"prompt_tokens\":3}}", "e", "é", " ", "null",
        ]), 0..60),
        size in 1..9_usize,
    ) {
        let text = parts.concat();
        let pieces: Vec<&[u8]> = text.as_bytes().chunks(size).collect();
        for kind in [JSON, EVENTS] {
            prop_assert_eq!(read(kind, &pieces), read(kind, &[text.as_bytes()]), "{}", text);
        }
    }

    #[test]
    fn any_bytes_are_read_without_a_panic(pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..20), 0..20)) {
        let pieces: Vec<&[u8]> = pieces.iter().map(Vec::as_slice).collect();
        for kind in [JSON, EVENTS] {
            let _ = read(kind, &pieces);
        }
    }
}

#[test]
fn the_oracle_sees_what_is_there() {
    let answer = json!({"message": {"usage": {"cost": 1}}, "usage": {"cost": 2}});
    assert_eq!(last(&answer, "cost"), Some(2));
}
