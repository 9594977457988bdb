//! I1: a key leaves only for the origin that it is bound to.

use http::Uri;
use key_commune::pool::{Commune, Key, KeyPool};
use key_commune::provider::Provider;
use key_commune::{KeyCommuneLayer, Origin, Refusal};
use tower::Layer;

use crate::support::{
    Stepped, Upstream, answer, builder, client, fetch, key, map, ok, revoked, timed, to, tokio_clock,
};

#[tokio::test(start_paused = true)]
async fn i1_a_request_for_another_origin_passes_untouched() {
    let foreign = [
        "https://other.example/v1/chat?key=1&api_key=2",
        "https://api.openai.com.evil.example/v1/chat",
        "https://api.openai.com:8443/v1/chat",
        "http://api.openai.com/v1/chat",
        "https://openai.com/../v1",
    ];
    let sent =
        [("authorization", "Bearer caller"), ("cookie", "a=1"), ("connection", "x-a"), ("x-a", "1"), ("host", "h")];
    for uri in foreign {
        let (pool, upstream) =
            (timed(2), Upstream::in_turn(|_| answer(401, &[("set-cookie", "a"), ("keep-alive", "1")], "no")));
        let got = fetch(&client(&pool, &upstream), to(uri, &sent, Stepped::chunks(["ab", "cd"]))).await;
        let seen = upstream.last();
        assert_eq!((seen.uri, seen.headers, seen.body), (uri.parse().unwrap(), map(&sent), b"abcd".to_vec()), "{uri}");
        assert_eq!((got.status.as_u16(), got.served, got.refusal), (401, None, None));
        assert_eq!(got.headers, map(&[("set-cookie", "a"), ("keep-alive", "1")]));
        assert_eq!((upstream.count(), pool.snapshot().members[0].uses + pool.snapshot().members[1].uses), (1, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn i1_a_path_outside_the_base_passes_without_a_key() {
    let pool = KeyPool::builder(Provider::OPENROUTER).key(Key::new(key(0)).unwrap()).build().unwrap();
    for (uri, keyed) in [("https://openrouter.ai/api/v1/chat", true), ("https://openrouter.ai/admin", false)] {
        let upstream = Upstream::in_turn(|_| ok());
        fetch(&client(&pool, &upstream), to(uri, &[], Stepped::full(""))).await;
        assert_eq!(upstream.last().headers.contains_key("authorization"), keyed, "{uri}");
    }
}

#[tokio::test(start_paused = true)]
async fn i1_a_layer_that_rebases_serves_its_own_origin_only() {
    let upstream = Upstream::in_turn(|_| ok());
    let pool = timed(2);
    let proxy = KeyCommuneLayer::new(pool).rebase().layer(upstream.clone());
    let served = [
        ("/v1/models?limit=2", "https://api.openai.com/v1/models?limit=2"),
        ("https://api.openai.com/v1/models", "https://api.openai.com/v1/models"),
        ("https://API.OPENAI.COM:443/v1/models", "https://api.openai.com/v1/models"),
    ];
    for (uri, landed) in served {
        fetch(&proxy, to(uri, &[], Stepped::full(""))).await;
        assert_eq!(upstream.last().uri, landed.parse::<Uri>().unwrap(), "{uri}");
    }
    let before = upstream.count();
    for uri in ["https://evil.example/v1", "http://api.openai.com/v1", "https://api.openai.com:444/", "http://evil"] {
        let got = fetch(&proxy, to(uri, &[], Stepped::full(""))).await;
        assert_eq!((got.status.as_u16(), got.refusal), (421, Some(Refusal::WrongOrigin)), "{uri}");
    }
    assert_eq!(upstream.count(), before);
}

/// Its callers are strangers: they are not to reach what the machine can reach.
#[tokio::test(start_paused = true)]
async fn i1_a_commune_passes_nothing_on_to_other_origins() {
    let pool = KeyPool::builder(Provider::OPENROUTER).commune(Commune::default()).build().unwrap();
    let upstream = Upstream::in_turn(|_| ok());
    for uri in ["http://169.254.169.254/latest/meta-data", "https://evil.example/api/v1", "https://openrouter.ai/admin"]
    {
        let got = fetch(&client(&pool, &upstream), to(uri, &[], Stepped::full(""))).await;
        assert_eq!((got.status.as_u16(), got.refusal), (421, Some(Refusal::WrongOrigin)), "{uri}");
    }
    assert_eq!(upstream.count(), 0);
}

#[tokio::test(start_paused = true)]
async fn i1_a_request_without_an_origin_is_told_of_rebase() {
    let upstream = Upstream::in_turn(|_| ok());
    let got = fetch(&client(&timed(1), &upstream), to("/v1/models", &[], Stepped::full(""))).await;
    assert_eq!((got.status.as_u16(), got.refusal.clone()), (421, Some(Refusal::NoOrigin)));
    assert!(got.text().contains("rebase()"), "{}", got.text());
    assert_eq!(upstream.count(), 0, "never a silent pass without a key");
}

#[tokio::test(start_paused = true)]
async fn i1_a_key_with_its_own_origin_is_sent_there_and_nowhere_else() {
    let eu = Origin::parse("https://eu.example/openai").unwrap();
    let keys = [Key::new(key(0)).unwrap().origin(eu), Key::new(key(1)).unwrap()];
    let pool = builder(0).keys(keys).clock(tokio_clock()).build().unwrap();
    let upstream = Upstream::answering(|_| revoked());
    for _ in 0..20 {
        fetch(&client(&pool, &upstream), to("https://api.openai.com/v1/chat?a=b", &[], Stepped::full("x"))).await;
        tokio::time::advance(std::time::Duration::from_secs(90_000)).await;
    }
    assert!(upstream.uses(&key(0)) > 1 && upstream.uses(&key(1)) > 1);
    for seen in upstream.seen() {
        let expected = if seen.key() == key(0) {
            "https://eu.example/openai/v1/chat?a=b"
        } else {
            "https://api.openai.com/v1/chat?a=b"
        };
        assert_eq!(seen.uri, expected.parse::<Uri>().unwrap());
    }
}

#[tokio::test(start_paused = true)]
async fn i1_an_ambiguous_path_is_answered_400_and_touches_no_key() {
    let paths = ["/v1/../admin", "/v1/%2e%2e/admin", "/v1/%2Fchat", "/v1/%5c", "/v1/./chat", "/v1/..;/a", "//evil/x"];
    for path in paths {
        let (pool, upstream) = (timed(1), Upstream::in_turn(|_| ok()));
        let layer = KeyCommuneLayer::new(pool.clone());
        let library = layer.clone().layer(upstream.clone());
        let proxy = layer.rebase().layer(upstream.clone());
        let answers = [
            fetch(&library, to(&format!("https://api.openai.com{path}"), &[], Stepped::full(""))).await,
            fetch(&proxy, to(path, &[], Stepped::full(""))).await,
        ];
        for got in answers {
            assert!(matches!(got.refusal, Some(Refusal::Path(_))), "{path}: {got:?}");
            assert_eq!(got.status.as_u16(), 400);
        }
        assert_eq!((upstream.count(), pool.snapshot().members[0].uses), (0, 0), "{path}");
    }
}

/// As a proxy serves it: the request names no origin, and may leave out what the pool's base URL ends with.
#[tokio::test(start_paused = true)]
async fn i1_a_key_s_base_url_stands_for_the_pool_s() {
    for (base, own, requests, expected) in [
        ("https://a.example", "https://b.example/v1", ["/v1/x?q", "/x?q"], "https://b.example/v1/x?q"),
        ("https://a.example/v1", "https://b.example/p/v1/", ["/v1/x?q", "/x?q"], "https://b.example/p/v1/x?q"),
        ("https://a.example/api/v1", "https://b.example/v1", ["/v1/x", "/api/v1/x"], "https://b.example/v1/x"),
    ] {
        let own = Key::new(key(0)).unwrap().origin(Origin::parse(own).unwrap());
        let pool = KeyPool::builder(Provider::custom(base)).key(own).build().unwrap();
        for request in requests {
            let upstream = Upstream::in_turn(|_| ok());
            let proxy = KeyCommuneLayer::new(pool.clone()).rebase().layer(upstream.clone());
            assert_eq!(fetch(&proxy, to(request, &[], Stepped::full(""))).await.status, 200);
            assert_eq!(upstream.last().uri, expected.parse::<Uri>().unwrap(), "{base} {request}");
        }
    }
}
