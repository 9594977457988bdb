//! What is handed on, what is held back, and what is copied.

use bytes::Bytes;
use key_commune::scrub::Stream;

use super::oracle::forms;
use super::{PLAIN, SPECIAL, scrubber};

#[test]
fn i18_what_holds_no_echo_is_handed_on_without_a_copy() {
    let mut stream = Stream::new(scrubber(PLAIN));
    for text in ["{\"a\":1}", "", "sky ", &"0123456789 ".repeat(1000)] {
        let chunk = Bytes::copy_from_slice(text.as_bytes());
        let [piece, rest] = stream.push(chunk.clone());
        assert_eq!((piece.as_ptr(), piece.len()), (chunk.as_ptr(), chunk.len()));
        assert_eq!((rest.len(), stream.holds()), (0, 0));
    }
    assert!(!stream.echoed());
}

#[test]
fn i18_a_tail_costs_no_copy_of_the_chunks_around_it() {
    let mut stream = Stream::new(scrubber(PLAIN));
    let (first, second) = (Bytes::from(" ".repeat(5000) + "sk-pro"), Bytes::from(" ".repeat(5000)));
    let [piece, rest] = stream.push(first.clone());
    assert_eq!((piece.as_ptr(), piece.len(), rest.len(), stream.holds()), (first.as_ptr(), 5000, 0, 6));
    let [held, piece] = stream.push(second.clone());
    assert_eq!((held.as_ref(), piece.as_ptr(), piece.len()), (b"sk-pro".as_slice(), second.as_ptr(), 5000));
}

#[test]
fn i18_a_unique_chunk_is_masked_in_place_and_a_shared_one_is_left_alone() {
    let text = format!("key {PLAIN}.");
    let unique = Bytes::from(text.clone().into_bytes());
    let place = unique.as_ptr();
    let [piece, _] = Stream::new(scrubber(PLAIN)).push(unique);
    assert_eq!(piece.as_ptr(), place);

    let shared = Bytes::from(text.clone().into_bytes());
    let mut stream = Stream::new(scrubber(PLAIN));
    let [piece, _] = stream.push(shared.clone());
    assert_ne!(piece, shared);
    assert_eq!(shared, text);
    assert!(stream.echoed());
}

#[test]
fn i18_only_a_tail_that_may_begin_an_echo_is_held_back() {
    for key in [PLAIN, SPECIAL] {
        for form in forms(key) {
            for length in 1..form.len() {
                let mut stream = Stream::new(scrubber(key));
                let out = stream.push([b"text ", &form[..length]].concat().into()).concat();
                assert_eq!((out.len(), stream.holds()), (5, length));
                let out = stream.push(Bytes::from_static(b"\n")).concat();
                assert_eq!((out.len(), stream.holds()), (length + 1, 0));
            }
        }
    }
}

#[test]
fn i18_events_are_not_delayed() {
    let mut stream = Stream::new(scrubber(PLAIN));
    for word in ["sk", "sk-proj-4mKtN8aUe", PLAIN, "c2stcHJva", "736b2d70", "%73%6b"] {
        let event = format!("data: {{\"delta\":{{\"content\":\"{word}\"}}}}\n\n");
        let out = stream.push(Bytes::from(event.clone())).concat();
        assert_eq!((out.len(), stream.holds()), (event.len(), 0), "{event}");
    }
}

#[test]
fn i18_bodies_do_not_know_each_other() {
    let scrubber = scrubber(PLAIN);
    let (mut one, mut other) = (Stream::new(scrubber.clone()), Stream::new(scrubber));
    let text = format!("{PLAIN}.");
    let (start, end) = text.split_at(10);
    assert_eq!(one.push(Bytes::copy_from_slice(start.as_bytes())).concat(), b"");
    assert_eq!(other.push(Bytes::copy_from_slice(end.as_bytes())).concat(), end.as_bytes());
    assert_eq!(one.finish(), start);
    assert_eq!(one.push(Bytes::copy_from_slice(end.as_bytes())).concat(), end.as_bytes());
}

#[test]
fn nothing_secret_is_printed() {
    let scrubber = scrubber(PLAIN);
    let mut stream = Stream::new(scrubber.clone());
    let _ = stream.push(Bytes::from(&PLAIN[..12]));
    assert_eq!(format!("{scrubber:?}"), "Scrubber(..)");
    assert_eq!(format!("{stream:?}"), "Stream { holds: 12, .. }");
}
