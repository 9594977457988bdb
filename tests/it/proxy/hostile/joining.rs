//! Group D: who gets other people's keys, and for how long.

use super::{CHAT, Reply, World, number, ok, refused, rejected};

const JUNK: usize = 900;

/// A call by which a key that never worked tries to join, and what it is answered.
type Trick = (&'static str, &'static str, fn() -> Reply);

const TRICKS: [Trick; 12] = [
    ("open endpoint", "GET /v1/models", ok),
    ("open endpoint beside the chat", "POST /v1/chat/completions/open", ok),
    ("cached", CHAT, || ok().header("age", "17")),
    ("preflight", "OPTIONS /v1/chat/completions", || Reply::new(204, "")),
    ("head", "HEAD /v1/chat/completions", ok),
    ("redirect page", CHAT, || Reply::new(302, r#"{"ok":true}"#).header("location", "/login")),
    ("html", CHAT, || Reply::new(200, "<p>Welcome</p>").header("content-type", "text/html")),
    ("error in a 200", CHAT, || Reply::new(200, r#"{"error":{"message":"No endpoints found","code":404}}"#)),
    ("error first in a stream", CHAT, || {
        let text = "data: {\"error\":{\"message\":\"no\",\"code\":401}}\n\ndata: [DONE]\n\n";
        Reply::new(200, text).header("content-type", "text/event-stream")
    }),
    ("empty", CHAT, || Reply::new(200, "")),
    ("no content", CHAT, || Reply::new(204, "")),
    ("error in a list", CHAT, || Reply::new(200, r#"[{"error":{"code":401}}]"#)),
];

/// Whether calls like this one make a key a member: then others' keys serve its owner.
async fn joins(world: &World, (_, line, answer): Trick) -> bool {
    world.answers(move |_| answer());
    for _ in 0..3 {
        world.ask(JUNK, line, "").await;
    }
    world.rejects(&[JUNK]);
    for _ in 0..10 {
        world.chat(JUNK).await;
    }
    world.used().iter().any(|&used| used != JUNK)
}

/// There is no control by a key that cannot be good: the layer sends no request of its own. What a provider answers on
/// these calls, it answers to good keys.
#[tokio::test]
async fn attack_20_nothing_that_anybody_gets_admits_a_key() {
    let world = World::new(4, &[]).await;
    for trick in TRICKS {
        assert!(!joins(&world, trick).await, "{}", trick.0);
    }
    assert!(joins(&world, ("chat", CHAT, ok)).await, "or nothing would be seen here");
}

#[tokio::test]
async fn attack_21_an_error_that_says_200_admits_nobody() {
    let bodies = [
        (r#"{"error":{"message":"User not found.","code":401},"user_id":"u"}"#, "application/json"),
        (": OPENROUTER PROCESSING\n\ndata: {\"error\":{\"code\":401,\"message\":\"no\"}}\n\n", "text/event-stream"),
        ("data: {\"choices\":[]}\n\ndata: {\"error\":{\"code\":502,\"message\":\"no\"}}\n\n", "text/event-stream"),
        ("", "application/json"),
        ("", "text/event-stream"),
        ("<html></html>", "application/json"),
        ("<html></html>", "text/html"),
        (r#"{"error":"no"}"#, "application/json; charset=utf-8"),
    ];
    let world = World::new(4, &["--provider", "openrouter"]).await;
    for (body, kind) in bodies {
        world.answers(move |_| Reply::new(200, body).header("content-type", kind));
        for _ in 0..10 {
            world.chat(JUNK).await;
        }
        assert_eq!(world.used(), [JUNK].into(), "{body}");
    }
    world.answers(|_| ok());
    assert!(world.used_in(40, JUNK).await.len() > 1, "a result does");
}

#[tokio::test]
async fn attack_22_strikes_are_not_washed_off() {
    for open in ["GET /v1/models", "HEAD /v1/chat/completions", "POST /v1/files", "GET /v1/chat/completions"] {
        for (status, code) in [(401, "invalid_api_key"), (429, "rate_limit_exceeded"), (402, "insufficient_quota")] {
            let world = World::new(4, &[]).await;
            world.answers(move |seen| match number(seen) {
                3 if seen.line == CHAT => refused(status, code),
                _ => ok(),
            });
            world.isolate(1, 3).await;
            let mut free = 0;
            for _ in 0..20 {
                free += u32::from(world.chat(3).await == 200);
                world.ask(3, open, "").await;
            }
            assert_eq!((free, world.used()), (0, [3].into()), "{open} after {code}");
        }
    }
}

#[tokio::test]
async fn attack_23_junk_takes_no_seats() {
    let world = World::new(1, &["--max-keys", "11"]).await;
    world.answers(|seen| if (1..11).contains(&number(seen)) || number(seen) == 0 { ok() } else { rejected() });
    for junk in 100..400 {
        assert_eq!(world.chat(junk).await, 401);
    }
    for honest in 1..11 {
        assert_eq!(world.chat(honest).await, 200);
    }
    assert!(world.serve(0, 0..11).await, "all ten are members");
    world.answers(|_| ok());
    world.chat(500).await;
    assert_eq!(world.used_in(10, 500).await, [500].into(), "the eleventh has no seat");
}

#[tokio::test]
async fn attack_24_a_key_that_cannot_pay_is_on_its_own() {
    for (status, code) in [(402, "insufficient_credits"), (429, "insufficient_quota"), (403, "billing_not_active")] {
        let world = World::new(4, &[]).await;
        world.answers(move |seen| if number(seen) == 3 { refused(status, code) } else { ok() });
        world.isolate(1, 3).await;
        assert_eq!(world.used_in(20, 3).await, [3].into(), "{status} {code}");
        assert!(world.serve(0, 0..3).await, "the others share on");
    }
}
