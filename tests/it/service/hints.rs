//! Every row of the hints' table, sent through the service and read back from the pool.

use key_commune::classify::Dialect;
use key_commune::clock::Timestamp;
use key_commune::health::{Reason, State};
use key_commune::outcome::Outcome;
use key_commune::pool::{Key, KeyPool};
use key_commune::provider::Provider;
use std::time::Duration;

use crate::hints::{Case, NOW, cases};
use crate::support::{Hand, Stepped, Upstream, client, fetch, key, plain, post, secs, streamed};

/// What the row leaves behind: the state, why, and until when.
async fn after(case: Case, status: u16, provider: Provider) -> (State, Option<Reason>, Option<Duration>) {
    let clock = Hand::at(NOW);
    let pool =
        KeyPool::builder(provider).penalties(plain()).clock(clock).key(Key::new(key(0)).unwrap()).build().unwrap();
    let upstream = Upstream::in_turn(move |_| {
        let mut response = streamed(status, &[], Stepped::full(case.body));
        *response.headers_mut() = case.header_map();
        response
    });
    fetch(&client(&pool, &upstream), post("x")).await;
    let member = pool.snapshot().members.remove(0);
    (member.state, member.reason, member.until.map(|until: Timestamp| until - NOW))
}

fn plain_dialect() -> Provider {
    Provider::custom("https://api.openai.com").dialect(Dialect::Status)
}

#[tokio::test(start_paused = true)]
async fn every_hint_row_through_the_service() {
    let mut wrong = Vec::new();
    for case in cases() {
        let expected = match case.after {
            None => (State::Resting, Some(Reason::Outcome(Outcome::Throttled)), Some(secs(60))),
            // A rest of no time at all leaves an active key active.
            Some(Duration::ZERO) => (State::Active, Some(Reason::Hinted(Outcome::Throttled)), None),
            Some(after) => (State::Resting, Some(Reason::Hinted(Outcome::Throttled)), Some(after.min(secs(3_600)))),
        };
        let found = after(case, 429, plain_dialect()).await;
        if found != expected {
            wrong.push((case.name, found, expected));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[tokio::test(start_paused = true)]
async fn every_hint_row_about_a_spent_quota_is_capped_at_a_day() {
    for case in cases() {
        let Some(hint) = case.after.filter(|after| !after.is_zero()) else { continue };
        let (state, reason, until) = after(case, 402, plain_dialect()).await;
        let expected = (State::Resting, Some(Reason::Hinted(Outcome::QuotaSpent)), Some(hint.min(secs(86_400))));
        assert_eq!((state, reason, until), expected, "{}", case.name);
    }
}

#[tokio::test(start_paused = true)]
async fn every_google_row_is_understood_in_googles_own_dialect() {
    for case in cases().into_iter().filter(|case| case.name.starts_with("google:")) {
        let Some(hint) = case.after.filter(|after| !after.is_zero()) else { continue };
        let provider = Provider::GEMINI.base("https://api.openai.com");
        let (state, reason, until) = after(case, 429, provider).await;
        let outcome = match reason {
            Some(Reason::Hinted(outcome)) => outcome,
            reason => panic!("{}: {reason:?}", case.name),
        };
        let cap = if outcome == Outcome::QuotaSpent { 86_400 } else { 3_600 };
        assert_eq!((state, until), (State::Resting, Some(hint.min(secs(cap)))), "{}", case.name);
        assert_eq!(outcome == Outcome::QuotaSpent, case.body.contains("PerDay"), "{}", case.name);
    }
}

#[tokio::test(start_paused = true)]
async fn a_hint_beside_success_or_a_callers_mistake_rests_nobody() {
    for case in cases() {
        for status in [200, 400, 404, 500] {
            assert_eq!(
                after(case, status, plain_dialect()).await,
                (State::Active, None, None),
                "{} {status}",
                case.name
            );
        }
    }
}
