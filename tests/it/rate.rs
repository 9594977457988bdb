//! `rate`: as many requests as were agreed on, from one caller or from a crowd (I19, I23).

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Barrier, LazyLock};
use std::thread;
use std::time::Duration;

use key_commune::clock::Timestamp;
use key_commune::rate::{Crowd, Gate, Rate};
use key_commune::secret::KeyId;
use proptest::prelude::*;

const START: Timestamp = Timestamp::from_unix(Duration::from_secs(1_700_000_000));
const SECOND: Duration = Duration::from_secs(1);

fn at(milliseconds: u64) -> Timestamp {
    START + Duration::from_millis(milliseconds)
}

/// The ids that a keyed hash would give: evenly spread, the same in each run.
fn stranger(number: u64) -> KeyId {
    let half = |salt: u64| {
        let mixed = (number ^ salt).wrapping_add(salt).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    };
    format!("{:016x}{:016x}", half(1 << 40), half(1 << 50)).parse().unwrap()
}

#[test]
fn one_request_per_window_counted_from_start_to_start() {
    let (gate, rate) = (Gate::default(), Rate::new(SECOND * 2));
    let table = [
        (0, Ok(())),
        (1, Err(1_999)),
        (1_999, Err(1)),
        (2_000, Ok(())),
        (3_000, Err(1_000)),
        (9_000, Ok(())),
        (10_999, Err(1)),
    ];
    for (moment, expected) in table {
        assert_eq!(gate.admit(rate, at(moment)), expected.map_err(Duration::from_millis), "at {moment} ms");
    }
}

#[test]
fn a_burst_is_spent_at_once_and_comes_back_one_by_one() {
    let (gate, rate) = (Gate::default(), Rate::new(SECOND).burst(3));
    let now = [0, 0, 0, 0, 999, 1_000, 1_000, 4_000, 4_000, 4_000, 4_000].map(|moment| gate.admit(rate, at(moment)));
    let admitted = now.map(|answer| answer.is_ok());
    assert_eq!(admitted, [true, true, true, false, false, true, false, true, true, true, false]);
    assert_eq!(now[3], Err(SECOND));
    assert_eq!(now[4], Err(Duration::from_millis(1)));
}

#[test]
fn a_refused_request_makes_nobody_wait_longer() {
    let rate = Rate::new(SECOND * 2);
    let (patient, impatient) = (Gate::default(), Gate::default());
    assert_eq!(patient.admit(rate, START), impatient.admit(rate, START));
    assert_eq!((1..2_000).filter(|&moment| impatient.admit(rate, at(moment)).is_ok()).count(), 0);
    assert_eq!(patient.admit(rate, at(2_000)), Ok(()));
    assert_eq!(impatient.admit(rate, at(2_000)), Ok(()));
}

#[test]
fn the_edges_of_a_rate() {
    let admitted = |rate: Rate, now| {
        let gate = Gate::default();
        (0..10).filter(|_| gate.admit(rate, now).is_ok()).count()
    };
    assert_eq!(admitted(Rate::new(Duration::ZERO), START), 10, "no interval, no limit");
    assert_eq!(admitted(Rate::new(SECOND).burst(0), START), 0, "no burst, nobody");
    assert_eq!(admitted(Rate::per(0, SECOND), START), 0, "none per second");
    assert_eq!(admitted(Rate::per(5, SECOND), START), 5);
    assert_eq!(admitted(Rate::new(SECOND), Timestamp::ZERO), 1, "a clock that starts at the epoch");
    // Where time or a product saturates, the limit must not fall.
    let century = SECOND * 100 * 365 * 86_400;
    assert_eq!(admitted(Rate::new(century).burst(u32::MAX), START), 5, "as many as fit until the year 2554");
    assert_eq!(admitted(Rate::new(Duration::MAX).burst(u32::MAX), START), 0);
    assert_eq!(admitted(Rate::new(SECOND).burst(3), Timestamp::MAX), 0);
    assert_eq!(Rate::new(SECOND).admit(Timestamp::MAX, START), Err(Timestamp::MAX - START));
}

#[test]
fn a_clock_that_goes_back_lifts_no_limit() {
    let (gate, rate) = (Gate::default(), Rate::new(SECOND));
    assert_eq!(gate.admit(rate, at(5_000)), Ok(()));
    assert_eq!(gate.admit(rate, START), Err(SECOND * 6));
}

proptest! {
    /// In no window are there more than the burst and one per interval, and whoever waits as told is admitted.
    #[test]
    fn no_window_holds_more_than_the_rate(
        interval in 1_u64..50,
        burst in 1_u32..8,
        gaps in prop::collection::vec(0_u64..60, 1..200),
    ) {
        let rate = Rate::new(Duration::from_millis(interval)).burst(burst);
        let (gate, mut moment, mut admitted) = (Gate::default(), 0, Vec::new());
        for gap in gaps {
            moment += gap;
            match gate.admit(rate, at(moment)) {
                Ok(()) => admitted.push(moment),
                Err(wait) => {
                    prop_assert!(wait <= Duration::from_millis(interval));
                    moment += u64::try_from(wait.as_millis()).unwrap();
                    prop_assert_eq!(gate.admit(rate, at(moment)), Ok(()));
                    admitted.push(moment);
                }
            }
        }
        for (first, from) in admitted.iter().enumerate() {
            for (count, to) in admitted[first..].iter().enumerate() {
                prop_assert!((count as u64) < (to - from) / interval + u64::from(burst));
            }
        }
    }

    /// With nobody else about, the same requests are admitted and refused with the same waits.
    #[test]
    fn a_crowd_holds_a_stranger_as_a_gate_does(
        interval in 1_u64..50,
        burst in 0_u32..5,
        who in any::<u64>(),
        moments in prop::collection::vec(0_u64..2_000, 1..100),
    ) {
        // One crowd for all cases: each begins when what the one before it left is over.
        static CROWD: LazyLock<Crowd> = LazyLock::new(Crowd::default);
        static CASES: AtomicU64 = AtomicU64::new(0);
        let rate = Rate::new(Duration::from_millis(interval)).burst(burst);
        let (gate, id) = (Gate::default(), stranger(who));
        let begin = 10_000 * CASES.fetch_add(1, Ordering::Relaxed);
        for moment in moments {
            prop_assert_eq!(CROWD.admit(id, rate, at(begin + moment)), gate.admit(rate, at(begin + moment)));
        }
    }
}

const THREADS: usize = 4;

/// How many of 4 × 20,000 requests are admitted that come at the same moment.
fn rush(admit: impl Fn() -> bool + Sync) -> usize {
    let start = Barrier::new(THREADS);
    let rush = || {
        start.wait();
        (0..20_000).filter(|_| admit()).count()
    };
    thread::scope(|scope| {
        let threads = [(); THREADS].map(|()| scope.spawn(rush));
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    })
}

#[test]
fn however_many_threads_ask_as_many_are_admitted() {
    let (gate, crowd) = (Gate::default(), Crowd::default());
    for (round, burst) in [(0, 1), (1, 7), (2, 60_000)] {
        let (rate, now) = (Rate::new(SECOND).burst(burst), at(round * 100_000_000));
        assert_eq!(rush(|| gate.admit(rate, now).is_ok()), burst as usize);
        assert_eq!(rush(|| crowd.admit(stranger(1), rate, now).is_ok()), burst as usize);
    }
}

/// 10,000 fresh ids a second, 20,000 within an interval: each row is full to 7 %, so one stranger in 38,000 finds all of
/// its four cells taken.
#[test]
fn a_million_strangers_do_not_make_an_honest_one_wait() {
    let (crowd, rate) = (Crowd::default(), Rate::new(SECOND * 2));
    let (mut refused, mut honest) = (0, 0);
    for number in 0..1_000_000 {
        let now = START + Duration::from_micros(number * 100);
        refused += u32::from(crowd.admit(stranger(number), rate, now).is_err());
        if number % 20_000 == 0 {
            assert_eq!(crowd.admit(stranger(u64::MAX), rate, now), Ok(()), "after {number} others");
            honest += 1;
        }
    }
    assert_eq!(honest, 50);
    assert!(refused < 100, "{refused} of a million were refused");
}

/// As many at once as fill the table: others have to wait, but nobody's limit is lifted, and soon all is forgotten.
#[test]
fn a_flood_lifts_no_limit_and_leaves_nothing() {
    let (crowd, rate) = (Crowd::default(), Rate::per(2, SECOND * 2));
    let limited = stranger(u64::MAX);
    while crowd.admit(limited, rate, START).is_ok() {}
    for number in 0..300_000 {
        for _ in 0..2 {
            let wait = crowd.admit(stranger(number), rate, START).err().unwrap_or_default();
            assert!(wait <= SECOND);
        }
        assert!(number % 100 > 0 || crowd.admit(limited, rate, at(999)) == Err(Duration::from_millis(1)));
    }
    let refused = |now| (400_000..410_000).filter(|&number| crowd.admit(stranger(number), rate, now).is_err()).count();
    assert!(refused(START) > 1_000, "the flood was none");
    assert_eq!(refused(at(2_000)), 0);
    assert_eq!(crowd.admit(limited, rate, at(2_000)), Ok(()));
    assert_eq!(crowd.admit(limited, rate, at(2_000)), Ok(()));
    assert_eq!(crowd.admit(limited, rate, at(2_000)), Err(SECOND));
}
