//! Who is a member, who is new, and who is on its own.

use http::Request;
use key_commune::Refusal;
use key_commune::health::State;
use key_commune::pool::{Commune, KeyPool};
use key_commune::provider::Provider;
use key_commune::rate::Rate;
use key_commune::subnet::Subnet;

use super::{CHAT, MODELS, World, chat, is_one_of, presenting};
use crate::support::{Stepped, assert_idle, key, keys, ok, revoked, secs, throttled, to};

#[tokio::test]
async fn without_a_key_nobody_is_served() {
    let world = World::new(2);
    let got = world.send(to(CHAT, &[], Stepped::full("{}"))).await;
    assert_eq!((got.status.as_u16(), got.refusal.clone()), (401, Some(Refusal::NoCredential)));
    assert_eq!(got.header("www-authenticate"), Some("Bearer"));
    assert_eq!(world.upstream.count(), 0);
}

#[tokio::test]
async fn a_newcomer_uses_its_own_key_and_then_is_a_member() {
    let world = World::new(1);
    assert_eq!(world.chat(7).await.text(), ok_text());
    assert_eq!(world.used(0), [7], "nobody else's key before it has proved itself");
    assert_eq!(world.state(7), State::Active);
    for _ in 0..20 {
        world.chat(7).await;
    }
    let used = world.used(1);
    assert!(used.contains(&0) && used.contains(&7), "its own is a candidate too: {used:?}");
    assert_idle(&world.pool);
}

fn ok_text() -> &'static str {
    r#"{"ok":true}"#
}

#[tokio::test]
async fn a_key_that_never_worked_gets_nothing() {
    let world = World::new(3);
    world.refuses(&[7]);
    for _ in 0..20 {
        let got = world.chat(7).await;
        assert_eq!(got.status, 401);
        assert!(got.text().contains("Incorrect API key"), "it may see the provider's own answer");
        // Public pages are open to everybody, and prove nothing.
        world
            .send(
                Request::get(MODELS)
                    .header("authorization", format!("Bearer {}", key(8)))
                    .body(Stepped::full(""))
                    .unwrap(),
            )
            .await;
    }
    assert!(world.used(0).iter().all(|&number| number == 7 || number == 8));
    assert_eq!((world.member(7), world.member(8)), (None, None));
    assert_eq!(world.pool.snapshot().members.len(), 3);
}

#[tokio::test]
async fn a_member_whose_key_fails_is_on_its_own_until_it_works_again() {
    let world = World::new(3);
    world.answers(|seen| if is_one_of(seen, &[0]) { throttled() } else { ok() });
    while world.state(0) == State::Active {
        assert_eq!(world.chat(0).await.status, 200, "another key serves the request that was throttled");
    }
    let from = world.upstream.count();
    for _ in 0..5 {
        assert_eq!(world.chat(0).await.status, 429);
    }
    assert_eq!(world.used(from), [0; 5]);
    world.answers(|_| ok());
    assert_eq!(world.chat(0).await.status, 200);
    assert_eq!(world.used(from), [0; 6]);
    assert_eq!((world.state(0), world.member(0).unwrap().throttles), (State::Active, 0), "a success ends it, whenever");
    for _ in 0..20 {
        world.chat(0).await;
    }
    assert!(world.used(from + 6).iter().any(|&number| number != 0));
}

#[tokio::test]
async fn a_rejected_key_does_not_help_its_owner_to_others() {
    let world = World::new(3);
    world.refuses(&[0]);
    while world.state(0) == State::Active {
        let _ = world.chat(0).await;
    }
    let from = world.upstream.count();
    for _ in 0..10 {
        assert_eq!(world.chat(0).await.status, 401);
        world.pass(100_000);
    }
    assert!(world.used(from).iter().all(|&number| number == 0), "however long its rest is over");
}

#[tokio::test]
async fn imported_keys_are_members_from_the_start() {
    let world = World::new(4);
    let mut used: Vec<_> = Vec::new();
    for _ in 0..40 {
        world.chat(2).await;
    }
    used.extend(world.used(0));
    used.sort_unstable();
    used.dedup();
    assert_eq!(used, [0, 1, 2, 3]);
}

#[tokio::test]
async fn beyond_max_keys_a_request_succeeds_and_the_key_stays_out() {
    let builder = KeyPool::builder(Provider::OPENAI).commune(Commune::default()).keys(keys(2)).max_keys(2);
    let world = World::with(builder);
    for _ in 0..3 {
        assert_eq!(world.chat(5).await.status, 200);
    }
    assert_eq!((world.member(5), world.used(0)), (None, vec![5; 3]));
}

#[tokio::test]
async fn a_retired_key_gives_up_its_seat_to_one_that_works() {
    let builder = KeyPool::builder(Provider::OPENAI).commune(Commune::default()).keys(keys(2)).max_keys(2);
    let world = World::with(builder);
    world.refuses(&[0]);
    retire(&world, 0).await;
    assert_eq!(world.chat(5).await.status, 200);
    assert_eq!((world.member(0), world.state(5)), (None, State::Active));
}

#[tokio::test]
async fn a_retired_key_that_proves_itself_comes_back_with_its_past() {
    let world = World::new(3);
    world.refuses(&[0]);
    retire(&world, 0).await;
    assert_eq!(world.member(0).unwrap().retirements, 1);
    world.answers(|_| ok());
    world.send(presenting(0, "https://api.openai.com/v1/files")).await;
    assert_eq!(world.state(0), State::Retired, "not by a call that proves nothing");
    world.chat(0).await;
    let member = world.member(0).unwrap();
    assert_eq!((member.state, member.rejections, member.retirements), (State::Active, 0, 1));
}

#[tokio::test]
async fn a_key_that_an_operator_switched_off_does_not_come_back_by_itself() {
    let world = World::new(2);
    world.pool.disable(world.member(0).unwrap().id);
    for _ in 0..3 {
        assert_eq!(world.chat(0).await.status, 200, "its owner may use it");
    }
    assert_eq!((world.state(0), world.used(0)), (State::Retired, vec![0; 3]));
}

#[tokio::test]
async fn calls_that_leave_something_behind_go_with_the_callers_own_key() {
    let world = World::new(3);
    let paths =
        ["files", "threads", "threads/t/messages", "batches", "responses", "images/generations", "fine_tuning/jobs"];
    for path in paths {
        for _ in 0..5 {
            world.send(presenting(1, &format!("https://api.openai.com/v1/{path}"))).await;
        }
    }
    assert!(world.used(0).iter().all(|&number| number == 1));
    let got = world
        .send(
            Request::delete(CHAT)
                .header("authorization", format!("Bearer {}", key(1)))
                .body(Stepped::full(""))
                .unwrap(),
        )
        .await;
    assert_eq!((got.status.as_u16(), world.used(0).last()), (200, Some(&1)), "another method is another call");
}

#[tokio::test]
async fn the_last_resort_is_the_callers_own_key() {
    let world = World::new(4);
    world.answers(|seen| if is_one_of(seen, &[0]) { ok() } else { throttled() });
    for _ in 0..4 {
        let got = world.chat(0).await;
        assert_eq!(got.status, 200, "{}", world.pool.snapshot());
    }
    assert_eq!(world.pool.snapshot().active(), 1);
}

#[tokio::test]
async fn the_length_is_checked_before_anything_else() {
    let world = World::new(1);
    for (length, refusal) in
        [(15, Some(Refusal::KeyTooShort)), (16, None), (256, None), (257, Some(Refusal::KeyTooLong))]
    {
        let bearer = format!("Bearer {}", "k".repeat(length));
        world.answers(|_| revoked());
        let got = world.send(to(CHAT, &[("authorization", &bearer)], Stepped::full("{}"))).await;
        assert_eq!(got.refusal, refusal, "{length}");
        assert_eq!(got.status.as_u16(), if refusal.is_some() { 400 } else { 401 });
    }
}

#[tokio::test]
async fn callers_present_their_keys_wherever_their_clients_put_them() {
    for (name, scheme) in [("authorization", "bEARER  "), ("x-api-key", ""), ("api-key", ""), ("X-Goog-Api-Key", " ")] {
        let world = World::new(2);
        let value = format!("{scheme}{}", key(9));
        assert_eq!(world.send(to(CHAT, &[(name, &value)], Stepped::full("{}"))).await.status, 200);
        assert_eq!((world.used(0), world.member(9).is_some()), (vec![9], true), "{name}");
    }
}

#[tokio::test]
async fn late_members_are_not_everybodys_choice() {
    let world = World::new(4);
    for _ in 0..400 {
        world.chat(0).await;
    }
    world.chat(9).await;
    let from = world.upstream.count();
    for _ in 0..100 {
        world.chat(0).await;
    }
    let late = world.used(from).iter().filter(|&&number| number == 9).count();
    assert!((18..=22).contains(&late), "{late} of 100 in a pool of 5");
    assert_eq!(world.member(9).unwrap().uses as usize, late, "what it did not do is not counted");
}

/// Refuses a key until it is retired, its owner trying again and again.
async fn retire(world: &World, number: usize) {
    for _ in 0..50 {
        world.send(chat(number)).await;
        world.pass(86_400);
    }
    assert_eq!(world.state(number), State::Retired);
}

#[tokio::test]
async fn each_presented_key_comes_as_often_as_the_rules_say() {
    let rules = Commune::default().rate(Rate::new(secs(2)));
    let world = World::with(KeyPool::builder(Provider::OPENAI).commune(rules).keys(keys(2)));
    for number in [0, 7] {
        let from = world.upstream.count();
        assert_eq!(world.chat(number).await.status, 200);
        let got = world.chat(number).await;
        assert_eq!(
            (got.told(), got.refusal.clone()),
            ((429, Some("2")), Some(Refusal::TooOften { retry_after: secs(2) }))
        );
        world.pass(1);
        assert_eq!(world.chat(number).await.told(), (429, Some("1")), "what is refused moves nothing");
        world.pass(1);
        assert_eq!(world.chat(number).await.status, 200);
        assert_eq!(world.upstream.count() - from, 2);
    }
}

#[tokio::test]
async fn the_snapshot_tells_where_callers_come_from_and_no_more() {
    let world = World::new(1);
    let mut request = chat(0);
    let address: std::net::IpAddr = "203.0.113.77".parse().unwrap();
    request.extensions_mut().insert(Subnet::from(address));
    world.send(request).await;
    assert_eq!(world.member(0).unwrap().last_client.unwrap().to_string(), "203.0.113.0/24");
}

/// Attack 24: a key without money proves itself by what costs nothing, and pays with others'.
#[tokio::test]
async fn attack_24_nobody_takes_much_more_than_it_gives_where_there_is_a_limit() {
    let rules = Commune::default().credit(10);
    let world = World::with(KeyPool::builder(Provider::OPENAI).commune(rules).keys(keys(4)));
    for _ in 0..200 {
        assert_eq!(world.chat(3).await.status, 200);
    }
    let foreign = world.used(0).iter().filter(|&&number| number != 3).count();
    assert_eq!(foreign, 10, "others have got nothing with its key");
    let from = world.upstream.count();
    for _ in 0..40 {
        world.chat(0).await;
    }
    let given = world.used(from).iter().filter(|&&number| number == 3).count();
    let from = world.upstream.count();
    for _ in 0..200 {
        world.chat(3).await;
    }
    let taken = world.used(from).iter().filter(|&&number| number != 3).count();
    assert_eq!(taken, given, "as much again as it gave");
}
