//! A9: how often a caller may come.

use key_commune::{KeyCommuneLayer, Refusal};
use tower::Layer;

use super::super::World;
use super::{bare, commune};
use crate::support::{Got, fetch, ok, secs};

/// A chat without a pause before it.
async fn at_once(world: &World, caller: usize) -> Got {
    fetch(&KeyCommuneLayer::new(world.pool.clone()).layer(world.upstream.clone()), super::super::chat(caller)).await
}

fn wait(got: &Got) -> Option<u64> {
    match got.refusal {
        Some(Refusal::TooOften { retry_after }) if got.status == 429 => Some(retry_after.as_secs()),
        _ => None,
    }
}

#[tokio::test]
async fn a09_1_one_request_in_two_seconds_for_each_key_presented() {
    for caller in [0, 9] {
        let world = commune(2);
        assert_eq!(at_once(&world, caller).await.status, 200);
        let got = at_once(&world, caller).await;
        assert_eq!((wait(&got), got.header("retry-after")), (Some(2), Some("2")), "it sent no Retry-After");
        assert_eq!(at_once(&world, 1).await.status, 200, "others are not concerned");
        world.pass(1);
        assert_eq!(wait(&at_once(&world, caller).await), Some(1));
        world.pass(1);
        assert_eq!(at_once(&world, caller).await.status, 200, "what was denied moved nothing");
    }
}

#[tokio::test]
async fn a09_1_waits_are_rounded_up_to_seconds() {
    let world = commune(1);
    at_once(&world, 0).await;
    world.clock.pass(std::time::Duration::from_millis(1_900));
    let got = at_once(&world, 0).await;
    assert_eq!((got.status.as_u16(), got.header("retry-after")), (429, Some("1")));
}

#[tokio::test]
async fn a09_1_a_request_is_counted_when_it_starts_however_it_ends() {
    for status in [200, 400, 401, 429, 500] {
        let world = commune(1);
        world.answers(move |_| bare(status));
        assert_eq!(at_once(&world, 0).await.status.as_u16(), status);
        assert_eq!(wait(&at_once(&world, 0).await), Some(2), "{status}");
        assert_eq!((world.upstream.count(), world.member(0).unwrap().uses), (1, 1), "no key was touched");
    }
}

#[tokio::test]
async fn a09_1_no_burst_is_saved_up() {
    let world = commune(1);
    world.pass(3_600);
    assert_eq!(at_once(&world, 0).await.status, 200);
    assert_eq!(wait(&at_once(&world, 0).await), Some(secs(2).as_secs()));
}

#[tokio::test]
async fn a09_1_intervals_go_from_start_to_start_for_a_newcomer_too() {
    for caller in [0, 9] {
        let world = commune(1);
        let clock = world.clock.clone();
        world.answers(move |_| {
            clock.pass(secs(10));
            ok()
        });
        assert_eq!(at_once(&world, caller).await.status, 200);
        assert_eq!(at_once(&world, caller).await.status, 200, "{caller}: it came 10 s ago");
    }
}
