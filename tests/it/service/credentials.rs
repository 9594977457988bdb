//! I2: an outgoing request carries exactly one credential, the leased one.

use http::HeaderName;
use key_commune::pool::{Key, KeyPool};
use key_commune::provider::{Placement, Provider};
use key_commune::{KeyCommuneLayer, Refusal};
use tower::Layer;

use crate::support::{CHAT, Seen, Stepped, Upstream, client, fetch, key, ok, timed, to};

/// Attacks 10 and 13.
const CREDENTIALS: &str = "authorization authorization-extra x-authorization x-forwarded-authorization \
    x-original-authorization proxy-authorization x-api-key api-key apikey api_key x-apikey x-goog-api-key \
    x-openai-api-key x-anthropic-api-key anthropic-api-key openrouter-api-key x-portkey-api-key x-portkey-virtual-key \
    x-litellm-api-key x-litellm-key x-rapidapi-key x-functions-key ocp-apim-subscription-key x-master-key x-admin-key \
    x-auth-key x-key key x-auth-token x-access-token access-token access_token auth_token x-user-token x-session-token \
    x-refresh-token x-id-token x-amz-security-token x-vault-token x-gitlab-token private-token job-token x-csrf-token \
    token x-secret x-client-secret cf-access-client-secret secret x-password x-auth auth helicone-auth x-jwt \
    cf-access-jwt-assertion x-goog-iap-jwt-assertion x-forwarded-client-cert x-credential dpop cookie cookie2 \
    sec-websocket-protocol openai-organization openai-project x-goog-user-project anthropic-organization";

const HARMLESS: [(&str, &str); 6] = [
    ("accept", "text/event-stream"),
    ("content-type", "application/json"),
    ("openai-beta", "assistants=v2"),
    ("user-agent", "sdk"),
    ("idempotency-key", "i-1"),
    ("x-stainless-lang", "rust"),
];

fn names(seen: &Seen) -> Vec<&str> {
    let mut names: Vec<_> = seen.headers.keys().map(HeaderName::as_str).collect();
    names.sort_unstable();
    names
}

#[tokio::test(start_paused = true)]
async fn i2_of_sixty_credentials_only_ours_is_sent() {
    let corpus: Vec<_> = CREDENTIALS.split_whitespace().collect();
    assert!(corpus.len() >= 60);
    let mut sent: Vec<_> = corpus.iter().map(|name| (*name, "caller-secret")).collect();
    sent.extend(corpus.iter().map(|name| (*name, "caller-secret-again")));
    sent.extend(HARMLESS);
    let upstream = Upstream::in_turn(|_| ok());
    fetch(&client(&timed(1), &upstream), to(CHAT, &sent, Stepped::full("x"))).await;
    let seen = upstream.last();
    let mut expected: Vec<_> = HARMLESS.iter().map(|(name, _)| *name).collect();
    expected.push("authorization");
    expected.sort_unstable();
    assert_eq!(names(&seen), expected);
    let values: Vec<_> = seen.headers.get_all("authorization").iter().collect();
    assert_eq!(values, [format!("Bearer {}", key(0)).as_str()]);
    assert!(values[0].is_sensitive());
    assert!(!format!("{:?}", seen.headers).contains(&key(0)), "a debug log of the headers is safe");
}

#[tokio::test(start_paused = true)]
async fn i2_the_key_sits_where_its_provider_wants_it_and_only_there() {
    let custom = || Provider::custom("https://api.openai.com");
    let rows = [
        (custom(), "authorization", format!("Bearer {}", key(0))),
        (custom().slot(Placement::Header("x-api-key".parse().unwrap())), "x-api-key", key(0)),
        (custom().slot(Placement::Header("x-goog-api-key".parse().unwrap())), "x-goog-api-key", key(0)),
    ];
    let sent = [("authorization", "Bearer caller"), ("x-api-key", "caller"), ("x-goog-api-key", "caller")];
    for (provider, name, value) in rows {
        let pool = KeyPool::builder(provider).key(Key::new(key(0)).unwrap()).build().unwrap();
        let upstream = Upstream::in_turn(|_| ok());
        fetch(&client(&pool, &upstream), to(CHAT, &sent, Stepped::full(""))).await;
        assert_eq!(names(&upstream.last()), [name]);
        assert_eq!(upstream.last().headers[name], value);
    }
    let query = custom().slot(Placement::Query("key".into()));
    let pool = KeyPool::builder(query).key(Key::new(key(0)).unwrap()).build().unwrap();
    let upstream = Upstream::in_turn(|_| ok());
    let uri = format!("{CHAT}?KEY=a&alt=sse&k%65y=b&key=c&api_key=d&access_token=e");
    fetch(&client(&pool, &upstream), to(&uri, &sent, Stepped::full(""))).await;
    assert_eq!(upstream.last().uri.query(), Some(format!("alt=sse&key={}", key(0)).as_str()));
    assert!(upstream.last().headers.is_empty());
}

#[tokio::test(start_paused = true)]
async fn i2_the_application_spares_a_name_but_never_a_second_credential() {
    let upstream = Upstream::in_turn(|_| ok());
    let layer = KeyCommuneLayer::new(timed(1)).keep("x-team-token".parse().unwrap());
    let layer = layer.keep("authorization".parse().unwrap()).keep("host".parse().unwrap());
    let sent = [("X-Team-Token", "1"), ("x-other-token", "2"), ("authorization", "Bearer caller"), ("host", "evil")];
    fetch(&layer.layer(upstream.clone()), to(CHAT, &sent, Stepped::full(""))).await;
    assert_eq!(names(&upstream.last()), ["authorization", "x-team-token"]);
    assert_eq!(upstream.last().headers["authorization"], format!("Bearer {}", key(0)));
    assert_eq!(upstream.last().headers.get_all("authorization").iter().count(), 1);
}

#[tokio::test(start_paused = true)]
async fn i2_hops_hosts_and_frames_are_made_anew_and_te_trailers_stays() {
    let sent = [
        ("host", "internal-admin"),
        ("x-forwarded-host", "evil"),
        ("x-http-method-override", "DELETE"),
        ("content-length", "5"),
        ("transfer-encoding", "chunked"),
        ("expect", "100-continue"),
        ("trailer", "authorization"),
        ("keep-alive", "timeout=5"),
        ("proxy-connection", "keep-alive"),
        ("connection", "close, authorization, x-nominated"),
        ("x-nominated", "1"),
        ("te", "gzip, trailers"),
    ];
    let upstream = Upstream::in_turn(|_| ok());
    fetch(&client(&timed(1), &upstream), to(CHAT, &sent, Stepped::chunks(["more", "than", "five"]))).await;
    assert_eq!(names(&upstream.last()), ["authorization", "te"]);
    assert_eq!(upstream.last().headers["te"], "trailers");
    assert_eq!(upstream.last().body, b"morethanfive");
}

#[tokio::test(start_paused = true)]
async fn i2_every_attempt_carries_its_own_key_and_no_other() {
    let upstream = Upstream::in_turn(|number| if number < 3 { crate::support::revoked() } else { ok() });
    let pool = timed(4);
    let got = fetch(&client(&pool, &upstream), to(CHAT, &[("x-api-key", "caller")], Stepped::chunks(["a"]))).await;
    assert_eq!(got.status.as_u16(), 200);
    let mut keys: Vec<_> = upstream.seen().iter().map(|seen| seen.key().to_owned()).collect();
    assert!(upstream.seen().iter().all(|seen| names(seen) == ["authorization"]));
    keys.sort_unstable();
    assert_eq!(keys, (0..4).map(key).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn i2_tunnels_get_501() {
    let upstream = Upstream::in_turn(|_| ok());
    let pool = timed(1);
    let mut connect = to(CHAT, &[], Stepped::full(""));
    *connect.method_mut() = http::Method::CONNECT;
    for request in [to(CHAT, &[("upgrade", "websocket"), ("connection", "upgrade")], Stepped::full("")), connect] {
        let got = fetch(&client(&pool, &upstream), request).await;
        assert_eq!((got.status.as_u16(), got.refusal), (501, Some(Refusal::Upgrade)));
    }
    assert_eq!((upstream.count(), pool.snapshot().members[0].uses), (0, 0));
}
