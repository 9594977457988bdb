//! Where a request goes is not for the caller to say.

use tokio::net::TcpListener;

use super::caller::{ask, get, raw};
use super::{KEY, Proxy, pair};

/// Attack 1: a whole URL instead of a path.
#[tokio::test]
async fn i1_an_absolute_target_leads_nowhere_else() {
    let (provider, proxy) = pair(&[]).await;
    let canary = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let evil = canary.local_addr().unwrap();
    let (host, port) = (provider.address.to_string(), provider.address.port());
    let mut targets = vec![format!("http://user:pw@{evil}/x"), format!("http://{host}@{evil}/x")];
    let places = [
        evil.to_string(),
        format!("127.0.0.1:{}0", evil.port() % 1000),
        "evil.example".into(),
        "EVIL.example:80".into(),
        "evil.example.".into(),
        "[::1]".into(),
        format!("[::1]:{port}"),
        format!("127.1:{port}"),
        format!("localhost:{port}"),
        format!("127.0.0.1..:{port}"),
        "xn--e1afmkfd.example".into(),
        "169.254.169.254".into(),
        "0.0.0.0".into(),
    ];
    for place in &places {
        targets.extend(["http", "https", "HTTP"].map(|scheme| format!("{scheme}://{place}/v1/models")));
    }
    assert!(targets.len() >= 40, "{}", targets.len());
    for target in targets {
        let answer = ask(proxy.address, &format!("POST {target}"), "", "{}").await;
        assert!([400, 421].contains(&answer.status), "{target}: {answer:?}");
        assert!(!answer.body.contains("sk-pool"), "{answer:?}");
    }
    assert!(provider.seen().is_empty());
    assert!(tokio::time::timeout(std::time::Duration::from_millis(50), canary.accept()).await.is_err());
    // Its own address is no other place.
    assert_eq!(get(proxy.address, &format!("http://{host}/v1/models")).await.status, 200);
    assert_eq!(provider.only().line, "GET /v1/models");
}

/// Attacks 2, 6 and 66: paths that two readers read differently, and those that crash a parser.
#[tokio::test]
async fn i1_an_ambiguous_path_is_refused_and_harms_nobody() {
    let (provider, proxy) = pair(&[]).await;
    let paths = [
        "//",
        "//evil.example/x",
        "///evil.example",
        "/\\evil.example",
        "/..",
        "/../../admin",
        "/v1/../../x",
        "/%2e%2e/admin",
        "/%252e%252e/x",
        "/v1/%2e./x",
        "/v1/..;/x",
        "/v1%2fmodels",
        "/v1%5cmodels",
        "/%00",
        "/a%0d%0ab",
        "*",
        "/./v1",
        "/v1/.",
    ];
    for path in paths {
        let answer = get(proxy.address, path).await;
        assert_eq!(answer.status, 400, "{path}: {answer:?}");
    }
    for odd in
        ["", " ", "?", "#", "http://", "http:///x", "://", "evil.example:80", "\u{e9}", "/\u{0}", "@evil.example/"]
    {
        let answer = get(proxy.address, odd).await;
        assert!([0, 400, 421].contains(&answer.status), "{odd:?}: {answer:?}");
    }
    assert!(provider.seen().is_empty());
    assert_eq!(get(proxy.address, "/v1/models").await.status, 200);
}

/// Attacks 3 and 7: what a caller writes about hosts decides nothing.
#[tokio::test]
async fn i1_one_host_goes_out_and_it_is_the_providers() {
    let (provider, proxy) = pair(&[]).await;
    let headers = "x-forwarded-host: evil\r\nforwarded: host=evil\r\nx-original-url: /admin\r\nx-rewrite-url: /admin\r\n\
        x-http-method-override: DELETE\r\nx-portkey-custom-host: http://evil\r\n";
    for hosts in ["host: internal-admin\r\n", "host: a\r\nhost: b\r\n", "host:\r\n", ""] {
        let body = r#"{"api_base":"http://evil.example","base_url":"http://evil.example"}"#;
        let length = body.len();
        let head = format!("POST /v1/chat HTTP/1.1\r\n{hosts}{headers}connection: close\r\ncontent-length: {length}");
        let answer = raw(proxy.address, format!("{head}\r\n\r\n{body}")).await;
        assert_eq!(answer.status, 200, "{hosts}: {answer:?}");
        let seen = provider.only();
        assert_eq!((seen.only("host"), &*seen.line), (&*provider.address.to_string(), "POST /v1/chat"), "{hosts}");
        assert_eq!(seen.body, body);
        for gone in ["x-forwarded-host", "forwarded", "x-original-url", "x-rewrite-url", "x-http-method-override"] {
            assert!(!seen.headers.contains_key(gone), "{gone}");
        }
    }
}

/// Attack 9: a proxy that is its own provider answers instead of growing.
#[tokio::test]
async fn a_request_that_comes_back_ends() {
    let own = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let upstream = format!("http://{own}");
    let arguments = ["serve", "--listen", &own, "--upstream", &upstream, "--key", KEY];
    let proxy = Proxy::start(super::program::command(&arguments)).await;
    let answer = get(proxy.address, "/v1/models").await;
    assert_eq!((answer.status, &*answer.code()), (508, "loop_detected"), "{answer:?}");
}

#[tokio::test]
async fn a_via_of_others_goes_on_beside_ours() {
    let (provider, proxy) = pair(&[]).await;
    let headers = "via: 1.1 key-commune-0123456789abcdef\r\nvia: 2 cdn\r\n";
    assert_eq!(ask(proxy.address, "GET /v1/models", headers, "").await.status, 200);
    let seen = provider.only();
    let via: Vec<_> = seen.headers.get_all("via").iter().map(|via| via.to_str().unwrap()).collect();
    assert_eq!(via.len(), 3, "{via:?}");
    assert!(via[2].starts_with("1.1 key-commune-"), "{via:?}");
}

/// Attack 71: no tunnels, and nothing of what follows the request.
#[tokio::test]
async fn i2_connect_and_upgrade_are_not_served() {
    let (provider, proxy) = pair(&[]).await;
    for text in [
        "CONNECT evil.example:443 HTTP/1.1\r\nhost: evil.example:443\r\n\r\nGET /smuggled HTTP/1.1\r\nhost: a\r\n\r\n",
        "GET /v1/x HTTP/1.1\r\nhost: a\r\nconnection: upgrade, close\r\nupgrade: websocket\r\n\r\n\x01\x02\x03\x04",
        "GET /v1/x HTTP/1.1\r\nhost: a\r\nconnection: close\r\nupgrade: x\r\n\r\nearly bytes",
    ] {
        let mut caller = super::caller::Caller::new(proxy.address).await;
        caller.send(text).await;
        let answer = caller.read_until("\r\n\r\n").await;
        assert!(answer.starts_with("HTTP/1.1 501 "), "{text}: {answer}");
    }
    assert!(provider.seen().iter().all(|seen| !seen.line.contains("/v1/x")));
}

#[tokio::test]
async fn every_other_method_and_type_goes_through() {
    let (provider, proxy) = pair(&[]).await;
    for method in ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PURGE", "QUERY"] {
        let body = if method == "GET" { "" } else { "a\u{0}b" };
        let answer = ask(proxy.address, &format!("{method} /v1/files/1?x=%20y"), "content-type: a/b\r\n", body).await;
        assert_eq!(answer.status, 200, "{method}: {answer:?}");
        let seen = provider.only();
        assert_eq!((&*seen.line, &seen.body[..]), (&*format!("{method} /v1/files/1?x=%20y"), body.as_bytes()));
        assert_eq!(seen.only("content-type"), "a/b");
    }
    assert_eq!(ask(proxy.address, "HEAD /v1/models", "", "").await.status, 200);
}

#[tokio::test]
async fn only_health_is_the_proxys_own() {
    let (provider, proxy) = pair(&[]).await;
    let answer = get(proxy.address, "/health").await;
    assert_eq!((answer.status, &*answer.body), (200, r#"{"status":"ok"}"#));
    assert!(provider.seen().is_empty());
    for path in ["/healthz", "/health/", "/v1/health", "/metrics", "/", "/admin"] {
        assert_eq!(get(proxy.address, path).await.status, 200, "{path}");
        assert_eq!(provider.only().line, format!("GET {path}"));
    }
    assert_eq!(ask(proxy.address, "POST /health", "", "{}").await.status, 200);
    assert_eq!(provider.only().line, "POST /health");
}
