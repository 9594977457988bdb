//! One credential goes out, and it is the pool's; one may be asked for at the door.

use super::caller::{ask, get};
use super::program::{Proxy, command};
use super::{KEY, Provider, pair};

/// Attacks 10, 12, 13, 39 and 70.
#[tokio::test]
async fn i2_nothing_of_the_callers_goes_beside_the_pools_key() {
    let (provider, proxy) = pair(&[]).await;
    let names = "Authorization AUTHORIZATION Proxy-Authorization x-api-key api-key apikey x-goog-api-key x-auth-token \
        x-access-token x-amz-security-token x-gitlab-token private-token x-csrf-token x-secret x-client-secret x-password \
        x-auth x-credential dpop cookie cookie2 sec-websocket-protocol x-forwarded-client-cert OpenAI-Organization \
        OpenAI-Project x-goog-user-project x-portkey-api-key x-litellm-key helicone-auth ocp-apim-subscription-key";
    let mut headers: String = names.split_whitespace().map(|name| [name, ": sk-caller-1\r\n"].concat()).collect();
    headers += "connection: authorization, x-api-key, x-nominated, host\r\nx-nominated: sk-caller-2\r\n\
        keep-alive: timeout=5\r\nproxy-connection: keep-alive\r\nte: gzip, trailers\r\nx-harmless: yes\r\n";
    let answer = ask(proxy.address, "POST /v1/chat", &headers, "{}").await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let seen = provider.only();
    assert_eq!(seen.only("authorization"), format!("Bearer {KEY}"));
    assert_eq!((seen.only("x-harmless"), seen.only("te")), ("yes", "trailers"));
    assert!(!format!("{:?}", seen.headers).contains("sk-caller"), "{:?}", seen.headers);
    for gone in ["keep-alive", "proxy-connection", "x-nominated"] {
        assert!(!seen.headers.contains_key(gone), "{gone}");
    }
}

/// Attack 11.
#[tokio::test]
async fn i2_nor_in_the_query() {
    let (provider, proxy) = pair(&[]).await;
    let path = "/v1/models?a=1&API_KEY=sk-caller&access%5ftoken=sk-caller&api-key=sk-caller&b=2";
    assert_eq!(get(proxy.address, path).await.status, 200);
    assert_eq!(provider.only().line, "GET /v1/models?a=1&b=2");
}

#[tokio::test]
async fn i18_an_echo_of_the_key_is_masked() {
    let (_provider, proxy) = pair(&[]).await;
    let answer = get(proxy.address, "/echo").await;
    assert_eq!(answer.status, 200);
    assert!(answer.body.contains("the key was Bearer "), "{answer:?}");
    assert!(![answer.head, answer.body].concat().contains(&KEY[3..12]));
}

#[tokio::test]
async fn the_key_goes_where_it_is_told_to() {
    let (provider, proxy) = pair(&["--auth-header", "X-Team"]).await;
    assert_eq!(get(proxy.address, "/v1/models").await.status, 200);
    let seen = provider.only();
    assert_eq!(seen.only("x-team"), KEY);
    assert!(!seen.headers.contains_key("authorization"));
}

/// Attack 54.
#[tokio::test]
async fn a_proxy_with_a_key_serves_those_who_present_it() {
    const DOOR: &str = "door-8f2b61c09a7d4e35";
    let provider = Provider::start();
    let upstream = format!("http://{}", provider.address);
    let arguments =
        ["serve", "--listen", "0.0.0.0:0", "--upstream", &upstream, "--key", KEY, "--proxy-key-env", "DOOR"];
    let mut proxy = command(&arguments);
    let proxy = Proxy::start({
        proxy.env("DOOR", DOOR);
        proxy
    })
    .await;
    let address = (std::net::Ipv4Addr::LOCALHOST, proxy.address.port()).into();
    let wrong = [
        "",
        "authorization: Bearer\r\n",
        "authorization: Bearer \r\n",
        "authorization: Bearer None\r\n",
        "authorization: Basic ZG9vcjo=\r\n",
        "x-api-key: wrong\r\n",
        "x-api-key:\r\n",
        "x-auth-token: door-8f2b61c09a7d4e35\r\n",
        "authorization: Bearer door-8f2b61c09a7d4e3\r\n",
        "authorization: Bearer door-8f2b61c09a7d4e35x\r\n",
        "x-api-key: door-8f2b61c09a7d4e35\r\nx-api-key: wrong\r\n",
    ];
    for headers in wrong {
        let answer = ask(address, "POST /v1/chat", headers, "{}").await;
        assert_eq!((answer.status, &*answer.code()), (401, "invalid_proxy_key"), "{headers}: {answer:?}");
    }
    assert!(provider.seen().is_empty());
    for name in ["authorization: Bearer", "Authorization: bearer", "x-api-key:", "api-key:", "x-goog-api-key:"] {
        let answer = ask(address, "POST /v1/chat", &format!("{name} {DOOR}\r\n"), "{}").await;
        assert_eq!(answer.status, 200, "{name}: {answer:?}");
        assert!(!format!("{:?}", provider.only().headers).contains(DOOR));
    }
    assert_eq!(get(address, "/health").await.status, 200);
}

#[tokio::test]
async fn i3_no_log_line_holds_a_key() {
    let provider = Provider::start();
    let upstream = format!("http://{}", provider.address);
    for format in ["text", "json"] {
        let arguments =
            ["serve", "--listen", "127.0.0.1:0", "--upstream", &upstream, "--key", KEY, "--log-format", format];
        let mut program = command(&arguments);
        program.env("RUST_LOG", "trace");
        let proxy = Proxy::start(program).await;
        for path in ["/v1/models?key=sk-caller&prompt=sk-prompt", "/echo", "/v1/../x", "http://evil/sk-caller"] {
            ask(proxy.address, &format!("POST {path}"), "authorization: Bearer sk-caller\r\n", "sk-prompt").await;
        }
        proxy.signal("TERM");
        let log = proxy.stderr().await;
        assert!(log.contains("answered") && log.contains("/v1/models"), "{log}");
        assert!(!log.contains(KEY) && !log.contains("sk-caller&") && !log.contains("sk-prompt"), "{log}");
        assert!(!log.contains("Bearer"), "{log}");
    }
}
