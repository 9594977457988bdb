//! The figures of the issue: what is got out of ten keys of a provider that limits each of them. The bench `capacity` prints
//! them for more keys and more loads. The clock is tokio's, paused; all numbers are drawn from seeds.

#[path = "../../benches/capacity/simulation/mod.rs"]
mod simulation;

use std::time::Duration;

use simulation::{Arrivals, Counting, Figures, Kind, MINUTE, Plan, Tells, Terms, run};

const ARRIVALS: [Arrivals; 2] = [Arrivals::Poisson, Arrivals::Even];
const COUNTINGS: [Counting; 4] =
    [Counting::Bucket(MINUTE), Counting::Bucket(Duration::from_secs(1)), Counting::Sliding, Counting::Fixed];

/// Ten keys of 60 requests a minute, under so much of the sum of their limits.
fn plan(kind: Kind, counting: Counting, arrivals: Arrivals, load: f64) -> Plan {
    let terms = Terms { counting, requests: 60, tokens: 120_000, tells: Tells::Everything, faults: 0.0 };
    Plan { kind, keys: 10, terms, arrivals, load, span: MINUTE * 10, seed: 1 }
}

/// Runs it under every way of counting and of coming.
fn everywhere(kinds: &[Kind], load: f64, check: impl Fn(&str, &Figures)) {
    for &kind in kinds {
        for counting in COUNTINGS {
            for arrivals in ARRIVALS {
                let name = format!("{}, {counting:?}, {arrivals:?}", kind.name());
                check(&name, &run(&plan(kind, counting, arrivals, load)));
            }
        }
    }
}

/// 99 % of the summed limits used, no 429 for callers.
fn is_used(name: &str, figures: &Figures) {
    let Figures { throttled, failed, .. } = figures;
    assert_eq!((*throttled, *failed), (0, 0), "{name}: callers saw them, of {}", figures.requests);
    assert!(figures.used() >= 0.99, "{name}: {}", figures.used());
}

fn wastes_little(name: &str, figures: &Figures) {
    assert!(figures.wasted() <= 0.01, "{name}: {} of the calls were wasted", figures.wasted());
}

/// Served inside the deadline, or refused at once and told the truth about when to come back.
fn is_honest(name: &str, figures: &Figures) {
    assert_eq!(figures.late, 0, "{name}: served late, of {}", figures.served);
    // One that needs very many tokens may be passed by others that need few.
    let late = figures.refused_late();
    assert!(late * 1_000 <= figures.throttled, "{name}: {late} refused after a wait, of {}", figures.throttled);
    let truthful = figures.truthful().expect("some were refused");
    assert!(truthful >= 0.98, "{name}: {truthful} of the refusals told the truth");
}

#[test]
fn what_is_asked_for_can_be_reached_by_who_knows_everything() {
    everywhere(&[Kind::Ideal], 1.0, |name, figures| {
        is_used(name, figures);
        wastes_little(name, figures);
    });
    everywhere(&[Kind::Ideal], 1.5, is_honest);
}

#[test]
fn the_provider_grants_no_more_than_its_limits() {
    everywhere(&[Kind::RoundRobin], 2.0, |name, figures| {
        assert!(figures.used() <= 1.0, "{name}: {}", figures.used());
        assert!(figures.throttled * 10 > figures.requests * 4, "{name}: {} refused", figures.throttled);
    });
    let one = run(&plan(Kind::OneKey, Counting::Fixed, Arrivals::Even, 1.0));
    assert!((0.099..=0.1).contains(&one.used()), "{}", one.used());
}

#[test]
fn ten_keys_at_80_percent_serve_all_if_refusals_say_for_how_long() {
    for arrivals in ARRIVALS {
        let figures = run(&plan(Kind::Pool(Tells::Refusals), Counting::Bucket(MINUTE), arrivals, 0.8));
        assert_eq!(figures.served, figures.requests, "{arrivals:?}");
        assert!(figures.wasted() < 0.05, "{arrivals:?}: {}", figures.wasted());
    }
}

/// Limits that are told: whatever the provider counts by, as long as a minute's worth is a minute's.
const MINUTES: [Counting; 3] = [Counting::Bucket(MINUTE), Counting::Sliding, Counting::Fixed];

fn told(load: f64, check: impl Fn(&str, &Figures)) {
    for counting in MINUTES {
        for arrivals in ARRIVALS {
            check(&format!("{counting:?}, {arrivals:?}"), &run(&plan(Kind::Told, counting, arrivals, load)));
        }
    }
}

#[test]
fn ten_keys_whose_limits_are_told_are_used_at_100_percent_and_callers_see_no_429() {
    told(1.0, |name, figures| {
        is_used(name, figures);
        wastes_little(name, figures);
    });
}

#[test]
fn ten_keys_whose_limits_are_told_serve_in_time_or_refuse_at_once_at_150_percent() {
    told(1.5, is_honest);
}

#[test]
fn ten_keys_whose_limits_are_hidden_are_used_at_100_percent_and_few_calls_are_wasted() {
    for tells in [Tells::Everything, Tells::Refusals] {
        for arrivals in ARRIVALS {
            let name = format!("{tells:?}, {arrivals:?}");
            let plan = plan(Kind::Pool(tells), Counting::Bucket(MINUTE), arrivals, 1.0);
            let figures = run(&Plan { span: MINUTE * 30, ..plan });
            // Those of the first minute, when nothing is known yet.
            assert!(figures.throttled * 1_000 <= figures.requests, "{name}: callers saw {}", figures.throttled);
            assert!(figures.used() >= 0.99 && figures.failed == 0, "{name}: {}", figures.used());
            wastes_little(&name, &figures);
        }
    }
}

#[test]
fn ten_keys_whose_hidden_limits_are_of_windows_are_used_at_100_percent_and_few_calls_are_wasted() {
    for tells in [Tells::Everything, Tells::Refusals] {
        for counting in [Counting::Sliding, Counting::Fixed] {
            for arrivals in ARRIVALS {
                let name = format!("{tells:?}, {counting:?}, {arrivals:?}");
                let figures = run(&Plan { span: MINUTE * 30, ..plan(Kind::Pool(tells), counting, arrivals, 1.0) });
                // Those of the first minutes, when little is known yet.
                assert!(figures.throttled * 300 <= figures.requests, "{name}: callers saw {}", figures.throttled);
                assert!(figures.used() >= 0.99 && figures.failed == 0, "{name}: {}", figures.used());
                wastes_little(&name, &figures);
            }
        }
    }
}

#[test]
fn ten_keys_whose_hidden_limits_are_even_are_used_nearly_all() {
    for arrivals in ARRIVALS {
        let plan = plan(Kind::Pool(Tells::Refusals), Counting::Bucket(Duration::from_secs(1)), arrivals, 1.5);
        let figures = run(&Plan { span: MINUTE * 30, ..plan });
        assert!(figures.used() >= 0.93, "{arrivals:?}: {}", figures.used());
        wastes_little(&format!("{arrivals:?}"), &figures);
    }
}
