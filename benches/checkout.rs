//! What the pool takes of a request: clock, checkout, the key's value into the headers, settling a success, giving the
//! lease back. Beside it the yardstick: cloning a header value and putting it into the headers, which nobody who swaps a
//! key can do without; and the clock alone, which the layer reads once more for each answer. Run with
//! `cargo bench --bench checkout`.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a bench prints what it measures, and may panic"
)]

mod support;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::hint::black_box;
use std::time::{Duration, Instant};

use bytes::Bytes;
use criterion::Criterion;
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue};
use key_commune::clock::{Clock, SystemClock};
use support::{Keys, turn};

const SIZES: [usize; 4] = [2, 200, 10_000, 1_000_000];
const RESTING: [usize; 3] = [0, 50, 99];

/// The samples of each bench, in nanoseconds for one turn.
type Samples = RefCell<BTreeMap<(usize, usize, usize), Vec<f64>>>;

fn main() {
    let mut criterion = support::criterion();
    let samples = Samples::default();
    for threads in [1, 2] {
        yardstick(&mut criterion, &samples, threads);
    }
    let clock = SystemClock::new();
    criterion.bench_function("clock", |bencher| bencher.iter(|| clock.now()));
    for size in SIZES {
        let mut keys = Keys::new(size);
        for share in RESTING {
            keys.rest(share);
            for threads in [1, 2] {
                turns(&mut criterion, &samples, &keys, (size, share, threads));
            }
        }
    }
    criterion.final_summary();
    report(samples.into_inner());
}

fn value() -> HeaderValue {
    let text = Bytes::from_owner(format!("Bearer sk-proj-{:040}", 0).into_bytes());
    let mut value = HeaderValue::from_maybe_shared(text).unwrap();
    value.set_sensitive(true);
    value
}

fn headers() -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(16);
    for name in ["accept", "content-type", "user-agent", "x-request-id", "authorization"] {
        headers.insert(name, HeaderValue::from_static("something"));
    }
    headers
}

fn yardstick(criterion: &mut Criterion, samples: &Samples, threads: usize) {
    let values: Vec<_> = (0..threads).map(|_| value()).collect();
    criterion.bench_function(&format!("yardstick, {threads} threads"), |bencher| {
        bencher.iter_custom(|turns| {
            timed(samples, (0, 0, threads), turns, |thread, headers| {
                black_box(headers.insert(AUTHORIZATION, black_box(&values[thread]).clone()));
            })
        });
    });
}

fn turns(criterion: &mut Criterion, samples: &Samples, keys: &Keys, name: (usize, usize, usize)) {
    let (size, share, threads) = name;
    let id = format!("turn, {size} keys, {share} % resting, {threads} threads");
    criterion.bench_function(&id, |bencher| {
        bencher.iter_custom(|turns| {
            timed(samples, name, turns, |_, headers| {
                turn(&keys.pool, |value| {
                    black_box(headers.insert(AUTHORIZATION, value));
                });
            })
        });
    });
}

/// How long so many turns take in each of the threads at once.
fn timed(
    samples: &Samples,
    name: (usize, usize, usize),
    turns: u64,
    turn: impl Fn(usize, &mut HeaderMap) + Sync,
) -> Duration {
    let run = |thread: usize| {
        let mut headers = headers();
        let start = Instant::now();
        (0..turns).for_each(|_| turn(thread, &mut headers));
        start.elapsed()
    };
    let elapsed = std::thread::scope(|scope| {
        let others: Vec<_> = (1..name.2).map(|thread| scope.spawn(move || run(thread))).collect();
        others.into_iter().map(|other| other.join().unwrap()).fold(run(0), Duration::max)
    });
    samples.borrow_mut().entry(name).or_default().push(elapsed.as_nanos() as f64 / turns as f64);
    elapsed
}

/// The medians, and how many yardsticks each is.
fn report(samples: BTreeMap<(usize, usize, usize), Vec<f64>>) {
    let medians: BTreeMap<_, _> = samples.into_iter().map(|(name, samples)| (name, median(samples))).collect();
    println!("{:>10} {:>10} {:>8} {:>9} {:>7}", "keys", "resting", "threads", "ns", "ratio");
    for (&(size, share, threads), &median) in &medians {
        let Some(yardstick) = medians.get(&(0, 0, threads)) else { continue };
        println!("{size:>10} {share:>8} % {threads:>8} {median:>9.1} {:>7.2}", median / yardstick);
    }
}

fn median(mut samples: Vec<f64>) -> f64 {
    samples.sort_by(f64::total_cmp);
    samples[samples.len() / 2]
}
