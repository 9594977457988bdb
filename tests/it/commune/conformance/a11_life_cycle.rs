//! A11: what an answer does to the key.

use key_commune::health::State;

use super::super::{MODELS, World, number, presenting};
use super::{JSON, bare, chat, commune, fails, rest, send, strikes};
use crate::support::{answer, ok, secs};

const DAY: u64 = 86_400;

#[tokio::test]
async fn a11_2xx_clears_all_counters_and_unblocks() {
    for status in [200, 201] {
        let world = commune(1);
        for struck in [401, 429, 401] {
            world.answers(move |_| bare(struck));
            chat(&world, 0).await;
        }
        assert_eq!((world.state(0), strikes(&world, 0)), (State::Resting, (1, 2)));
        world.answers(move |_| answer(status, &[JSON], r#"{"ok":true}"#));
        chat(&world, 0).await;
        assert_eq!((world.state(0), strikes(&world, 0)), (State::Active, (0, 0)));
        assert_eq!(world.member(0).unwrap().until, None);
    }
}

#[tokio::test]
async fn a11_2xx_of_a_new_key_makes_it_a_member() {
    let world = commune(1);
    chat(&world, 9).await;
    assert_eq!((world.state(9), strikes(&world, 9)), (State::Active, (0, 0)));
    assert_eq!(world.member(9).unwrap().key, "sk-t..wxyz");
}

#[tokio::test]
async fn a11_i17_2xx_elsewhere_neither_joins_nor_clears() {
    let world = commune(1);
    fails(&world, 429, &[0]);
    chat(&world, 0).await;
    world.answers(|_| ok());
    for caller in [0, 9] {
        assert_eq!(send(&world, presenting(caller, MODELS)).await.status, 200);
    }
    assert_eq!((world.state(0), strikes(&world, 0), world.member(9)), (State::Resting, (1, 0), None));
}

#[tokio::test]
async fn a11_401_blocks_for_a_day() {
    let world = commune(1);
    fails(&world, 401, &[0]);
    assert_eq!(chat(&world, 0).await.status, 401);
    assert_eq!((world.state(0), strikes(&world, 0), rest(&world, 0)), (State::Resting, (0, 1), secs(DAY)));
    chat(&world, 0).await;
    assert_eq!((strikes(&world, 0), rest(&world, 0)), ((0, 2), secs(DAY)), "blocked or not, from now");
}

#[tokio::test]
async fn a11_401_third_in_a_row_retires() {
    let world = commune(2);
    fails(&world, 401, &[0]);
    while strikes(&world, 0) != (0, 1) {
        chat(&world, 0).await;
    }
    for expected in [State::Resting, State::Retired] {
        chat(&world, 0).await;
        assert_eq!(world.state(0), expected);
    }
}

#[tokio::test]
async fn a11_429_blocks_for_1_2_4_minutes_without_a_cap_and_the_fifteenth_retires() {
    let world = commune(1);
    world.answers(|_| answer(429, &[JSON, ("retry-after", "7")], "{}"));
    for strike in 1..15 {
        assert_eq!(chat(&world, 0).await.status, 429);
        assert_eq!(
            (strikes(&world, 0), rest(&world, 0)),
            ((strike, 0), secs(60 << (strike - 1))),
            "no hint, no jitter"
        );
    }
    chat(&world, 0).await;
    assert_eq!((world.state(0), strikes(&world, 0)), (State::Retired, (15, 0)));
    assert_eq!(world.member(0).unwrap().throttles_today, 15);
}

#[tokio::test]
async fn a11_429_doubles_as_well_when_each_block_is_waited_for() {
    let world = commune(1);
    fails(&world, 429, &[0]);
    for strike in 0..5 {
        chat(&world, 0).await;
        assert_eq!(rest(&world, 0), secs(60 << strike));
        world.pass(60 << strike);
    }
}

#[tokio::test]
async fn a11_anything_else_does_nothing() {
    for status in [301, 302, 304, 400, 402, 403, 404, 408, 409, 413, 422, 425, 500, 502, 503, 504, 529] {
        let world = commune(1);
        world.answers(move |_| bare(status));
        for _ in 0..20 {
            assert_eq!(chat(&world, 0).await.status.as_u16(), status);
        }
        assert_eq!((world.state(0), strikes(&world, 0)), (State::Active, (0, 0)), "{status}");
        fails(&world, 429, &[0]);
        chat(&world, 0).await;
        world.answers(move |_| bare(status));
        let before = world.member(0).unwrap().until;
        chat(&world, 0).await;
        assert_eq!((strikes(&world, 0), world.member(0).unwrap().until), ((1, 0), before), "{status}");
    }
}

#[tokio::test]
async fn a11_401_and_429_are_counted_apart() {
    let world = commune(1);
    for status in [429, 401, 429, 401, 429] {
        world.answers(move |_| bare(status));
        chat(&world, 0).await;
    }
    assert_eq!((world.state(0), strikes(&world, 0)), (State::Resting, (3, 2)));
}

#[tokio::test]
async fn a11_failures_of_an_untracked_key_do_nothing() {
    for status in [401, 429, 403, 500] {
        let world = commune(1);
        world.answers(move |_| bare(status));
        for _ in 0..20 {
            assert_eq!(chat(&world, 9).await.status.as_u16(), status);
        }
        assert_eq!(world.member(9), None);
        world.answers(|_| ok());
        chat(&world, 9).await;
        assert_eq!((world.state(9), strikes(&world, 9)), (State::Active, (0, 0)), "nothing was remembered");
    }
}

#[tokio::test]
async fn a11_a_retired_key_comes_back_clean_with_its_next_2xx() {
    let world = commune(2);
    retire(&world).await;
    for _ in 0..5 {
        chat(&world, 0).await;
    }
    assert_eq!((world.state(0), world.member(0).unwrap().rejections), (State::Retired, 3), "untracked: nothing counts");
    world.answers(|_| ok());
    chat(&world, 0).await;
    assert_eq!((world.state(0), strikes(&world, 0)), (State::Active, (0, 0)));
    assert_eq!(world.member(0).unwrap().retirements, 1, "it was forgotten");
}

async fn retire(world: &World) {
    fails(world, 401, &[0]);
    while world.state(0) != State::Retired {
        chat(world, 0).await;
    }
}

#[tokio::test]
async fn a11_i22_a_401_that_another_caller_met_is_no_strike_yet() {
    let world = commune(4);
    fails(&world, 401, &[0]);
    while world.state(0) == State::Active {
        assert_eq!(chat(&world, 1).await.status, 200);
    }
    assert_eq!((world.state(0), strikes(&world, 0)), (State::Suspect, (0, 0)), "it was blocked for a day");
    assert!(rest(&world, 0) <= secs(60));
    for _ in 0..100 {
        chat(&world, 1).await;
        world.pass(60);
    }
    assert_ne!(world.state(0), State::Retired, "it was gone with the third");
    assert!(strikes(&world, 0).1 <= 1);
}

#[tokio::test]
async fn a11_i22_a_caller_throttles_another_key_once() {
    let world = commune(2);
    fails(&world, 429, &[0]);
    for _ in 0..200 {
        assert_eq!(chat(&world, 1).await.status, 200);
        world.pass(60);
    }
    assert_eq!((world.state(0), strikes(&world, 0)), (State::Resting, (1, 0)), "it was gone with the fifteenth");
}

#[tokio::test]
async fn a11_i5_a_401_does_not_shorten_a_longer_block() {
    let world = commune(1);
    fails(&world, 429, &[0]);
    for _ in 0..13 {
        chat(&world, 0).await;
    }
    let before = world.member(0).unwrap().until;
    fails(&world, 401, &[0]);
    chat(&world, 0).await;
    assert_eq!((strikes(&world, 0), world.member(0).unwrap().until), ((13, 1), before), "it was cut to one day");
}

#[tokio::test]
async fn a11_i15_a_failure_of_everybody_empties_no_pool() {
    let world = commune(6);
    world.answers(|_| bare(401));
    for caller in (0..6).cycle().take(36) {
        assert_eq!(chat(&world, caller).await.status, 401);
    }
    assert!(world.pool.snapshot().members.iter().all(|member| member.state != State::Retired));
    world.answers(|_| ok());
    for caller in 0..6 {
        assert_eq!(chat(&world, caller).await.status, 200);
    }
    assert_eq!(world.pool.snapshot().active(), 6, "21 requests retired all of 6");
}

#[tokio::test]
async fn a11_the_providers_words_count_unless_the_status_alone_is_to_be_judged() {
    let invalid = || answer(403, &[JSON], r#"{"error":{"message":"no","code":"invalid_api_key"}}"#);
    let world = commune(1);
    world.answers(move |_| invalid());
    chat(&world, 0).await;
    assert_eq!(strikes(&world, 0), (0, 0));
    world.pass(2);
    world.chat(0).await;
    assert_eq!(strikes(&world, 0), (0, 1), "by the provider's row, which is the layer's default");
}

#[tokio::test]
async fn a11_every_answer_tells_with_which_key() {
    let world = commune(3);
    for _ in 0..9 {
        let got = chat(&world, 0).await;
        let used = number(&world.upstream.last());
        assert_eq!(got.served.unwrap().key, world.member(used).unwrap().id);
    }
}
