//! How fast the body of a chat is looked at, by what is in it: the first attempt waits for that. Run with
//! `cargo bench --bench demand`.

mod support;

use std::hint::black_box;

use criterion::{Criterion, Throughput};
use http::Request;
use key_commune::demand::{Inspect, Routing};

const SIZE: usize = 100 << 10;
const PROSE: &str = "A sentence of a chat, with a \\\"quote\\\" and the end of a line.\\n";
const CODE: &str = "    if (x) {\\n        return \\\"y\\\";\\n    }\\n";
const UMLAUTS: &str = "Ein schöner Satz über Straßen, und noch ein längerer Satz mit Umlauten. ";
const CHINESE: &str = "这是一个关于模型路由的句子，";
const TOOL: &str = r#"{"type":"function","function":{"name":"get_weather","description":"Tells the weather.","parameters":{"type":"object","properties":{"place":{"type":"string"},"unit":{"enum":["c","f"]}},"required":["place"]}}}"#;

fn main() {
    let mut criterion = support::criterion();
    for (name, body) in [
        ("prose", chat(PROSE, 2_000)),
        ("prose, short messages", chat(PROSE, 100)),
        ("code", chat(CODE, 2_000)),
        ("umlauts", chat(UMLAUTS, 2_000)),
        ("Chinese", chat(CHINESE, 2_000)),
        ("one long prompt", chat(PROSE, SIZE)),
        ("a picture", chat("QUJDREVGR0hJ", SIZE)),
        (
            "nothing but tools",
            format!(r#"{{"model":"gpt-4o","tools":[{}],"user":"u"}}"#, fill(&format!("{TOOL},"), SIZE) + TOOL),
        ),
    ] {
        measure(&mut criterion, name, body.as_bytes());
    }
    criterion.final_summary();
}

/// Messages of so many bytes each, the first of which instructs.
fn chat(text: &str, length: usize) -> String {
    let roles = ["system", "user", "assistant"].iter().chain(["user", "assistant"].iter().cycle());
    let messages = roles.map(|role| format!(r#"{{"role":"{role}","content":"{}"}}"#, fill(text, length)));
    let messages: Vec<_> = messages.take(SIZE / length).collect();
    format!(r#"{{"model":"gpt-4o","messages":[{}],"temperature":0.7}}"#, messages.join(","))
}

fn fill(text: &str, length: usize) -> String {
    text.repeat(length.div_ceil(text.len()))
}

fn measure(criterion: &mut Criterion, name: &str, body: &[u8]) {
    let head =
        Request::post("https://api.openai.com/v1/chat/completions").body(()).map(|request| request.into_parts().0);
    let (Ok(head), routing) = (head, Routing::new()) else { return };
    let mut group = criterion.benchmark_group("demand");
    group.throughput(Throughput::Bytes(body.len() as u64));
    group.bench_function(name, |bencher| bencher.iter(|| black_box(routing.inspect(&head, Some(black_box(body))))));
    group.finish();
}
