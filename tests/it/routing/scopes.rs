//! Only what a limit hangs on rests: a key for one model, the keys of an account, or all of them.

use std::pin::pin;

use key_commune::KeyCommuneLayer;
use key_commune::demand::{Demand, Routing};
use key_commune::health::State;
use key_commune::outcome::{Outcome, Scope, Verdict};
use key_commune::pool::{KeyPool, Tried};
use key_commune::provider::Provider;
use tower::Layer;

use super::{accept, asking, builder, in_secs, number, pool, served_by, settle, settle_with, states, take, throttle};
use crate::support::{Stepped, Upstream, answer, fetch, keys, ok, plain, secs, to, tokio_clock};

#[test]
fn a_limit_for_one_model_rests_the_key_for_that_model_alone() {
    let (pool, clock) = pool(&[("", ""), ("", "")]);
    settle_with(&pool, 0, "gpt-4o", &throttle(Scope::KeyModel, 30));
    assert_eq!(served_by(&pool, "gpt-4o"), [1]);
    assert_eq!(served_by(&pool, "o3"), [0, 1]);
    assert_eq!(served_by(&pool, ""), [0, 1], "what names no model is not limited by one");
    assert_eq!(states(&pool), [State::Active; 2]);
    settle_with(&pool, 1, "gpt-4o", &throttle(Scope::KeyModel, 50));
    let exhausted = take(&pool, "gpt-4o").unwrap_err();
    assert_eq!((exhausted.soonest, exhausted.open, exhausted.unserved), (in_secs(&pool, 30), false, false));
    clock.pass(secs(31));
    let probe = take(&pool, "gpt-4o").unwrap();
    assert!(probe.is_probe() && number(&pool, &probe) == 0);
    assert!(take(&pool, "gpt-4o").is_err(), "the others wait for its result");
    assert!(!take(&pool, "o3").unwrap().is_probe());
    accept(&pool, probe);
    assert_eq!(served_by(&pool, "gpt-4o"), [0]);
}

/// Gemini's free tier has a quota of each model for the day.
#[tokio::test(start_paused = true)]
async fn a_model_whose_day_is_over_leaves_the_others() {
    const SPENT: &str = r#"{"error":{"code":429,"message":"You exceeded your current quota.","status":"RESOURCE_EXHAUSTED","details":[{"@type":"type.googleapis.com/google.rpc.QuotaFailure","violations":[{"quotaId":"GenerateRequestsPerDayPerProjectPerModel-FreeTier","quotaDimensions":{"model":"gemini-3.1-pro"}}]}]}}"#;
    let pool =
        KeyPool::builder(Provider::GEMINI).keys(keys(2)).penalties(plain()).clock(tokio_clock()).build().unwrap();
    let upstream =
        Upstream::answering(|seen| if seen.uri.path().contains("pro") { answer(429, &[], SPENT) } else { ok() });
    let client = KeyCommuneLayer::new(pool).inspect(Routing::new()).layer(upstream.clone());
    let ask = |model: &str| {
        let uri = format!("https://generativelanguage.googleapis.com/v1beta/models/{model}:generateContent");
        fetch(&client, to(&uri, &[], Stepped::full("{}")))
    };
    assert_eq!((ask("gemini-3.1-pro").await.status.as_u16(), upstream.count()), (429, 2));
    assert_eq!((ask("gemini-3.1-pro").await.status.as_u16(), upstream.count()), (429, 2), "both keys rest for it");
    assert_eq!(ask("gemini-2.5-flash").await.status.as_u16(), 200);
}

#[test]
fn a_probe_for_one_model_that_is_dropped_or_fails_goes_on_where_it_was() {
    let (pool, clock) = pool(&[("", "")]);
    settle_with(&pool, 0, "m", &throttle(Scope::KeyModel, 30));
    clock.pass(secs(30));
    drop(take(&pool, "m").unwrap());
    let again = take(&pool, "m").unwrap();
    assert!(again.is_probe(), "the permit has come back");
    settle(&pool, again, &throttle(Scope::KeyModel, 40));
    assert_eq!(take(&pool, "m").unwrap_err().soonest, in_secs(&pool, 40));
    clock.pass(secs(40));
    let refused = take(&pool, "m").unwrap();
    settle(&pool, refused, &Verdict::new(Outcome::Rejected));
    assert_eq!(states(&pool), [State::Resting], "the key itself was refused");
    assert_eq!(take(&pool, "other").unwrap_err().soonest, in_secs(&pool, 60));
    clock.pass(secs(60));
    accept(&pool, take(&pool, "m").unwrap());
    assert!(!take(&pool, "m").unwrap().is_probe(), "one success speaks for the key and for the model");
}

#[test]
fn i6_however_many_are_in_flight_a_model_is_struck_once() {
    let (pool, clock) = pool(&[("", "")]);
    let leases: Vec<_> = (0..20).map(|_| take(&pool, "m").unwrap()).collect();
    for lease in leases {
        settle(&pool, lease, &Verdict::new(Outcome::Throttled).scope(Scope::KeyModel));
    }
    assert_eq!(take(&pool, "m").unwrap_err().soonest, in_secs(&pool, 60), "the first step of the ladder");
    clock.pass(secs(60));
    settle(&pool, take(&pool, "m").unwrap(), &Verdict::new(Outcome::Throttled).scope(Scope::KeyModel));
    assert_eq!(take(&pool, "m").unwrap_err().soonest, in_secs(&pool, 120));
}

#[test]
fn a_success_for_one_model_clears_no_other_models_strikes() {
    let (pool, clock) = pool(&[("", "")]);
    settle_with(&pool, 0, "a", &Verdict::new(Outcome::Throttled).scope(Scope::KeyModel));
    accept(&pool, take(&pool, "b").unwrap());
    assert!(take(&pool, "a").is_err());
    clock.pass(secs(60));
    settle(&pool, take(&pool, "a").unwrap(), &Verdict::new(Outcome::Throttled).scope(Scope::KeyModel));
    assert_eq!(take(&pool, "a").unwrap_err().soonest, in_secs(&pool, 120));
}

#[test]
fn a_key_that_may_not_use_a_model_rests_for_it_and_a_model_that_none_may_use_is_unserved() {
    let (pool, _) = pool(&[("", ""), ("", "")]);
    let forbidden = Verdict::new(Outcome::Forbidden).scope(Scope::KeyModel).unprocessed();
    settle_with(&pool, 0, "gpt-5", &forbidden);
    assert_eq!(served_by(&pool, "gpt-5"), [1]);
    settle_with(&pool, 1, "gpt-5", &forbidden);
    assert!(take(&pool, "gpt-5").unwrap_err().unserved);
    assert_eq!(served_by(&pool, "gpt-4o"), [0, 1]);
}

#[test]
fn an_accounts_limit_rests_its_keys_and_one_probe_frees_them_all() {
    let (pool, clock) = pool(&[("", "acct-a"), ("", "acct-a"), ("", "acct-a"), ("", "acct-b"), ("", "")]);
    settle_with(&pool, 1, "", &throttle(Scope::Group, 30));
    assert_eq!(served_by(&pool, ""), [3, 4]);
    assert_eq!(states(&pool), [State::Active; 5], "each of the keys is well");
    settle_with(&pool, 3, "", &throttle(Scope::Group, 60));
    settle_with(&pool, 4, "", &throttle(Scope::Group, 60));
    assert_eq!(states(&pool)[4], State::Resting, "a key of no account is one of its own");
    assert_eq!(take(&pool, "").unwrap_err().soonest, in_secs(&pool, 30));
    clock.pass(secs(30));
    let probe = take(&pool, "").unwrap();
    assert!(probe.is_probe() && number(&pool, &probe) < 3);
    assert!(take(&pool, "").is_err(), "one request tries for all of the account");
    accept(&pool, probe);
    assert_eq!(served_by(&pool, ""), [0, 1, 2]);
}

#[test]
fn an_account_is_struck_once_and_goes_with_its_last_key() {
    let (pool, clock) = pool(&[("", "a"), ("", "a"), ("", "")]);
    let leases: Vec<_> = (0..40).map(|_| take(&pool, "").unwrap()).collect();
    for lease in leases.into_iter().filter(|lease| super::label(&pool, lease) != "2") {
        settle(&pool, lease, &Verdict::new(Outcome::Throttled).scope(Scope::Group));
    }
    assert_eq!(served_by(&pool, ""), [2]);
    for member in &pool.snapshot().members[..2] {
        pool.remove(member.id);
    }
    clock.pass(secs(60));
    assert!(!take(&pool, "").unwrap().is_probe(), "nothing is left to be tried");
    let key = key_commune::pool::Key::new("sk-new-0123456789abcdef").unwrap().label("9").group("a");
    pool.add(key).unwrap();
    assert_eq!(served_by(&pool, ""), [2, 9], "a new account of the same name begins anew");
}

#[test]
fn a_limit_of_our_address_rests_all_and_one_probe_frees_all() {
    let (pool, clock) = pool(&[("", ""), ("m", "a"), ("", "")]);
    settle_with(&pool, 0, "", &throttle(Scope::Pool, 30));
    for model in ["", "m", "other"] {
        assert_eq!(take(&pool, model).unwrap_err().soonest, in_secs(&pool, 30), "{model:?}");
    }
    assert_eq!(states(&pool), [State::Active; 3]);
    clock.pass(secs(30));
    let probe = take(&pool, "m").unwrap();
    assert!(probe.is_probe());
    assert!(take(&pool, "").is_err());
    accept(&pool, probe);
    assert_eq!(served_by(&pool, ""), [0, 1, 2]);
    assert!(!take(&pool, "m").unwrap().is_probe());
}

#[test]
fn three_models_at_the_end_of_their_ladders_rest_the_key() {
    use key_commune::health::Ladder;
    let (builder, clock) = builder(&[("", ""), ("", "")]);
    let ladder = Ladder::steps([secs(10), secs(7_200)]);
    let penalties = plain().throttled(ladder).by_model(true).lockout(3, secs(300));
    let pool = builder.penalties(penalties).build().unwrap();
    for model in ["a", "b", "c"] {
        settle_with(&pool, 0, model, &Verdict::new(Outcome::Throttled));
    }
    assert_eq!(states(&pool), [State::Active; 2]);
    clock.pass(secs(10));
    for model in ["a", "b", "c"] {
        assert_eq!(states(&pool)[0], State::Active);
        let probe = take(&pool, model).unwrap();
        assert!(probe.is_probe());
        settle(&pool, probe, &Verdict::new(Outcome::Throttled));
    }
    assert_eq!(states(&pool), [State::Resting, State::Active]);
    assert_eq!(pool.snapshot().members[0].until, in_secs(&pool, 300));
    assert_eq!(served_by(&pool, "d"), [1]);
}

#[tokio::test(start_paused = true)]
async fn i14_who_waits_for_a_model_is_served_in_turn_and_by_the_keys_that_have_it() {
    let (builder, _) = builder(&[("a", ""), ("b", "")]);
    let pool = builder.clock(tokio_clock()).build().unwrap();
    settle_with(&pool, 0, "a", &throttle(Scope::KeyModel, 30));
    settle_with(&pool, 1, "b", &throttle(Scope::Key, 5));
    let deadline = pool.now() + secs(60);
    let wait = |demand: Demand| {
        let pool = pool.clone();
        async move {
            pool.wait(&demand, &Tried::default(), deadline)
                .await
                .map(|lease| (number(&pool, &lease), pool.now(), lease))
        }
    };
    let begun = pool.now();
    let (first_a, second_a, b) = (pin!(wait(asking("a"))), pin!(wait(asking("a"))), pin!(wait(asking("b"))));
    let a = async {
        let (first, second) = tokio::join!(
            async {
                let (key, at, lease) = first_a.await.unwrap();
                accept(&pool, lease);
                (key, at)
            },
            async { second_a.await.unwrap() }
        );
        (first, (second.0, second.1))
    };
    let (((first, first_at), (second, second_at)), b) = tokio::join!(a, b);
    let (b, b_at, _lease) = b.unwrap();
    assert_eq!((first, second, b), (0, 0, 1));
    assert_eq!(b_at - begun, secs(5));
    assert!(first_at - begun == secs(30) && second_at >= first_at);
}

#[tokio::test(start_paused = true)]
async fn i14_who_stands_behind_one_that_gave_up_is_still_served() {
    let (builder, _) = builder(&[("", "")]);
    let pool = builder.clock(tokio_clock()).build().unwrap();
    settle_with(&pool, 0, "m", &throttle(Scope::KeyModel, 30));
    let demand = asking("m");
    let impatient = pool.wait(&demand, &Tried::default(), pool.now() + secs(10));
    let patient = pool.wait(&demand, &Tried::default(), pool.now() + secs(60));
    let (gave_up, lease) = tokio::join!(impatient, patient);
    assert!(gave_up.is_err());
    accept(&pool, lease.unwrap());
    assert_eq!(pool.snapshot().waiting, 0);
}

#[test]
fn once_a_day_strikes_are_forgotten_and_the_providers_own_times_are_not() {
    let (builder, clock) = builder(&[("", ""), ("", ""), ("", "a"), ("", "")]);
    // The clock of the tests begins at 22:13:20.
    let pool = builder.daily_reset(secs(3 * 3_600)).build().unwrap();
    for model in ["a", "b"] {
        settle_with(&pool, 0, model, &Verdict::new(Outcome::Throttled).scope(Scope::KeyModel));
    }
    settle_with(&pool, 1, "", &throttle(Scope::Key, 3_600));
    clock.pass(secs(4 * 3_600));
    settle_with(&pool, 0, "c", &Verdict::new(Outcome::Forbidden).scope(Scope::KeyModel));
    settle_with(&pool, 1, "", &throttle(Scope::Key, 3_600));
    settle_with(&pool, 2, "", &Verdict::new(Outcome::QuotaSpent).scope(Scope::Group));
    settle_with(&pool, 3, "", &Verdict::new(Outcome::QuotaSpent));
    assert!(take(&pool, "c").is_err());
    clock.pass(secs(46 * 60 + 39));
    assert!(take(&pool, "c").is_err());
    clock.pass(secs(1));
    let probes = |model| take(&pool, model).unwrap().is_probe();
    assert!(!probes("c") && !probes("a"));
    assert_eq!(states(&pool), [State::Active, State::Resting, State::Active, State::Active]);
    assert_eq!(served_by(&pool, ""), [0, 2, 3]);
    settle_with(&pool, 3, "", &Verdict::new(Outcome::QuotaSpent));
    clock.pass(secs(86_400));
    let _ = take(&pool, "");
    assert_eq!(states(&pool)[3], State::Active);
}

#[test]
fn what_rests_is_shown() {
    let (pool, _) = pool(&[("", "a"), ("", "")]);
    settle_with(&pool, 1, "gpt-4o", &throttle(Scope::KeyModel, 30));
    settle_with(&pool, 0, "", &throttle(Scope::Group, 40));
    settle_with(&pool, 1, "", &throttle(Scope::Pool, 50));
    let snapshot = pool.snapshot();
    assert_eq!(snapshot.rest.as_ref().map(|rest| rest.until), in_secs(&pool, 50));
    let rests = |index: usize| {
        snapshot.members[index].rests.iter().map(|rest| (rest.scope, rest.model.as_deref(), Some(rest.until)))
    };
    assert!(rests(0).eq([(Scope::Group, None, in_secs(&pool, 40))]));
    assert!(rests(1).eq([(Scope::KeyModel, Some("gpt-4o"), in_secs(&pool, 30))]));
    let table = snapshot.to_string();
    assert!(table.contains("its account: throttled") && table.contains("for gpt-4o: throttled"), "{table}");
}
