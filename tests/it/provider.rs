//! The table of providers.

#![allow(clippy::unwrap_used, reason = "a test")]

use std::collections::HashSet;

use http::{HeaderName, Method, Uri};
use key_commune::classify::Dialect;
use key_commune::provider::{Placement, Provider};

fn all() -> Vec<Provider> {
    Provider::names().map(|name| Provider::by_name(name).unwrap()).collect()
}

#[test]
fn every_row_is_sound() {
    let names: HashSet<_> = Provider::names().collect();
    assert_eq!(names.len(), Provider::names().count(), "names are unique");
    assert_eq!(names.len(), 11);
    for row in all() {
        assert_eq!(Provider::by_name(row.name()).unwrap().name(), row.name());
        let Some(base) = row.base_url() else {
            assert!(["azure-openai", "custom"].contains(&row.name()), "{row:?}");
            continue;
        };
        let base: Uri = base.parse().unwrap();
        assert_eq!(base.scheme_str(), Some("https"));
        assert!(base.query().is_none());
        assert_eq!(Provider::by_host(base.host().unwrap()).unwrap().base_url(), row.base_url());
    }
}

#[test]
fn every_list_of_headers_is_in_lower_case_and_holds_no_secret() {
    for row in all() {
        for name in row.request_headers().iter().chain(row.response_headers()) {
            assert_eq!(HeaderName::from_static(name).as_str(), *name);
            let secret =
                ["authorization", "cookie", "key", "token", "organization", "project", "ratelimit", "request-id"];
            assert!(!secret.iter().any(|part| name.contains(part)), "{name}");
        }
    }
}

#[test]
fn a_host_is_known_or_it_is_not() {
    let table = [
        ("api.openai.com", Some(("openai", "https://api.openai.com"))),
        ("API.OpenAI.com", Some(("openai", "https://api.openai.com"))),
        ("eu.api.openai.com", Some(("openai", "https://eu.api.openai.com"))),
        ("contoso.openai.azure.com", Some(("azure-openai", "https://contoso.openai.azure.com"))),
        ("api.together.ai", Some(("together", "https://api.together.ai"))),
        ("openrouter.ai", Some(("openrouter", "https://openrouter.ai/api/v1"))),
        ("us-east-1.api.x.ai", Some(("xai", "https://us-east-1.api.x.ai"))),
        (".openai.azure.com", None),
        ("openai.azure.com", None),
        ("evilapi.openai.com", None),
        ("api.openai.com.evil.example", None),
        ("user@eu.api.openai.com", None),
        ("evil.example/.api.openai.com", None),
        ("", None),
    ];
    for (host, expected) in table {
        let found = Provider::by_host(host);
        let found = found.as_ref().map(|row| (row.name(), row.base_url().unwrap()));
        assert_eq!(found, expected, "{host}");
    }
}

#[test]
fn only_calls_that_leave_nothing_behind_are_shared() {
    let shared = |row: &Provider, method, path| row.shared().iter().any(|call| call.matches(method, path));
    let table = [
        (Provider::OPENAI, "/v1/chat/completions", true),
        (Provider::OPENAI, "/v1/embeddings", true),
        (Provider::OPENAI, "/v1/responses", false),
        (Provider::OPENAI, "/v1/files", false),
        (Provider::OPENAI, "/v1/threads/t/messages", false),
        (Provider::OPENAI, "/v1/chat/completions/abc", false),
        (Provider::OPENAI, "/v1/xchat/xcompletions", false),
        (Provider::ANTHROPIC, "/v1/messages", true),
        (Provider::ANTHROPIC, "/v1/messages/batches", false),
        (Provider::GEMINI, "/v1beta/models/gemini-2.5-pro:streamGenerateContent", true),
        (Provider::GEMINI, "/v1beta/tunedModels/mine:generateContent", false),
        (Provider::GEMINI, "/v1beta/models/..%2ftunedModels%2fmine:generateContent", false),
        (Provider::GEMINI, "/v1beta/models/:generateContent", false),
        (Provider::GEMINI, "/v1beta/cachedContents", false),
        (Provider::OPENROUTER, "/api/v1/chat/completions", true),
        (Provider::OPENROUTER, "/api/v1/keys", false),
        (Provider::AZURE_OPENAI, "/openai/deployments/d/chat/completions", true),
    ];
    for (row, path, expected) in table {
        assert_eq!(shared(&row, &Method::POST, path), expected, "{path}");
        assert!(!shared(&row, &Method::GET, path), "{path}");
        assert!(!shared(&row, &Method::DELETE, path), "{path}");
    }
    for row in all() {
        assert!(row.proof().iter().all(|call| row.shared().contains(call)), "{}", row.name());
    }
}

#[test]
fn a_row_can_be_changed() {
    let row =
        Provider::custom("http://127.0.0.1:8080/llm").slot(Placement::Query("key".into())).dialect(Dialect::Gemini);
    assert_eq!(row.base_url(), Some("http://127.0.0.1:8080/llm"));
    assert_eq!((row.placement(), row.speaks()), (&Placement::Query("key".into()), Dialect::Gemini));
    assert_eq!(Provider::GEMINI.placement(), &Placement::Header(http::HeaderName::from_static("x-goog-api-key")));
}
