//! How fast a [`Scrubber`] is made, and how fast bodies go through it. Run with `cargo bench --bench scrub`.

use std::hint::black_box;

use bytes::Bytes;
use criterion::{BatchSize, Criterion, Throughput};
use key_commune::scrub::{Scrubber, Stream};
use key_commune::secret::Secret;

const CHUNK: usize = 16 * 1024;

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    bodies(&mut criterion, "body", false);
    bodies(&mut criterion, "strict", true);
    making(&mut criterion);
    criterion.final_summary();
}

/// A key of 100 bytes that looks like those of a large provider.
fn key() -> String {
    let noise = "T3BlbkFJq7ZpX0vYc2LhW9sDgR4mKtN8aUeJ5fQ1iB6oVyHxCzEwPnMlSkGjFrIdA".chars().cycle();
    "sk-proj-".chars().chain(noise).take(100).collect()
}

fn scrubber(strict: bool) -> Option<Scrubber> {
    Secret::new(key()).ok().map(|secret| if strict { Scrubber::strict(&secret) } else { Scrubber::new(&secret) })
}

/// What a chat provider answers, over and over.
fn json() -> String {
    let one = r#"{"id":"chatcmpl-B9MBs8CjcvOU2jLn4n570S5qMJKcT","object":"chat.completion","created":1741569952,
        "model":"gpt-4.1-2025-04-14","choices":[{"index":0,"message":{"role":"assistant","content":"Hello! How can I
        assist you today? Here's a sketch: sky, skin, 7 of 36 tasks\n\u00e9t\u00e9 100%","refusal":null}}],"usage":
        {"prompt_tokens":19,"completion_tokens":10,"total_tokens":29}},"#;
    one.repeat(1 + CHUNK / one.len())
}

/// The event that brings one token.
fn event() -> String {
    r#"data: {"id":"chatcmpl-B9MBs8CjcvOU2jLn4n570S5qMJKcT","choices":[{"index":0,"delta":{"content":" sky"}}]}"#
        .to_owned()
        + "\n\n"
}

fn echoing() -> String {
    json().get(..CHUNK - 200).unwrap_or_default().to_owned() + &key() + &" ".repeat(100)
}

fn base64() -> String {
    let noise = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkc2stcHJvai1UM0JsYmtGSnE3WnBYMHZZ";
    noise.repeat(1 + CHUNK / noise.len())
}

fn bodies(criterion: &mut Criterion, name: &str, strict: bool) {
    let Some(scrubber) = scrubber(strict) else { return };
    let mut group = criterion.benchmark_group(name);
    for (name, text) in [("json", json()), ("base64", base64()), ("event", event()), ("echo", echoing())] {
        let mut chunk = Bytes::from(text);
        chunk.truncate(CHUNK);
        group.throughput(Throughput::Bytes(chunk.len() as u64));
        group.bench_function(name, |bencher| {
            let mut stream = Stream::new(scrubber.clone());
            bencher.iter_batched(|| chunk.clone(), |chunk| black_box(stream.push(chunk)), BatchSize::SmallInput);
        });
    }
    group.finish();
}

fn making(criterion: &mut Criterion) {
    let Ok(secret) = Secret::new(key()) else { return };
    criterion.bench_function("new", |bencher| bencher.iter(|| black_box(Scrubber::new(black_box(&secret)))));
    criterion.bench_function("new strict", |bencher| bencher.iter(|| black_box(Scrubber::strict(black_box(&secret)))));
}
