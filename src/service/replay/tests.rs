use std::cell::Cell;
use std::marker::PhantomPinned;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::task::{Poll, Wake, Waker};
use std::thread;

use bytes::Bytes;
use http_body::{Body, Frame};
use http_body_util::{Empty, Full};
use proptest::prelude::*;

use super::budget::SharedBudget;
use super::split::split_unread;
use super::*;
use crate::service::script::{Bell, Broken, Script, Step, poll, poll_with, rest, trailers};

const CAP: usize = 1 << 20;

fn limits(per_request: usize, per_process: usize) -> (Limits, Arc<SharedBudget>) {
    let shared = Arc::new(SharedBudget::new(per_process));
    (Limits::new(per_request, Arc::clone(&shared)), shared)
}

fn usual() -> (Limits, Arc<SharedBudget>) {
    limits(CAP, 64 * CAP)
}

fn data<E: std::fmt::Debug>(item: Poll<Option<Result<Frame<Bytes>, E>>>) -> Bytes {
    match item {
        Poll::Ready(Some(Ok(frame))) => frame.into_data().expect("data"),
        other => panic!("no frame: {other:?}"),
    }
}

fn is_superseded(item: Poll<Option<Result<Frame<Bytes>, BoxError>>>) -> bool {
    matches!(item, Poll::Ready(Some(Err(error))) if error.is::<Superseded>())
}

fn two() -> Script {
    Script::of(["first ", "second"]).sized()
}

#[test]
fn is_send_and_sync_and_unpin_for_every_body_that_is_send() {
    fn assert<T: Send + Sync + Unpin>() {}
    assert::<ReplayBody<(Cell<u8>, PhantomPinned)>>();
}

#[test]
fn takes_the_form_that_fits() {
    let form = |body| format!("{:?}", split(body, &limits(10, 100).0).0);
    let table = [
        (Script::of([""; 0]).telling_end(), "whole"),
        (Script::of([""; 0]).sized(), "whole"),
        (Script::of(["0123456789"]).sized().telling_end(), "whole"),
        (Script::of(["0123456789a"]).sized().telling_end(), "pass"),
        (Script::of(["0123456789"]).telling_end(), "tee"),
        (two().telling_end(), "pass"),
        (Script::of(["one", "two"]).sized(), "tee"),
        (Script::new([Step::Pending]).sized(), "tee"),
        (Script::new([Step::Error]).sized(), "failed"),
        (Script::new([Step::Trailers(trailers("1"))]).sized(), "tee"),
    ];
    for (number, (body, expected)) in table.into_iter().enumerate() {
        assert_eq!(form(body), format!("ReplayBody({expected})"), "row {number}");
    }
    assert_eq!(format!("{:?}", ReplayBody::pass(two())), "ReplayBody(pass)");
}

#[test]
fn a_body_of_unknown_or_too_large_size_is_not_polled_early() {
    let (limits, _) = limits(10, 100);
    for body in [Script::of(["a"]), Script::of([vec![0; 11]]).sized()] {
        let polls = Arc::clone(&body.polls);
        let _split = split(body, &limits);
        assert_eq!(polls.load(Ordering::Relaxed), 0);
    }
    let body = Script::of(["a"]).sized();
    let polls = Arc::clone(&body.polls);
    let (mut body, replay) = split_unread(body, &limits);
    assert_eq!(polls.load(Ordering::Relaxed), 0);
    assert_eq!(rest(&mut body).bytes(), b"a");
    assert_eq!(rest(&mut replay.again().unwrap()).bytes(), b"a");
}

#[test]
fn a_whole_body_is_sent_by_refcount() {
    let (limits, shared) = usual();
    let bytes = Bytes::from(vec![7; 1000]);
    let (mut body, replay) = split(Full::new(bytes.clone()), &limits);
    assert_eq!(shared.used(), 1000);
    assert_eq!(body.as_bytes(), Some(&bytes));
    assert_eq!(body.size_hint().exact(), Some(1000));
    assert_eq!(data(poll(&mut body)).as_ptr(), bytes.as_ptr());
    assert!(body.is_end_stream() && body.as_bytes().is_none());
    assert!(matches!(poll(&mut body), Poll::Ready(None)));
    for _ in 0..3 {
        assert_eq!(data(poll(&mut replay.again().unwrap())).as_ptr(), bytes.as_ptr());
    }
    drop(replay);
    assert_eq!(shared.used(), 0);
}

#[test]
fn an_empty_body_stays_empty() {
    let (body, replay) = split(Empty::<Bytes>::new(), &usual().0);
    for mut body in [body, replay.again().unwrap()] {
        assert!(body.is_end_stream());
        assert_eq!(body.size_hint().exact(), Some(0));
        assert_eq!(body.as_bytes(), Some(&Bytes::new()));
        assert!(matches!(poll(&mut body), Poll::Ready(None)));
    }
}

#[test]
fn i10_the_first_attempt_does_not_wait_and_a_later_one_goes_on_with_the_same_stream() {
    let body = Script::new([Step::Data("a".into()), Step::Pending, Step::Data("b".into()), Step::Data("c".into())]);
    let (mut first, replay) = split(body, &usual().0);
    assert_eq!(data(poll(&mut first)), "a");
    assert!(poll(&mut first).is_pending());
    assert_eq!(data(poll(&mut first)), "b");
    let mut second = replay.again().unwrap();
    assert_eq!(rest(&mut second).bytes(), b"abc");
    assert_eq!(rest(&mut replay.again().unwrap()).bytes(), b"abc");
}

// linkerd2-proxy#3216
#[test]
fn i10_an_early_answer_takes_the_body_from_the_first_attempt_and_wakes_it() {
    let body = Script::new([Step::Data("a".into()), Step::Pending, Step::Pending, Step::Data("b".into())]);
    let (mut first, replay) = split(body, &usual().0);
    let bell = Arc::new(Bell::default());
    let waker = Waker::from(Arc::clone(&bell));
    assert_eq!(data(poll_with(&mut first, &waker)), "a");
    assert!(poll_with(&mut first, &waker).is_pending());
    assert!(poll_with(&mut first, &waker).is_pending());
    let mut second = replay.again().unwrap();
    assert_eq!(bell.rung(), 1);
    assert!(!first.is_end_stream(), "or its client would take it for complete");
    assert_eq!((first.size_hint().lower(), first.size_hint().upper()), (0, None));
    assert!(is_superseded(poll(&mut first)));
    assert!(matches!(poll(&mut first), Poll::Ready(None)));
    assert_eq!(rest(&mut second).bytes(), b"ab");
    let third = replay.again().unwrap();
    assert_eq!(bell.rung(), 1, "nobody waits in the second");
    drop((first, second, third));
    assert_eq!(rest(&mut replay.again().unwrap()).bytes(), b"ab");
}

// linkerd2#15649
#[test]
fn i10_another_attempt_before_any_data_sends_the_first_chunk_once() {
    for body in [two(), Script::of(["first ", "second"])] {
        let (mut first, replay) = split(body, &usual().0);
        let mut second = replay.again().unwrap();
        assert!(is_superseded(poll(&mut first)));
        assert_eq!(rest(&mut second).bytes(), b"first second");
    }
}

#[test]
fn hints_and_ends_are_right_in_every_attempt() {
    let (first, replay) = split(two().telling_end(), &usual().0);
    let next = std::iter::repeat_with(|| replay.again().unwrap());
    for mut body in std::iter::once(first).chain(next).take(3) {
        assert_eq!(body.size_hint().exact(), Some(12));
        assert_eq!(data(poll(&mut body)), "first ");
        assert_eq!(body.size_hint().exact(), Some(6));
        assert!(!body.is_end_stream());
        assert_eq!(data(poll(&mut body)), "second");
        assert_eq!(body.size_hint().exact(), Some(0));
        assert!(body.is_end_stream());
    }
    let mut again = replay.again().unwrap();
    assert_eq!(again.size_hint().exact(), Some(12));
    assert_eq!(rest(&mut again).bytes(), b"first second");
    let mut passed = ReplayBody::pass(two().telling_end());
    assert_eq!(passed.size_hint().exact(), Some(12));
    assert_eq!(rest(&mut passed).bytes(), b"first second");
    assert!(passed.is_end_stream());
}

#[test]
fn trailers_are_kept() {
    let is_all = |body: &mut ReplayBody<Script>| {
        assert!(!body.is_end_stream());
        let all = rest(body);
        assert_eq!((all.bytes(), all.trailers), (b"a".to_vec(), Some(trailers("1"))));
        assert!(body.is_end_stream());
    };
    let steps = || [Step::Data("a".into()), Step::Trailers(trailers("1"))];
    for body in [Script::new(steps()), Script::new(steps()).sized()] {
        let (mut first, replay) = split(body, &usual().0);
        is_all(&mut first);
        is_all(&mut replay.again().unwrap());
        let mut broken_off = replay.again().unwrap();
        assert_eq!(data(poll(&mut broken_off)), "a");
        is_all(&mut replay.again().unwrap());
    }
    let (mut only, replay) = split(Script::new([Step::Trailers(trailers("1"))]).sized(), &usual().0);
    assert_eq!(rest(&mut only).trailers, Some(trailers("1")));
    assert_eq!(rest(&mut replay.again().unwrap()).trailers, Some(trailers("1")));
}

#[test]
fn i10_a_body_over_the_bound_is_sent_once_and_whole() {
    for (size, kept) in [(1023, true), (1024, true), (1025, false)] {
        for step in [1, 7, 300, 1025] {
            let content: Vec<u8> = (0..size).map(|n| (n % 251) as u8).collect();
            let chunks = content.chunks(step).map(Bytes::copy_from_slice);
            let (limits, shared) = limits(1024, 1 << 20);
            let (mut body, replay) = split(Script::of(chunks.collect::<Vec<_>>()), &limits);
            assert!(replay.possible());
            assert_eq!(rest(&mut body).bytes(), content);
            assert_eq!((replay.possible(), replay.again().is_some()), (kept, kept), "{size} by {step}");
            assert_eq!(shared.used() == 0, !kept);
            assert!(shared.used() <= 1024);
        }
    }
}

#[test]
fn i10_trailers_count() {
    let (limits, shared) = limits(100, 1000);
    let (mut body, replay) = split(Script::new([Step::Data("a".into()), Step::Trailers(trailers("1"))]), &limits);
    assert_eq!(rest(&mut body).trailers, Some(trailers("1")));
    assert!(!replay.possible());
    assert_eq!(shared.used(), 0);
}

#[test]
fn i10_without_room_in_the_process_a_body_is_still_sent_once() {
    let (limits, shared) = limits(4096, 6000);
    let (_held, first) = split(Full::<Bytes>::from(vec![1; 4000]), &limits);
    let (mut whole, none) = split(Full::<Bytes>::from(vec![2; 4000]), &limits);
    assert!(first.possible() && !none.possible() && none.again().is_none());
    assert_eq!(rest(&mut whole).bytes(), [2; 4000]);

    let (mut streamed, lost) = split(Script::of([vec![3; 1000], vec![4; 3000]]).sized(), &limits);
    assert!(lost.possible());
    assert_eq!(rest(&mut streamed).bytes(), [vec![3; 1000], vec![4; 3000]].concat());
    assert!(!lost.possible());

    let (mut passed, never) = split(Script::of([vec![3; 3000], vec![4; 1000]]).sized(), &limits);
    assert!(!never.possible() && never.again().is_none());
    assert_eq!(passed.size_hint().exact(), Some(4000));
    assert_eq!(rest(&mut passed).bytes(), [vec![3; 3000], vec![4; 1000]].concat());

    assert_eq!(shared.used(), 4000);
    drop(first);
    assert_eq!(shared.used(), 0);
    assert!(split(Full::<Bytes>::from(vec![2; 4000]), &limits).1.possible());
    assert_eq!(shared.used(), 0);
}

#[test]
fn without_room_in_the_process_only_a_body_at_hand_can_be_looked_at() {
    let look = |replay: &Replay<Script>, bound| {
        let looked = replay.poll_ahead(&mut Context::from_waker(Waker::noop()), bound);
        (looked, replay.whole())
    };
    let (limits, shared) = limits(4096, 0);
    let bytes = Bytes::from(vec![2; 4000]);
    let (_body, mut replay) = split(Script::of([bytes.clone()]).sized().telling_end(), &limits);
    assert!(look(&replay, 4000) == (Poll::Ready(Ahead::Whole(bytes.clone())), Some(bytes)));
    assert_eq!(look(&replay, 3999).0, Poll::Ready(Ahead::Beyond));
    assert!(!replay.possible() && replay.again().is_none());
    replay.begin();
    assert_eq!(look(&replay, 4000), (Poll::Ready(Ahead::Beyond), None));

    let body = || Script::of([vec![3; 3000], vec![4; 1000]]);
    for script in [body(), body().sized(), body().telling_end()] {
        for (bound, expected) in [(4000, Ahead::NoRoom), (2999, Ahead::Beyond)] {
            let (mut body, replay) = split(script.clone(), &limits);
            assert_eq!(look(&replay, bound), (Poll::Ready(expected), None));
            assert_eq!(rest(&mut body).bytes(), [vec![3; 3000], vec![4; 1000]].concat());
        }
    }
    assert_eq!(shared.used(), 0);
}

#[test]
fn i10_where_room_ends_while_a_body_is_read_ahead_no_byte_is_lost_or_sent_twice() {
    let steps =
        [Step::Data(vec![1; 1000].into()), Step::Data(vec![2; 3000].into()), Step::Data(vec![3; 20_000].into())];
    let whole = Script::new(steps.into_iter().chain([Step::Trailers(trailers("1"))]));
    let expected = rest(&mut whole.clone());
    for room in [0, 1000, 1024, 4000, 4048, 24_000, 24_048] {
        let (limits, shared) = limits(CAP, room);
        let (mut body, replay) = split(whole.clone(), &limits);
        assert_eq!(read_ahead(&replay), Poll::Ready(Ahead::NoRoom), "{room}");
        let all = rest(&mut body);
        assert!(all.bytes() == expected.bytes() && all.trailers == expected.trailers, "{room}");
        drop((body, replay));
        assert_eq!(shared.used(), 0);
    }
}

/// Says how many buffers are alive.
struct Buffer(Vec<u8>, Arc<AtomicUsize>);

impl Buffer {
    fn chunk(size: usize, alive: &Arc<AtomicUsize>) -> Bytes {
        alive.fetch_add(1, Ordering::Relaxed);
        Bytes::from_owner(Self(vec![9; size], Arc::clone(alive)))
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        self.1.fetch_sub(1, Ordering::Relaxed);
    }
}

#[test]
fn i10_small_chunks_do_not_pin_the_buffers_they_came_in() {
    let alive = Arc::default();
    let small = |_| Buffer::chunk(8192, &alive).slice(..1);
    let chunks: Vec<_> = (0..10_000).map(small).chain([Bytes::new()]).collect();
    let (limits, shared) = usual();
    let (mut body, replay) = split(Script::of(chunks), &limits);
    assert_eq!(rest(&mut body).bytes().len(), 10_000);
    assert_eq!(alive.load(Ordering::Relaxed), 0);
    assert!(shared.used() < 2 * 16_384, "{}", shared.used());
    assert_eq!(rest(&mut replay.again().unwrap()).bytes(), vec![9; 10_000]);
}

fn read_ahead(replay: &Replay<Script>) -> Poll<Ahead> {
    replay.poll_ahead(&mut Context::from_waker(Waker::noop()), CAP)
}

/// Whether they come at once or one by one: were each of them a chunk of its own, this would never end.
#[test]
fn i10_small_chunks_that_are_read_ahead_are_kept_together() {
    let byte = |number: usize| Step::Data(Bytes::copy_from_slice(&[number as u8]));
    for pauses in [false, true] {
        let pause = || pauses.then_some(Step::Pending);
        let steps = (0..CAP).flat_map(|number| [pause(), Some(byte(number))]).flatten();
        let (limits, shared) = usual();
        let (mut body, replay) = split(Script::new(steps), &limits);
        let mut whole = read_ahead(&replay);
        while whole.is_pending() {
            assert!(shared.used() <= CAP);
            whole = read_ahead(&replay);
        }
        let content: Vec<u8> = (0..CAP).map(|number| number as u8).collect();
        assert!(matches!(whole, Poll::Ready(Ahead::Whole(bytes)) if bytes == content));
        assert_eq!((shared.used(), body.size_hint().exact()), (CAP, Some(CAP as u64)));
        assert!(rest(&mut body).chunks == [content.clone()]);
        assert!(rest(&mut replay.again().unwrap()).chunks == [content]);
    }
}

#[test]
fn i19_small_chunks_that_are_read_ahead_share_blocks_before_all_of_them_have_come() {
    let bytes = (0..10_000).flat_map(|_| [Step::Data(Bytes::from_static(b"x")), Step::Pending]);
    let (mut body, replay) = split(Script::new(bytes.chain([Step::Pending])), &usual().0);
    for _ in 0..10_000 {
        assert!(read_ahead(&replay).is_pending());
    }
    let all = rest(&mut body);
    assert!(all.bytes().len() == 10_000 && all.chunks.len() < 10, "{}", all.chunks.len());
}

/// Somebody who gives up reading ahead has lost nothing.
#[test]
fn what_has_been_read_ahead_is_sent_whenever_that_ends() {
    let small = |text: &'static str| Step::Data(Bytes::from_static(text.as_bytes()));
    let large = || Step::Data(Bytes::from(vec![b'x'; 20_000]));
    let steps = || [small("a"), Step::Pending, small("b"), large(), Step::Pending, small("c"), small("d")];
    let expected = rest(&mut Script::new(steps())).bytes();
    for polls in 0..5 {
        let (mut body, replay) = split(Script::new(steps()).telling_end(), &usual().0);
        let read = (0..polls).filter(|_| read_ahead(&replay).is_ready()).count();
        assert_eq!(read, usize::max(polls, 2) - 2);
        assert_eq!(replay.whole().is_some(), read > 0);
        assert_eq!(rest(&mut body).bytes(), expected);
        assert_eq!(rest(&mut replay.again().unwrap()).bytes(), expected);
    }
}

#[test]
fn large_chunks_are_kept_by_refcount() {
    let (large, small) = (Bytes::from(vec![1; 16 << 10]), Bytes::from_static(b"xyz"));
    let body = Script::of([small.clone(), large.clone(), small.clone(), Bytes::new(), small.clone(), large.clone()]);
    let (mut body, replay) = split(body, &usual().0);
    rest(&mut body);
    let again = rest(&mut replay.again().unwrap()).chunks;
    assert_eq!(again, [small.clone(), large.clone(), Bytes::from_static(b"xyzxyz"), large.clone()]);
    assert!([1, 3].iter().all(|n| again[*n].as_ptr() == large.as_ptr()));
}

#[test]
fn i10_nothing_is_kept_for_an_attempt_that_nobody_will_ask_for() {
    let (limits, shared) = usual();
    let chunks: Vec<_> = (0..8).map(|_| vec![5; 20_000]).collect();
    let (mut body, replay) = split(Script::of(chunks.clone()), &limits);
    data(poll(&mut body));
    assert_eq!(shared.used(), 20_000);
    let mut second = replay.again().unwrap();
    drop(replay);
    assert_eq!(shared.used(), 20_000, "the second attempt has still to send it");
    assert_eq!(data(poll(&mut second)).len(), 20_000);
    assert_eq!(data(poll(&mut second)).len(), 20_000);
    assert_eq!(shared.used(), 0);
    assert_eq!(rest(&mut second).bytes().len(), 6 * 20_000);

    let (mut body, replay) = split(Script::of(chunks), &limits);
    data(poll(&mut body));
    drop(replay);
    assert_eq!(shared.used(), 0);
    assert_eq!(rest(&mut body).bytes().len(), 7 * 20_000);
}

#[test]
fn a_failed_body_says_so_once_and_is_not_sent_again() {
    let late = || Script::new([Step::Data("a".into()), Step::Pending, Step::Error]);
    for script in [late(), late().sized(), Script::new([Step::Error]).sized()] {
        let (limits, shared) = usual();
        let (mut body, replay) = split(script, &limits);
        fails_once(&mut body);
        assert!(!replay.possible() && replay.again().is_none());
        assert_eq!(shared.used(), 0);
    }
    fails_once(&mut ReplayBody::pass(late()));
}

fn fails_once(body: &mut ReplayBody<Script>) {
    assert!(!body.is_end_stream());
    assert!(rest(body).error.unwrap().is::<Broken>());
    assert!(matches!(poll(body), Poll::Ready(None)) && body.is_end_stream());
}

#[test]
fn nothing_is_polled_after_its_end() {
    let (limits, _) = usual();
    let (tee, _replay) = split(Script::of(["a"]), &limits);
    let (sized, _replay) = split(Script::of(["a"]).sized(), &limits);
    for mut body in [tee, sized, ReplayBody::pass(Script::of(["a"]))] {
        for expected in [1, 0, 0] {
            assert_eq!(rest(&mut body).chunks.len(), expected);
        }
    }
}

#[test]
fn a_stream_that_panics_poisons_nothing() {
    let script = || Script::new([Step::Data("a".into()), Step::Panic, Step::Data("b".into())]);
    let (limits, shared) = usual();
    let (mut body, replay) = split(script(), &limits);
    data(poll(&mut body));
    assert!(catch_unwind(AssertUnwindSafe(|| poll(&mut body))).is_err());
    assert!(!replay.possible() && replay.again().is_none());
    assert_eq!((body.is_end_stream(), body.size_hint().lower()), (false, 0));
    assert_eq!(data(poll(&mut body)), "b");
    drop(replay);
    drop(body);
    assert_eq!(shared.used(), 0);

    let mut passed = ReplayBody::pass(script());
    data(poll(&mut passed));
    assert!(catch_unwind(AssertUnwindSafe(|| poll(&mut passed))).is_err());
    assert_eq!(rest(&mut passed).bytes(), b"b");
}

/// Asks the replay something when it is woken or dropped, which hangs if that happens under the lock.
struct Nosy(Weak<Replay<Script>>, Arc<AtomicUsize>);

impl Nosy {
    fn ask(&self) {
        self.1.fetch_add(self.0.upgrade().map_or(0, |replay| usize::from(replay.possible()) + 1), Ordering::Relaxed);
    }
}

impl Wake for Nosy {
    fn wake(self: Arc<Self>) {
        self.ask();
    }
}

impl AsRef<[u8]> for Nosy {
    fn as_ref(&self) -> &[u8] {
        static LARGE: [u8; 20_000] = [0; 20_000];
        &LARGE
    }
}

impl Drop for Nosy {
    fn drop(&mut self) {
        self.ask();
    }
}

#[test]
fn nothing_is_woken_or_dropped_under_the_lock() {
    let asked = Arc::new(AtomicUsize::new(0));
    let (mut body, replay) = split(Script::new([Step::Pending, Step::Pending]), &usual().0);
    let replay = Arc::new(replay);
    let nosy = || Waker::from(Arc::new(Nosy(Arc::downgrade(&replay), Arc::clone(&asked))));
    assert!(poll_with(&mut body, &nosy()).is_pending());
    assert!(poll_with(&mut body, &nosy()).is_pending());
    assert_eq!(asked.load(Ordering::Relaxed), 2, "the first waker was dropped for the second");
    replay.again().unwrap();
    assert_eq!(asked.load(Ordering::Relaxed), 6, "the second was woken, then dropped");

    asked.store(0, Ordering::Relaxed);
    let replay = Arc::new_cyclic(|weak| {
        let chunk = Bytes::from_owner(Nosy(Weak::clone(weak), Arc::clone(&asked)));
        let (first, replay) = split(Script::of([chunk, Bytes::from(vec![0; 20_000])]), &limits(30_000, 60_000).0);
        body = first;
        replay
    });
    assert_eq!(rest(&mut body).bytes().len(), 40_000);
    assert_eq!(asked.load(Ordering::Relaxed), 1, "dropped when the bound was passed");
    assert!(!replay.possible());
}

/// Data with pauses, and trailers.
fn paused() -> Script {
    let chunk = |n: u8| Step::Data(Bytes::from(vec![n; 1 + usize::from(n) * 6000]));
    let steps = (0..5).flat_map(|n| [Step::Pending, chunk(n)]).chain([Step::Trailers(trailers("1"))]);
    Script::new(steps)
}

#[test]
fn i24_dropping_at_any_point_gives_everything_back() {
    let whole = rest(&mut paused()).bytes();
    for sized in [false, true] {
        for polls in 0..14 {
            for order in 0..4 {
                let (limits, shared) = usual();
                let (mut body, replay) = split(Script { sized, ..paused() }, &limits);
                for _ in 0..polls {
                    let _ = poll(&mut body);
                }
                match order {
                    0 => drop((body, replay)),
                    1 => drop((replay, body)),
                    2 => {
                        let again = replay.again().unwrap();
                        drop((replay, again, body));
                    }
                    _ => {
                        drop(body);
                        let mut again = replay.again().unwrap();
                        assert_eq!(rest(&mut again).bytes(), whole);
                        drop((again, replay));
                    }
                }
                assert_eq!(shared.used(), 0, "{polls} polls, order {order}");
            }
        }
    }
}

#[test]
fn attempts_on_other_threads_end_in_one_whole_body() {
    for _ in 0..200 {
        let (limits, shared) = usual();
        let (body, replay) = split(paused(), &limits);
        let read = |mut body| thread::spawn(move || rest(&mut body));
        let first = read(body);
        let second = read(replay.again().unwrap());
        let last = read(replay.again().unwrap());
        let whole = last.join().unwrap();
        assert_eq!((whole.bytes(), whole.trailers.is_some()), (rest(&mut paused()).bytes(), true));
        for earlier in [first, second] {
            let earlier = earlier.join().unwrap();
            assert!(earlier.error.is_none_or(|error| error.is::<Superseded>()));
        }
        drop(replay);
        assert_eq!(shared.used(), 0);
    }
}

proptest! {
    #[test]
    fn every_attempt_sends_the_same_bytes(
        sizes in prop::collection::vec(prop_oneof![0..40_usize, 0..40_000_usize], 0..12),
        reads in prop::collection::vec(0..14_usize, 0..4),
        sized: bool,
        tells_end: bool,
        with_trailers: bool,
    ) {
        let content: Vec<Bytes> = sizes.iter().enumerate().map(|(n, size)| vec![n as u8; *size].into()).collect();
        let end = with_trailers.then(|| Step::Trailers(trailers("1")));
        let script = Script::new(content.iter().cloned().map(Step::Data).chain(end));
        let (limits, shared) = usual();
        let (mut body, replay) = split(Script { sized, tells_end, ..script }, &limits);
        for read in reads {
            for _ in 0..read {
                let _ = poll(&mut body);
            }
            body = replay.again().unwrap();
            if sized {
                prop_assert_eq!(body.size_hint().exact(), Some(content.concat().len() as u64));
            }
        }
        let all = rest(&mut body);
        prop_assert_eq!(all.bytes(), content.concat());
        prop_assert_eq!(all.trailers.is_some(), with_trailers);
        prop_assert!(all.error.is_none() && body.is_end_stream());
        prop_assert!(shared.used() <= CAP);
        drop((body, replay));
        prop_assert_eq!(shared.used(), 0);
    }
}
