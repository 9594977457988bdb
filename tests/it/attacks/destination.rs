//! Group A: a key sent to the wrong place.

use http::Uri;
use key_commune::health::{Reason, State};
use key_commune::pool::Key;
use key_commune::service::Landed;
use key_commune::{KeyCommuneLayer, Origin, Refusal};
use tower::Layer;

use crate::support::{CHAT, Stepped, Upstream, assert_idle, builder, client, fetch, key, ok, post, timed, to};

const TARGETS: &str = "http://evil/x https://evil/x https://evil:443/x https://api.openai.com.evil/x \
    https://evilapi.openai.com/x https://api.openai.com..:443/x https://.api.openai.com/x https://api.openai.com:444/x \
    https://api.openai.com:80/x http://api.openai.com/x http://api.openai.com:443/x ws://api.openai.com/x \
    https://user@api.openai.com/x https://user:pw@api.openai.com/x https://api.openai.com@evil/x \
    https://api.openai.com:443@evil/x https://evil@api.openai.com:1/x https://[::1]/x https://[::ffff:1.2.3.4]/x \
    https://127.0.0.1/x https://0/x https://2130706433/x https://xn--pi-xka.openai.com/x https://openai.com/x \
    https://com/x https://api-openai.com/x https://api_openai.com/x https://localhost/x https://API.OPENAI.COM.EVIL/x \
    https://api.openai.com%2eevil/x https://api.openai.com%00.evil/x https://evil/https://api.openai.com/x \
    https://evil/?api.openai.com https://evil#api.openai.com ftp://api.openai.com/x https://api.openai.com:0/x \
    https://api.openai.com:65535/x https://api.openai.com:443443/x https://eu.api.openai.com/x https://169.254.169.254/x";

#[tokio::test(start_paused = true)]
async fn attack_01_no_spelling_of_another_target_gets_a_key() {
    assert!(TARGETS.split_whitespace().count() >= 40);
    let (pool, upstream) = (timed(2), Upstream::in_turn(|_| ok()));
    let layer = KeyCommuneLayer::new(pool.clone());
    let (library, proxy) = (layer.clone().layer(upstream.clone()), layer.rebase().layer(upstream.clone()));
    for target in TARGETS.split_whitespace() {
        // Some are no URIs at all.
        let Ok(uri) = target.parse::<Uri>() else { continue };
        let before = upstream.count();
        let got = fetch(&proxy, to(target, &[], Stepped::full(""))).await;
        let expected = if uri.authority().is_some() { 421 } else { 400 };
        assert_eq!(got.status.as_u16(), expected, "{target}: {got:?}");
        assert_eq!(upstream.count(), before, "{target}: the proxy sends nothing");
        fetch(&library, to(target, &[], Stepped::full(""))).await;
        assert!(upstream.seen()[before..].iter().all(|seen| seen.headers.is_empty()), "{target}: no key");
    }
    assert!(pool.snapshot().members.iter().all(|member| member.uses == 0));
}

#[tokio::test(start_paused = true)]
async fn attack_02_no_path_becomes_an_authority() {
    let upstream = Upstream::in_turn(|_| ok());
    let proxy = KeyCommuneLayer::new(timed(1)).rebase().layer(upstream.clone());
    let paths =
        ["//evil/x", "///evil", "/\\evil/x", "/@evil/x", "/http://evil", "/.evil", "/:443@evil", "/x?@evil//..", "*"];
    for path in paths {
        let Ok(uri) = path.parse::<Uri>() else { continue };
        let mut request = post("");
        *request.uri_mut() = uri;
        fetch(&proxy, request).await;
    }
    assert!(upstream.count() > 0);
    for seen in upstream.seen() {
        assert_eq!((seen.uri.scheme_str(), seen.uri.authority().unwrap().as_str()), (Some("https"), "api.openai.com"));
    }
}

#[tokio::test(start_paused = true)]
async fn attack_03_07_nothing_in_a_request_chooses_where_it_goes() {
    let sent = [
        ("host", "internal-admin"),
        ("host", "another"),
        ("x-forwarded-host", "evil"),
        ("x-original-url", "https://evil/admin"),
        ("x-rewrite-url", "/admin"),
        ("forwarded", "host=evil"),
        ("x-portkey-custom-host", "https://evil/v1"),
        ("x-target", "evil"),
    ];
    let upstream = Upstream::in_turn(|_| ok());
    let body = r#"{"api_base":"https://evil","base_url":"https://evil","model":"x"}"#;
    let layer = KeyCommuneLayer::new(timed(1));
    for (client, uri) in [
        (layer.clone().layer(upstream.clone()), CHAT),
        (layer.rebase().layer(upstream.clone()), "/v1/chat/completions"),
    ] {
        fetch(&client, to(uri, &sent, Stepped::full(body))).await;
        let seen = upstream.last();
        assert_eq!((seen.uri.to_string().as_str(), seen.body.as_slice()), (CHAT, body.as_bytes()));
        assert!(sent[..6].iter().all(|(name, _)| !seen.headers.contains_key(*name)));
    }
}

#[tokio::test(start_paused = true)]
async fn attack_04_a_redirect_that_was_followed_elsewhere_takes_the_key_out_of_use() {
    let table = [
        (CHAT, false),
        ("https://API.openai.com:443/elsewhere", false),
        ("https://evil.example/v1", true),
        ("https://api.openai.com:8443/v1", true),
        ("http://api.openai.com/v1", true),
        ("/relative", true),
    ];
    for (landed, strays) in table {
        for status in [200, 401, 429, 500] {
            let pool = timed(2);
            let upstream = Upstream::in_turn(move |_| {
                let mut response = crate::support::answer(status, &[], "what evil says");
                response.extensions_mut().insert(Landed(landed.parse().unwrap()));
                response
            });
            let got = fetch(&client(&pool, &upstream), post("x")).await;
            assert_eq!(got.refusal == Some(Refusal::Redirected), strays, "{landed}");
            assert_idle(&pool);
            if strays {
                assert_eq!((got.status.as_u16(), upstream.count()), (502, 1), "{landed}: no second key goes there");
                assert!(!got.text().contains("evil"));
                let exposed = |member: &&key_commune::pool::MemberSnapshot| member.reason == Some(Reason::Exposed);
                let members = pool.snapshot().members;
                let [member] = members.iter().filter(exposed).collect::<Vec<_>>()[..] else { panic!("{landed}") };
                assert_eq!((member.state, pool.snapshot().active()), (State::Retired, 1));
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn attack_04_05_a_key_with_its_own_origin_may_land_there_and_not_at_the_pools() {
    for (landed, strays) in [("https://eu.example/x", false), (CHAT, true)] {
        let own = Key::new(key(0)).unwrap().origin(Origin::parse("https://eu.example").unwrap());
        let pool = builder(0).key(own).build().unwrap();
        let upstream = Upstream::in_turn(move |_| {
            let mut response = ok();
            response.extensions_mut().insert(Landed(landed.parse().unwrap()));
            response
        });
        let got = fetch(&client(&pool, &upstream), post("x")).await;
        assert_eq!(got.refusal.is_some(), strays, "{landed}");
    }
}

#[tokio::test(start_paused = true)]
async fn attack_06_the_path_that_was_judged_is_the_path_that_is_sent() {
    let dots = [".", "%2e", "%2E", "%252e"];
    let slashes = ["/", "%2f", "%5c", "\\", "%252f"];
    let upstream = Upstream::in_turn(|_| ok());
    let client = KeyCommuneLayer::new(timed(1)).rebase().layer(upstream.clone());
    for (first, second) in dots.iter().flat_map(|first| dots.map(|second| (first, second))) {
        for slash in slashes {
            for path in [format!("/v1/{first}{second}{slash}admin"), format!("/v1{slash}{first}{second}/admin")] {
                let Ok(uri) = path.parse::<Uri>() else { continue };
                let mut request = post("");
                *request.uri_mut() = uri;
                assert_eq!(fetch(&client, request).await.status.as_u16(), 400, "{path}");
            }
        }
    }
    assert_eq!(upstream.count(), 0);
    for path in ["/v1/models/a%20b", "/v1/a..b/c", "/v1/~x;y=1/%E2%82%AC?q=../..&r=//"] {
        fetch(&client, to(path, &[], Stepped::full(""))).await;
        assert_eq!(upstream.last().uri.to_string(), format!("https://api.openai.com{path}"));
    }
}
