//! Group E: callers that would have other people's keys struck, and their own spared.

use std::time::Duration;

use super::{CHAT, Door, World, bearer, language, number, ok, refused, rejected, soon};
use crate::proxy::caller::Caller;

/// What a marked request is answered, whatever the key is; and whether that may say something about keys.
const POISONS: [(u16, &str); 6] = [
    (401, "invalid_api_key"),
    (401, "mismatched_organization"),
    (403, "model_not_allowed"),
    (404, "model_not_found"),
    (400, "invalid_json"),
    (413, "request_too_large"),
];

const POISON: &str = "accept-language: poison\r\n";

fn poisons(world: &World, status: u16, code: &'static str) {
    world.answers(move |seen| if language(seen) == "poison" { refused(status, code) } else { ok() });
}

#[tokio::test]
async fn attack_31_what_a_request_is_refused_for_is_not_held_against_keys() {
    for (status, code) in POISONS {
        let world = World::new(50, &[]).await;
        poisons(&world, status, code);
        let mut failures = 0;
        for round in 0..20 {
            assert_eq!(world.ask(49, CHAT, POISON).await.status, status, "{code}");
            let used = world.provider.seen();
            let foreign = used.iter().filter(|seen| number(seen) != 49).count();
            failures += foreign;
            assert!(foreign == 0 || status == 404 || status == 400 || status == 413 || round < 2, "{code}: isolated");
        }
        println!("{status} {code}: {failures} with other people's keys");
        assert!(world.serve(0, 0..49).await, "{status} {code}");
    }
}

/// A prompt that is too much for any key's minute. A hint would be obeyed, so there is none.
#[tokio::test]
async fn attack_31_a_prompt_that_is_too_long_for_every_key_stops_nobody() {
    let world = World::new(50, &[]).await;
    poisons(&world, 429, "rate_limit_exceeded");
    for honest in 0..30 {
        assert_eq!(world.ask(49, CHAT, POISON).await.status, 429);
        assert_eq!(world.chat(honest).await, 200, "its own key serves it");
    }
}

#[tokio::test]
async fn attack_32_a_burst_of_refusals_is_one_strike() {
    let world = World::new(2, &["--max-keys", "2"]).await;
    let (mut door, wait) = Door::new();
    // Each key is as busy as the other, or one of them would be left alone.
    world.answers(move |seen| wait(if number(seen) == 0 { rejected() } else { ok() }));
    let calls = soon(world.hold(40, &mut door, || bearer(0))).await;
    door.open();
    let mut refusals = 0;
    for call in calls {
        refusals += usize::from(soon(call).await.unwrap().status == 401);
    }
    assert!(refusals >= 10, "{refusals}");
    world.answers(|_| ok());
    assert_eq!(world.used_in(20, 5).await, [5].into(), "no seat is free: the key is not retired");
    assert_eq!(world.chat(0).await, 200);
    assert!(world.serve(1, 0..2).await);
    // One after the other they are four, and the key is.
    world.rejects(&[0]);
    world.isolate(4, 0).await;
    world.answers(|_| ok());
    assert!(world.used_in(40, 5).await.contains(&1), "a newcomer has its seat");
}

#[tokio::test]
async fn attack_33_a_success_from_before_does_not_end_a_rest() {
    let world = World::new(20, &["--strategy", "round-robin"]).await;
    let (mut door, wait) = Door::new();
    world.answers(move |seen| match (number(seen), language(seen)) {
        (_, "early") => wait(ok()),
        (0, _) => rejected(),
        _ => ok(),
    });
    // Two with each key. Those who come later take each in its turn, however busy it is.
    let early = soon(world.hold(40, &mut door, || format!("{}accept-language: early\r\n", bearer(0)))).await;
    world.isolate(1, 0).await;
    door.open();
    for call in early {
        assert_eq!(soon(call).await.unwrap().status, 200);
    }
    assert_eq!(world.used_in(20, 0).await, [0].into(), "its owner is on its own still");
}

#[tokio::test]
async fn attack_34_an_answer_for_a_key_that_is_gone_reaches_its_caller() {
    let world = World::new(2, &["--max-keys", "2"]).await;
    let (mut door, wait) = Door::new();
    world.answers(move |seen| match (number(seen), language(seen)) {
        (0, "early") => wait(refused(402, "insufficient_credits")),
        (_, "early") => wait(ok()),
        (0, _) => rejected(),
        _ => ok(),
    });
    let early = soon(world.hold(8, &mut door, || format!("{}accept-language: early\r\n", bearer(0)))).await;
    world.isolate(4, 0).await;
    assert_eq!(world.chat(5).await, 200, "takes the seat of a key that was retired");
    door.open();
    let mut late = 0;
    for call in early {
        let answer = soon(call).await.unwrap();
        late += usize::from(answer.status == 402);
        assert!(answer.status == 200 || answer.code() == "insufficient_credits");
    }
    assert!(late > 0);
    assert_eq!(world.used_in(30, 5).await, [1, 5].into(), "it is not held against who sits there now");
}

#[tokio::test]
async fn attack_35_when_everybody_is_refused_nobody_is_thrown_out() {
    for (status, code) in [(401, "invalid_api_key"), (403, "country_not_supported"), (429, "rate_limit_exceeded")] {
        let world = World::new(6, &["--max-keys", "6"]).await;
        world.answers(move |_| refused(status, code));
        for round in 0..60 {
            assert_ne!(world.chat(round % 6).await, 200);
        }
        world.answers(|_| ok());
        assert_eq!(world.used_in(20, 50).await, [50].into(), "{code}: no seat is free");
        for member in 0..6 {
            assert_eq!(world.chat(member).await, 200, "{code}");
        }
        for member in 0..6 {
            assert!(world.used_in(30, member).await.len() > 1, "{code}: after one success of each all share again");
        }
    }
}

#[tokio::test]
async fn attack_36_a_word_about_time_does_not_outlive_a_success() {
    let world = World::new(3, &[]).await;
    let for_ever = |_: &super::Seen| refused(429, "rate_limit_exceeded").header("retry-after", "999999999999");
    world.answers(move |seen| if language(seen) == "poison" { for_ever(seen) } else { ok() });
    assert_eq!(world.ask(2, CHAT, POISON).await.status, 429);
    for owner in 0..2 {
        assert_eq!(world.chat(owner).await, 200, "with its own key, at once");
    }
    assert!(world.serve(0, 0..2).await && world.serve(1, 0..2).await, "and that ends the rest");
}

#[tokio::test]
async fn attack_37_who_hangs_up_on_a_refusal_has_met_it() {
    let world = World::new(20, &[]).await;
    world.answers(move |seen| match (number(seen), language(seen)) {
        (3, "early") => rejected().header("content-type", "text/plain").drips(),
        (3, _) => rejected(),
        _ => ok(),
    });
    let early = format!("{}accept-language: early\r\n", bearer(3));
    let leave = async {
        loop {
            let mut caller = Caller::new(world.address()).await;
            caller.send(format!("{CHAT} HTTP/1.1\r\nhost: p\r\ncontent-length: 2\r\n{early}\r\n{{}}")).await;
            if caller.read_until("\r\n\r\n").await.starts_with("HTTP/1.1 401") {
                return;
            }
        }
    };
    soon(leave).await;
    assert_eq!(world.used_in(20, 3).await, [3].into());
}

#[tokio::test]
async fn attack_38_a_probe_that_hangs_up_is_replaced() {
    let world = World::new(3, &[]).await;
    world.answers(|seen| match number(seen) {
        0 => refused(429, "rate_limit_exceeded").header("retry-after", "1"),
        _ => ok(),
    });
    world.isolate(1, 0).await;
    let (mut door, wait) = Door::new();
    world.answers(move |seen| if number(seen) == 0 && language(seen) == "captor" { wait(ok()) } else { ok() });
    let captor = format!("{}accept-language: captor\r\n", bearer(1));
    soon(world.hold(1, &mut door, || captor.clone())).await.remove(0).abort();
    let mut provider = world.provider;
    soon(provider.gone.recv()).await;
    let world = World { provider, ..world };
    let served = tokio::time::timeout(Duration::from_secs(15), world.serve(2, 0..3)).await;
    assert_eq!(served, Ok(true), "long before a probe's patience of 30 s");
}
