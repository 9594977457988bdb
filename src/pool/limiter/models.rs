//! Every interleaving that the memory model allows of requests to the same member, run by loom on the code itself:
//! `RUSTFLAGS="--cfg key_commune_loom" cargo test --lib --release models`.

use std::sync::Arc;

use loom::thread;

use super::*;

const NOW: Timestamp = Timestamp::from_unix(Duration::from_secs(1_700_000_000));

fn model(limits: Limits, run: impl Fn(Arc<Limiter>) + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(move || run(Arc::new(Limiter::new(&limits).unwrap())));
}

/// How many of two requests of so many tokens are admitted that come at once.
fn admitted(limiter: &Arc<Limiter>, tokens: u64) -> usize {
    let threads = [(); 2].map(|()| {
        let limiter = Arc::clone(limiter);
        thread::spawn(move || limiter.take(tokens, NOW).is_ok())
    });
    threads.into_iter().map(|thread| usize::from(thread.join().unwrap())).sum()
}

/// Two in a second, one in a minute: who is refused by the second limit gives back what it took from the first.
#[test]
fn a_request_is_taken_from_all_limits_or_from_none() {
    model(Limits::default().per_second(2).per_minute(1).burst(1), |limiter| {
        assert_eq!(admitted(&limiter, 0), 1);
        let taken: Vec<_> = limiter.cells.iter().map(|cell| cell.gate.tat()).collect();
        assert_eq!(taken, [NOW + SECOND / 2, NOW + MINUTE]);
    });
}

/// Either both see the other's reservation, or one does.
#[test]
fn no_more_tokens_are_reserved_than_there_are() {
    model(Limits::default().tokens_per_minute(100), |limiter| {
        let admitted = admitted(&limiter, 60) as u64;
        assert!(admitted <= 1);
        assert_eq!(limiter.ready_for(100 - 60 * admitted, NOW), NOW, "all the rest is there");
    });
}

/// However a request that is settled meets one that comes, its tokens are seen as reserved or as used.
#[test]
fn tokens_that_are_settled_are_missed_at_no_moment() {
    model(Limits::default().tokens_per_minute(100), |limiter| {
        limiter.take(60, NOW).unwrap();
        let settled = Arc::clone(&limiter);
        let settled = thread::spawn(move || settled.charge(60, 60, NOW));
        assert!(limiter.take(60, NOW).is_err());
        settled.join().unwrap();
        assert_eq!(limiter.ready_for(40, NOW), NOW);
    });
}
