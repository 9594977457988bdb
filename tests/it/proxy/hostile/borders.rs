//! Groups B, C and E: what crosses the border between a caller and somebody else's key.

use super::{CHAT, PREFIX, Reply, World, bearer, key, number, ok, refused, rejected};
use crate::proxy::caller::ask;

/// What chooses an account, or might.
const SELECTORS: [&str; 12] = [
    "openai-organization",
    "openai-project",
    "x-goog-user-project",
    "anthropic-workspace-id",
    "x-tenant-id",
    "x-account",
    "chatgpt-account-id",
    "x-http-method-override",
    "x-forwarded-host",
    "http-referer",
    "openai-beta",
    "cookie",
];

#[tokio::test]
async fn attack_13_no_account_is_chosen_for_another_callers_key() {
    let world = World::new(5, &[]).await;
    let chooses = |name: &&str| !["openai-beta", "cookie", "http-referer"].contains(name);
    world.answers(move |seen| {
        let chosen = SELECTORS.iter().filter(|name| chooses(name)).any(|name| seen.headers.contains_key(*name));
        if chosen { refused(401, "mismatched_organization") } else { ok() }
    });
    let selectors = SELECTORS.map(|name| format!("{name}: org-evil\r\n")).concat();
    for _ in 0..40 {
        world.ask(4, CHAT, &selectors).await;
    }
    let seen = world.provider.seen();
    for foreign in seen.iter().filter(|seen| number(seen) != 4) {
        let passed: Vec<_> = SELECTORS.iter().filter(|name| foreign.headers.contains_key(**name)).collect();
        assert!(passed.is_empty(), "{passed:?}");
    }
    assert!(world.serve(0, 0..4).await, "nobody else is the worse for it");
}

/// Forty headers, as a provider and what stands before it may add them.
const ANSWERED: [&str; 40] = [
    "access-control-expose-headers",
    "alt-svc",
    "anthropic-organization-id",
    "anthropic-ratelimit-requests-limit",
    "anthropic-ratelimit-tokens-remaining",
    "cache-control",
    "cf-cache-status",
    "cf-ray",
    "content-language",
    "content-security-policy",
    "etag",
    "expires",
    "last-modified",
    "link",
    "location",
    "nel",
    "openai-organization",
    "openai-processing-ms",
    "openai-project",
    "openai-version",
    "ratelimit-policy",
    "report-to",
    "request-id",
    "retry-after",
    "server",
    "server-timing",
    "strict-transport-security",
    "vary",
    "via",
    "www-authenticate",
    "x-content-type-options",
    "x-envoy-upstream-service-time",
    "x-goog-quota-user",
    "x-powered-by",
    "x-ratelimit-limit-requests",
    "x-ratelimit-remaining-tokens",
    "x-ratelimit-reset-requests",
    "x-request-id",
    "x-robots-tag",
    "x-user-email",
];

/// What describes a body, or belongs to the connection.
const HARMLESS: [&str; 9] = [
    "cache-control",
    "connection",
    "content-language",
    "content-length",
    "content-type",
    "date",
    "retry-after",
    "transfer-encoding",
    "vary",
];

#[tokio::test]
async fn attack_15_answers_name_their_owner_to_nobody_else() {
    let world = World::new(3, &[]).await;
    world.answers(|_| {
        let named = ANSWERED.iter().fold(ok(), |reply, name| reply.header(name, "17"));
        named.header("set-cookie", "session=owner")
    });
    let mut owners = 0;
    for _ in 0..40 {
        let answer = world.ask(1, CHAT, "").await;
        let names: Vec<_> = answer.head.lines().skip(1).filter_map(|line| line.split(':').next()).collect();
        assert!(!names.contains(&"set-cookie"));
        if world.used() == [1].into() {
            owners += 1;
            assert!(ANSWERED.iter().all(|name| names.contains(name)), "{names:?}");
        } else {
            assert!(names.iter().all(|name| HARMLESS.contains(name)), "{names:?}");
        }
    }
    assert!((1..40).contains(&owners), "both were seen");
}

/// Whether a text shows eight characters of a key that is not the caller's.
fn shows(text: &str, caller: usize, members: usize) -> Option<usize> {
    (0..members).filter(|&number| number != caller).find(|&number| {
        let key = key(number);
        key.as_bytes()[PREFIX.len()..].windows(8).any(|part| text.contains(std::str::from_utf8(part).unwrap()))
    })
}

/// A body that can be sent again, and one that cannot: then the answer of another caller's key is the last one.
#[tokio::test]
async fn attack_17_no_part_of_a_key_comes_back() {
    for (status, length) in [401, 402, 403, 407].into_iter().flat_map(|status| [(status, 2), (status, 2 << 20)]) {
        let world = World::new(9, &[]).await;
        world.answers(move |seen| {
            let key = key(number(seen));
            let said = format!("Incorrect API key provided: {}***{}", &key[..20], &key[27..]);
            let refusal = Reply::new(status, format!(r#"{{"error":{{"message":"{said}"}}}}"#));
            if number(seen) == 1 { ok() } else { refusal.header("www-authenticate", &said) }
        });
        for _ in 0..4 {
            let answer = ask(world.address(), CHAT, &bearer(1), &"x".repeat(length)).await;
            let text = format!("{}{}", answer.head, answer.body);
            assert_eq!(shows(&text, 1, 9), None, "{status}: {text}");
        }
    }
}

fn spelt(text: &str, byte: impl Fn(u8) -> String) -> String {
    text.bytes().map(byte).collect::<Vec<_>>().concat()
}

#[tokio::test]
async fn attack_17_no_other_form_of_a_key_comes_back() {
    let world = World::new(4, &[]).await;
    let hex = |text: &str| spelt(text, |byte| format!("{byte:02x}"));
    let codes = |text: &str| spelt(text, |byte| format!("\\u{byte:04x}"));
    let percent = |text: &str| spelt(text, |byte| format!("%{byte:02X}"));
    world.answers(move |seen| {
        let key = key(number(seen));
        let forms = [key.clone(), hex(&key), codes(&key), percent(&key)].join(" ");
        let range = seen.headers.contains_key("range")
            || seen.headers.get("accept-encoding").is_some_and(|value| value != "identity");
        assert!(number(seen) == 1 || !range, "an answer that cannot be searched was asked for");
        Reply::new(200, format!(r#"{{"you":"{forms}"}}"#)).header("content-language", &key)
    });
    for _ in 0..30 {
        let answer = world.ask(1, CHAT, "accept-encoding: gzip, br\r\nrange: bytes=0-9\r\n").await;
        assert_eq!(answer.status, 200);
        let text = format!("{}{}", answer.head, answer.body);
        assert_eq!(shows(&text, 1, 4), None, "{text}");
        for other in [0, 2, 3] {
            let part = &key(other)[PREFIX.len()..];
            assert!(!text.contains(&hex(part)) && !text.contains(&codes(part)) && !text.contains(&percent(part)));
        }
    }
    world.answers(|seen| ok().header("content-encoding", if number(seen) == 1 { "identity" } else { "gzip" }));
    for _ in 0..20 {
        world.used();
        let status = world.chat(1).await;
        assert_eq!(status, if world.used() == [1].into() { 200 } else { 502 }, "what cannot be searched does not pass");
    }
}

#[tokio::test]
async fn attack_39_nobody_takes_the_key_out_of_a_request() {
    let world = World::new(4, &[]).await;
    world.answers(|seen| if seen.headers.contains_key("authorization") { ok() } else { rejected() });
    for nominated in [
        "authorization",
        "Authorization, host, content-length",
        "keep-alive, authorization, connection",
        "x-api-key",
        "via",
    ] {
        for _ in 0..10 {
            let headers = format!("connection: {nominated}\r\nkeep-alive: authorization\r\n");
            let answer = world.ask(3, CHAT, &headers).await;
            assert_eq!(answer.status, 200, "{nominated}: {answer:?}");
        }
        for seen in world.provider.seen() {
            assert!(!seen.headers.contains_key("connection") && !seen.headers.contains_key("keep-alive"));
            assert!(seen.only("authorization").ends_with(&key(number(&seen))) && seen.headers.contains_key("host"));
            assert!(seen.headers.contains_key("via"), "{nominated}");
            assert!(seen.headers.contains_key("content-length"), "{nominated}");
        }
    }
    assert!(world.serve(0, 0..4).await);
}
