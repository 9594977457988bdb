//! What answers say about tokens and cost, in the statistics of the keys that got them.

use http::Response;
use key_commune::pool::{Key, KeyPool, ModelUsage};
use key_commune::usage::Cost;
use key_commune::{KeyCommune, KeyCommuneLayer};
use tower::Layer;

use crate::support::{
    Hand, Step, Stepped, Upstream, answer, builder, events, fetch, key, post, read, secs, send, streamed,
};

const JSON: (&str, &str) = ("content-type", "application/json");
const DAY: u64 = 24 * 60 * 60;

fn metered(pool: &KeyPool, upstream: &Upstream) -> KeyCommune<Upstream> {
    KeyCommuneLayer::new(pool.clone()).usage(true).layer(upstream.clone())
}

fn pool() -> (Hand, KeyPool) {
    let hand = Hand::new();
    (hand.clone(), builder(1).clock(hand).build().unwrap())
}

fn said(model: &str) -> String {
    format!(
        "{{\"model\":\"{model}\",\"choices\":[],\"usage\":{{\"prompt_tokens\":9,\"completion_tokens\":2,\
         \"prompt_tokens_details\":{{\"cached_tokens\":4}},\"cost\":0.5}}}}"
    )
}

/// Model, calls, input, output, cached, cost.
fn today(pool: &KeyPool) -> Vec<(String, [u64; 4], Cost)> {
    let row = |usage: &ModelUsage| {
        let counts = [usage.spent.calls, usage.spent.input, usage.spent.output, usage.spent.cached];
        (usage.model.to_string(), counts, usage.spent.cost)
    };
    pool.snapshot().members[0].usage_today.iter().map(row).collect()
}

fn row(model: &str, calls: u64) -> (String, [u64; 4], Cost) {
    (model.to_owned(), [calls, 9 * calls, 2 * calls, 4 * calls], Cost::from_micros(500_000 * calls))
}

/// What is in the books after one answer.
async fn after(
    answer: impl Fn() -> Response<Stepped> + Clone + Send + Sync + 'static,
) -> Vec<(String, [u64; 4], Cost)> {
    let (_, pool) = pool();
    fetch(&metered(&pool, &Upstream::in_turn(move |_| answer())), post("x")).await;
    today(&pool)
}

#[tokio::test(start_paused = true)]
async fn answers_are_added_up_by_model_and_day() {
    let (hand, pool) = pool();
    let upstream = Upstream::in_turn(|number| answer(200, &[JSON], &said(["a", "b", "a", "two words"][number % 4])));
    let client = metered(&pool, &upstream);
    for _ in 0..4 {
        assert_eq!(fetch(&client, post("x")).await.status, 200);
    }
    assert_eq!(today(&pool), [row("a", 2), row("b", 1), row("other", 1)]);
    hand.pass(secs(DAY));
    assert_eq!(today(&pool), [], "a new day");
    fetch(&client, post("x")).await;
    assert_eq!(today(&pool), [row("a", 1)]);
}

#[tokio::test(start_paused = true)]
async fn a_stream_is_read_as_it_passes() {
    let start = "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"model\":\"claude\",\"usage\":\
                 {\"input_tokens\":5,\"cache_read_input_tokens\":4,\"output_tokens\":1}}}\n\n";
    let end =
        "event: message_delta\ndata: {\"type\":\"message_delta\",\"usage\":{\"output_tokens\":2,\"cost\":0.5}}\n\n";
    let text = format!("{start}{end}");
    for size in [1, 7, 64, 1_000] {
        let chunks: Vec<String> =
            text.as_bytes().chunks(size).map(|chunk| String::from_utf8_lossy(chunk).into()).collect();
        let (_, pool) = pool();
        let upstream = Upstream::in_turn(move |_| events(&chunks.iter().map(String::as_str).collect::<Vec<_>>()));
        let got = fetch(&metered(&pool, &upstream), post("x")).await;
        assert_eq!((got.text(), today(&pool)), (text.clone(), vec![row("claude", 1)]), "in pieces of {size}");
    }
}

/// The scrubber may hold the end of an answer back.
#[tokio::test(start_paused = true)]
async fn a_masked_answer_is_read_to_its_end() {
    for echo in [key(0), String::new()] {
        let (_, pool) = pool();
        let text = format!("{{\"echo\":\"{echo}\",{}", &said("a")[1..]);
        let upstream = Upstream::in_turn(move |_| answer(200, &[JSON], &text));
        let client = KeyCommuneLayer::new(pool.clone()).usage(true).scrub().layer(upstream);
        fetch(&client, post("x")).await;
        assert_eq!(today(&pool), [row("a", 1)]);
    }
}

#[tokio::test(start_paused = true)]
async fn only_good_answers_that_can_be_read_count() {
    let ok = |headers: &'static [(&str, &str)]| after(move || answer(200, headers, &said("a")));
    assert_eq!(ok(&[JSON]).await, [row("a", 1)]);
    assert_eq!(ok(&[JSON, ("content-encoding", "identity")]).await, [row("a", 1)]);
    assert_eq!(ok(&[JSON, ("content-encoding", "gzip")]).await, []);
    assert_eq!(ok(&[("content-type", "text/plain")]).await, []);
    assert_eq!(ok(&[]).await, []);
    assert_eq!(after(|| answer(400, &[JSON], &said("a"))).await, []);
    assert_eq!(after(|| answer(204, &[JSON], "")).await, []);
    assert_eq!(after(|| streamed(200, &[JSON], Stepped::chunks([said("a")]).then(Step::Fail))).await, []);
    assert_eq!(after(|| streamed(200, &[JSON], Stepped::chunks([said("a")]))).await, [row("a", 1)]);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_nobody_reads_to_its_end_says_nothing() {
    let (_, pool) = pool();
    let upstream = Upstream::in_turn(|_| streamed(200, &[JSON], Stepped::chunks([said("a"), " ".to_owned()])));
    drop(send(&metered(&pool, &upstream), post("x")).await.unwrap());
    assert_eq!(today(&pool), []);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_read_unless_it_is_switched_on() {
    let (_, pool) = pool();
    let upstream = Upstream::in_turn(|_| answer(200, &[JSON], &said("a")));
    fetch(&KeyCommuneLayer::new(pool.clone()).layer(upstream.clone()), post("x")).await;
    fetch(&KeyCommuneLayer::new(pool.clone()).usage(true).usage(false).layer(upstream), post("x")).await;
    assert_eq!(today(&pool), []);
}

#[tokio::test(start_paused = true)]
async fn i19_only_so_many_models_are_told_apart() {
    let (_, pool) = pool();
    let upstream = Upstream::in_turn(|number| answer(200, &[JSON], &said(&format!("model-{:03}", number % 100))));
    let client = metered(&pool, &upstream);
    for _ in 0..200 {
        fetch(&client, post("x")).await;
    }
    let books = today(&pool);
    assert_eq!(books.len(), 65);
    assert_eq!((books.first(), books.last()), (Some(&row("model-000", 2)), Some(&row("other", 2 * 36))));
}

#[tokio::test(start_paused = true)]
async fn a_key_that_is_gone_has_no_books() {
    let (_, pool) = pool();
    let id = pool.snapshot().members[0].id;
    let upstream = Upstream::in_turn(|_| answer(200, &[JSON], &said("a")));
    let response = send(&metered(&pool, &upstream), post("x")).await.unwrap();
    assert!(pool.remove(id));
    pool.add(Key::new(key(0)).unwrap()).unwrap();
    read(response).await;
    assert_eq!(today(&pool), [], "the same key, yet another member");
}
