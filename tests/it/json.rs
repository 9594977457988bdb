//! A look into a JSON body finds one reading or none.

use std::borrow::Cow;

use key_commune::demand::json::{Found, Look, NotJson};
use proptest::prelude::*;
use serde_json::Value;

fn at(body: &str, path: &str) -> Found<'static> {
    match Look::new(body.as_bytes(), &[path]).unwrap_or_else(|_| panic!("{body} is JSON")).at(path) {
        Found::Text(text) => Found::Text(Cow::Owned(text.to_string())),
        Found::Texts(texts) => Found::Texts(texts.iter().map(|text| Cow::Owned(text.to_string())).collect()),
        Found::Literal(text) => Found::Literal(text.clone()),
        Found::Missing => Found::Missing,
        Found::Compound => Found::Compound,
        Found::Ambiguous => Found::Ambiguous,
    }
}

fn text(text: &'static str) -> Found<'static> {
    Found::Text(text.into())
}

fn literal(text: &str) -> Found<'static> {
    Found::Literal(text.into())
}

#[test]
fn a_value_is_found_at_the_end_of_its_path() {
    for (body, path, found) in [
        (r#"{"model":"gpt-4o","n":1}"#, "model", text("gpt-4o")),
        (r#" { "n" : [1] , "model" : "" } "#, "model", text("")),
        (r#"{"mod\u0065l":"\u0067pt\n"}"#, "model", text("gpt\n")),
        (r#"{"model":5}"#, "model", literal("5")),
        (r#"{"model":-5}"#, "model", literal("-5")),
        (r#"{"model":1.50}"#, "model", literal("1.5")),
        (r#"{"model":1.0}"#, "model", literal("1")),
        (r#"{"model":18446744073709551615}"#, "model", literal("18446744073709551615")),
        (r#"{"model":true}"#, "model", literal("true")),
        (r#"{"model":null}"#, "model", Found::Missing),
        (r#"{"model":{}}"#, "model", Found::Compound),
        (r#"{"model":{"model":"x"}}"#, "model", Found::Compound),
        (r#"{"model":[]}"#, "model", Found::Texts(Vec::new())),
        (r#"{"model":["a","\u0062"]}"#, "model", Found::Texts(vec!["a".into(), "b".into()])),
        (r#"{"model":["a",1]}"#, "model", Found::Compound),
        (r#"{"model":["a",null]}"#, "model", Found::Compound),
        (r#"{"model":[["a"]]}"#, "model", Found::Compound),
        (r#"{"metadata":{"user_id":"u","x":{}},"user_id":"v"}"#, "metadata.user_id", text("u")),
        (r#"{"metadata.user_id":"v"}"#, "metadata.user_id", Found::Missing),
        (r#"{"metadata":"user_id"}"#, "metadata.user_id", Found::Missing),
        (r#"{"metadata":[{"user_id":"u"}]}"#, "metadata.user_id", Found::Missing),
        (r#"{"metadata":{"metadata":{"user_id":"u"}}}"#, "metadata.user_id", Found::Missing),
        (r#"{"a":{"b":{"c":7}}}"#, "a.b.c", literal("7")),
        (r#"[{"model":"x"}]"#, "model", Found::Missing),
        (r#""model""#, "model", Found::Missing),
        ("null", "model", Found::Missing),
        (r#"{"messages":[{"model":"x"},{"model":"y"}]}"#, "model", Found::Missing),
    ] {
        assert_eq!(at(body, path), found, "{body} {path}");
    }
}

#[test]
fn several_values_are_found_in_one_pass() {
    let body = br#"{"user":"u","model":"m","metadata":{"user_id":1,"deep":{"er":"d"}}}"#;
    let paths = ["model", "metadata", "metadata.user_id", "metadata.deep.er", "user", "model", "none"];
    let look = Look::new(body, &paths).unwrap();
    let found: Vec<_> = paths.iter().map(|path| look.at(path).clone()).collect();
    let expected = [text("m"), Found::Compound, literal("1"), text("d"), text("u"), text("m"), Found::Missing];
    assert_eq!(found, expected);
    assert_eq!(look.at("not asked for"), &Found::Missing);
    assert!(matches!(look.at("model"), Found::Text(Cow::Borrowed(_))), "nothing is copied");
}

/// Two readers, two models: then there is none.
#[test]
fn attack_60_a_member_that_can_be_read_in_two_ways_is_ambiguous() {
    for body in [
        r#"{"model":"a","model":"b"}"#,
        r#"{"model":"a","model":"a"}"#,
        r#"{"model":"a","model":null}"#,
        r#"{"model":null,"model":"a"}"#,
        r#"{"model":{},"model":"a"}"#,
        r#"{"model":"a","mod\u0065l":"b"}"#,
        r#"{"\u006d\u006f\u0064\u0065\u006c":"a","model":"b"}"#,
        r#"{"model":"a","Model":"b"}"#,
        r#"{"MODEL":"a","model":"b"}"#,
        r#"{"MODEL":"a"}"#,
        r#"{"model\u0000":"a","model":"b"}"#,
        r#"{"model\u0000x":"a"}"#,
        r#"{"model":"a","n":{"model":"x"},"model":["b"]}"#,
    ] {
        assert_eq!(at(body, "model"), Found::Ambiguous, "{body}");
    }
    for (body, path) in [
        (r#"{"a":{"b":1},"a":{"b":1}}"#, "a.b"),
        (r#"{"a":{"b":1},"a":{}}"#, "a.b"),
        (r#"{"a":7,"a":{"b":1}}"#, "a.b"),
        (r#"{"a":{"b":1,"b":1}}"#, "a.b"),
        (r#"{"A":{},"a":{"b":1}}"#, "a.b"),
        (r#"{"model\u017f":[]}"#, "models"),
        (r#"{"\u212aey":1,"key":2}"#, "key"),
    ] {
        assert_eq!(at(body, path), Found::Ambiguous, "{body} {path}");
    }
    // Names that merely look alike are other names.
    for body in [r#"{"model ":"x"}"#, r#"{" model":"x"}"#, r#"{"models":"x"}"#, r#"{"mode\u200bl":"x"}"#] {
        assert_eq!(at(body, "model"), Found::Missing, "{body}");
    }
}

#[test]
fn what_only_some_parsers_take_is_not_json() {
    let deep = |open: &str, close: &str| format!("{{\"model\":{}1{}}}", open.repeat(200), close.repeat(200));
    let arrays = deep("[", "]");
    let objects = deep("{\"a\":", "}");
    for body in [
        b"".as_slice(),
        b" ",
        b"{",
        br#"{"model":"x""#,
        br#"{"model":"x"}}"#,
        br#"{"model":"x"}{"model":"y"}"#,
        br#"{"model":"x"} //"#,
        br#"{"model":"x",}"#,
        b"{'model':'x'}",
        br#"{model:"x"}"#,
        br#"{"model":NaN}"#,
        br#"{"model":01}"#,
        br#"{"model":1e999}"#,
        br#"{"model":"\ud800"}"#,
        b"{\"model\":\"a\nb\"}",
        b"{\"model\":\"x\"}\0",
        b"\xef\xbb\xbf{\"model\":\"x\"}",
        b"{\"model\":\"\xff\"}",
        b"{\"text\":\"\xff\",\"model\":\"x\"}",
        b"{\0\"\0m\0\"\0:\x001\0}\0",
        b"model=x",
        arrays.as_bytes(),
    ] {
        assert_eq!(Look::new(body, &["model"]).err(), Some(NotJson), "{}", String::from_utf8_lossy(body));
    }
    assert_eq!(Look::new(objects.as_bytes(), &[&format!("model{}", ".a".repeat(200))]).err(), Some(NotJson));
}

/// However much is piled up, it is read once, without a tree and without a stack.
#[test]
fn attack_59_json_bombs_find_nothing() {
    let size = 1 << 20;
    let members: Vec<_> = (0..size / 12).map(|number| format!("\"k{number}\":0")).collect();
    let texts = |count: usize| format!("{{\"model\":[{}\"\"]}}", "\"\",".repeat(count - 1));
    for (body, found) in [
        ("[".repeat(size), Err(NotJson)),
        ("{\"model\":".repeat(size / 9), Err(NotJson)),
        (format!("{{\"model\":{}", "[".repeat(size)), Err(NotJson)),
        (format!("{{\"x\":{}{}}}", "[".repeat(size / 2), "]".repeat(size / 2)), Ok(Found::Missing)),
        (format!("{{{}}}", members.join(",")), Ok(Found::Missing)),
        (format!("{{\"x\":\"{}\"}}", "a".repeat(size)), Ok(Found::Missing)),
        (format!("{{\"{}\":0}}", "\\u0061".repeat(size / 6)), Ok(Found::Missing)),
        (format!("{{{}\"model\":0}}", "\"model\":0,".repeat(size / 10)), Ok(Found::Ambiguous)),
        (texts(Found::MAX_TEXTS + 1), Ok(Found::Compound)),
        (texts(size / 3), Ok(Found::Compound)),
    ] {
        let got = Look::new(body.as_bytes(), &["model"]).map(|look| look.at("model").clone());
        assert_eq!(got, found, "{}", &body[..40]);
    }
    assert!(matches!(at(&texts(Found::MAX_TEXTS), "model"), Found::Texts(texts) if texts.len() == Found::MAX_TEXTS));
}

/// Names as they are written, and whether they are `model`, taken for it by some, or something else.
const NAMES: [(&str, &str); 7] = [
    ("model", "is"),
    ("mod\\u0065l", "is"),
    ("Model", "passes for"),
    ("model\\u0000", "passes for"),
    ("models", "is not"),
    ("mode", "is not"),
    ("", "is not"),
];
const VALUES: [&str; 7] = ["\"a\"", "\"b\\u0063\"", "1", "null", "{}", "{\"model\":\"deep\"}", "[\"a\"]"];

proptest! {
    #[test]
    fn any_bytes_are_looked_at_without_a_panic(body: Vec<u8>, path in "[a.]{0,6}") {
        let _ = Look::new(&body, &[&path, "model"]);
    }

    #[test]
    fn any_mutilated_json_is_looked_at_without_a_panic(cut in 0..64_usize, byte: u8, at in 0..64_usize) {
        let mut body = br#"{"a":{"model":["x","\u0041"]},"model":"gpt","n":[1,2.5,null,{}]}"#.to_vec();
        body[at] = byte;
        body.truncate(64 - cut);
        let _ = Look::new(&body, &["model", "a.model", "n", "a"]);
    }

    #[test]
    fn what_a_look_finds_is_what_every_parser_finds(
        members in prop::collection::vec((0..NAMES.len(), 0..VALUES.len()), 0..5),
    ) {
        let written = members.iter().map(|&(name, value)| format!("\"{}\":{}", NAMES[name].0, VALUES[value]));
        let body = format!("{{{}}}", written.collect::<Vec<_>>().join(","));
        let count = |kind: &str| members.iter().filter(|(name, _)| NAMES[*name].1 == kind).count();
        let tree: Value = serde_json::from_str(&body).unwrap();
        let expected = match (count("is"), count("passes for"), &tree["model"]) {
            (_, 1.., _) | (2.., ..) => Found::Ambiguous,
            (_, _, Value::Null) => Found::Missing,
            (_, _, Value::String(text)) => Found::Text(text.clone().into()),
            (_, _, Value::Number(number)) => Found::Literal(number.to_string().into()),
            (_, _, Value::Array(_)) => Found::Texts(vec!["a".into()]),
            _ => Found::Compound,
        };
        prop_assert_eq!(at(&body, "model"), expected, "{}", body);
    }
}
