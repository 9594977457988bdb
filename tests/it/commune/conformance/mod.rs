//! The predecessor's behaviour, row by row, on the pool that has its numbers. A test is named for its row; one that shows
//! a deliberate difference also for the invariant that asks for it.
//!
//! Its own test cases are among them. Elsewhere are those of its key validator (`rules`, but for the lengths: A7 5), of its
//! subnets (`subnet`) and of its header lists in detail (`service/hygiene`). Its caches of keys and of counts have no
//! counterpart: what the pool knows is what it decides by.

mod a06_credentials;
mod a07_pipeline;
mod a08_rules;
mod a09_rate;
mod a10_forwarding;
mod a11_life_cycle;
mod a12_balancer;

use std::time::Duration;

use http::{Request, Response};
use key_commune::KeyCommuneLayer;
use key_commune::classify::ByStatus;
use key_commune::pool::Builder;
use key_commune::preset;
use key_commune::provider::Provider;
use tower::Layer;

use super::World;
use crate::support::{Got, Stepped, answer, fetch, keys};

const JSON: (&str, &str) = ("content-type", "application/json");

/// The keys 0 to `count` are members.
fn commune(count: usize) -> World {
    World::by_its_own_rules(builder(count))
}

fn builder(count: usize) -> Builder {
    preset::key_commune(Provider::OPENAI).keys(keys(count))
}

/// A chat of the caller with this key.
async fn chat(world: &World, caller: usize) -> Got {
    send(world, super::chat(caller)).await
}

/// Sends a request no sooner than its caller may, and judges the answer by its status, as the predecessor did.
async fn send(world: &World, request: Request<Stepped>) -> Got {
    world.pass(2);
    let layer = KeyCommuneLayer::new(world.pool.clone()).classify(ByStatus);
    fetch(&layer.layer(world.upstream.clone()), request).await
}

/// From now on these keys get this status, and all others 200.
fn fails(world: &World, status: u16, numbers: &'static [usize]) {
    world.answers(move |seen| if super::is_one_of(seen, numbers) { bare(status) } else { crate::support::ok() });
}

fn bare(status: u16) -> Response<Stepped> {
    answer(status, &[JSON], "{}")
}

/// Strikes in a row: throttles and rejections.
fn strikes(world: &World, number: usize) -> (u32, u32) {
    let member = world.member(number).expect("a member");
    (member.throttles, member.rejections)
}

/// How long a key rests yet.
fn rest(world: &World, number: usize) -> Duration {
    let until = world.member(number).expect("a member").until;
    until.map_or(Duration::ZERO, |until| until - world.pool.now())
}
