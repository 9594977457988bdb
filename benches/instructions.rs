//! How many instructions a turn and a call take: the same on every day and beside every neighbour. Counts with valgrind's
//! callgrind, once for some rounds and once for more; the difference is that of the rounds between. Run with
//! `cargo bench --bench instructions`; does nothing where there is no valgrind.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a bench prints what it measures, and may panic")]

mod support;

use std::hint::black_box;
use std::process::Command;

use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue};
use key_commune::demand::Demand;
use key_commune::select::{PeakEwma, RoundRobin, Select};
use key_commune::{KeyCommuneLayer, KeyPool, Provider};
use support::{Bare, Keys, Template, send, turn, turn_for};
use tower::Layer;

const WORK: [&str; 11] = [
    "yardstick",
    "turn",
    "of two keys",
    "for a model",
    "round robin",
    "peak EWMA",
    "bare call",
    "one key",
    "template",
    "masked",
    "commune",
];
const ROUNDS: [u64; 2] = [1_000, 3_000];

fn main() {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    if let [flag, work, rounds] = &arguments[..]
        && flag == "--work"
    {
        return run(work, rounds.parse().unwrap());
    }
    // `cargo test --benches` only wants to know whether it runs.
    let works = if arguments.iter().any(|argument| argument == "--bench") { &WORK[..] } else { &[] };
    for work in works {
        let [few, many] = ROUNDS.map(|rounds| count(work, rounds));
        match few.zip(many) {
            Some((few, many)) => println!("{work:>12} {:>7} instructions", (many - few) / (ROUNDS[1] - ROUNDS[0])),
            None => println!("{work:>12} valgrind is missing"),
        }
    }
}

fn run(work: &str, rounds: u64) {
    let template = Template::new();
    let layered = |keys: usize, masked: bool| {
        let layer = KeyCommuneLayer::new(Keys::new(keys).pool);
        let mut service = if masked { layer.scrub() } else { layer }.layer(Bare);
        (0..rounds).for_each(|_| send(&mut service, template.request()));
    };
    match work {
        "yardstick" => swap(rounds),
        "turn" => turns(&Keys::new(200), rounds),
        "of two keys" => turns(&Keys::new(2), rounds),
        "for a model" => turns_for(&Demand::default().model("gpt-4o"), &Keys::new(200), rounds),
        "round robin" => turns(&chosen(RoundRobin::default()), rounds),
        "peak EWMA" => turns(&chosen(PeakEwma::default()), rounds),
        "bare call" => (0..rounds).for_each(|_| send(&mut Bare, template.request())),
        "one key" => layered(1, false),
        "template" => layered(200, false),
        "commune" => shared(rounds),
        _ => layered(200, true),
    }
}

fn shared(rounds: u64) {
    let template = Template::presenting();
    let mut service = KeyCommuneLayer::new(Keys::shared(200).pool).layer(Bare);
    (0..rounds).for_each(|_| send(&mut service, template.request()));
}

fn swap(rounds: u64) {
    let value = HeaderValue::from_maybe_shared(Bytes::from_owner(vec![b'k'; 55])).unwrap();
    let mut headers = HeaderMap::new();
    (0..rounds).for_each(|_| drop(black_box(headers.insert(AUTHORIZATION, black_box(&value).clone()))));
}

fn turns(keys: &Keys, rounds: u64) {
    let mut headers = HeaderMap::new();
    (0..rounds).for_each(|_| turn(&keys.pool, |value| drop(black_box(headers.insert(AUTHORIZATION, value)))));
}

fn turns_for(demand: &Demand, keys: &Keys, rounds: u64) {
    let mut headers = HeaderMap::new();
    let mut put = |value| drop(black_box(headers.insert(AUTHORIZATION, value)));
    (0..rounds).for_each(|_| turn_for(&keys.pool, demand, &mut put));
}

/// Keys of which a strategy chooses.
fn chosen(strategy: impl Select + 'static) -> Keys {
    Keys::with(KeyPool::builder(Provider::OPENAI).select(strategy), 200)
}

/// All instructions of a process that does this work, or `None` without valgrind.
fn count(work: &str, rounds: u64) -> Option<u64> {
    let mut valgrind = Command::new("valgrind");
    valgrind.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]);
    valgrind.arg(std::env::current_exe().ok()?).args(["--work", work, &rounds.to_string()]);
    let said = String::from_utf8(valgrind.output().ok()?.stderr).ok()?;
    said.lines().find_map(|line| line.split_once("Collected : ")?.1.trim().parse().ok())
}
