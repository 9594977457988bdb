//! Rules let through what they allow and nothing that could be read as something else.

use http::Request;
use http::request::Builder;
use key_commune::demand::{Demand, Inspect, Inspection};
use key_commune::rules::{RuleError, Rules};

/// Asks as the service does: what is asked for, or why not.
fn judge(rules: &Rules, request: Request<&[u8]>) -> Result<Demand, String> {
    let (head, body) = request.into_parts();
    let mut found = rules.inspect(&head, None);
    if let Inspection::NeedsBody(bound) = found {
        found = if body.len() > bound { rules.too_long(&head) } else { rules.inspect(&head, Some(body)) };
    }
    match found {
        Inspection::Demand(demand) => Ok(demand),
        Inspection::Refuse(reason) => Err(reason.into()),
        Inspection::NeedsBody(_) => panic!("asks for more than there is"),
    }
}

fn chat() -> Builder {
    Request::post("https://api.example/v1/chat/completions").header("content-type", "application/json")
}

fn post(rules: &Rules, body: &str) -> Result<Demand, String> {
    judge(rules, chat().body(body.as_bytes()).unwrap())
}

fn get(rules: &Rules, target: &str) -> Result<Demand, String> {
    judge(rules, Request::get(format!("https://api.example{target}")).body(b"".as_slice()).unwrap())
}

fn body(path: &str, pattern: &str) -> Rules {
    Rules::new().body(path, pattern).unwrap()
}

fn refused(got: Result<Demand, String>, says: &str) {
    let reason = got.expect_err(says);
    assert!(reason.contains(says), "{reason}, not {says}");
}

/// The cases of the predecessor's `key-validator.test.ts` that speak of rules, by their names.
mod key_validator {
    use super::*;

    #[test]
    fn no_rules() {
        assert_eq!(get(&Rules::new(), "/anything?at=all"), Ok(Demand::default()));
        assert_eq!(post(&Rules::new(), "not JSON"), Ok(Demand::default()));
    }

    #[test]
    fn body_json_match() {
        assert_eq!(post(&body("model", "^gpt-"), r#"{"model":"gpt-4"}"#), Ok(Demand::default().model("gpt-4")));
    }

    #[test]
    fn mismatch() {
        let reason = r#"body-json parameter "model" with value "claude-3" does not match regex pattern: ^gpt-"#;
        assert_eq!(post(&body("model", "^gpt-"), r#"{"model":"claude-3"}"#), Err(reason.into()));
    }

    #[test]
    fn missing_key() {
        let reason = "Missing required body-json parameter: model";
        for missing in [r#"{"messages":[]}"#, r#"{"model":null}"#, "{}", "[]", "null", ""] {
            assert_eq!(post(&body("model", "^gpt-"), missing), Err(reason.into()), "{missing}");
        }
    }

    #[test]
    fn nested() {
        let rules = body("metadata.user_id", "^user-");
        assert_eq!(post(&rules, r#"{"metadata":{"user_id":"user-1"},"models":5}"#), Ok(Demand::default()));
        refused(post(&rules, r#"{"user_id":"user-1"}"#), "Missing required body-json parameter: metadata.user_id");
    }

    #[test]
    fn path_rule() {
        let rules = Rules::new().path("^/v1/chat").unwrap();
        assert_eq!(get(&rules, "/v1/chat/completions"), Ok(Demand::default()));
        let reason =
            r#"path parameter "path" with value "/v1/models?a=/v1/chat" does not match regex pattern: ^/v1/chat"#;
        assert_eq!(get(&rules, "/v1/models?a=/v1/chat"), Err(reason.into()));
        // The query belongs to it.
        assert_eq!(get(&Rules::new().path("a=1$").unwrap(), "/v1/models?a=1"), Ok(Demand::default()));
    }

    #[test]
    fn query_rule() {
        let rules = Rules::new().query("version", r"^v\d+$").unwrap();
        assert_eq!(get(&rules, "/v1/models?a=b&version=v12"), Ok(Demand::default()));
        refused(get(&rules, "/v1/models?a=b"), "Missing required query parameter: version");
        let reason = r#"query parameter "version" with value "latest" does not match regex pattern: ^v\d+$"#;
        assert_eq!(get(&rules, "/v1/models?version=latest"), Err(reason.into()));
    }

    #[test]
    fn invalid_regex() {
        let table = [
            (Rules::new().path("("), "Invalid regex pattern: ( ("),
            (Rules::new().query("a", "(?=x)"), "Invalid regex pattern: (?=x) ("),
            (Rules::new().body("model", "a\n["), "Invalid regex pattern: a\\n[ ("),
            (Rules::new().body("model", "(\\w{1000}){1000}"), "Invalid regex pattern: (\\w{1000}){1000} ("),
        ];
        for (rules, says) in table {
            let error: RuleError = rules.unwrap_err();
            let text = error.to_string();
            assert!(text.starts_with(says) && text.lines().count() == 1 && text.len() > says.len() + 5, "{text}");
        }
    }
}

#[test]
fn a_pattern_matches_anywhere_unless_it_is_tied_down() {
    assert!(post(&body("model", "free"), r#"{"model":"x:free-ish"}"#).is_ok());
    assert!(post(&body("model", "^.+:free$"), r#"{"model":"x:free-ish"}"#).is_err());
    assert!(post(&body("n", "^[1-4]$"), r#"{"n":3}"#).is_ok());
    assert!(post(&body("stream", "^false$"), r#"{"stream":true}"#).is_err());
}

#[test]
fn all_rules_must_hold_and_the_first_that_fails_answers() {
    let rules = body("model", "^gpt-").body("model", "mini$").unwrap().body("user", "^u").unwrap();
    let rules = rules.path("^/v1/").unwrap().query("k", "^v$").unwrap();
    let ask = |target: &str, body: &str| {
        let request = Request::post(format!("https://api.example{target}")).header("content-type", "application/json");
        judge(&rules, request.body(body.as_bytes()).unwrap())
    };
    assert_eq!(ask("/v1/x?k=v", r#"{"model":"gpt-mini","user":"u"}"#), Ok(Demand::default().model("gpt-mini")));
    refused(ask("/v2/x?k=v", "{}"), "path");
    refused(ask("/v1/x", "{}"), "parameter: k");
    refused(ask("/v1/x?k=v", r#"{"model":"gpt-maxi"}"#), "mini$");
    refused(ask("/v1/x?k=v", r#"{"model":"gpt-mini"}"#), "parameter: user");
}

#[test]
fn a_value_is_shown_in_part_and_in_print() {
    let long = format!(r#"{{"model":"{}"}}"#, "é".repeat(100));
    let shown = format!("with value \"{}…\" does", "é".repeat(64));
    refused(post(&body("model", "^gpt-"), &long), &shown);
    let odd = post(&body("model", "^gpt-"), r#"{"model":"it's \"a\" \\ \u202e"}"#);
    refused(odd, r#"with value "it's "a" \ \u{202e}" does"#);
}

#[test]
fn a_request_without_a_body_has_no_model_to_judge() {
    let rules = body("model", "^gpt-");
    for method in ["GET", "HEAD", "DELETE", "OPTIONS", "TRACE"] {
        let ask = |body: &'static str| {
            let request =
                Request::builder().method(method).uri("/v1/models").header("content-type", "application/json");
            judge(&rules, request.body(body.as_bytes()).unwrap())
        };
        assert_eq!(ask(""), Ok(Demand::default()), "{method}");
        refused(ask(r#"{"model":"o1"}"#), "does not match");
    }
    for method in ["POST", "PUT", "PATCH", "QUERY", "post"] {
        let request = Request::builder().method(method).uri("/v1/x").body(b"".as_slice()).unwrap();
        refused(judge(&rules, request), "Missing required body-json parameter: model");
    }
}

#[test]
fn the_next_inspector_is_asked_for_what_passes() {
    let next = |bound: usize| {
        move |_: &http::request::Parts, body: Option<&[u8]>| match body {
            None => Inspection::NeedsBody(bound),
            Some(_) => Inspection::Demand(Demand::default().session("s")),
        }
    };
    let rules = body("model", "^gpt-").then(next(100));
    assert_eq!(post(&rules, r#"{"model":"gpt-4"}"#), Ok(Demand::default().session("s")));
    refused(post(&rules, r#"{"model":"o1"}"#), "does not match");
    // Beyond the bound of the next one, the demand is unknown, as without rules.
    let (head, ()) = chat().body(()).unwrap().into_parts();
    let small = body("model", "^gpt-").then(next(3));
    assert!(matches!(small.inspect(&head, Some(br#"{"model":"gpt-4"}"#)), Inspection::NeedsBody(3)));
    let only = Rules::new().path("^/v1/").unwrap().then(next(3));
    assert!(matches!(only.inspect(&head, None), Inspection::NeedsBody(3)));
    assert!(matches!(only.too_long(&head), Inspection::NeedsBody(3)));
    refused(get(&Rules::new().path("^/v2/").unwrap().then(next(3)), "/v1/"), "path");
    // One that panics costs nothing but its answer.
    let broken = body("model", "^gpt-").then(|_: &http::request::Parts, _: Option<&[u8]>| panic!("not my day"));
    assert_eq!(post(&broken, r#"{"model":"gpt-4"}"#), Ok(Demand::default()));
}

/// Too much to be looked at is too much to be let through.
#[test]
fn attack_59_a_body_beyond_the_bound_is_refused() {
    let rules = body("model", "^gpt-");
    let long = |length: usize| format!("{{\"model\":\"gpt-4\"{}}}", " ".repeat(length - 17));
    assert!(post(&rules, &long(1 << 20)).is_ok());
    refused(post(&rules, &long((1 << 20) + 1)), "too long");
    refused(post(&rules.clone().max_body(100), &long(101)), "too long");
    refused(post(&rules, &"[".repeat(1 << 20)), "not JSON");
    assert!(post(&Rules::new().path("^/v1").unwrap(), &long(1 << 21)).is_ok(), "no rule needs its body");
    let (head, ()) = chat().body(()).unwrap().into_parts();
    let only_path = Rules::new().path("^/v1").unwrap();
    assert!(matches!(only_path.too_long(&head), Inspection::Demand(_)));
}

/// Bodies that ask for a second model, and why they are refused.
const SECOND_MODELS: [(&str, &str); 37] = [
    (r#"{"model":"gpt-5"}"#, "does not match"),
    (r#"{"model":"x:free","models":["openai/gpt-4"]}"#, r#""models" with value "openai/gpt-4" does not match"#),
    (r#"{"model":"x:free","models":["y:free","gpt-5"]}"#, "does not match"),
    (r#"{"model":"x:free","models":"gpt-5"}"#, r#""models" must be"#),
    (r#"{"model":"x:free","models":"x:free"}"#, r#""models" must be"#),
    (r#"{"model":"x:free","models":["x:free",5]}"#, r#""models" must be"#),
    (r#"{"model":"x:free","models":[["gpt-5"]]}"#, r#""models" must be"#),
    (r#"{"model":"x:free","models":{"0":"gpt-5"}}"#, r#""models" must be"#),
    (r#"{"model":"x:free","models":["x:free"],"models":["gpt-5"]}"#, r#""models" can be read in two ways"#),
    (r#"{"model":"x:free","Models":["gpt-5"]}"#, r#""models" can be read in two ways"#),
    (r#"{"model":"x:free","model\u017f":["gpt-5"]}"#, r#""models" can be read in two ways"#),
    (r#"{"models":["x:free"]}"#, "Missing required"),
    (r#"{"model":["gpt-4","x:free"]}"#, "must be a single value"),
    (r#"{"model":["x:free"]}"#, "must be a single value"),
    (r#"{"model":{"toString":"x:free"}}"#, "must be a single value"),
    (r#"{"model":"x:free","model":"gpt-5"}"#, "two ways"),
    (r#"{"model":"gpt-5","model":"x:free"}"#, "two ways"),
    (r#"{"model":"gpt-5","mod\u0065l":"x:free"}"#, "two ways"),
    (r#"{"model":"x:free","MODEL":"gpt-5"}"#, "two ways"),
    (r#"{"model":"x:free","model\u0000":"gpt-5"}"#, "two ways"),
    (r#"{"Model":"x:free"}"#, "two ways"),
    (r#"{"model":"gpt-5\nx:free"}"#, "line breaks or control characters"),
    (r#"{"model":"x:free\u0000gpt-5:free"}"#, "control characters"),
    (r#"{"model":"gpt-5\u2028x:free"}"#, "line breaks"),
    (r#"{"model":"gpt-5\u0085x:free"}"#, "control characters"),
    (r#"{"model":"x:free\r"}"#, "control characters"),
    (r#"{"model":"x:free","fallbacks":["gpt-5"]}"#, r#""fallbacks" may choose another model"#),
    (r#"{"model":"x:free","plugins":[{"id":"web"}]}"#, r#""plugins" may choose"#),
    (r#"{"model":"x:free","route":"fallback"}"#, r#""route" may choose"#),
    (r#"{"model":"x:free","preset":"dear"}"#, r#""preset" may choose"#),
    (r#"{"model":"x:free","Plugins":[]}"#, r#""plugins" may choose"#),
    (r#"["x:free"]"#, "Missing required"),
    (r#"{"body":{"model":"x:free"}}"#, "Missing required"),
    ("\u{feff}{\"model\":\"x:free\"}", "not JSON"),
    ("{\"model\":\"x:free\"}\0", "not JSON"),
    (r#"{"model":"x:free"}{"model":"gpt-5"}"#, "not JSON"),
    ("model=x:free", "not JSON"),
];

/// The predecessor's defect 24 and its kin: what one reader takes for a free model and another for a dear one.
#[test]
fn attack_60_no_second_model_slips_through() {
    let rules = body("model", r"^.+:free$|^openrouter/polaris-alpha$");
    for allowed in [
        r#"{"model":"x:free"}"#,
        r#"{"mod\u0065l":"x:\u0066ree"}"#,
        r#"{"model":"openrouter/polaris-alpha","messages":[{"role":"user","model":"gpt-5","models":["gpt-5"]}]}"#,
        r#"{"model":"x:free","models":["y:free","openrouter/polaris-alpha"]}"#,
        r#"{"model":"x:free","models":[]}"#,
        r#"{"model":"x:free","models":null,"plugins":null}"#,
        r#"{"model":"x:free","provider":{"only":["a"]},"text":"\ud83d"}"#,
    ] {
        assert!(post(&rules, allowed).is_ok(), "{allowed}");
    }
    for (denied, says) in SECOND_MODELS {
        refused(post(&rules, denied), says);
    }
    let long = format!(r#"{{"model":"{}:free"}}"#, "x".repeat(252));
    refused(post(&rules, &long), "too long");
    assert!(post(&rules.keep("plugins"), r#"{"model":"x:free","plugins":[{"id":"web"}]}"#).is_ok());
}

/// Where the path names the model, the provider does not look at the body's.
#[test]
fn attack_60_no_second_model_slips_through_the_path() {
    const MINI: &str = r#"{"model":"gpt-4o-mini"}"#;
    let rules = body("model", "^gpt-4o-mini$");
    let ask = |target: &str, body: &str| {
        let request = Request::post(format!("https://api.example{target}")).header("content-type", "application/json");
        judge(&rules, request.body(body.as_bytes()).unwrap())
    };
    for path in [
        "/openai/deployments/gpt-4o-mini/chat/completions?api-version=1",
        "/openai/Deployments/gpt%2D4o%2Dmini/embeddings",
        "/v1/engines/gpt-4o-mini/completions",
        "/v1beta/models/gpt-4o-mini:generateContent",
    ] {
        for body in [MINI, r#"{"messages":[]}"#] {
            assert_eq!(ask(path, body), Ok(Demand::default().model("gpt-4o-mini")), "{path} {body}");
        }
        refused(ask(path, r#"{"model":"gpt-4"}"#), r#"body-json parameter "model" with value "gpt-4" does not match"#);
        refused(ask(path, r#"{"models":["gpt-4"]}"#), r#""models" with value"#);
    }
    for (path, says) in [
        ("/openai/deployments/gpt-4-32k/chat/completions", r#"path parameter "model" with value "gpt-4-32k" does not"#),
        ("/openai/DEPLOYMENTS/gpt-4-32k/chat/completions", "does not match"),
        ("/openai/%64eployments/gpt-4-32k/chat/completions", r#"path parameter "model" can be read in two ways"#),
        ("/openai/%64eployments/gpt-4/x/deployments/gpt-4o-mini/chat", "two ways"),
        ("/v1/engines/davinci/completions", "does not match"),
        ("/v1beta/models/gemini-2.5-pro:generateContent", "does not match"),
        ("/v1beta/models/gemini-2.5-pro%3AgenerateContent", "two ways"),
        ("/v1beta/models/gemini-2.5-pro:generateContent/", "two ways"),
        ("/v1/listen?model=dear", r#"query parameter "model" with value "dear" does not match"#),
        ("/v1/listen?Model=gpt-4o-mini", r#"query parameter "model" can be read in two ways"#),
    ] {
        refused(ask(path, MINI), says);
    }
    refused(ask("/v1/listen?model=gpt-4o-mini", "{}"), "Missing required");
    let request = Request::post("/openai/deployments/gpt-4/chat").header("content-type", "application/json");
    let other = judge(&body("user", "^u"), request.body(br#"{"user":"u"}"#.as_slice()).unwrap());
    assert_eq!(other, Ok(Demand::default()), "nobody judges models");
}

/// What a body may be declared as that is no JSON to all readers.
const NOT_JSON: [&str; 11] = [
    "",
    "text/plain",
    "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=x",
    "application/jsonx",
    "application/json; charset=utf-7",
    "application/json; charset=ibm037",
    "application/json; charset=utf-8; charset=utf-7",
    "application/json, multipart/form-data; boundary=x",
    "text/x+json",
    "+json",
];

#[test]
fn attack_60_a_body_is_judged_only_as_what_it_is_sent_as() {
    let rules = body("model", "^x$");
    let ask = |headers: &[(&str, &str)]| {
        let mut request = Request::post("https://api.example/v1/chat").body(br#"{"model":"x"}"#.as_slice()).unwrap();
        let headers = headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
        for (name, value) in headers {
            request.headers_mut().append::<http::HeaderName>(name, value);
        }
        judge(&rules, request)
    };
    for plain in [
        "application/json",
        "Application/JSON",
        "application/json; charset=utf-8",
        "application/json;charset=\"UTF-8\"",
        "application/json;",
        "application/vnd.api+json",
    ] {
        assert!(ask(&[("content-type", plain)]).is_ok(), "{plain}");
        assert!(ask(&[("content-type", plain), ("content-encoding", "identity")]).is_ok(), "{plain}");
        for coding in ["gzip", "br", "identity, gzip", "zstd", "", "x"] {
            refused(ask(&[("content-type", plain), ("content-encoding", coding)]), "must not be encoded");
        }
        refused(ask(&[("content-type", plain), ("content-type", "text/plain")]), "declared");
    }
    for other in NOT_JSON {
        refused(ask(&[("content-type", other)]), "must be declared as application/json");
    }
    refused(ask(&[]), "must be declared as application/json");
    let mut double =
        Request::post("/v1/chat").header("content-type", "application/json").body(b"{}".as_slice()).unwrap();
    double.headers_mut().append("content-encoding", "identity".parse().unwrap());
    double.headers_mut().append("content-encoding", "gzip".parse().unwrap());
    refused(judge(&rules, double), "must not be encoded");
}

#[test]
fn a_parameter_that_can_be_read_in_two_ways_is_refused() {
    let rules = Rules::new().query("version", r"^v[\d ]+$").unwrap();
    for plain in
        ["version=v1", "v%65rsion=%761", "&&version=v1&", "Versions=x&version=v1", "version=v1+1", "version=v%201"]
    {
        assert!(get(&rules, &format!("/x?{plain}")).is_ok(), "{plain}");
    }
    for twofold in [
        "version=v1&version=v1",
        "version=v1&version=v2",
        "version=v1&version",
        "version=v1&v%65rsion=v2",
        "version=v1&Version=v2",
        "Version=v1",
        "version=v1&version[]=v2",
        "version[]=v1",
        "version=v1&version%5B0%5D=v2",
        "version=v1;a=b",
        "a=b;version=v1",
        "version=v1&a=b;version=v2",
        "version=v1&+version=v2",
        "version=v1&version%00=v2",
        "version=%ff",
    ] {
        refused(get(&rules, &format!("/x?{twofold}")), "two ways");
    }
    refused(get(&rules, "/x?version=v1%0a2"), "line breaks or control characters");
    refused(get(&rules, "/x?version"), r#"with value "" does not match"#);
    for missing in ["", "?", "?versions=v1", "?a=version", "?vers%2569on=v1"] {
        refused(get(&rules, &format!("/x{missing}")), "Missing required query parameter: version");
    }
}
