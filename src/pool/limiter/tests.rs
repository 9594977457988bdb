#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::needless_pass_by_value, reason = "tests")]

use std::sync::Barrier;
use std::thread;

use proptest::prelude::*;

use super::*;

/// A midnight.
const START: Timestamp = Timestamp::from_unix(Duration::from_secs(20_000 * 24 * 3_600));

fn at(milliseconds: u64) -> Timestamp {
    START + Duration::from_millis(milliseconds)
}

fn limiter(limits: Limits) -> Limiter {
    Limiter::new(&limits).unwrap()
}

fn limits() -> Limits {
    Limits::default()
}

/// Of requests that come one after the other at the same moment.
fn admitted(limiter: &Limiter, tokens: u64, now: Timestamp) -> usize {
    (0..1_000).take_while(|_| limiter.take(tokens, now).is_ok()).count()
}

#[test]
fn what_is_not_limited_in_time_costs_nothing() {
    assert!(Limiter::new(&limits()).is_none());
    assert!(Limiter::new(&limits().concurrent(3).concurrent_per_model(1).burst(9)).is_none());
}

#[test]
fn a_minute_is_paced_evenly() {
    let limiter = limiter(limits().per_minute(60).burst(0));
    assert_eq!(limiter.take(0, START), Ok(at(1_000)));
    assert_eq!(limiter.take(0, START), Err(at(1_000)));
    assert_eq!(limiter.take(0, at(999)), Err(at(1_000)));
    assert_eq!(limiter.take(0, at(1_000)), Ok(at(2_000)));
    assert_eq!(limiter.take(0, at(2_500)), Ok(at(3_500)), "what comes late is lost");
}

#[test]
fn who_is_late_makes_up_for_it() {
    let limiter = limiter(limits().per_minute(60));
    let interval = Duration::from_nanos((60_000_000_000_u64 + 234_375_000).div_ceil(60));
    let late = Duration::from_millis(200);
    assert_eq!(admitted(&limiter, 0, START), 1);
    for turn in 1..100 {
        let due = START + interval * turn;
        let lateness = if turn % 2 == 0 { late } else { Duration::ZERO };
        assert!(limiter.take(0, due + lateness).is_ok(), "turn {turn}");
    }
}

#[test]
fn a_burst_comes_at_once_and_at_most_as_much_as_the_limit() {
    let limited = |burst| limiter(limits().per_minute(60).burst(burst));
    let at_once = [0, 1, 59, 60, u32::MAX].map(|burst| admitted(&limited(burst), 0, START));
    assert_eq!(at_once, [1, 2, 60, 60, 60]);
    let both = limiter(limits().per_second(2).per_minute(60).burst(10));
    assert_eq!(admitted(&both, 0, START), 2, "the tightest limit counts");
}

#[test]
fn a_day_goes_from_midnight_to_midnight() {
    let limiter = limiter(limits().per_day(3));
    let hour = 3_600_000;
    assert_eq!(admitted(&limiter, 0, at(23 * hour)), 3);
    assert_eq!(limiter.take(0, at(23 * hour)), Err(at(24 * hour)));
    assert_eq!(limiter.take(0, at(24 * hour - 1)), Err(at(24 * hour)));
    assert_eq!(admitted(&limiter, 0, at(24 * hour)), 3);
    assert_eq!(limiter.ready_at(at(30 * hour)), at(48 * hour));
    limiter.refund(0, at(24 * hour), at(40 * hour));
    assert_eq!(admitted(&limiter, 0, at(47 * hour)), 1);
    limiter.refund(0, at(47 * hour), at(48 * hour));
    assert_eq!(admitted(&limiter, 0, at(48 * hour)), 3, "yesterday's requests are not given back today");
}

#[test]
fn zero_admits_nobody() {
    let zero =
        [limits().per_second(0), limits().per_minute(0), limits().per_day(0), limits().tokens_per_minute(0).burst(3)];
    for limits in zero {
        let limiter = limiter(limits.clone().burst(5));
        assert_eq!(limiter.take(0, START), Err(Timestamp::MAX), "{limits:?}");
        assert_eq!(limiter.ready_at(START), Timestamp::MAX);
        assert!(limiter.per_second(1).abs() < f64::EPSILON);
    }
}

#[test]
fn the_largest_limits_limit_nothing_and_overflow_nowhere() {
    let most = limits().per_second(u32::MAX).per_minute(u32::MAX).per_day(u32::MAX).tokens_per_minute(u64::MAX);
    let limiter = limiter(most.burst(u32::MAX));
    assert_eq!(admitted(&limiter, 1_000_000, START), 1_000);
    assert!(limiter.take(u64::MAX, START).is_err(), "there are others");
    limiter.charge(1_000_000, u64::MAX, START);
    assert!(limiter.take(1, START + MINUTE + SECOND).is_ok(), "a debt is forgotten beyond a minute");
}

#[test]
fn estimates_are_reserved_and_settled_by_what_was_used() {
    let limiter = limiter(limits().tokens_per_minute(60));
    assert!(limiter.take(50, START).is_ok());
    assert_eq!(limiter.take(20, START), Err(at(10_000)));
    assert_eq!(limiter.take(10, START), Ok(START), "as many as there are");
    limiter.charge(50, 20, START);
    assert_eq!(limiter.take(31, START), Err(at(1_000)));
    assert!(limiter.take(30, START).is_ok());
    limiter.charge(30, 90, START);
    assert_eq!(limiter.ready_at(START), at(60_000), "20 and 90 used, 10 reserved");
}

#[test]
fn one_that_needs_more_than_the_limit_waits_for_all_of_it() {
    let limiter = limiter(limits().tokens_per_minute(60));
    assert!(limiter.take(6, START).is_ok());
    assert_eq!(limiter.take(u64::MAX, START), Err(at(6_000)));
    limiter.charge(6, 6, START);
    assert_eq!(limiter.take(u64::MAX, START), Err(at(6_000)));
    assert!(limiter.take(u64::MAX, at(6_000)).is_ok());
    limiter.charge(u64::MAX, 120, at(6_000));
    assert_eq!(limiter.ready_at(at(6_000)), at(66_000), "it has used twice as much as there is");
}

#[test]
fn a_refund_gives_back_what_time_has_not() {
    let limiter = limiter(limits().per_minute(60).tokens_per_minute(600).burst(0));
    assert!(limiter.take(600, START).is_ok());
    limiter.refund(600, START, START);
    assert!(limiter.take(600, START).is_ok());
    limiter.refund(600, START, at(400));
    assert_eq!(limiter.take(600, at(399)), Err(at(400)));
    assert!(limiter.take(600, at(400)).is_ok());
}

#[test]
fn a_late_refund_lets_nobody_in_twice() {
    let limiter = limiter(limits().per_minute(60).burst(0));
    assert!(limiter.take(0, START).is_ok());
    assert!(limiter.take(0, at(5_000)).is_ok());
    limiter.refund(0, START, at(5_000));
    assert_eq!(limiter.take(0, at(5_000)), Err(at(6_000)));
}

#[test]
fn it_knows_what_it_sustains() {
    let close = |limits, tokens, expected: f64| {
        let sustained = limiter(limits).per_second(tokens);
        assert!((sustained / expected - 1.0).abs() < 0.004, "{sustained} instead of {expected}");
    };
    close(limits().per_second(10).per_minute(60), 0, 1.0);
    close(limits().per_second(2).per_minute(600).burst(7), 0, 2.0);
    close(limits().per_day(86_400), 0, 1.0);
    close(limits().per_minute(600).tokens_per_minute(6_000), 100, 1.0);
    close(limits().per_minute(600).tokens_per_minute(6_000), 0, 10.0);
}

/// By a clock that goes in steps, as the system's does, and by one that does not.
#[test]
fn next_to_nothing_of_a_limit_is_lost() {
    for (limits, per_minute) in [
        (limits().per_second(1), 60),
        (limits().per_second(7), 420),
        (limits().per_second(300), 18_000),
        (limits().per_minute(3), 3),
        (limits().per_minute(700), 700),
    ] {
        for tick in [1, 4] {
            let limiter = limiter(limits.clone());
            let minutes = 10;
            let moments = (0..minutes * 60_000 / tick).map(|step| at(step * tick));
            let admitted: usize = moments.map(|now| admitted(&limiter, 0, now)).sum();
            let share = admitted as f64 / (per_minute * minutes) as f64;
            assert!((0.99..=1.0).contains(&share), "{limits:?}: {share} at a tick of {tick} ms");
        }
    }
}

#[test]
fn however_many_threads_ask_nothing_is_taken_twice_or_lost() {
    let limiter = limiter(limits().per_second(40_000).per_minute(5_000).tokens_per_minute(3_000).burst(u32::MAX));
    let start = Barrier::new(4);
    let rush = || {
        start.wait();
        (0..20_000).filter(|_| limiter.take(1, START).is_ok()).count()
    };
    let rushed: usize = thread::scope(|scope| {
        let threads = [(); 4].map(|()| scope.spawn(rush));
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    let rest = (0..5_000).take_while(|_| limiter.take(1, START).is_ok()).count();
    assert_eq!(rushed + rest, 3_000);
    let left = Limiter { bucket: None, ..limiter };
    let rest = (0..5_000).take_while(|_| left.take(1, START).is_ok()).count();
    assert_eq!(rest, 2_000, "a refused request was left in a limit");
}

/// What happens next: so long after, a request of so many tokens; and whether an earlier one is given back before.
#[derive(Clone, Copy, Debug)]
struct Step {
    gap: u64,
    tokens: u64,
    used: u64,
    ends: bool,
    sent: bool,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let gap = prop_oneof![Just(0), 0_u64..5, 0_u64..500, 0_u64..20_000];
    let step = (gap, 0_u64..60, 0_u64..60, any::<bool>(), prop::bool::weighted(0.7));
    let step =
        step.prop_map(|(gap, tokens, used, ends, sent)| Step { gap, tokens, used: used.min(tokens), ends, sent });
    prop::collection::vec(step, 1..150)
}

/// When a request was taken and when it ended, and what it has used.
type Sent = (Timestamp, Timestamp, u64);

/// The requests that were sent, by the moments they were taken.
fn run(limiter: &Limiter, steps: &[Step]) -> Vec<Sent> {
    let (mut now, mut under_way, mut sent) = (START, Vec::new(), Vec::new());
    for step in steps {
        now = now + Duration::from_millis(step.gap);
        if step.ends && !under_way.is_empty() {
            let (taken, tokens): (Timestamp, u64) = under_way.remove(under_way.len() / 2);
            if step.sent {
                limiter.charge(tokens, step.used.min(tokens), now);
                sent.push((taken, now, step.used.min(tokens)));
            } else {
                limiter.refund(tokens, taken, now);
            }
        }
        if limiter.take(step.tokens, now).is_ok() {
            under_way.push((now, step.tokens));
        }
    }
    sent.extend(under_way.into_iter().map(|(taken, tokens)| (taken, now, tokens)));
    sent.sort_unstable();
    sent
}

fn most_in_a_window(moments: &[Timestamp], span: Duration) -> usize {
    let within = |first: usize| moments[first..].iter().take_while(|&&moment| moment < moments[first] + span).count();
    (0..moments.len()).map(within).max().unwrap_or_default()
}

/// The most tokens beyond what comes in meanwhile.
fn most_tokens(mut used: Vec<(Timestamp, u64)>, per_minute: u64) -> u64 {
    used.sort_unstable();
    let beyond = |first: usize| {
        let mut sum = 0;
        let sums = used[first..].iter().map(|&(moment, tokens)| {
            sum += tokens;
            let came_in = (moment - used[first].0).as_nanos() * u128::from(per_minute) / MINUTE.as_nanos();
            sum.saturating_sub(u64::try_from(came_in).unwrap() + 1)
        });
        sums.max().unwrap_or_default()
    };
    (0..used.len()).map(beyond).max().unwrap_or_default()
}

proptest! {
    #[test]
    fn no_window_holds_more_than_its_limit(
        per_second in 1_u32..20,
        per_minute in 1_u32..60,
        burst in prop::option::of(0_u32..10),
        steps in steps(),
    ) {
        let limits = Limits { burst, ..limits().per_second(per_second).per_minute(per_minute) };
        let taken: Vec<_> = run(&limiter(limits), &steps).into_iter().map(|(taken, ..)| taken).collect();
        for (limit, span) in [(per_second, SECOND), (per_minute, MINUTE)] {
            let most = limit + burst.unwrap_or_default().min(limit - 1);
            prop_assert!(most_in_a_window(&taken, span) <= most as usize, "{limit} in {span:?}");
        }
    }

    #[test]
    fn no_day_holds_more_than_its_limit(limit in 1_u32..40, steps in steps()) {
        let hours = steps.into_iter().map(|step| Step { gap: step.gap * 500, ..step });
        let sent = run(&limiter(limits().per_day(limit)), &hours.collect::<Vec<_>>());
        let days = sent.iter().map(|(taken, ..)| taken.day());
        for day in days.clone() {
            prop_assert!(days.clone().filter(|&other| other == day).count() <= limit as usize);
        }
    }

    /// Whether they are counted when the request is sent or when its answer ends.
    #[test]
    fn no_span_uses_more_tokens_than_the_bucket_and_what_comes_in(limit in 60_u64..500, steps in steps()) {
        let sent = run(&limiter(limits().tokens_per_minute(limit)), &steps);
        prop_assert!(most_tokens(sent.iter().map(|&(taken, _, used)| (taken, used)).collect(), limit) <= limit);
        prop_assert!(most_tokens(sent.iter().map(|&(_, ended, used)| (ended, used)).collect(), limit) <= limit);
    }

    /// Whoever is refused leaves nothing behind, and is admitted when it comes back as told.
    #[test]
    fn a_refusal_tells_when_to_come_back(
        per_second in 1_u32..20,
        per_minute in 1_u32..60,
        per_day in 1_u32..60,
        tokens_per_minute in 60_u64..500,
        steps in steps(),
    ) {
        let limits = limits().per_second(per_second).per_minute(per_minute).per_day(per_day);
        let limiter = limiter(limits.tokens_per_minute(tokens_per_minute));
        let mut now = START;
        for step in steps {
            now = now + Duration::from_millis(step.gap);
            let before = format!("{limiter:?}");
            let Err(ready) = limiter.take(step.tokens, now) else {
                limiter.charge(step.tokens, step.used, now);
                continue;
            };
            prop_assert_eq!(before, format!("{limiter:?}"));
            prop_assert!(ready > now && ready == limiter.ready_for(step.tokens, now));
            let early = Timestamp::from_nanos(ready.nanos() - 1);
            prop_assert!(limiter.take(step.tokens, early).is_err());
            now = ready;
            prop_assert!(limiter.take(step.tokens, now).is_ok());
            limiter.charge(step.tokens, step.used, now);
        }
    }
}
