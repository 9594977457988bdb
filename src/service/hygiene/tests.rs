use http::header::{AUTHORIZATION, HeaderName};
use http::{HeaderMap, HeaderValue, Request};

use super::{Keep, Rules, is_upgrade, request, response, trailers};
use crate::secret::Secret;
use crate::slot::{Bearer, Header, Query, Slot};

const QUERY: &[&str] = &["key", "api_key", "access_token"];

fn head(uri: &str, headers: &[(&str, &str)]) -> http::request::Parts {
    let mut parts = Request::post(uri).body(()).unwrap().into_parts().0;
    for (name, value) in headers {
        let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
        parts.headers.append(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
    }
    parts
}

fn clean(parts: &mut http::request::Parts, scrub: bool) {
    request(parts, &Rules { keep: &Keep::default(), query: QUERY, scrub });
}

fn keep<'a>(names: impl IntoIterator<Item = &'a str>) -> Keep {
    let mut keep = Keep::default();
    for name in names {
        keep.add(name);
    }
    keep
}

fn names(headers: &HeaderMap) -> Vec<&str> {
    let mut names: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
    names.sort_unstable();
    names
}

fn secret() -> Secret {
    "sk-leased-0123456789".parse().unwrap()
}

/// Attacks 10 and 13.
const CREDENTIALS: [&str; 74] = [
    "Authorization",
    "authorization-extra",
    "X-Authorization",
    "X-Forwarded-Authorization",
    "X-Original-Authorization",
    "X-Serverless-Authorization",
    "X-MS-Authorization-Token",
    "Proxy-Authorization",
    "x-api-key",
    "X-API-KEY",
    "api-key",
    "apikey",
    "api_key",
    "x-apikey",
    "x-goog-api-key",
    "x-openai-api-key",
    "x-anthropic-api-key",
    "anthropic-api-key",
    "openrouter-api-key",
    "x-portkey-api-key",
    "x-portkey-virtual-key",
    "x-litellm-api-key",
    "x-litellm-key",
    "x-rapidapi-key",
    "x-functions-key",
    "ocp-apim-subscription-key",
    "x-master-key",
    "x-admin-key",
    "x-server-key",
    "x-auth-key",
    "x-key",
    "key",
    "x-auth-token",
    "x-access-token",
    "access-token",
    "access_token",
    "auth_token",
    "x-user-token",
    "x-session-token",
    "x-refresh-token",
    "x-id-token",
    "x-amz-security-token",
    "x-vault-token",
    "x-gitlab-token",
    "private-token",
    "job-token",
    "x-csrf-token",
    "x-xsrf-token",
    "token",
    "x-secret",
    "x-client-secret",
    "cf-access-client-secret",
    "secret",
    "x-password",
    "x-auth-password",
    "x-auth",
    "auth",
    "helicone-auth",
    "x-jwt",
    "cf-access-jwt-assertion",
    "x-goog-iap-jwt-assertion",
    "x-forwarded-client-cert",
    "x-credential",
    "dpop",
    "cookie",
    "cookie2",
    "sec-websocket-key",
    "sec-websocket-protocol",
    "OpenAI-Organization",
    "OpenAI-Project",
    "x-goog-user-project",
    "anthropic-organization",
    "anthropic-organization-id",
    "X-HF-Bill-To",
];

#[test]
fn i2_no_credential_goes_beside_ours() {
    let mut sent: Vec<(&str, &str)> = CREDENTIALS.iter().map(|name| (*name, "caller")).collect();
    sent.extend(CREDENTIALS.iter().step_by(3).map(|name| (*name, "again")));
    let mut parts = head("https://api.example/v1/chat", &sent);
    Bearer.take(&mut parts).unwrap_err();
    clean(&mut parts, false);
    assert_eq!(names(&parts.headers), [""; 0]);
    Bearer.put(&mut parts, &Bearer.value(&secret()));
    assert_eq!(names(&parts.headers), ["authorization"]);
}

#[test]
fn i2_what_a_provider_needs_goes_on() {
    let kept = [
        ("accept", "text/event-stream"),
        ("accept-encoding", "identity"),
        ("anthropic-beta", "tools"),
        ("anthropic-version", "2023-06-01"),
        ("content-encoding", "gzip"),
        ("content-type", "application/json"),
        ("http-referer", "https://app.example"),
        ("idempotency-key", "1"),
        ("openai-beta", "assistants=v2"),
        ("range", "bytes=0-1"),
        ("user-agent", "sdk"),
        ("x-idempotency-key", "1"),
        ("x-max-tokens", "7"),
        ("x-session-id", "s"),
        ("x-stainless-lang", "rust"),
        ("x-title", "app"),
    ];
    let mut parts = head("https://api.example/v1/chat?alt=sse&monkey=1", &kept);
    let before = parts.clone();
    clean(&mut parts, false);
    assert_eq!(parts.headers, before.headers);
    assert_eq!(parts.uri, before.uri);
}

#[test]
fn i2_query_credentials_are_removed_however_they_are_spelt() {
    let table = [
        ("?KEY=a&k%65y=b&key=c", ""),
        ("?alt=sse&KEY=a&q=1&k%65y=b&key=c", "?alt=sse&q=1"),
        ("?API_KEY=a&api%5fkey=b", ""),
        ("?key", ""),
        ("?key=&x", "?x"),
        ("?%6B%65%79=a", ""),
        ("?keys=a&okey=b&q=key", "?keys=a&okey=b&q=key"),
        ("?q=a%26key%3Db", "?q=a%26key%3Db"),
        ("?access_token=a&&b=1", "?b=1"),
        ("", ""),
    ];
    for (sent, left) in table {
        let mut parts = head(&format!("https://api.example/v1/models{sent}"), &[]);
        clean(&mut parts, false);
        assert_eq!(parts.uri.to_string(), format!("https://api.example/v1/models{left}"), "{sent}");
    }
}

#[test]
fn i2_any_number_of_credentials_becomes_one() {
    let spellings = [&[][..], &["Authorization"], &["AUTHORIZATION", "authorization", "Authorization"]];
    for names in spellings {
        let sent: Vec<_> = names.iter().map(|name| (*name, "Bearer caller")).collect();
        let mut parts = head("https://api.example/", &sent);
        assert_eq!(Bearer.take(&mut parts).is_err(), names.len() > 1);
        clean(&mut parts, false);
        Bearer.put(&mut parts, &Bearer.value(&secret()));
        let values: Vec<_> = parts.headers.get_all(AUTHORIZATION).iter().collect();
        assert_eq!(values, ["Bearer sk-leased-0123456789"]);
    }
}

/// Attack 39.
#[test]
fn i2_nominations_cannot_take_our_credential_out() {
    let api_key = Header(HeaderName::from_static("x-api-key"));
    let query = Query("key".into());
    let slots: [(&dyn Slot, &str); 3] = [(&Bearer, "authorization"), (&api_key, "x-api-key"), (&query, "key")];
    for (slot, name) in slots {
        let sent = [
            ("connection", "close, Connection"),
            ("connection", &format!("keep-alive,{name},  X-Custom ,\u{e9},,")),
            ("x-custom", "1"),
            ("x-other", "2"),
            (name, "caller"),
        ];
        let mut parts = head("https://api.example/v1/models", &sent);
        let _ = slot.take(&mut parts);
        clean(&mut parts, false);
        assert_eq!(names(&parts.headers), ["x-other"]);
        slot.put(&mut parts, &slot.value(&secret()));
        let is_there = parts.headers.contains_key(name) || parts.uri.query() == Some("key=sk-leased-0123456789");
        assert!(is_there, "{name}");
    }
}

/// RFC 9110, 7.6.1, and what RFC 9113, 8.2.2 adds to it; attack 70.
#[test]
fn i2_what_belongs_to_one_hop_ends_there() {
    let table = [
        ("connection", "x-nominated"),
        ("x-nominated", "1"),
        ("proxy-connection", "keep-alive"),
        ("keep-alive", "timeout=5"),
        ("te", "gzip"),
        ("transfer-encoding", "identity, chunked"),
        ("upgrade", "h2c"),
        ("http2-settings", "AAMAAABk"),
        ("proxy-authorization", "Basic eDp5"),
        ("proxy-authenticate", "Basic"),
    ];
    let mut parts = head("https://api.example/", &table);
    clean(&mut parts, false);
    assert!(parts.headers.is_empty(), "{:?}", parts.headers);

    let mut headers = head("https://api.example/", &table).headers;
    response(&mut headers);
    assert!(headers.is_empty(), "{headers:?}");
}

#[test]
fn nobody_takes_out_which_way_a_request_has_come() {
    let mut parts = head("https://api.example/", &[("connection", "close, Via"), ("via", "1.1 proxy")]);
    clean(&mut parts, false);
    assert_eq!(names(&parts.headers), ["via"]);
}

/// Attacks 3 and 69.
#[test]
fn i2_the_client_frames_and_routes_anew() {
    let table = [
        ("host", "internal-admin"),
        ("host", "another"),
        ("x-forwarded-host", "evil"),
        ("x-original-url", "/admin"),
        ("x-rewrite-url", "/admin"),
        ("x-http-method-override", "DELETE"),
        ("forwarded", "host=evil"),
        ("content-length", "5, 5"),
        ("content-length", "0"),
        ("transfer-encoding", "chunked"),
        ("trailer", "authorization"),
        ("expect", "100-continue"),
    ];
    let mut parts = head("https://api.example/", &table);
    let keep = keep(table.iter().map(|(name, _)| *name));
    request(&mut parts, &Rules { keep: &keep, query: QUERY, scrub: false });
    assert!(parts.headers.is_empty(), "{:?}", parts.headers);
}

#[test]
fn te_trailers_stays_and_nothing_else_of_te() {
    let table = [("trailers", true), ("gzip, Trailers", true), ("gzip;q=1", false), ("trailers-x", false)];
    for (sent, stays) in table {
        let mut parts = head("https://api.example/", &[("te", sent), ("connection", "TE")]);
        clean(&mut parts, false);
        let expected = if stays { vec![HeaderValue::from_static("trailers")] } else { vec![] };
        assert_eq!(parts.headers.get_all("te").iter().cloned().collect::<Vec<_>>(), expected, "{sent}");
        assert!(!parts.headers.contains_key("connection"));
    }
}

#[test]
fn i2_the_application_can_spare_a_name_but_not_beside_ours() {
    let keep = keep(["X-Team-Token", "KEY", "Authorization"]);
    let sent = [("x-team-token", "1"), ("x-other-token", "2"), ("authorization", "Bearer caller")];
    let mut parts = head("https://api.example/?k%65y=a&api_key=b", &sent);
    request(&mut parts, &Rules { keep: &keep, query: QUERY, scrub: false });
    Bearer.put(&mut parts, &Bearer.value(&secret()));
    assert_eq!(names(&parts.headers), ["authorization", "x-team-token"]);
    assert_eq!(parts.headers.get_all(AUTHORIZATION).iter().collect::<Vec<_>>(), ["Bearer sk-leased-0123456789"]);
    assert_eq!(parts.uri.query(), Some("k%65y=a"));
}

#[test]
fn i18_a_searched_answer_is_asked_for_whole_and_plain() {
    let sent = [("accept-encoding", "br"), ("accept-encoding", "gzip"), ("range", "bytes=0-"), ("if-range", "x")];
    let mut parts = head("https://api.example/", &sent);
    clean(&mut parts, true);
    assert_eq!(names(&parts.headers), ["accept-encoding"]);
    assert_eq!(parts.headers.get_all("accept-encoding").iter().collect::<Vec<_>>(), ["identity"]);
}

#[test]
fn an_answer_that_is_to_be_read_is_asked_for_plain() {
    let asked = |sent: &[(&str, &str)], keep: &Keep| {
        let mut parts = head("https://api.example/", sent);
        request(&mut parts, &Rules { keep, query: QUERY, scrub: false });
        parts
            .headers
            .get_all("accept-encoding")
            .iter()
            .map(|value| value.to_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    let codings = [("accept-encoding", "br"), ("accept-encoding", "gzip;q=0.5, *")];
    assert_eq!(asked(&codings, &Keep::default()), ["identity"]);
    assert_eq!(asked(&codings, &keep(["Accept-Encoding"])), ["br", "gzip;q=0.5, *"]);
    assert_eq!(asked(&[("range", "bytes=0-")], &Keep::default()), [""; 0]);
}

/// Attack 15.
#[test]
fn the_owners_cookies_stay_with_the_owner() {
    let sent = [
        ("set-cookie", "a=1"),
        ("Set-Cookie", "b=2"),
        ("set-cookie2", "c"),
        ("content-type", "text/plain"),
        ("content-length", "3"),
        ("trailer", "grpc-status"),
        ("x-request-id", "r"),
    ];
    let mut headers = head("https://api.example/", &sent).headers;
    response(&mut headers);
    assert_eq!(names(&headers), ["content-length", "content-type", "trailer", "x-request-id"]);
}

/// Attack 14.
#[test]
fn i2_trailers_carry_no_credentials_and_no_control_data() {
    let forbidden = "authorization x-api-key cookie set-cookie content-length transfer-encoding host trailer te \
        content-type content-encoding content-range cache-control range connection openai-project";
    let mut sent: Vec<_> = forbidden.split_whitespace().map(|name| (name, "x")).collect();
    sent.extend([("grpc-status", "0"), ("grpc-message", "ok"), ("server-timing", "db"), ("etag", "x")]);
    let mut map = head("https://api.example/", &sent).headers;
    trailers(&mut map);
    assert_eq!(names(&map), ["etag", "grpc-message", "grpc-status", "server-timing"]);
}

/// Attack 71.
#[test]
fn i2_upgrades_are_told_from_requests() {
    let table: [(&[(&str, &str)], bool); 6] = [
        (&[], false),
        (&[("upgrade", "websocket")], true),
        (&[("Upgrade", "x"), ("connection", "upgrade")], true),
        (&[("upgrade", "h2c"), ("connection", "upgrade, http2-settings")], false),
        (&[("upgrade", "h2c, websocket")], true),
        (&[("upgrade", "h2c"), ("upgrade", "websocket")], true),
    ];
    for (headers, expected) in table {
        assert_eq!(is_upgrade(&head("https://api.example/", headers)), expected, "{headers:?}");
    }
    let connect = Request::connect("api.example:443").body(()).unwrap().into_parts().0;
    assert!(is_upgrade(&connect));
}

proptest::proptest! {
    /// Whatever the order and the repeats of a hostile head, what is left is what may be.
    #[test]
    fn i2_nothing_forbidden_survives_in_any_order(
        picks in proptest::collection::vec((0..CREDENTIALS.len() + 8, proptest::bool::ANY), 0..120)
    ) {
        let harmless = ["accept", "x-a", "x-b", "user-agent", "connection", "te", "host", "set-cookie"];
        let name = |at: usize| CREDENTIALS.get(at).or_else(|| harmless.get(at - CREDENTIALS.len())).copied();
        let sent: Vec<_> = picks
            .iter()
            .filter_map(|&(at, nominate)| Some((name(at)?, if nominate { "x-a, accept, connection" } else { "v" })))
            .collect();
        let mut parts = head("https://api.example/", &sent);
        clean(&mut parts, false);
        let allowed = ["accept", "x-a", "x-b", "user-agent", "set-cookie"];
        proptest::prop_assert!(names(&parts.headers).iter().all(|name| allowed.contains(name)));
        response(&mut parts.headers);
        proptest::prop_assert!(!parts.headers.contains_key("set-cookie"));
    }
}
