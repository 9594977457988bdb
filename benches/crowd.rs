//! Ten million callers that make up a new key for every request, against one commune in this process. Printed: the time,
//! the growth of memory, and how honest callers fare meanwhile. Run with `cargo bench --bench crowd`; a number of millions
//! may follow `--`.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a bench prints what it measures, and may panic"
)]

mod support;

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderValue, Request, Response};
use http_body_util::Full;
use key_commune::pool::{Commune, KeyPool};
use key_commune::rate::Rate;
use key_commune::service::ReplayBody;
use key_commune::{KeyCommune, KeyCommuneLayer, Provider};
use tower::{Layer, Service};

const MILLION: u64 = 1_000_000;
const MOST: u64 = 64 * 1024;
const INTERVAL: Duration = Duration::from_secs(2);
/// How often honest callers come: the pool's clock is coarse.
const PACE: Duration = Duration::from_millis(2_050);
const MEMBERS: usize = 200;

type Sent = Request<ReplayBody<Full<Bytes>>>;

/// A provider that knows the keys that begin with `sk-good`.
#[derive(Clone)]
struct Upstream;

impl Service<Sent> for Upstream {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Sent) -> Self::Future {
        let good = request.headers()["authorization"].as_bytes().starts_with(b"Bearer sk-good");
        let body = if good { r#"{"id":"1"}"# } else { r#"{"error":{"code":"invalid_api_key"}}"# };
        let mut answer = Response::new(Full::new(Bytes::from_static(body.as_bytes())));
        *answer.status_mut() = if good { 200 } else { 401 }.try_into().unwrap();
        answer.headers_mut().insert("content-type", HeaderValue::from_static("application/json"));
        ready(Ok(answer))
    }
}

/// How honest callers fared.
#[derive(Default)]
struct Honest {
    members: u64,
    newcomers: u64,
    turned_away: u64,
}

fn main() {
    let millions = std::env::args().find_map(|argument| argument.parse().ok()).unwrap_or(10);
    let rules = Commune::default().rate(Rate::new(INTERVAL));
    let pool = KeyPool::builder(Provider::OPENAI).commune(rules).max_keys(MEMBERS).build().unwrap();
    let mut client = KeyCommuneLayer::new(pool.clone()).scrub().layer(Upstream);
    assert_eq!(chat(&mut client, "sk-good-member-000000000"), 200);
    assert_eq!(chat(&mut client, "sk-junk-first-0000000000"), 401);
    let (before, start) = (resident(), Instant::now());
    let (mut honest, mut through, mut due) = (Honest::default(), 0, PACE);
    for number in 0..millions * MILLION {
        through += u64::from(chat(&mut client, &format!("sk-junk-{number:024}")) == 401);
        if number % 1_000 == 0 && start.elapsed() >= due {
            due = start.elapsed() + PACE;
            turn(&mut client, &mut honest);
        }
    }
    let (grown, took) = (resident().saturating_sub(before), start.elapsed());
    println!("{millions} million fresh identities in {took:.1?}, {through} of them let through to be refused");
    println!("memory: {grown} KiB more at most, after {before} KiB; {} members", pool.snapshot().members.len());
    println!("members: {} calls, all served", honest.members);
    println!("newcomers: {} came, {} of them were told to wait", honest.newcomers, honest.turned_away);
    assert!(grown <= MOST, "{grown} KiB");
}

/// A member comes as often as it may, and so does somebody new.
fn turn(client: &mut KeyCommune<Upstream>, honest: &mut Honest) {
    assert_eq!(chat(client, "sk-good-member-000000000"), 200);
    honest.members += 1;
    let status = chat(client, &format!("sk-good-newcomer-{:010}", honest.newcomers));
    honest.newcomers += 1;
    honest.turned_away += u64::from(status == 429);
}

fn chat(client: &mut KeyCommune<Upstream>, key: &str) -> u16 {
    let request = Request::post("https://api.openai.com/v1/chat/completions");
    let request = request.header("authorization", format!("Bearer {key}")).header("content-type", "application/json");
    support::status(client, request.body(Full::new(Bytes::from_static(b"{}"))).unwrap())
}

/// The most memory that this process ever had, in KiB.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or("0 kB");
    line.trim().trim_end_matches(" kB").parse().unwrap_or(0)
}
