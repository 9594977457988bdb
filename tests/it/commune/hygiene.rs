//! What passes between a caller and a provider with a key that is not the caller's.

use hyper::ext::ReasonPhrase;

use super::{World, chat, is_one_of};
use crate::support::{Step, Stepped, answer, client, key, map, ok, revoked, send, streamed};

#[tokio::test]
async fn attack_13_account_selectors_stay_behind() {
    let world = World::new(3);
    for _ in 0..20 {
        let mut request = chat(1);
        for name in
            ["openai-organization", "openai-project", "x-goog-user-project", "cookie", "x-custom", "openai-beta"]
        {
            request.headers_mut().insert(name, http::HeaderValue::from_static("org-evil"));
        }
        request.headers_mut().insert("user-agent", http::HeaderValue::from_static("sdk/1"));
        world.send(request).await;
    }
    for seen in world.upstream.seen().iter().filter(|seen| !is_one_of(seen, &[1])) {
        let mut names: Vec<_> = seen.headers.keys().map(http::HeaderName::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, ["accept-encoding", "authorization", "content-type", "user-agent"]);
        assert_eq!(seen.headers["accept-encoding"], "identity");
    }
    let own = world.upstream.seen().into_iter().find(|seen| is_one_of(seen, &[1])).unwrap();
    assert_eq!(own.headers["openai-beta"], "org-evil", "with its own key the caller may ask for more");
    assert!(!own.headers.contains_key("openai-organization"));
}

#[tokio::test]
async fn attack_15_answers_do_not_name_the_owner() {
    let world = World::new(3);
    let headers = [
        ("content-type", "application/json"),
        ("openai-organization", "org-owner"),
        ("x-ratelimit-remaining-requests", "17"),
        ("x-request-id", "req-1"),
        ("set-cookie", "a=b"),
        ("retry-after", "3"),
    ];
    world.answers(move |_| answer(200, &headers, "{}"));
    for _ in 0..20 {
        let got = world.send(chat(1)).await;
        let own = world.used(0).last() == Some(&1);
        assert_eq!(got.headers.contains_key("openai-organization"), own);
        assert_eq!(got.headers.contains_key("x-ratelimit-remaining-requests"), own);
        assert!(got.headers.contains_key("retry-after") && !got.headers.contains_key("set-cookie"));
    }
}

#[tokio::test]
async fn attack_16_and_17_no_answer_shows_another_callers_key() {
    let world = World::new(3);
    world.answers(|seen| {
        answer(200, &[("content-type", "application/json")], &format!("{{\"you\":\"{}\"}}", seen.key()))
    });
    for _ in 0..20 {
        let got = world.chat(1).await;
        assert!(!got.text().contains(&key(0)[3..]) && !got.text().contains(&key(2)[3..]));
    }
    world.answers(|seen| {
        let masked = format!(
            "{{\"error\":{{\"message\":\"Incorrect API key provided: {}***\",\"code\":\"invalid_api_key\"}}}}",
            &seen.key()[..20]
        );
        if is_one_of(seen, &[1]) { ok() } else { answer(401, &[("content-type", "application/json")], &masked) }
    });
    for _ in 0..5 {
        let got = world.chat(1).await;
        assert!(!got.text().contains("sk-test-00000000"), "{}", got.text());
    }
}

#[tokio::test]
async fn i18_nor_does_the_reason_phrase() {
    let world = World::new(3);
    world.answers(|seen| {
        let mut answer = ok();
        answer.extensions_mut().insert(ReasonPhrase::try_from(format!("OK {}", seen.key())).unwrap());
        answer
    });
    for _ in 0..20 {
        let answer = send(&client(&world.pool, &world.upstream), chat(1)).await.unwrap();
        let own = world.used(0).last() == Some(&1);
        assert_eq!(answer.extensions().get::<ReasonPhrase>().is_some(), own);
    }
    assert!(world.used(0).iter().any(|used| *used != 1));
}

#[tokio::test]
async fn a_refusal_of_another_callers_key_is_ours_when_the_request_cannot_be_sent_again() {
    let world = World::new(3);
    world.answers(|seen| if is_one_of(seen, &[1]) { ok() } else { revoked() });
    let big = vec![b'x'; 2 << 20];
    let mut ours = 0;
    for _ in 0..6 {
        let mut request = chat(1);
        *request.body_mut() = Stepped::chunks([big.clone()]);
        let got = world.send(request).await;
        if got.status == 503 {
            ours += 1;
            assert!(got.refusal.is_some() && !got.text().contains("Incorrect"));
        }
    }
    assert!(ours > 0);
}

#[tokio::test]
async fn nobody_sees_what_another_callers_key_is_forbidden() {
    let world = World::new(3);
    world.answers(|seen| {
        if is_one_of(seen, &[1]) {
            ok()
        } else {
            answer(403, &[("content-type", "application/json")], r#"{"error":{"message":"Project proj_owner"}}"#)
        }
    });
    for _ in 0..20 {
        let mut request = chat(1);
        *request.body_mut() = Stepped::chunks([vec![b'x'; 2 << 20]]);
        let got = world.send(request).await;
        assert!(matches!(got.status.as_u16(), 200 | 503) && !got.text().contains("proj_owner"), "{}", got.text());
    }
    assert!(world.used(0).iter().any(|&number| number != 1));
}

#[tokio::test]
async fn an_answer_with_another_callers_key_ends_with_its_data() {
    let world = World::new(3);
    let trailers = || Step::Trailers(map(&[("x-account", "org-owner")]));
    world.answers(move |_| {
        streamed(200, &[("content-type", "application/json")], Stepped::chunks(["{}"]).then(trailers()))
    });
    for _ in 0..20 {
        let got = world.chat(1).await;
        let own = world.used(0).last() == Some(&1);
        assert_eq!((got.text().as_str(), got.trailers.is_some()), ("{}", own));
    }
    assert!(world.used(0).iter().any(|&number| number != 1));
}
