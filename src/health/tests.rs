use proptest::prelude::*;

use super::*;
use crate::hint::Hint;

fn at(seconds: u64) -> Timestamp {
    Timestamp::from_unix(Duration::from_secs(1_000_000 + seconds))
}

fn plain() -> Penalties {
    Penalties::default().jitter(false)
}

fn judge(penalties: &Penalties, now: u64, next: Step) -> Judge<'_> {
    Judge { penalties, now: at(now), next, draw: 0, counts: true }
}

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

#[test]
fn a_fourth_rejection_in_a_row_retires() {
    let penalties = plain();
    let mut health = Health::default();
    let mut now = 0;
    for (step, rest) in [(1, 60), (3, 3_600), (5, 86_400)] {
        health = health.judged(&Verdict::new(Outcome::Rejected), health.changed(), &judge(&penalties, now, step));
        assert_eq!((health.state(), health.until()), (State::Resting, at(now + rest)));
        now += rest;
        health = health.probed(&judge(&penalties, now, step + 1));
    }
    health = health.judged(&Verdict::new(Outcome::Rejected), health.changed(), &judge(&penalties, now, 7));
    assert_eq!(health.state(), State::Retired);
    let later = health.judged(&Verdict::new(Outcome::Accepted), 100, &judge(&penalties, now, 8));
    assert_eq!(later.state(), State::Retired, "no answer brings a retired key back");
}

#[test]
fn throttles_double_up_to_an_hour_and_never_retire() {
    let penalties = plain();
    let mut health = Health::default();
    let expected = [60, 120, 240, 480, 960, 1_920, 3_600, 3_600];
    for (strike, rest) in (0_u64..).zip(expected) {
        let now = 10_000 * strike;
        health =
            health.judged(&Verdict::new(Outcome::Throttled), health.changed(), &judge(&penalties, now, strike + 1));
        assert_eq!((health.state(), health.until()), (State::Resting, at(now + rest)));
        health = health.probed(&judge(&penalties, now + rest, strike + 1));
    }
}

#[test]
fn i7_hints_are_capped() {
    let penalties = plain();
    let hint = Some(Hint::after(Duration::MAX));
    let throttled = Verdict::new(Outcome::Throttled).hint(hint);
    let health = Health::default().judged(&throttled, 0, &judge(&penalties, 0, 1));
    assert_eq!(health.until(), at(3_600));
    let spent = Verdict::new(Outcome::QuotaSpent).hint(hint);
    let health = Health::default().judged(&spent, 0, &judge(&penalties, 0, 1));
    assert_eq!(health.until(), at(86_400));
}

#[test]
fn i6_stragglers_of_an_episode_strike_nobody_but_extend_by_a_hint() {
    let penalties = plain();
    let health = Health::default().judged(&Verdict::new(Outcome::Throttled), 0, &judge(&penalties, 0, 1));
    let again = health.judged(&Verdict::new(Outcome::Throttled), 0, &judge(&penalties, 5, 2));
    assert_eq!(again, health);
    let hinted = Verdict::new(Outcome::Throttled).hint(Some(Hint::after(seconds(300))));
    let extended = health.judged(&hinted, 0, &judge(&penalties, 5, 2));
    assert_eq!((extended.until(), extended.strikes()), (at(305), (1, 0)));
    let shorter = Verdict::new(Outcome::Throttled).hint(Some(Hint::after(seconds(1))));
    assert_eq!(extended.judged(&shorter, 0, &judge(&penalties, 5, 2)), extended, "I5: rests only extend");
}

#[test]
fn i5_only_a_success_leased_after_a_rest_began_ends_it() {
    let penalties = plain();
    let accepted = Verdict::new(Outcome::Accepted);
    let resting = Health::default().judged(&Verdict::new(Outcome::Throttled), 0, &judge(&penalties, 0, 1));
    assert_eq!(resting.judged(&accepted, 0, &judge(&penalties, 1, 2)), resting, "leased before");
    let probing = resting.probed(&judge(&penalties, 60, 2));
    assert_eq!(probing.judged(&accepted, 2, &judge(&penalties, 61, 3)), Health::cleared(3));
}

#[test]
fn i16_a_probe_that_says_nothing_gives_its_permit_back() {
    let penalties = plain();
    let resting = Health::default().judged(&Verdict::new(Outcome::Rejected), 0, &judge(&penalties, 0, 1));
    let probing = resting.probed(&judge(&penalties, 60, 2));
    assert!(!probing.is_due(at(89)) && probing.is_due(at(90)), "30 s of patience");
    for outcome in [Outcome::Aborted, Outcome::CallerFault, Outcome::Failed, Outcome::Unreachable] {
        let back = probing.judged(&Verdict::new(outcome), 2, &judge(&penalties, 61, 3));
        assert_eq!((back.state(), back.strikes()), (State::Resting, (0, 1)));
        assert!(back.is_due(at(61)));
    }
}

#[test]
fn i4_faults_of_others_never_touch_a_key() {
    let penalties = plain();
    let struck = Health::default().judged(&Verdict::new(Outcome::Rejected), 0, &judge(&penalties, 0, 1));
    for health in [Health::default(), struck] {
        for outcome in [
            Outcome::CallerFault,
            Outcome::Forbidden,
            Outcome::Failed,
            Outcome::Overloaded,
            Outcome::Unreachable,
            Outcome::Aborted,
        ] {
            assert_eq!(health.judged(&Verdict::new(outcome), 9, &judge(&penalties, 1, 10)), health, "{outcome}");
        }
    }
}

fn outcomes() -> impl Strategy<Value = Outcome> {
    prop::sample::select(vec![
        Outcome::Accepted,
        Outcome::Rejected,
        Outcome::Throttled,
        Outcome::QuotaSpent,
        Outcome::Forbidden,
        Outcome::Overloaded,
        Outcome::Failed,
        Outcome::CallerFault,
        Outcome::Aborted,
    ])
}

proptest! {
    /// I5 and I7 over any history: a rest is never cut short by a failure, never longer than the longest the rules know.
    #[test]
    fn rests_only_extend_and_are_bounded(
        history in prop::collection::vec((outcomes(), prop::option::of(0_u64..u64::MAX), any::<u64>(), 0_u64..100_000), 1..60),
    ) {
        let penalties = Penalties::default();
        let (mut health, mut now, mut step) = (Health::default(), at(0), 0);
        for (outcome, hint, draw, pass) in history {
            now = now + seconds(pass);
            step += 1;
            let judge = Judge { penalties: &penalties, now, next: step, draw, counts: true };
            if health.is_due(now) {
                health = health.probed(&judge);
                step += 1;
            }
            let judge = Judge { next: step, ..judge };
            let verdict = Verdict::new(outcome).hint(hint.map(|nanos| Hint::after(Duration::from_nanos(nanos))));
            let next = health.judged(&verdict, health.changed(), &judge);
            if health.state() == State::Resting && next.state() == State::Resting {
                prop_assert!(next.until() >= health.until() || health.until() <= now);
            }
            prop_assert!(next.until() - now <= seconds(86_400));
            prop_assert!(next.strikes().0 <= health.strikes().0 + 1 && next.strikes().1 <= health.strikes().1 + 1);
            health = next;
        }
    }

    /// I6: k failures that were in flight together are one strike, whatever their order and kind of lateness.
    #[test]
    fn however_many_fail_together_it_is_one_strike(count in 1_usize..1_000, outcome in prop::sample::select(vec![Outcome::Rejected, Outcome::Throttled])) {
        let penalties = plain();
        let mut health = Health::default();
        for step in 1..=count as u64 {
            health = health.judged(&Verdict::new(outcome), 0, &judge(&penalties, step, step));
        }
        prop_assert_eq!(health.strikes().0 + health.strikes().1, 1);
    }
}
