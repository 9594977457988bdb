//! Bodies are read as providers read them, and whatever is in them fails nothing.

use key_commune::demand::{Demand, Id, Routing, Source};
use proptest::prelude::*;
use serde_json::Value;

use super::{IDS, chat};

/// What every parser that takes the last of two members makes of it.
#[test]
fn attack_60_of_two_members_the_last_counts() {
    for (body, model) in [
        (r#"{"model":"a","model":"b"}"#, Some("b")),
        (r#"{"model":"a","mod\u0065l":"b"}"#, Some("b")),
        (r#"{"mod\u0065l":"a","model":"b"}"#, Some("b")),
        (r#"{"model":"a","model":null}"#, None),
        (r#"{"model":"a","model":["b"]}"#, None),
        (r#"{"model":["a"],"model":"b"}"#, Some("b")),
        (r#"{"model":"a","n":{"model":"x"},"m":[{"model":"y"}]}"#, Some("a")),
        (r#"{"model":"a","Model":"b","models":["c"],"model ":"d","model\u0000":"e"}"#, Some("a")),
        (r#"{"model":"\u0067pt\n\"\ud83d\ude00"}"#, Some("gpt\n\"😀")),
        (" \r\n\t{ \"model\" : \"a\" } ", Some("a")),
        (r#"[{"model":"a"}]"#, None),
        (r#""model""#, None),
    ] {
        assert_eq!(chat(&Routing::new(), body).model_name(), model, "{body}");
    }
    for (body, session) in [
        (r#"{"metadata":{"user_id":"a"},"metadata":{"user_id":"b"}}"#, Some("b")),
        (r#"{"metadata":{"user_id":"a"},"metadata":{}}"#, None),
        (r#"{"metadata":{"user_id":"a"},"metadata":7}"#, None),
        (r#"{"metadata":{"user_id":"a","user_id":[]}}"#, None),
        (r#"{"messages":[{"metadata":{"session_id":"a"}}],"messages":[]}"#, None),
        (r#"{"messages":[{"metadata":{"session_id":"a"}}],"messages":{}}"#, None),
        (r#"{"session_id":"a","thread_id":"b","session_id":0}"#, Some("b")),
    ] {
        assert_eq!(chat(&Routing::new(), body).session_id(), session.map(Id::of), "{body}");
    }
}

#[test]
fn what_is_not_json_says_nothing() {
    for body in [
        b"".as_slice(),
        b" ",
        br#"{"model":"x""#,
        br#"{"model":"x"}}"#,
        br#"{"model":"x"}{"model":"y"}"#,
        br#"{"model":"x"} //"#,
        br#"{"model":"x",}"#,
        br#"{,"model":"x"}"#,
        br#"{"model":"x" "user":"y"}"#,
        br#"{"model" "x"}"#,
        br#"{"model":"x","a":[1 2]}"#,
        br#"{"model":"x","a":[}"#,
        b"{'model':'x'}",
        br#"{model:"x"}"#,
        br#"{"model":"x","a":NaN}"#,
        br#"{"model":"x","a":01}"#,
        br#"{"model":"x","a":"\ud800"}"#,
        b"{\"model\":\"a\nb\"}",
        b"{\"model\":\"x\"}\0",
        b"\xef\xbb\xbf{\"model\":\"x\"}",
        b"{\"model\":\"\xff\"}",
        b"{\"text\":\"\xc0\x80\",\"model\":\"x\"}",
        b"model=x",
    ] {
        assert_eq!(chat(&Routing::new(), body), Demand::default(), "{}", String::from_utf8_lossy(body));
    }
}

/// However much is piled up, it is read once, without a tree and without a stack.
#[test]
fn attack_59_json_bombs_find_what_is_there_or_nothing() {
    let size = 1 << 19;
    let nested = |depth: usize| format!(r#"{{"x":{}{},"model":"m"}}"#, "[".repeat(depth), "]".repeat(depth));
    let members: Vec<_> = (0..size / 12).map(|number| format!("\"k{number}\":0")).collect();
    let model = Demand::default().model("m");
    for (body, demand) in [
        ("[".repeat(size), Demand::default()),
        ("{\"model\":".repeat(size / 9), Demand::default()),
        ("{\"messages\":[".repeat(size / 13), Demand::default()),
        (nested(100), model.clone()),
        (nested(size / 2), Demand::default()),
        (format!("{{{},\"model\":\"m\"}}", members.join(",")), model.clone()),
        (format!(r#"{{"x":"{}","model":"m"}}"#, "a".repeat(size)), model.clone()),
        (format!(r#"{{"{}":0,"model":"m"}}"#, "\\u0061".repeat(size / 6)), model.clone()),
        (format!(r#"{{"user":"{}","model":"m"}}"#, "\\u0061".repeat(size / 6)), model.clone()),
        (format!(r#"{{{}"model":"m"}}"#, "\"model\":0,".repeat(size / 10)), model.clone()),
        (format!(r#"{{"x":1{},"y":-1e999999999,"model":"m"}}"#, "0".repeat(size)), model.clone()),
        (format!(r#"{{"messages":[{}0],"model":"m"}}"#, "{\"metadata\":{}},".repeat(size / 16)), model),
    ] {
        assert_eq!(chat(&Routing::new(), &body), demand, "{}", &body[..40]);
    }
}

enum Session<'t> {
    Named(&'t str),
    /// The prompt stands for its name.
    Prompted,
    None,
}

/// What a reader of a whole tree finds: the model, the response before, and the session.
fn expected(tree: &Value) -> (Option<&str>, Option<&str>, Session<'_>) {
    let messages = || tree["messages"].as_array().into_iter().flatten();
    let instructs = |message: &&Value| message["role"] == "system" || message["role"] == "developer";
    let mut prompts =
        ["system", "instructions", "system_instruction", "systemInstruction"].iter().map(|name| &tree[name]);
    let is_prompted = prompts.any(says) || messages().filter(instructs).any(|message| says(&message["content"]));
    let session = (IDS.iter().find_map(|id| named(&tree[id])))
        .or_else(|| messages().find_map(session_of))
        .or_else(|| named(&tree["metadata"]["session_id"]))
        .or_else(|| named(&tree["prompt_cache_key"]))
        .or_else(|| named(&tree["metadata"]["user_id"]))
        .or_else(|| named(&tree["user"]));
    let session = session.map_or(if is_prompted { Session::Prompted } else { Session::None }, Session::Named);
    (named(&tree["model"]), named(&tree["previous_response_id"]), session)
}

fn session_of(message: &Value) -> Option<&str> {
    named(&message["custom_fields"]["session_id"]).or_else(|| named(&message["metadata"]["session_id"]))
}

fn named(value: &Value) -> Option<&str> {
    value.as_str().filter(|text| (1..=Demand::MAX_LEN).contains(&text.len()))
}

fn says(value: &Value) -> bool {
    match value {
        Value::String(text) => !text.is_empty(),
        Value::Array(list) => !list.is_empty(),
        Value::Object(members) => !members.is_empty(),
        _ => false,
    }
}

fn assert_read(body: &[u8]) -> Result<(), TestCaseError> {
    let demand = chat(&Routing::new(), body);
    let shown = String::from_utf8_lossy(body);
    match serde_json::from_slice::<Value>(body) {
        Ok(tree) => {
            let (model, previous, session) = expected(&tree);
            prop_assert_eq!(
                (demand.model_name(), demand.previous_response_id()),
                (model, previous.map(Id::of)),
                "{}",
                shown
            );
            match session {
                Session::Prompted => {
                    let by_prompt = chat(&Routing::new().sessions([Source::Prompt]), body);
                    prop_assert!(demand.session_id().is_some() && demand == by_prompt, "{}", shown);
                }
                Session::Named(name) => prop_assert_eq!(demand.session_id(), Some(Id::of(name)), "{}", shown),
                Session::None => prop_assert_eq!(demand.session_id(), None, "{}", shown),
            }
        }
        // A tree holds no number that is none of its own.
        Err(error) if error.to_string().contains("out of range") => (),
        Err(_) => prop_assert_eq!(demand, Demand::default(), "{}", shown),
    }
    Ok(())
}

const NAMES: [&str; 24] = [
    "model",
    "mod\\u0065l",
    "Model",
    "previous_response_id",
    "session_id",
    "session\\u005fid",
    "sessionId",
    "conversation_id",
    "conversationId",
    "thread_id",
    "metadata",
    "user_id",
    "custom_fields",
    "prompt_cache_key",
    "user",
    "system",
    "instructions",
    "system_instruction",
    "systemInstruction",
    "messages",
    "role",
    "content",
    "",
    "x\\n",
];
const LEAVES: [&str; 14] = [
    "\"a\"",
    "\"b\\u0063\\\"\"",
    "\"\"",
    "\"system\"",
    "\"developer\"",
    "\"\\ud83d\\ude00\"",
    "\"ü\"",
    "1",
    "-0.5e7",
    "true",
    "null",
    "[]",
    "{}",
    " \"c\" ",
];

fn object(value: impl Strategy<Value = String>) -> impl Strategy<Value = String> {
    let member = (prop::sample::select(&NAMES[..]), value).prop_map(|(name, value)| format!("\"{name}\":{value}"));
    prop::collection::vec(member, 0..6).prop_map(|members| format!("{{{}}}", members.join(",")))
}

fn value() -> impl Strategy<Value = String> {
    prop::sample::select(&LEAVES[..]).prop_map(str::to_owned).prop_recursive(4, 40, 6, |value| {
        let list = prop::collection::vec(value.clone(), 0..4).prop_map(|values| format!("[{}]", values.join(",")));
        prop_oneof![list, object(value)]
    })
}

/// A chat with messages of which some say a thing that matters.
fn a_chat() -> impl Strategy<Value = String> {
    let messages =
        prop::collection::vec(object(value()), 0..4).prop_map(|them| format!("\"messages\":[{}]", them.join(",")));
    (object(value()), messages, any::<bool>()).prop_map(|(rest, messages, first)| {
        let rest = rest[1..rest.len() - 1].to_owned();
        let members = if first { [messages, rest] } else { [rest, messages] };
        format!("{{{}}}", members.join(",").trim_matches(','))
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn any_bytes_are_read_without_a_panic(body: Vec<u8>) {
        assert_read(&body)?;
    }

    #[test]
    fn a_body_is_read_as_every_parser_reads_it(body in prop_oneof![a_chat(), object(value())]) {
        assert_read(body.as_bytes())?;
    }

    #[test]
    fn a_mutilated_body_is_read_as_json_or_not_at_all(
        body in a_chat(),
        at: prop::sample::Index,
        byte in prop_oneof![any::<u8>(), prop::sample::select(&b"{}[]\",:\\ 0u"[..])],
        cut in 0..8_usize,
    ) {
        let mut body = body.into_bytes();
        let at = at.index(body.len());
        body[at] = byte;
        body.truncate(body.len() - cut.saturating_sub(4).min(body.len()));
        assert_read(&body)?;
    }
}
