//! Every interleaving that the memory model allows of the pool's three delicate moves, run by loom on the pool's own code:
//! `RUSTFLAGS="--cfg key_commune_loom" cargo test --lib --release models`.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering as Std};
use std::time::Duration;

use loom::future::block_on;
use loom::thread;

use super::mood::{Mood, Telling};
use super::signals::Signals;
use super::word::{Standing, Word};
use super::{Exhausted, Key, KeyPool, Lease, Limits, Snapshot, Tried};
use crate::clock::Timestamp;
use crate::demand::Demand;
use crate::health::{Penalties, State};
use crate::outcome::{Outcome, Verdict};
use crate::provider::Provider;
use crate::secret::Pepper;
use crate::select::FillFirst;

const NOW: Timestamp = Timestamp::from_unix(Duration::from_secs(1_700_000_000));

/// Three switches away from a thread that could go on are enough to find what two or three threads can do to each other.
fn model(run: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(run);
}

/// A pool in which nothing is left to chance, at a moment that does not pass.
fn pool(keys: usize) -> KeyPool {
    limited(keys, Limits::default())
}

fn limited(keys: usize, limits: Limits) -> KeyPool {
    let key = |number| Key::new(format!("sk-model-{number}")).unwrap();
    let builder = KeyPool::builder(Provider::OPENAI).keys((0..keys).map(key)).select(FillFirst);
    builder
        .limits(limits)
        .penalties(Penalties::default().jitter(false))
        .pepper(Pepper::new([7; 32]))
        .seed(7)
        .clock(|| NOW)
        .build()
        .unwrap()
}

/// A pool of one key, the rest of which is over: the next request probes it.
fn due() -> KeyPool {
    let pool = pool(1);
    block(&pool, NOW);
    pool
}

fn block(pool: &KeyPool, until: Timestamp) {
    assert!(pool.block(pool.snapshot().members[0].id, until));
}

fn checkout(pool: &KeyPool) -> Result<Lease, Exhausted> {
    pool.checkout(&Demand::default(), &mut Tried::default(), NOW)
}

/// What a request does: a key at once, or the wait for one.
fn obtain(pool: &KeyPool) -> Lease {
    checkout(pool).or_else(|_| block_on(wait(pool))).unwrap()
}

fn wait(pool: &KeyPool) -> super::Waiting {
    pool.wait(&Demand::default(), &Tried::default(), Timestamp::MAX)
}

fn settle(lease: &mut Lease, outcome: Outcome) {
    lease.settle(&Verdict::new(outcome), NOW);
}

/// Nothing in flight, nobody waiting (I24).
fn at_rest(pool: &KeyPool) -> Snapshot {
    let snapshot = pool.snapshot();
    assert!(snapshot.members.iter().all(|member| member.in_flight == 0), "{snapshot:?}");
    assert_eq!(pool.0.with(|ledger| ledger.queue.len()), 0);
    snapshot
}

// The word.

/// Whoever sees a step sees the word that it came with. So a lease that carries a transition's step was let in
/// behind it, and one that was let in before it carries an older step (I6).
#[test]
fn who_sees_a_step_sees_the_word_that_it_came_with() {
    model(|| {
        let shared = Arc::new((Word::new(Standing::Clean), Signals::new(None, false, false)));
        let reader = thread::spawn({
            let shared = Arc::clone(&shared);
            move || {
                let step = shared.1.step();
                assert!(step == 0 || !shared.0.is_clean(), "a step before its word");
            }
        });
        shared.0.set(Standing::Closed);
        shared.1.publish(1);
        reader.join().unwrap();
    });
}

/// The two halves of the word do not disturb each other: nobody is let into a closed word, and nobody stays counted.
#[test]
fn a_closed_word_lets_nobody_in_and_counts_nobody() {
    model(|| {
        let word = Arc::new(Word::new(Standing::Clean));
        let lets_in = |word: &Arc<Word>| {
            let word = Arc::clone(word);
            thread::spawn(move || {
                let first = word.enter().is_ok();
                let second = word.enter().is_ok();
                assert!(first || !second, "let in after it was closed");
                (0..u8::from(first) + u8::from(second)).for_each(|_| assert!(!word.leave()));
            })
        };
        let threads = [lets_in(&word), lets_in(&word)];
        word.set(Standing::Closed);
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert!(word.enter().is_err());
        assert_eq!(word.counts().0, 0);
    });
}

/// A lease that was given before a transition never carries its step (I6), and gives back what it took (I24).
#[test]
fn a_lease_given_before_a_transition_never_carries_its_step() {
    model(|| {
        let pool = pool(1);
        let other = pool.clone();
        let thread = thread::spawn(move || checkout(&other));
        block(&pool, Timestamp::MAX);
        // The key stays closed, so whoever has a lease got it before.
        let lease = thread.join().unwrap();
        let changed = pool.0.with(|ledger| ledger.step());
        assert!(lease.as_ref().is_ok_and(|lease| lease.step < changed) || lease.is_err());
        drop(lease);
        at_rest(&pool);
    });
}

/// However many requests fail at once, it is one strike (I6).
#[test]
fn requests_that_fail_at_once_are_one_strike() {
    model(|| {
        let pool = pool(1);
        let fail = |pool: &KeyPool| {
            if let Ok(mut lease) = checkout(pool) {
                settle(&mut lease, Outcome::Throttled);
            }
        };
        let other = pool.clone();
        let thread = thread::spawn(move || fail(&other));
        fail(&pool);
        thread.join().unwrap();
        let member = at_rest(&pool).members.remove(0);
        assert_eq!((member.state, member.throttles), (State::Resting, 1));
    });
}

/// A success that meets the next failure is noticed by it, or afterwards (I15).
#[test]
fn no_success_is_overlooked() {
    model(|| {
        let mood = Arc::new(Mood::new(false));
        assert!(!mood.watch());
        let other = Arc::clone(&mood);
        let thread = thread::spawn(move || assert_eq!(other.succeeded(), Telling::Done));
        let noticed = mood.watch();
        thread.join().unwrap();
        assert!(noticed || mood.had_success());
    });
}

// The probe.

/// Two requests find a key whose rest is over: one of them probes it (I16).
#[test]
fn one_of_two_gets_the_permit() {
    model(|| {
        let pool = due();
        let other = pool.clone();
        let thread = thread::spawn(move || checkout(&other));
        let leases = [checkout(&pool), thread.join().unwrap()];
        let probes = leases.iter().flatten().map(|lease| assert!(lease.is_probe())).count();
        assert_eq!(probes, 1);
        drop(leases);
        assert_eq!(at_rest(&pool).members[0].state, State::Resting);
    });
}

/// A probe whose caller goes away gives its permit back (I16): who asks afterwards gets it.
#[test]
fn a_dropped_probe_gives_its_permit_back() {
    model(|| {
        let pool = due();
        let other = pool.clone();
        let thread = thread::spawn(move || drop(checkout(&other)));
        drop(checkout(&pool));
        thread.join().unwrap();
        assert!(checkout(&pool).is_ok_and(|lease| lease.is_probe()));
        at_rest(&pool);
    });
}

/// A probe that succeeds opens the key for everybody, one that is dropped for the next probe: the other request gets
/// the key either way.
#[test]
fn a_probe_is_told_to_who_waits() {
    for outcome in [Some(Outcome::Accepted), None] {
        model(move || {
            let pool = due();
            let other = pool.clone();
            let mut probe = checkout(&pool).unwrap();
            let thread = thread::spawn(move || obtain(&other).is_probe());
            outcome.into_iter().for_each(|outcome| settle(&mut probe, outcome));
            drop(probe);
            assert_eq!(thread.join().unwrap(), outcome.is_none());
            at_rest(&pool);
        });
    }
}

// The hand-over.

/// A request looks for a key while an operator frees the only one: it sees the key, or it is handed over (I14). A lost
/// wake-up would be a deadlock.
#[test]
fn a_freed_key_is_seen_or_handed_over() {
    model(|| {
        let pool = pool(1);
        block(&pool, NOW + Duration::from_secs(60));
        let id = pool.snapshot().members[0].id;
        let other = pool.clone();
        let thread = thread::spawn(move || drop(obtain(&other)));
        assert!(pool.unblock(id));
        thread.join().unwrap();
        at_rest(&pool);
    });
}

/// The same for a key that only falls due: who waits for it probes it.
#[test]
fn a_key_that_falls_due_is_seen_or_handed_over() {
    model(|| {
        let pool = pool(1);
        block(&pool, NOW + Duration::from_secs(60));
        let other = pool.clone();
        let thread = thread::spawn(move || assert!(obtain(&other).is_probe()));
        block(&pool, NOW);
        thread.join().unwrap();
        at_rest(&pool);
    });
}

/// A waiter that goes away passes on what it was handed (I14): the one behind it gets the permit.
#[test]
fn a_cancelled_waiter_passes_its_lease_on() {
    model(|| {
        let pool = due();
        let probe = checkout(&pool).unwrap();
        let (first, second) = (wait(&pool), wait(&pool));
        let threads = [thread::spawn(move || drop(probe)), thread::spawn(move || drop(first))];
        assert!(block_on(second).unwrap().is_probe());
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        at_rest(&pool);
    });
}

/// All who wait get a key that comes free for everybody, each its own lease.
#[test]
fn all_who_wait_get_a_key_that_opens() {
    model(|| {
        let pool = due();
        let mut probe = checkout(&pool).unwrap();
        let served = Arc::new(AtomicUsize::new(0));
        let waits = [wait(&pool), wait(&pool)].map(|waiting| {
            let served = Arc::clone(&served);
            thread::spawn(move || {
                let lease = block_on(waiting).unwrap();
                assert!(!lease.is_probe());
                served.fetch_add(1, Std::Relaxed);
            })
        });
        settle(&mut probe, Outcome::Accepted);
        drop(probe);
        waits.into_iter().for_each(|thread| thread.join().unwrap());
        assert_eq!(served.load(Std::Relaxed), 2);
        at_rest(&pool);
    });
}

// Room.

/// However many come at once, a key serves no more than it may, and all of its room is found again (I24).
#[test]
fn no_more_are_let_in_than_there_is_room_for() {
    model(|| {
        let pool = limited(1, Limits::default().concurrent(1));
        let other = pool.clone();
        let thread = thread::spawn(move || checkout(&other));
        let leases = [checkout(&pool), thread.join().unwrap()];
        assert!(leases.iter().flatten().count() <= 1);
        drop(leases);
        assert!(checkout(&pool).is_ok(), "the room is there again");
        at_rest(&pool);
    });
}

/// Two requests one after the other, of which one may look in while the other is being served: whoever leaves last, the room
/// is found again.
#[test]
fn room_that_was_looked_at_is_found_again() {
    model(|| {
        let pool = limited(1, Limits::default().concurrent(1));
        let other = pool.clone();
        let thread = thread::spawn(move || drop(checkout(&other)));
        drop(checkout(&pool));
        thread.join().unwrap();
        assert!(checkout(&pool).is_ok());
        at_rest(&pool);
    });
}

/// A request looks for room while the only other one ends: it sees the room, or it is handed over (I14).
#[test]
fn room_that_is_given_back_is_seen_or_handed_over() {
    model(|| {
        let pool = limited(1, Limits::default().concurrent(1));
        let mut held = checkout(&pool).unwrap();
        let other = pool.clone();
        let thread = thread::spawn(move || drop(obtain(&other)));
        settle(&mut held, Outcome::Accepted);
        drop(held);
        thread.join().unwrap();
        at_rest(&pool);
    });
}

/// The same for room that is counted by model, or for the pool as a whole.
#[test]
fn room_for_a_model_is_seen_or_handed_over() {
    model(|| {
        let pool = limited(1, Limits::default().concurrent_per_model(1));
        let demand = Demand::default().model("m");
        let ask = |pool: &KeyPool| pool.checkout(&demand, &mut Tried::default(), NOW);
        let held = ask(&pool).unwrap();
        let thread = thread::spawn(move || drop(held));
        let lease = ask(&pool).or_else(|_| block_on(pool.wait(&demand, &Tried::default(), Timestamp::MAX)));
        assert!(lease.is_ok());
        thread.join().unwrap();
        drop(lease);
        at_rest(&pool);
    });
}
