//! What proves a key, and what does not (I17).

use http::Response;
use key_commune::health::State;

use super::{CHAT, MODELS, World, is_one_of, presenting};
use crate::support::{Step, Stepped, answer, events, ok, send, streamed, throttled};

const JSON: (&str, &str) = ("content-type", "application/json");

type Make = Box<dyn Fn() -> Response<Stepped> + Send + Sync>;

fn joins(number: usize, world: &World) -> bool {
    world.member(number).is_some()
}

#[tokio::test]
async fn only_a_clean_answer_of_the_api_admits_a_key() {
    let error = r#"{"error":{"message":"No endpoints found","code":404},"user_id":"u"}"#;
    let late = "data: {\"choices\":[]}\n\ndata: {\"error\":{\"message\":\"Incorrect API key provided\",\"code\":\"invalid_api_key\"}}\n\n";
    let first = "data: {\"error\":{\"message\":\"Incorrect API key provided\",\"code\":\"invalid_api_key\"}}\n\n";
    let cases: Vec<(&str, bool, Make)> = vec![
        ("json", true, Box::new(ok)),
        ("stream", true, Box::new(|| events(&["data: {\"choices\":[]}\n\n", "data: [DONE]\n\n"]))),
        ("json in chunks", true, Box::new(|| streamed(200, &[JSON], Stepped::chunks(["{\"a\":", "1}"])))),
        ("null error", true, Box::new(|| answer(200, &[JSON], r#"{"id":"1","error":null}"#))),
        ("error in a 200", false, Box::new(move || answer(200, &[JSON], error))),
        ("error first", false, Box::new(move || events(&[first]))),
        ("error later", false, Box::new(move || events(&[late]))),
        ("html", false, Box::new(|| answer(200, &[("content-type", "text/html")], "<p>Welcome</p>"))),
        ("no type", false, Box::new(|| answer(200, &[], r#"{"ok":true}"#))),
        ("empty", false, Box::new(|| answer(200, &[JSON], ""))),
        ("empty stream", false, Box::new(|| events(&[]))),
        ("no json", false, Box::new(|| answer(200, &[JSON], "welcome"))),
        ("no content", false, Box::new(|| answer(204, &[JSON], ""))),
        ("redirect", false, Box::new(|| answer(302, &[JSON, ("location", "/")], "{}"))),
        ("cached", false, Box::new(|| answer(200, &[JSON, ("age", "17")], r#"{"ok":true}"#))),
        ("broken", false, Box::new(|| streamed(200, &[JSON], Stepped::chunks(["{\"a\":"]).then(Step::Fail)))),
        ("client error", false, Box::new(|| answer(400, &[JSON], r#"{"error":{"message":"no"}}"#))),
    ];
    for (name, expected, make) in cases {
        let world = World::new(1);
        world.answers(move |_| make());
        world.chat(5).await;
        assert_eq!(joins(5, &world), expected, "{name}");
    }
}

#[tokio::test]
async fn other_calls_admit_nobody() {
    let world = World::new(1);
    for uri in [MODELS, "https://api.openai.com/v1/files", "https://api.openai.com/v1/chat/completions/x"] {
        assert_eq!(world.send(presenting(5, uri)).await.status, 200);
    }
    for method in ["GET", "HEAD", "OPTIONS", "PUT"] {
        let mut request = presenting(5, CHAT);
        *request.method_mut() = method.parse().unwrap();
        world.send(request).await;
    }
    assert!(!joins(5, &world));
}

#[tokio::test]
async fn an_answer_that_nobody_reads_to_its_end_proves_nothing() {
    let world = World::new(1);
    world.answers(|_| streamed(200, &[JSON], Stepped::chunks(["{\"a\":", "1}"]).then(Step::Hang)));
    let client = crate::support::client(&world.pool, &world.upstream);
    for _ in 0..3 {
        let response = send(&client, super::chat(5)).await.unwrap();
        drop(response);
    }
    assert!(!joins(5, &world));
}

#[tokio::test]
async fn strikes_are_not_washed_off_by_calls_that_prove_nothing() {
    let world = World::new(3);
    world.answers(|seen| if is_one_of(seen, &[0]) { throttled() } else { ok() });
    while world.state(0) == State::Active {
        world.chat(0).await;
    }
    world.answers(|_| ok());
    for _ in 0..10 {
        world.send(presenting(0, MODELS)).await;
    }
    let member = world.member(0).unwrap();
    assert_eq!((member.state, member.throttles), (State::Resting, 1));
}

#[tokio::test]
async fn a_probe_that_has_begun_well_frees_the_key_and_its_clean_end_clears_it() {
    let world = World::new(2);
    world.answers(|seen| if is_one_of(seen, &[0]) { throttled() } else { ok() });
    while world.state(0) == State::Active {
        world.chat(1).await;
    }
    world.pass(61);
    world.answers(|_| streamed(200, &[JSON], Stepped::chunks(["{\"a\":", "1}"])));
    let client = crate::support::client(&world.pool, &world.upstream);
    let response = send(&client, super::chat(1)).await.unwrap();
    let member = world.member(0).unwrap();
    assert_eq!((member.state, member.throttles), (State::Active, 1), "others need not wait for its end");
    crate::support::read(response).await;
    assert_eq!(world.member(0).unwrap().throttles, 0);
}

#[tokio::test]
async fn a_probe_by_a_call_that_proves_nothing_leaves_the_rest_as_it_is() {
    let world = World::new(2);
    world.answers(|seen| if is_one_of(seen, &[0]) { throttled() } else { ok() });
    while world.state(0) == State::Active {
        world.chat(1).await;
    }
    world.pass(61);
    world.answers(|_| answer(200, &[("content-type", "text/html")], "<p>maintenance</p>"));
    world.chat(1).await;
    let member = world.member(0).unwrap();
    assert_eq!((member.state, member.throttles), (State::Resting, 1));
}
