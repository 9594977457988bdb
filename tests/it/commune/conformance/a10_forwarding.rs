//! A10 and the header cases of 1.B: what goes up and what comes down.

use http::Request;
use key_commune::provider::Provider;
use key_commune::{KeyCommuneLayer, preset};
use tower::Layer;

use super::super::{World, number, presenting};
use super::{JSON, chat, commune, send, strikes};
use crate::support::{Oops, Seen, Step, Stepped, Upstream, answer, client, fetch, key, keys, map, streamed};

/// A chat of caller 0 with these headers, as it arrives with the caller's own key.
async fn sent(headers: &[(&str, &str)]) -> Seen {
    let world = commune(1);
    let mut request = super::super::chat(0);
    request.headers_mut().extend(map(headers));
    assert_eq!(send(&world, request).await.status, 200);
    world.upstream.last()
}

/// An answer with these headers, as it comes down from the caller's own key.
async fn received(headers: &'static [(&'static str, &'static str)]) -> http::HeaderMap {
    let world = commune(1);
    world.answers(move |_| answer(200, headers, "{}"));
    chat(&world, 0).await.headers
}

#[tokio::test]
async fn a10_1_i1_the_path_goes_behind_the_base_url_with_its_query() {
    let world = World::by_its_own_rules(preset::key_commune(Provider::OPENROUTER).keys(keys(1)));
    let client = KeyCommuneLayer::new(world.pool.clone()).rebase().layer(world.upstream.clone());
    let to = |uri: &str| {
        let request = Request::post(uri).header("authorization", format!("Bearer {}", key(0)));
        request.body(Stepped::full("{}")).unwrap()
    };
    assert_eq!(fetch(&client, to("/chat/completions?a=%20b&a=c")).await.status, 200);
    assert_eq!(world.upstream.last().uri, "https://openrouter.ai/api/v1/chat/completions?a=%20b&a=c");
    world.pass(2);
    let astray = ["https://evil.example/api/v1/x", "/../x", "/%2e%2e/x", "//evil.example/x"];
    for uri in astray {
        world.pass(2);
        let got = fetch(&client, to(uri)).await;
        assert!(matches!(got.status.as_u16(), 400 | 421), "{uri}: it sent the key there");
    }
    assert_eq!(world.upstream.count(), 1);
}

#[tokio::test]
async fn a10_2_credentials_and_hop_by_hop_headers_are_removed_in_any_case() {
    let removed = [
        ("cOnNeCtIoN", "x-nominated"),
        ("Keep-Alive", "1"),
        ("Proxy-Authenticate", "1"),
        ("TE", "gzip"),
        ("Trailer", "x"),
        ("Transfer-Encoding", "chunked"),
        ("Host", "evil.example"),
        ("X-Nominated", "1"),
        ("X-Other", "stays"),
    ];
    let seen = sent(&removed).await;
    let mut names: Vec<_> = seen.headers.keys().map(http::HeaderName::as_str).collect();
    names.sort_unstable();
    assert_eq!(names, ["authorization", "content-type", "x-other"]);
    assert_eq!(seen.key(), key(0));
    let names = ["X-API-Key", "api-key", "x-goog-api-key"];
    let same = names.map(|name| (name, key(0)));
    let same: Vec<_> = same.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let seen = sent(&[&same[..], &[("apikey", "x"), ("proxy-authorization", "x")]].concat()).await;
    assert_eq!(seen.headers.len(), 2, "{:?}", seen.headers.keys());
}

#[tokio::test]
async fn a10_2_i2_so_is_whatever_else_tells_who_somebody_is() {
    let mut private = vec![("cookie", "a=b"), ("openai-organization", "org"), ("forwarded", "for=1.2.3.4")];
    private.extend([("expect", "100-continue"), ("content-length", "2"), ("x-forwarded-host", "api.openai.com")]);
    assert_eq!(sent(&private).await.headers.len(), 2, "they went up");
}

#[tokio::test]
async fn a10_2_i18_with_another_callers_key_only_listed_headers_go_up() {
    let world = commune(2);
    for _ in 0..6 {
        let mut request = super::super::chat(0);
        request.headers_mut().extend(map(&[("x-other", "1"), ("user-agent", "sdk/1"), ("accept-encoding", "br")]));
        send(&world, request).await;
    }
    let foreign = world.upstream.seen().into_iter().find(|seen| number(seen) == 1).unwrap();
    assert!(foreign.headers.contains_key("user-agent") && !foreign.headers.contains_key("x-other"));
    assert_eq!(foreign.headers["accept-encoding"], "identity");
}

#[tokio::test]
async fn a10_2_several_values_of_a_header_pass() {
    let seen = sent(&[("x-list", "a, b"), ("x-list", "c")]).await;
    let values: Vec<_> = seen.headers.get_all("x-list").iter().collect();
    assert!(values == ["a, b", "c"] || values == ["a, b, c"], "{values:?}");
}

#[tokio::test]
async fn a10_3_i10_bodies_go_up_byte_for_byte() {
    for body in ["{ \"a\" : 9007199254740993,\n \"a\":1.0, \"b\":\"\\u00e9\" }", "false", "0", "null", "\"\"", "{", ""]
    {
        let world = commune(1);
        let mut request = super::super::chat(0);
        *request.body_mut() = Stepped::full(body);
        assert_eq!(send(&world, request).await.status, 200);
        assert_eq!(world.upstream.last().body, body.as_bytes(), "it was parsed and written anew, or dropped");
    }
}

#[tokio::test]
async fn a10_4_i21_a_failed_connection_is_the_clients_own_error_and_costs_the_key_nothing() {
    let world = commune(1);
    let upstream = Upstream::new(|_| async { Err(Oops("refused")) });
    let got = crate::support::send(&client(&world.pool, &upstream), super::super::chat(0)).await;
    assert_eq!(got.err(), Some(Oops("refused")), "it was 500, whatever had happened");
    assert_eq!(strikes(&world, 0), (0, 0));
}

#[tokio::test]
async fn a10_5_i1_redirects_are_not_followed_but_passed_on() {
    for status in [301, 302, 307, 308] {
        let world = commune(1);
        world.answers(move |_| answer(status, &[("location", "https://evil.example/x")], ""));
        let got = chat(&world, 0).await;
        assert_eq!((got.status.as_u16(), world.upstream.count()), (status, 1));
        assert_eq!(got.header("location"), Some("https://evil.example/x"), "the caller's own key: its own business");
    }
}

#[tokio::test]
async fn a10_6_i10_bodies_come_down_byte_for_byte() {
    let cases = [
        ("application/json", "{ \"a\": 9007199254740993, \"b\": 1.0, \"a\": 2 }"),
        ("application/vnd.api+json", "{\"a\":1}"),
        ("application/json", "\"text\""),
        ("text/plain", "123"),
    ];
    for (kind, body) in cases {
        let world = commune(1);
        world.answers(move |_| answer(200, &[("content-type", kind)], body));
        let got = chat(&world, 0).await;
        assert_eq!((got.header("content-type"), got.text().as_str()), (Some(kind), body));
    }
}

#[tokio::test]
async fn a10_6_i10_bodies_come_down_as_they_arrive() {
    let world = commune(1);
    world.answers(|_| {
        streamed(200, &[("content-type", "text/plain")], Stepped::chunks(["one", "two"]).then(Step::Hang))
    });
    let response = crate::support::send(&client(&world.pool, &world.upstream), super::super::chat(0)).await.unwrap();
    let first = http_body_util::BodyExt::frame(&mut response.into_body()).await.unwrap().unwrap();
    assert_eq!(first.into_data().unwrap(), "one", "it waited for the end");
}

#[tokio::test]
async fn a10_7_hop_by_hop_headers_do_not_come_down_and_others_do() {
    let headers = received(&[
        ("content-type", "application/json"),
        ("Connection", "x-nominated"),
        ("x-nominated", "1"),
        ("keep-alive", "1"),
        ("te", "1"),
        ("transfer-encoding", "chunked"),
        ("upgrade", "h2c"),
        ("proxy-authenticate", "1"),
        ("cache-control", "no-store"),
        ("etag", "x"),
        ("access-control-allow-origin", "*"),
        ("access-control-allow-methods", "GET"),
        ("access-control-allow-headers", "x"),
        ("retry-after", "3"),
        ("x-ratelimit-remaining-requests", "17"),
        ("openai-organization", "org"),
    ])
    .await;
    let mut names: Vec<_> = headers.keys().map(http::HeaderName::as_str).collect();
    names.sort_unstable();
    let expected = [
        "access-control-allow-headers",
        "access-control-allow-methods",
        "access-control-allow-origin",
        "cache-control",
        "content-type",
        "etag",
        "openai-organization",
        "retry-after",
        "x-ratelimit-remaining-requests",
    ];
    assert_eq!(names, expected);
}

#[tokio::test]
async fn a10_7_i10_i18_encodings_stay_and_cookies_do_not() {
    let headers = received(&[("Content-Encoding", "gzip"), ("set-cookie", "a=b"), ("set-cookie", "c=d")]).await;
    assert_eq!(headers.keys().map(http::HeaderName::as_str).collect::<Vec<_>>(), ["content-encoding"]);
}

#[tokio::test]
async fn a10_7_i18_from_another_callers_key_only_listed_headers_come_down() {
    let world = commune(2);
    world.answers(|_| answer(200, &[JSON, ("openai-organization", "org"), ("retry-after", "3")], "{}"));
    for _ in 0..6 {
        let got = chat(&world, 0).await;
        let own = number(&world.upstream.last()) == 0;
        assert_eq!((got.headers.contains_key("openai-organization"), got.header("retry-after")), (own, Some("3")));
    }
}

#[tokio::test]
async fn a10_i1_another_origin_is_none_of_the_pools_business() {
    let world = commune(1);
    let got = send(&world, presenting(0, "https://api.example/v1/chat/completions")).await;
    assert_eq!((got.status.as_u16(), world.upstream.count()), (421, 0));
}
