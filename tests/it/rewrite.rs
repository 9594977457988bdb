//! The changes that the crate brings: what of a body becomes another, and that all else stays as it is written.

use bytes::Bytes;
use http::Request;
use http::request::Parts;
use key_commune::Origin;
use key_commune::demand::{Demand, Inspect, Inspection, Routing};
use key_commune::rewrite::{Attempt, DropFields, Rewrite, StripPrefix};
use key_commune::secret::{Pepper, Secret};
use proptest::prelude::*;

fn head(kind: &str) -> Parts {
    let request = Request::post("https://api.example/v1/chat/completions").header("content-type", kind);
    request.body(()).unwrap().into_parts().0
}

fn changed(rewrite: &dyn Rewrite, body: impl AsRef<[u8]>) -> Option<Bytes> {
    let secret: Secret = "sk-test-0123456789".parse().unwrap();
    let origin = Origin::parse("https://api.example").unwrap();
    let mut attempt = Attempt::new(Pepper::random().id("openai", &secret), &origin);
    attempt.provider = "openai";
    rewrite.rewrite(&head("application/json"), body.as_ref(), &attempt)
}

fn text(rewrite: &dyn Rewrite, body: &str) -> Option<String> {
    changed(rewrite, body).map(|body| String::from_utf8(body.into()).unwrap())
}

/// The model that a body is routed by.
fn model(body: &[u8]) -> Option<String> {
    let Inspection::Demand(demand) = Routing::new().inspect(&head("application/json"), Some(body)) else { panic!() };
    demand.model_name().map(str::to_owned)
}

#[test]
fn the_provider_is_taken_off_the_model() {
    for (body, expected) in [
        (r#"{"model":"openai/gpt-4o"}"#, Some(r#"{"model":"gpt-4o"}"#)),
        (r#"{"model":"openai/openai/x"}"#, Some(r#"{"model":"openai/x"}"#)),
        (
            r#" { "a" : 1e400 , "model" : "openai/m" , "z":[ 1 ,2] } "#,
            Some(r#"{"a" : 1e400,"model" : "m","z":[ 1 ,2]}"#),
        ),
        (r#"{"mod\u0065l":"openai\/a\"\u00e9"}"#, Some(r#"{"mod\u0065l":"a\"é"}"#)),
        // The last one counts, and is the only one that is sent.
        (r#"{"model":"openai/a","x":0,"model":"openai/b"}"#, Some(r#"{"x":0,"model":"b"}"#)),
        (r#"{"model":"a","\u006dodel":"openai/b"}"#, Some(r#"{"\u006dodel":"b"}"#)),
        (r#"{"model":"openai/a","model":"b"}"#, None),
        (r#"{"model":"openai/a","model":7}"#, None),
        // Another name is another member.
        (r#"{"Model":"openai/a","model":"openai/b"}"#, Some(r#"{"Model":"openai/a","model":"b"}"#)),
        (r#"{"model":"gpt-4o"}"#, None),
        (r#"{"model":"openai"}"#, None),
        (r#"{"model":"openai/"}"#, None),
        (r#"{"model":"OpenAI/m"}"#, None),
        (r#"{"model":"openaix/m"}"#, None),
        (r#"{"model":"azure/m"}"#, None),
        (r#"{"model":["openai/m"]}"#, None),
        (r#"{"in":{"model":"openai/m"}}"#, None),
        (r#"[{"model":"openai/m"}]"#, None),
        (r#"{"model":"openai/m"}{}"#, None),
        (r#"{"model":"openai/m""#, None),
        (r#"{"model":"openai/m",}"#, None),
        ("\u{feff}{\"model\":\"openai/m\"}", None),
        ("{}", None),
        ("", None),
        ("\"model\"", None),
    ] {
        assert_eq!(text(&StripPrefix::default(), body).as_deref(), expected, "{body}");
    }
    assert_eq!(text(&StripPrefix::new("azure"), r#"{"model":"azure/m"}"#).as_deref(), Some(r#"{"model":"m"}"#));
    assert_eq!(text(&StripPrefix::new("azure"), r#"{"model":"openai/m"}"#), None);
    let long = format!(r#"{{"model":"openai/{}"}}"#, "x".repeat(7 * Demand::MAX_LEN));
    assert_eq!(text(&StripPrefix::default(), &long), None);
}

#[test]
fn members_are_left_out_wherever_they_stand_and_however_they_are_written() {
    let drop = DropFields::new(["store", "user"]);
    for (body, expected) in [
        (r#"{"store":true,"model":"m"}"#, Some(r#"{"model":"m"}"#)),
        (r#"{"model":"m","store":true}"#, Some(r#"{"model":"m"}"#)),
        (r#"{"a":0,"store":{"x":[{}]},"b":1,"user":"u","c":{"store":2}}"#, Some(r#"{"a":0,"b":1,"c":{"store":2}}"#)),
        (r#"{"store":1,"st\u006fre":2,"user":3}"#, Some("{}")),
        (r#"{"a":"store","Store":1}"#, None),
        (r#"[{"store":1}]"#, None),
        (r#"{"store":1"#, None),
        ("{}", None),
    ] {
        assert_eq!(text(&drop, body).as_deref(), expected, "{body}");
    }
    assert_eq!(text(&DropFields::new([""; 0]), r#"{"store":1}"#), None);
}

#[test]
fn only_json_in_utf_8_is_waited_for() {
    for rewrite in [&StripPrefix::default() as &dyn Rewrite, &DropFields::new(["store"])] {
        assert!(rewrite.applies(&head("application/json; charset=utf-8")));
        assert!(!rewrite.applies(&head("multipart/form-data; boundary=x")));
        let mut encoded = head("application/json");
        encoded.headers.insert("content-encoding", "gzip".parse().unwrap());
        assert!(!rewrite.applies(&encoded));
    }
}

/// Attack 59: what is deep, long or no text is left alone, and nothing panics.
#[test]
fn hostile_bodies_are_left_alone() {
    let strip = StripPrefix::default();
    let nested = |depth: usize| format!(r#"{{"model":"openai/m","x":{}{}}}"#, "[".repeat(depth), "]".repeat(depth));
    assert!(text(&strip, &nested(100)).is_some());
    assert_eq!(text(&strip, &nested(100_000)), None);
    assert_eq!(changed(&strip, b"{\"model\":\"openai/\xff\"}"), None);
    assert_eq!(changed(&strip, b"{\"model\":\"openai/m\",\"x\":\"\xff\"}"), None);
    let many = format!(r#"{{{}"model":"openai/m"}}"#, r#""model":"a","#.repeat(50_000));
    assert_eq!(text(&strip, &many).as_deref(), Some(r#"{"model":"m"}"#));
}

fn json() -> impl Strategy<Value = serde_json::Value> {
    let leaf =
        prop_oneof![Just(serde_json::Value::Null), any::<i64>().prop_map(Into::into), "\\PC*".prop_map(Into::into)];
    leaf.prop_recursive(4, 32, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Into::into),
            prop::collection::btree_map("\\PC{0,8}", inner, 0..4)
                .prop_map(|members| serde_json::Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn a_changed_body_reads_as_the_one_before_but_for_the_change(
        members in prop::collection::vec((prop_oneof!["\\PC{0,6}", Just("model".into()), Just("store".into())], json()), 0..6),
        last in "[a-z0-9./\\\\\"é-]{1,20}",
    ) {
        let members = members.iter().map(|(name, value)| format!("{}:{value}", serde_json::Value::from(&**name)));
        let named = format!("\"model\":{}", serde_json::Value::from(format!("openai/{last}")));
        let body = format!("{{{}}}", members.chain([named]).collect::<Vec<_>>().join(","));
        let changed = text(&StripPrefix::default(), &body).unwrap();
        let mut expected: serde_json::Value = serde_json::from_str(&body).unwrap();
        expected["model"] = last.as_str().into();
        prop_assert_eq!(&serde_json::from_str::<serde_json::Value>(&changed).unwrap(), &expected);
        prop_assert_eq!(model(changed.as_bytes()), Some(last));
        let dropped = text(&DropFields::new(["store", "model"]), &body).unwrap();
        let left: serde_json::Value = serde_json::from_str(&dropped).unwrap();
        let members = expected.as_object_mut().unwrap();
        members.remove("store");
        members.remove("model");
        prop_assert_eq!(left, expected);
    }

    #[test]
    fn no_body_makes_it_panic(body in prop::collection::vec(any::<u8>(), 0..200), cut in 0..60_usize) {
        let whole = br#"{"model":"openai/gpt-4o","store":true,"messages":[{"a":"b\u00e9"}]}"#;
        for body in [&body[..], &whole[..cut]] {
            prop_assert_eq!(changed(&StripPrefix::default(), body), None);
            let _ = changed(&DropFields::new(["store"]), body);
        }
    }
}
