use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http_body::Body;
use proptest::prelude::*;

use super::*;
use crate::service::script::{Broken, Script, Step, poll, rest, trailers};

fn read(body: Script, peek: Peek, bound: usize) -> Peeked<Script> {
    let mut peeked = Peeked::new(body, peek, bound);
    let mut cx = Context::from_waker(Waker::noop());
    (0..10_000).find(|_| peeked.poll(&mut cx).is_ready()).expect("an end");
    peeked
}

fn text(peeked: &Peeked<Script>) -> String {
    String::from_utf8(peeked.prefix().to_vec()).unwrap()
}

const EVENTS: &[(&str, &str)] = &[
    ("data: x\n\ndata: y\n\n", "data: x\n"),
    ("data: x\r\n\r\ndata: y\r\n\r\n", "data: x\r\n"),
    ("data: x\r\rdata: y\r\r", "data: x\r"),
    ("data:x\n\r\n", "data:x\n"),
    ("\u{feff}data: x\n\n", "data: x\n"),
    ("\u{feff}\n\n: c\n\ndata: x\n\n", "data: x\n"),
    ("\n\r\n\r: OPENROUTER PROCESSING\n\nid: 1\nevent: error\ndata: {}\n\n", "id: 1\nevent: error\ndata: {}\n"),
    (": c\ndata: x\n: d\n\n", "data: x\n: d\n"),
    ("event: ping\ndata: {\"type\": \"ping\"}\n\ndata: x\n\n", "data: x\n"),
    ("data: {\"type\":\"ping\"}\n\ndata: x\n\n", "data: x\n"),
    ("data: { \"type\" : \"ping\" }\r\n\r\ndata: x\r\n\r\n", "data: x\r\n"),
    ("event:ping\ndata\n\ndata: x\n\n", "data: x\n"),
    ("data: {\"type\":\"ping\",\"error\":1}\n\ndata: x\n\n", "data: {\"type\":\"ping\",\"error\":1}\n"),
    ("data: {\"type\":\"pong\"}\n\n", "data: {\"type\":\"pong\"}\n"),
    ("data:\n\ndata\n\nevent: a\n\ndata: x\n\n", "data: x\n"),
    ("retry: 9\n\ndata: x\ndata: y\n\n", "data: x\ndata: y\n"),
    ("data: [DONE]\n\n", "data: [DONE]\n"),
    // without an end, as far as they go
    ("", ""),
    (": c\n\n", ""),
    (": c\n\ndata: x", "data: x"),
    ("data: x\n", "data: x\n"),
    ("event: ping\n\ndata: x", "data: x"),
    ("retry: 9\n\nevent: ping\n\ndata: x", "retry: 9\n\nevent: ping\n\ndata: x"),
    ("{\"error\":\n\n1}", "{\"error\":\n\n1}"),
    ("\u{feff}{\"error\":1}", "{\"error\":1}"),
];

#[test]
fn finds_the_first_event_that_says_something_wherever_the_frames_are_cut() {
    for (stream, expected) in EVENTS {
        let bytes = stream.as_bytes();
        for cut in 0..=bytes.len() {
            let (one, two) = bytes.split_at(cut);
            let peeked = read(Script::of([one.to_vec(), two.to_vec()]), Peek::Event, BOUND);
            assert_eq!(text(&peeked), *expected, "{stream:?} cut at {cut}");
            assert_eq!(rest(&mut peeked.into_body()).bytes(), bytes);
        }
        let peeked = read(Script::of(bytes.chunks(1).map(<[u8]>::to_vec)), Peek::Event, BOUND);
        assert_eq!(text(&peeked), *expected, "{stream:?} byte by byte");
        assert_eq!(rest(&mut peeked.into_body()).chunks, bytes.chunks(1).collect::<Vec<_>>());
    }
}

#[test]
fn i10_does_not_read_past_the_event() {
    let body = Script::of([": c\n\n", "data: x\n", "\n", "data: y\n\n"]);
    let polls = Arc::clone(&body.polls);
    let peeked = read(body, Peek::Event, BOUND);
    assert_eq!(polls.load(Ordering::Relaxed), 3);
    assert_eq!(rest(&mut peeked.into_body()).chunks, [": c\n\n", "data: x\n", "\n", "data: y\n\n"]);
}

#[test]
fn reads_nothing_that_was_not_asked_for() {
    for (peek, bound) in [(Peek::Nothing, BOUND), (Peek::Body, 0), (Peek::Event, 0)] {
        let body = Script::of(["a"]);
        let polls = Arc::clone(&body.polls);
        let peeked = read(body, peek, bound);
        assert_eq!((polls.load(Ordering::Relaxed), peeked.prefix()), (0, &b""[..]));
        assert_eq!(rest(&mut peeked.into_body()).bytes(), b"a");
    }
    assert_eq!(rest(&mut Prefixed::from(Script::of(["a"]))).bytes(), b"a");
}

#[test]
fn reads_a_body_to_its_end() {
    let peeked = read(Script::of(["ab", "", "c", "d"]).telling_end(), Peek::Body, BOUND);
    assert_eq!(text(&peeked), "abcd");
    let mut body = peeked.into_body();
    assert_eq!(body.size_hint().lower(), 4);
    assert_eq!(rest(&mut body).chunks, ["ab", "c", "d"]);
    assert!(body.is_end_stream());
    assert!(matches!(poll(&mut body), Poll::Ready(None)));
}

#[test]
fn i7_stops_at_the_bound_and_gives_back_what_went_over() {
    let large = Bytes::from(vec![b'x'; 100_000]);
    for (first, prefix) in [("", BOUND), ("abc", BOUND), ("data: ", BOUND)] {
        for peek in [Peek::Body, Peek::Event] {
            let body = Script::of([Bytes::from(first), large.clone(), large.clone()]);
            let polls = Arc::clone(&body.polls);
            let peeked = read(body, peek, BOUND);
            assert_eq!((polls.load(Ordering::Relaxed), peeked.prefix().len()), (2, prefix));
            assert!(peeked.prefix().starts_with(first.as_bytes()));
            let all = rest(&mut peeked.into_body());
            assert_eq!(all.bytes(), [first.as_bytes(), &large, &large].concat());
            assert!(all.chunks.iter().rev().take(2).all(|chunk| chunk.as_ptr() == large.as_ptr()), "not copied");
        }
    }
}

#[test]
fn i19_frames_without_bytes_come_to_an_end() {
    let body = Script::of((0..5000).map(|_| ""));
    let polls = Arc::clone(&body.polls);
    let peeked = read(body, Peek::Event, 1000);
    assert_eq!(polls.load(Ordering::Relaxed), 1000);
    assert_eq!(peeked.prefix(), b"");
}

#[test]
fn an_error_comes_back_in_its_place() {
    let peeked = read(Script::new([Step::Data("a".into()), Step::Data("b".into()), Step::Error]), Peek::Body, BOUND);
    assert_eq!(text(&peeked), "ab");
    let mut body = peeked.into_body();
    assert!(!body.is_end_stream());
    let all = rest(&mut body);
    assert_eq!((all.bytes(), all.error), (b"ab".to_vec(), Some(Broken)));
    assert!(body.is_end_stream());
    let mut later = read(Script::new([Step::Data("data: a\n\n".into()), Step::Error]), Peek::Event, BOUND).into_body();
    assert_eq!(rest(&mut later).error, Some(Broken));
}

#[test]
fn trailers_come_back_in_their_place() {
    let script = || Script::new([Step::Data("a".into()), Step::Trailers(trailers("1"))]).sized();
    for peek in [Peek::Nothing, Peek::Body, Peek::Event] {
        let mut body = read(script(), peek, BOUND).into_body();
        assert_eq!(body.size_hint().exact(), Some(1));
        assert!(!body.is_end_stream());
        let all = rest(&mut body);
        assert_eq!((all.bytes(), all.trailers), (b"a".to_vec(), Some(trailers("1"))));
        assert!(body.is_end_stream());
    }
}

#[test]
fn i10_stopping_at_any_point_loses_nothing() {
    let chunks = [": c\n", "\n", "data: ", "x", "\r", "\n\r\n", "data: y\n\n"];
    let steps = || chunks.into_iter().flat_map(|chunk| [Step::Pending, Step::Data(chunk.into())]);
    for polls in 0..20 {
        for peek in [Peek::Event, Peek::Body] {
            let mut peeked = Peeked::new(Script::new(steps()).sized(), peek, BOUND);
            for _ in 0..polls {
                let _ = peeked.poll(&mut Context::from_waker(Waker::noop()));
            }
            let mut body = peeked.into_body();
            assert_eq!(body.size_hint().exact(), Some(chunks.concat().len() as u64));
            assert_eq!(rest(&mut body).chunks, chunks);
        }
    }
}

fn stream() -> impl Strategy<Value = Vec<u8>> {
    let pieces =
        ["data: x", "data:", "event: ping", ": c", "{\"a\":", "\n", "\n", "\n\n", "\r", "\r\n", "\u{feff}", "id: 1"];
    prop::collection::vec(prop::sample::select(pieces.to_vec()), 0..24).prop_map(|all| all.concat().into_bytes())
}

proptest! {
    #[test]
    fn cuts_change_nothing(stream in stream(), cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6)) {
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(stream.len() + 1)).chain([0, stream.len()]).collect();
        cuts.sort_unstable();
        let chunks: Vec<_> = cuts.windows(2).map(|cut| Bytes::copy_from_slice(&stream[cut[0]..cut[1]])).collect();
        let whole = read(Script::of([stream.clone()]), Peek::Event, BOUND);
        let peeked = read(Script::of(chunks.clone()), Peek::Event, BOUND);
        prop_assert_eq!(peeked.prefix(), whole.prefix());
        let expected: Vec<_> = chunks.into_iter().filter(|chunk| !chunk.is_empty()).collect();
        let given = rest(&mut peeked.into_body()).chunks;
        prop_assert_eq!(given.into_iter().filter(|chunk| !chunk.is_empty()).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn any_bytes_come_back_as_they_were(
        chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..12),
        bound in 0..200_usize,
        events: bool,
    ) {
        let peeked = read(Script::of(chunks.clone()), if events { Peek::Event } else { Peek::Body }, bound);
        prop_assert!(peeked.prefix().len() <= bound);
        prop_assert!(events || chunks.concat().starts_with(peeked.prefix()));
        let mut body = peeked.into_body();
        let left: usize = chunks.iter().map(Vec::len).sum();
        prop_assert!(body.size_hint().lower() <= left as u64);
        prop_assert_eq!(rest(&mut body).bytes(), chunks.concat());
    }
}
