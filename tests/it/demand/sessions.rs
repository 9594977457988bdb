//! Where sessions are looked for, and in what order.

use http::HeaderName;
use key_commune::demand::{Demand, Id, Routing, Source};

use super::{ask, chat, post, session};

/// Everything that may name a session, in the order in which it counts: what it adds to the body, and the session then.
pub(super) const IN_BODY: [(&str, &str); 11] = [
    (r#""session_id":"a""#, "a"),
    (r#""sessionId":"b""#, "b"),
    (r#""conversation_id":"c""#, "c"),
    (r#""conversationId":"d""#, "d"),
    (r#""thread_id":"e""#, "e"),
    (r#""messages":[{"metadata":{"session_id":"g"}},{"custom_fields":{"session_id":"f"}}]"#, "g"),
    (r#""metadata":{"session_id":"h","user_id":"j"}"#, "h"),
    (r#""prompt_cache_key":"i""#, "i"),
    (r#""metadata":{"user_id":"j"}"#, "j"),
    (r#""user":"k""#, "k"),
    ("\"x\":0", "in-query"),
];

/// The last ones first: their order in the body is of no matter. Of two `metadata` the last is the one.
pub(super) fn reversed(members: &[(&str, &str)]) -> String {
    let members: Vec<_> = members.iter().rev().map(|(member, _)| *member).collect();
    format!("{{{}}}", members.join(","))
}

#[test]
fn the_first_source_that_names_a_session_counts() {
    for start in 0..IN_BODY.len() {
        let body = reversed(&IN_BODY[start..]);
        let builder = || post("/v1/x?thread_id=in-query");
        let found = |request| ask(&Routing::new(), request).0.session_id();
        assert_eq!(found(builder().body(body.as_bytes()).unwrap()), Some(Id::of(IN_BODY[start].1)), "{body}");
        let headed = builder().header("session_id", "2").header("x-session-id", "1");
        assert_eq!(found(headed.body(body.as_bytes()).unwrap()), Some(Id::of("1")));
        assert_eq!(found(builder().header("session_id", "2").body(body.as_bytes()).unwrap()), Some(Id::of("2")));
    }
    let routing = Routing::new().header(HeaderName::from_static("x-chat"));
    let request = post("/").header("x-session-id", "1").header("x-chat", "0").body(b"{}".as_slice()).unwrap();
    assert_eq!(ask(&routing, request).0.session_id(), Some(Id::of("0")));
    let swapped = Routing::new().sessions([Source::User, Source::Id]);
    assert_eq!(session(&swapped, r#"{"session_id":"s","user":"u"}"#), Some(Id::of("u")));
    assert_eq!(session(&swapped, r#"{"session_id":"s","metadata":{"user_id":"u"}}"#), Some(Id::of("s")));
    assert_eq!(session(&swapped, r#"{"metadata":{"user_id":"u"}}"#), None);
}

#[test]
fn a_message_names_its_session_in_custom_fields_or_in_metadata() {
    for (messages, named) in [
        (r#"[{"custom_fields":{"session_id":"a"},"metadata":{"session_id":"b"}}]"#, Some("a")),
        (r#"[{"metadata":{"session_id":"b"},"custom_fields":{"session_id":"a"}}]"#, Some("a")),
        (r#"[{"custom_fields":{"session_id":7},"metadata":{"session_id":"b"}}]"#, Some("b")),
        (
            r#"[{},{"metadata":{"session_id":""}},{"metadata":{"session_id":"c"}},{"metadata":{"session_id":"d"}}]"#,
            Some("c"),
        ),
        (r#"[[{"metadata":{"session_id":"x"}}],"y",7,null,{"metadata":{"session_id":"z"}}]"#, Some("z")),
        (r#"[{"metadata":{"session_id":"x"},"metadata":{}}]"#, None),
        (r#"[{"metadata":[{"session_id":"x"}],"session_id":"y","content":{"session_id":"z"}}]"#, None),
        (r#"{"metadata":{"session_id":"x"}}"#, None),
        ("[]", None),
    ] {
        for routing in [Routing::new(), Routing::api_key_lb()] {
            let body = format!(r#"{{"messages":{messages}}}"#);
            assert_eq!(session(&routing, &body), named.map(Id::of), "{routing:?} {messages}");
        }
    }
}

#[test]
fn what_is_no_name_is_passed_over() {
    let long = "x".repeat(Demand::MAX_LEN + 1);
    for value in ["7", "true", "null", "\"\"", "{}", "[]", r#"["x"]"#, r#"{"session_id":"x"}"#, &format!("\"{long}\"")]
    {
        let body = format!(r#"{{"session_id":{value},"model":{value},"previous_response_id":{value},"user":"u"}}"#);
        assert_eq!(chat(&Routing::new(), &body), Demand::default().session("u"), "{value}");
        let request = post(&format!("/?model={long}")).header("x-session-id", "").body(body.as_bytes()).unwrap();
        assert_eq!(ask(&Routing::new(), request).0, Demand::default().session("u"), "{value}");
    }
    let longest = &long[1..];
    assert_eq!(session(&Routing::new(), &format!(r#"{{"user":"{longest}"}}"#)), Some(Id::of(longest)));
    let escaped = "\\u0078".repeat(Demand::MAX_LEN);
    assert_eq!(session(&Routing::new(), &format!(r#"{{"user":"{escaped}"}}"#)), Some(Id::of(longest)));
}

/// The same model with the same instructions is one session; anything else is another.
#[test]
fn what_names_no_session_is_told_apart_by_model_and_instructions() {
    let prompts = [
        r#"{"model":"m","messages":[{"role":"user","content":"hi"},{"role":"system","content":"be brief"}]}"#,
        r#"{"model":"n","messages":[{"role":"system","content":"be brief"}]}"#,
        r#"{"model":"m","messages":[{"role":"system","content":"be verbose"}]}"#,
        r#"{"model":"m","messages":[{"role":"system","content":[{"type":"text","text":"be brief"}]}]}"#,
        r#"{"model":"m","messages":[{"role":"system","content":[{"type":"text","text":"be verbose"}]}]}"#,
        r#"{"model":"m","system":[{"type":"text","text":"you"}],"messages":[{"role":"system","content":"x"}]}"#,
        r#"{"model":"m","system":"you"}"#,
        r#"{"model":"m","instructions":"they"}"#,
        r#"{"model":"m","systemInstruction":{"parts":[{"text":"we"}]}}"#,
        r#"{"model":"m","messages":[{"role":"developer","content":"dev"}]}"#,
        r#"{"messages":[{"role":"system","content":"be brief"}]}"#,
        r#"{"model":"mb","messages":[{"role":"system","content":"e brief"}]}"#,
    ];
    let named: Vec<_> = prompts.iter().map(|body| session(&Routing::new(), body).unwrap()).collect();
    for (at, name) in named.iter().enumerate() {
        assert!(!named[..at].contains(name), "{}", prompts[at]);
    }
    for (same, body) in [
        (0, r#"{"messages":[{"content":"be brief","role":"system"},{"role":"user","content":"bye"}],"model":"m"}"#),
        (0, r#"{"model":"m","messages":[{"role":"developer","content":"x"},{"role":"system","content":"be brief"}]}"#),
        (
            0,
            r#"{"model":"m","messages":[{"role":"syst\u0065m","content":"be brief"},{"role":"system","content":"x"}]}"#,
        ),
        (0, r#"{"model":"m","messages":[{"role":"system","content":null},{"role":"system","content":"be brief"}]}"#),
        (6, r#"{"model":"m","system":"you","instructions":"they"}"#),
        (7, r#"{"model":"m","system":"","instructions":"they"}"#),
        (8, r#"{"model":"m","system_instruction":{"parts":[{"text":"we"}]}}"#),
    ] {
        assert_eq!(session(&Routing::new(), body), Some(named[same]), "{body}");
        assert_eq!(session(&Routing::new().models(false), body), Some(named[same]), "{body}");
    }
    let in_path = post("/models/m:x").body(br#"{"system":"you"}"#.as_slice()).unwrap();
    assert_eq!(ask(&Routing::new(), in_path).0.session_id(), Some(named[6]));
}

/// Or one key would serve all.
#[test]
fn a_model_alone_is_no_session() {
    for body in [
        r#"{"model":"m"}"#,
        r#"{"model":"m","system":null,"instructions":7}"#,
        r#"{"model":"m","system":"","messages":[{"role":"system"},{"role":"user","content":"x"}]}"#,
        r#"{"model":"m","messages":[{"role":"system","content":[]}]}"#,
        r#"{"model":"m","messages":[{"role":["system"],"content":"x"}]}"#,
    ] {
        assert_eq!(session(&Routing::new(), body), None, "{body}");
    }
}

/// Half of SHA-256 over the name; without one, over the length of the model's name in eight bytes, the name, and the prompt
/// as it is written. They must stay the same over releases, or all sessions lose what is cached of them.
#[test]
fn what_stands_for_a_session_stays() {
    let prompted = r#"{"model":"gpt-4o","messages":[{"role":"system","content":"be brief"}]}"#;
    for (body, id) in
        [(r#"{"user":"ada"}"#, "fdee430d40bd57deeac186cd9790033d"), (prompted, "08b9437b5b9baf8c3e2b57c1fb0d4304")]
    {
        let found = session(&Routing::new(), body).unwrap();
        assert_eq!((found.to_string(), format!("{found:?}")), (id.to_owned(), format!("Id({id})")), "{body}");
    }
}
