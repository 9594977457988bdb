//! How fast answers are metered, by what is in them: whatever there is passes through here while `usage` is on. Run with
//! `cargo bench --bench usage`.

use std::hint::black_box;
use std::time::Duration;

use bytes::Bytes;
use criterion::{Criterion, Throughput};
use http::HeaderValue;
use key_commune::usage::Meter;

const SIZE: usize = 1 << 20;
/// Of a read from the network.
const CHUNK: usize = 16 << 10;
const DELTA: &str = r#"data: {"id":"chatcmpl-B9MBs8CjcvOU2jLn4n570S5qMJKcT","object":"chat.completion.chunk","created":1741569952,"model":"gpt-4.1-2025-04-14","service_tier":"default","system_fingerprint":"fp_de235176ee","choices":[{"index":0,"delta":{"content":" word"},"logprobs":null,"finish_reason":null}],"obfuscation":"aXyZ"}

"#;
const GEMINI: &str = r#"data: {"candidates":[{"content":{"parts":[{"text":"A few words of the answer, and more."}],"role":"model"},"index":0}],"usageMetadata":{"promptTokenCount":19,"candidatesTokenCount":10,"totalTokenCount":29,"promptTokensDetails":[{"modality":"TEXT","tokenCount":19}]},"modelVersion":"gemini-2.5-flash","responseId":"x"}

"#;
const PROSE: &str = "A sentence of the answer, with a \\\"quote\\\" and the end of a line.\\n";

fn main() {
    let mut criterion = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_secs(1))
        .measurement_time(Duration::from_secs(1))
        .configure_from_args();
    let floats = (0_u32..).map(|number| format!("-0.0{:07}", number.wrapping_mul(7_919) % 9_999_999));
    let floats: Vec<String> = floats.take(SIZE / 12).collect();
    for (name, kind, text) in [
        ("usage, events without", "text/event-stream", fill(DELTA)),
        ("usage, every event with", "text/event-stream", fill(GEMINI)),
        ("usage, prose", "application/json", format!("{{\"text\":\"{}\"}}", fill(PROSE))),
        ("usage, one long event", "text/event-stream", format!("data: {{\"text\":\"{}\"}}\n\n", fill(PROSE))),
        ("usage, embeddings", "application/json", format!("{{\"data\":[{}]}}", floats.join(","))),
        ("usage, a picture", "application/json", format!("{{\"data\":\"{}\"}}", "QUJDREVGR0hJ".repeat(SIZE / 12))),
    ] {
        measure(&mut criterion, name, &HeaderValue::from_static(kind), &Bytes::from(text));
    }
    criterion.final_summary();
}

fn fill(text: &str) -> String {
    text.repeat(SIZE / text.len())
}

fn measure(criterion: &mut Criterion, name: &str, kind: &HeaderValue, text: &Bytes) {
    let mut group = criterion.benchmark_group(name);
    group.throughput(Throughput::Bytes(text.len() as u64));
    group.bench_function("16 KiB chunks", |bencher| bencher.iter(|| meter(kind, text)));
    group.finish();
}

fn meter(kind: &HeaderValue, text: &Bytes) {
    let Some(mut meter) = Meter::new(Some(kind)) else { return };
    let chunks = (0..text.len()).step_by(CHUNK).map(|at| text.slice(at..text.len().min(at + CHUNK)));
    chunks.for_each(|chunk| meter.feed(&chunk));
    black_box(meter.finish());
}
