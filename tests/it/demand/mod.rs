//! Requests are routed by what they say, wherever and however they say it.

mod api_key_lb;
mod bodies;
mod layer;
mod models;
mod sessions;
mod tokens;

use http::request::Builder;
use http::{HeaderName, Request};
use key_commune::demand::{Demand, Id, Inspect, Inspection, Routing, Source};

/// Asks as the service does: what is asked for, and whether it took the body to know.
fn ask(routing: &Routing, request: Request<&[u8]>) -> (Demand, bool) {
    let (head, body) = request.into_parts();
    let mut found = routing.inspect(&head, None);
    let needed = matches!(found, Inspection::NeedsBody(_));
    if let Inspection::NeedsBody(bound) = found {
        found = if body.len() > bound { routing.too_long(&head) } else { routing.inspect(&head, Some(body)) };
    }
    let Inspection::Demand(demand) = found else { panic!("{found:?}") };
    (demand, needed)
}

fn post(path: &str) -> Builder {
    Request::post(format!("https://api.example{path}")).header("content-type", "application/json")
}

/// What a chat with this body asks for.
fn chat(routing: &Routing, body: impl AsRef<[u8]>) -> Demand {
    ask(routing, post("/v1/chat/completions").body(body.as_ref()).unwrap()).0
}

fn session(routing: &Routing, body: &str) -> Option<Id> {
    chat(routing, body).session_id()
}

const IDS: [&str; 5] = ["session_id", "sessionId", "conversation_id", "conversationId", "thread_id"];
const CHAT: &str = r#"{"model":"gpt-4o","session_id":"s-1","previous_response_id":"resp_1","messages":[]}"#;

#[test]
fn a_chat_tells_its_model_its_session_and_what_it_follows() {
    let all = Demand::default().model("gpt-4o").session("s-1").previous_response("resp_1");
    assert_eq!(chat(&Routing::new(), CHAT), all);
    assert_eq!(chat(&Routing::new().models(false), CHAT), Demand::default().session("s-1").previous_response("resp_1"));
    assert_eq!(chat(&Routing::new().sessions([]), CHAT), Demand::default().model("gpt-4o").previous_response("resp_1"));
    let without = Routing::new().previous_responses(false);
    assert_eq!(chat(&without, CHAT), Demand::default().model("gpt-4o").session("s-1"));
    assert_eq!(all.previous_response_id(), Some(Id::of("resp_1")));
}

#[test]
fn the_path_names_the_model_first_then_the_body_then_the_query() {
    for (target, model) in [
        ("/v1/chat/completions", "in-body"),
        ("/v1/chat/completions?model=in-query", "in-body"),
        ("/v1beta/models/gemini-2.5-pro:generateContent", "gemini-2.5-pro"),
        ("/v1beta/models/gemini-2.5-pro:streamGenerateContent?alt=sse", "gemini-2.5-pro"),
        ("/v1/projects/p/locations/l/publishers/google/models/gemini:predict", "gemini"),
        ("/v1beta/models/a%2Db:countTokens", "a-b"),
        ("/v1beta/models/a:b:c", "a:b"),
        ("/openai/deployments/my-gpt/chat/completions?api-version=1", "my-gpt"),
        ("/openai/deployments/my%20gpt/embeddings", "my gpt"),
        ("/openai/Deployments/my-gpt/embeddings", "my-gpt"),
        ("/v1/engines/davinci/completions", "davinci"),
        // A path that names none.
        ("/v1/models/gpt-4o", "in-body"),
        ("/v1/models/gpt-4o:x/permissions", "in-body"),
        ("/v1/models:batch", "in-body"),
        ("/v1beta/models/:generateContent", "in-body"),
        ("/openai/deployments/my-gpt", "in-body"),
        ("/openai/deployments//embeddings", "in-body"),
        ("/v1beta/models/%ff:generateContent", "in-body"),
        ("/v1beta/tunedModels/mine:generateContent", "in-body"),
    ] {
        let request = post(target).body(br#"{"model":"in-body"}"#.as_slice()).unwrap();
        assert_eq!(ask(&Routing::new(), request).0.model_name(), Some(model), "{target}");
    }
    for (query, model) in [
        ("model=m", Some("m")),
        ("x=y&model=a%2Fb&z", Some("a/b")),
        ("m%6fdel=m", Some("m")),
        ("model=a&model=b", None),
        ("model=", None),
        ("model", None),
        ("Model=m", None),
        ("model=%ff", None),
        ("", None),
    ] {
        let request = Request::get(format!("https://api.example/v1/realtime?{query}")).body(b"".as_slice()).unwrap();
        assert_eq!(ask(&Routing::new(), request).0.model_name(), model, "{query}");
    }
}

#[test]
fn the_path_names_the_response_that_is_asked_for() {
    let long = format!("/v1/responses/{}", "x".repeat(Demand::MAX_LEN + 1));
    for (target, response) in [
        ("/v1/responses/resp_1", Some("resp_1")),
        ("/openai/v1/responses/resp_1/cancel?api-version=1", Some("resp_1")),
        ("/v1/responses/resp%5F1/input_items", Some("resp_1")),
        ("/v1/responses/", None),
        ("/v1/responses", None),
        ("/v1/responses//input_items", None),
        ("/v1/responses/%ff", None),
        (&long, None),
    ] {
        for method in ["GET", "POST"] {
            let request = || post(target).method(method).body(b"".as_slice()).unwrap();
            assert_eq!(ask(&Routing::new(), request()).0.previous_response_id(), response.map(Id::of), "{target}");
            assert_eq!(ask(&Routing::new().previous_responses(false), request()).0.previous_response_id(), None);
        }
    }
    let both = post("/v1/responses/a").body(br#"{"previous_response_id":"b"}"#.as_slice()).unwrap();
    assert_eq!(ask(&Routing::new(), both).0.previous_response_id(), Some(Id::of("a")));
}

#[test]
fn a_body_is_asked_for_only_where_it_can_matter() {
    let needs = |routing: &Routing, builder: Builder| ask(routing, builder.body(b"{}".as_slice()).unwrap()).1;
    let typed = |kind: &str| Request::post("https://api.example/v1/x").header("content-type", kind);
    for kind in
        ["application/json", "Application/JSON; Charset=\"UTF-8\"", "application/json;x=y", "application/a+json"]
    {
        assert!(needs(&Routing::new(), typed(kind)), "{kind}");
    }
    for kind in ["multipart/form-data; boundary=x", "application/json; charset=utf-16", "text/plain", "json", "", "é"]
    {
        assert!(!needs(&Routing::new(), typed(kind)), "{kind}");
    }
    assert!(!needs(&Routing::new(), typed("application/json").header("content-type", "text/plain")));
    assert!(!needs(&Routing::new(), post("/").header("content-encoding", "gzip")));
    assert!(needs(&Routing::new(), post("/").header("content-encoding", "identity")));
    assert!(needs(&Routing::new(), Request::post("https://api.example/v1/x")), "says nothing of its type");
    for method in ["GET", "HEAD", "DELETE", "OPTIONS", "TRACE"] {
        assert!(!needs(&Routing::new(), post("/").method(method)), "{method}");
    }
    // Each of the three may need it.
    let nothing = || Routing::new().models(false).sessions([]).previous_responses(false);
    assert!(!needs(&nothing(), post("/")));
    assert!(needs(&nothing().models(true), post("/")));
    assert!(needs(&nothing().previous_responses(true), post("/v1/responses?x=y")));
    assert!(!needs(&nothing().previous_responses(true), post("/v1/chat/completions")));
    assert!(needs(&nothing().tokens(true), post("/")));
    assert!(!needs(&nothing().models(true), post("/models/m:x")));
    let header = HeaderName::from_static("x-chat");
    let by_header = Routing::new().models(false).previous_responses(false).header(header.clone());
    assert!(needs(&by_header, post("/")));
    assert!(!needs(&by_header, post("/").header(header, "c-1")));
    assert!(needs(&by_header, post("/?session_id=q")), "what the body says comes first");
    let by_query = by_header.sessions([Source::Query, Source::Id]);
    assert!(needs(&by_query, post("/")));
    assert!(!needs(&by_query, post("/?session_id=q")));
}

#[test]
fn a_body_that_is_too_long_leaves_what_the_head_tells() {
    let small = Routing::new().max_body(8);
    let request = |path: &str| post(path).header("x-session-id", "h").body(br#"{"model":"m"}"#.as_slice()).unwrap();
    assert_eq!(ask(&small, request("/")).0, Demand::default().session("h"));
    assert_eq!(ask(&small, request("/models/g:x")).0, Demand::default().session("h").model("g"));
    assert_eq!(ask(&small.max_body(13), request("/")).0, Demand::default().session("h").model("m"));
}
