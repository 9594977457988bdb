//! The predecessors' numbers, and the deliberate differences, each with the invariant that asks for it.

use http::{Request, Response};
use key_commune::health::{Reason, State};
use key_commune::outcome::Outcome;
use key_commune::pool::{Builder, Commune, KeyPool};
use key_commune::provider::Provider;
use key_commune::{Refusal, preset};

use crate::support::{
    CHAT, Seen, Stepped, Upstream, answer, client, fetch, key, keys, ok, post, revoked, secs, throttled, to,
    tokio_clock,
};

fn pool(preset: fn(Provider) -> Builder, count: usize) -> KeyPool {
    preset(Provider::OPENAI).keys(keys(count)).clock(tokio_clock()).build().unwrap()
}

/// A request with key 0, which a private pool takes no notice of.
fn presented() -> Request<Stepped> {
    to(CHAT, &[("authorization", &format!("Bearer {}", key(0)))], Stepped::full("x"))
}

/// Without the limit of each caller's rate, which would let one of a burst through.
fn unlimited_key_commune(provider: Provider) -> Builder {
    preset::key_commune(provider).commune(Commune::default())
}

/// The first `bad` keys answer so, the others well.
fn bad(bad: usize, said: impl Fn() -> Response<Stepped> + Clone + Send + Sync + 'static) -> Upstream {
    Upstream::answering(move |seen: &Seen| if (0..bad).any(|number| seen.key() == key(number)) { said() } else { ok() })
}

/// How long one key after another failure rests, until it is retired.
async fn ladder(preset: fn(Provider) -> Builder, said: fn() -> Response<Stepped>, most: usize) -> Vec<u64> {
    let (pool, upstream) = (pool(preset, 1), Upstream::in_turn(move |_| said()));
    let mut rests = Vec::new();
    for _ in 0..most {
        fetch(&client(&pool, &upstream), presented()).await;
        let member = pool.snapshot().members.remove(0);
        let Some(until) = member.until else { break };
        rests.push((until - pool.now()).as_secs());
        tokio::time::advance(until - pool.now()).await;
    }
    rests
}

fn hinted() -> Response<Stepped> {
    answer(429, &[("retry-after", "2")], "")
}

fn hinted_for_ever() -> Response<Stepped> {
    answer(429, &[("retry-after", "999999999999")], "")
}

fn paid() -> Response<Stepped> {
    answer(402, &[], "")
}

#[tokio::test(start_paused = true)]
async fn key_commune_rests_a_day_for_401_and_doubles_from_a_minute_for_429() {
    const DAY: u64 = 86_400;
    assert_eq!(ladder(preset::key_commune, revoked, 9).await, [DAY, DAY], "the third in a row retires");
    let doubling: Vec<_> = (0..14).map(|strike| 60 << strike).collect();
    assert_eq!(ladder(preset::key_commune, throttled, 20).await, doubling, "the fifteenth in a row retires");
    assert_eq!(ladder(preset::key_commune, hinted, 3).await, [60, 120, 240], "hints are ignored");
    assert_eq!(ladder(preset::key_commune, paid, 3).await, [0; 0]);
}

#[tokio::test(start_paused = true)]
async fn the_rotator_climbs_to_two_hours_and_obeys_hints_up_to_a_day() {
    let climb = [10, 30, 60, 120, 7_200, 7_200];
    assert_eq!(ladder(preset::rotator, throttled, 6).await, climb);
    assert_eq!(ladder(preset::rotator, paid, 6).await, climb);
    assert_eq!(ladder(preset::rotator, revoked, 3).await, [300, 300, 300]);
    assert_eq!(ladder(preset::rotator, hinted, 3).await, [2, 2, 2]);
    assert_eq!(ladder(preset::rotator, hinted_for_ever, 2).await, [86_400, 86_400], "I7");
}

#[tokio::test(start_paused = true)]
async fn api_key_lb_rests_a_minute_or_what_retry_after_says() {
    assert_eq!(ladder(preset::api_key_lb, throttled, 3).await, [60, 60, 60]);
    assert_eq!(ladder(preset::api_key_lb, hinted, 3).await, [2, 2, 2]);
    assert_eq!(ladder(preset::api_key_lb, hinted_for_ever, 1).await, [3_600], "I7: it had no bound");
    assert_eq!(ladder(preset::api_key_lb, revoked, 1).await, [0; 0]);
}

#[tokio::test(start_paused = true)]
async fn api_key_lb_serves_by_the_first_ready_key_and_falls_back_while_it_is_throttled() {
    let pool = pool(preset::api_key_lb, 3);
    let upstream = Upstream::answering(|_| ok());
    for _ in 0..3 {
        fetch(&client(&pool, &upstream), post("x")).await;
        assert_eq!(upstream.last().key(), key(0), "no session: the first ready key");
    }
    let upstream = Upstream::in_turn(|number| if number == 0 { hinted() } else { ok() });
    let client = client(&pool, &upstream);
    assert_eq!(fetch(&client, post("x")).await.status.as_u16(), 200, "within the same request");
    fetch(&client, post("x")).await;
    assert_eq!(upstream.seen().iter().map(|seen| seen.key().to_owned()).collect::<Vec<_>>(), [key(0), key(1), key(1)]);
    tokio::time::advance(secs(2)).await;
    for _ in 0..3 {
        fetch(&client, post("x")).await;
        assert_eq!(upstream.last().key(), key(0), "it returns after 2 s");
    }
}

#[tokio::test(start_paused = true)]
async fn api_key_lb_asks_every_key_in_order_and_passes_the_last_429_down() {
    let pool = pool(preset::api_key_lb, 3);
    let upstream = Upstream::in_turn(|number| answer(429, &[("retry-after", ["9", "5", "7"][number])], "slow down"));
    let got = fetch(&client(&pool, &upstream), post("x")).await;
    assert_eq!((got.status.as_u16(), got.text().as_str(), upstream.count()), (429, "slow down", 3));
    assert_eq!(got.header("retry-after"), Some("5"), "I14: the pool's soonest, not the last key's");
    let order: Vec<_> = upstream.seen().iter().map(|seen| seen.key().to_owned()).collect();
    assert_eq!(order, [key(0), key(1), key(2)]);
    let got = fetch(&client(&pool, &upstream), post("x")).await;
    assert_eq!((got.told(), upstream.count()), ((429, Some("5")), 3), "I16: it asked the one that rests the shortest");
}

#[tokio::test(start_paused = true)]
async fn api_key_lb_passes_what_is_not_429_without_a_retry_or_a_rest() {
    for status in [400, 403, 404, 500, 502, 503] {
        let (pool, upstream) = (pool(preset::api_key_lb, 2), bad(2, move || answer(status, &[], "as it came")));
        let got = fetch(&client(&pool, &upstream), post("x")).await;
        assert_eq!((got.status.as_u16(), got.text().as_str(), upstream.count()), (status, "as it came", 1));
        assert_eq!(pool.snapshot().active(), 2);
    }
}

#[tokio::test(start_paused = true)]
async fn i14_a_401_is_not_passed_down_as_the_predecessors_did_but_tried_elsewhere() {
    for preset in [preset::api_key_lb, preset::key_cycle] {
        let (pool, upstream) = (pool(preset, 2), bad(1, revoked));
        for _ in 0..4 {
            assert_eq!(fetch(&client(&pool, &upstream), post("x")).await.status.as_u16(), 200);
        }
        assert_eq!(pool.snapshot().active(), 2, "it costs the key nothing");
        let upstream = bad(2, revoked);
        let got = fetch(&client(&pool, &upstream), post("x")).await;
        assert_eq!((got.status.as_u16(), upstream.count()), (503, 2), "no key rests");
        assert_eq!(got.refusal, Some(Refusal::Refused));
    }
}

#[tokio::test(start_paused = true)]
async fn key_cycle_takes_turns_and_goes_on_to_the_next_key_at_429_without_remembering_it() {
    let (pool, upstream) = (pool(preset::key_cycle, 2), bad(1, hinted));
    for _ in 0..10 {
        assert_eq!(fetch(&client(&pool, &upstream), post("x")).await.status.as_u16(), 200);
        assert_eq!(pool.snapshot().active(), 2, "no memory of failures");
    }
    assert!(upstream.uses(&key(0)) >= 5, "the throttled key is asked again and again");
    let upstream = bad(0, ok);
    for _ in 0..10 {
        fetch(&client(&pool, &upstream), post("x")).await;
    }
    assert_eq!((upstream.uses(&key(0)), upstream.uses(&key(1))), (5, 5));
}

#[tokio::test(start_paused = true)]
async fn key_cycles_table_of_one_status_on_every_key() {
    // Status, what its callers saw and how often it asked; ours are what the invariants ask for.
    let table = [
        (200, 200, 1, "as it was"),
        (304, 304, 1, "as it was"),
        (400, 400, 1, "I4: 4 attempts and a 502"),
        (401, 503, 2, "I14: 1 attempt, and our 401 shown"),
        (402, 503, 2, "I14: 1 attempt, and our 402 shown"),
        (403, 403, 1, "as it was"),
        (404, 404, 1, "as it was"),
        (408, 408, 1, "as it was"),
        (413, 413, 1, "as it was"),
        (418, 418, 1, "I4: 16 attempts and a 502"),
        (422, 422, 1, "as it was"),
        (429, 429, 2, "I23: 16 attempts, and a 502 instead of the 429"),
        (500, 500, 1, "as it was"),
        (502, 502, 1, "I9: 16 attempts"),
        (503, 503, 1, "I9: 4 attempts on the same key"),
        (504, 504, 1, "I9: 4 attempts on the same key"),
        (520, 520, 1, "as it was"),
        (529, 529, 2, "overloaded: not processed, so asked elsewhere"),
    ];
    for (status, seen, attempts, why) in table {
        let (pool, upstream) = (pool(preset::key_cycle, 2), bad(2, move || answer(status, &[], "body")));
        let got = fetch(&client(&pool, &upstream), post("x")).await;
        assert_eq!((got.status.as_u16(), upstream.count()), (seen, attempts), "{status}: {why}");
        assert_eq!(got.text() == "body", seen == status, "{status}");
        assert_eq!(pool.snapshot().active(), 2);
    }
}

#[tokio::test(start_paused = true)]
async fn a_burst_is_one_strike_under_every_preset() {
    for (preset, reason) in [
        (unlimited_key_commune as fn(Provider) -> Builder, Some(Reason::Outcome(Outcome::Throttled))),
        (preset::rotator, Some(Reason::Outcome(Outcome::Throttled))),
        (preset::api_key_lb, Some(Reason::Outcome(Outcome::Throttled))),
        (preset::key_cycle, None),
    ] {
        let pool = pool(preset, 1);
        let upstream = Upstream::new(|mut call| async move {
            call.read().await;
            tokio::time::sleep(secs(1)).await;
            Ok(throttled())
        });
        let client = client(&pool, &upstream);
        let burst: Vec<_> = (0..20)
            .map(|_| {
                let client = client.clone();
                tokio::spawn(async move { fetch(&client, presented()).await.status.as_u16() })
            })
            .collect();
        for status in burst {
            assert_eq!(status.await.unwrap(), 429);
        }
        let member = pool.snapshot().members.remove(0);
        let strikes = u32::from(reason.is_some());
        assert_eq!((member.reason, member.throttles, upstream.count()), (reason, strikes, 20), "I6");
        assert_ne!(member.state, State::Retired);
    }
}
