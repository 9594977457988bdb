//! api-key-lb, row by row of `reference/key-commune.md`, part 2, on the preset.
//!
//! | row | test, or difference |
//! |---|---|
//! | sessions 1 to 4 | `demand/api_key_lb`; a session under each of its names goes to the same key: here |
//! | 3.1 | here; I20: no hash of one byte modulo the keys; I19: no map |
//! | 3.2 | here |
//! | 3.3 | here; I14, I16: if all rest, none is asked before its time |
//! | 3.4 | I3: nothing is logged |
//! | 4.1, 4.2 | I10, I2: see `service` |
//! | 4.3 | here; I7: `Retry-After` is capped, I14: the pool's soonest is told |
//! | 4.4 | here; I14: 401 and 402 are tried elsewhere |
//! | 4.5 | what answers say of tokens that came from a cache is in `usage` |
//! | 4.6 | I9: see `service/errors` |

use std::time::Duration;

use http::Response;
use key_commune::demand::{Demand, Routing};
use key_commune::pool::{KeyPool, Tried};
use key_commune::secret::Pepper;
use key_commune::{KeyCommune, KeyCommuneLayer, Provider, Refusal, preset};
use tower::Layer;

use super::{bad, body, hinted_for, sent};
use crate::support::{Stepped, Upstream, answer, fetch, keys, ok, revoked, secs, throttled, tokio_clock};

/// A pool of these keys, the same sessions with the same keys in every run.
fn pool(count: usize) -> KeyPool {
    let preset = preset::api_key_lb(Provider::OPENAI).keys(keys(count));
    preset.clock(tokio_clock()).pepper(Pepper::new([7; 32])).build().unwrap()
}

fn client(pool: &KeyPool, upstream: &Upstream) -> KeyCommune<Upstream> {
    KeyCommuneLayer::new(pool.clone()).inspect(Routing::api_key_lb()).layer(upstream.clone())
}

/// With which keys these bodies go, all answered well.
async fn routed(pool: &KeyPool, bodies: &[String]) -> Vec<usize> {
    let upstream = Upstream::in_turn(|_| ok());
    for text in bodies {
        fetch(&client(pool, &upstream), body(text)).await;
    }
    sent(&upstream)
}

fn in_session(id: &str) -> String {
    format!(r#"{{"session_id":"{id}"}}"#)
}

/// A session that belongs to this key.
fn session_of(pool: &KeyPool, number: usize) -> String {
    let id = pool.snapshot().members[number].id;
    let belongs = |name: &String| {
        let demand = Demand::default().session(name);
        pool.checkout(&demand, &mut Tried::default(), pool.now()).unwrap().key_id() == id
    };
    (0..1_000).map(|number| format!("s-{number}")).find(belongs).unwrap()
}

/// How long one key rests, failure after failure.
async fn rests(said: fn() -> Response<Stepped>, most: usize) -> Vec<u64> {
    let (pool, upstream) = (pool(1), Upstream::in_turn(move |_| said()));
    let mut rests = Vec::new();
    for _ in 0..most {
        fetch(&client(&pool, &upstream), body("{}")).await;
        let Some(until) = pool.snapshot().members[0].until else { break };
        rests.push((until - pool.now()).as_secs());
        tokio::time::advance(until - pool.now()).await;
    }
    rests
}

#[tokio::test(start_paused = true)]
async fn r1_r2_the_same_id_under_each_of_its_names_goes_to_the_same_key() {
    let pool = pool(50);
    let id = session_of(&pool, 37);
    let names = ["session_id", "sessionId", "conversation_id", "conversationId", "thread_id"];
    let top = names.map(|name| format!(r#"{{"{name}":"{id}"}}"#));
    let within = ["custom_fields", "metadata"]
        .map(|place| format!(r#"{{"messages":[{{"role":"user"}},{{"{place}":{{"session_id":"{id}"}}}}]}}"#));
    assert_eq!(routed(&pool, &top).await, [37; 5]);
    assert_eq!(routed(&pool, &within).await, [37; 2]);
}

#[tokio::test(start_paused = true)]
async fn r1_r4_what_names_no_session_goes_to_the_first_key() {
    let bodies = ["{}", r#"{"session_id":37}"#, r#"{"user":"u"}"#, "no JSON", "", r#"{"model":"m","messages":[]}"#];
    assert_eq!(routed(&pool(50), &bodies.map(str::to_owned)).await, [0; 6]);
}

#[tokio::test(start_paused = true)]
async fn r3_one_model_and_system_prompt_is_one_session() {
    let pool = pool(50);
    let prompted = |model: &str, prompt: &str, said: &str| {
        let system = format!(r#"{{"role":"system","content":"{prompt}"}}"#);
        format!(r#"{{"model":"{model}","messages":[{system},{{"role":"user","content":"{said}"}}]}}"#)
    };
    let long = "p".repeat(500);
    let same = [prompted("m", &long, "a"), prompted("m", &format!("{long}more"), "b")];
    let found = routed(&pool, &same).await;
    assert_eq!(found[0], found[1]);
    let others: Vec<_> = (0..20).map(|number| prompted(&format!("m{number}"), &long, "a")).collect();
    assert!(routed(&pool, &others).await.iter().any(|&number| number != found[0]), "the model counts");
}

#[tokio::test(start_paused = true)]
async fn r3_1_a_session_stays_with_its_key() {
    let pool = pool(20);
    let sessions: Vec<_> = (0..50).map(|number| in_session(&number.to_string())).collect();
    let homes = routed(&pool, &sessions).await;
    for _ in 0..5 {
        assert_eq!(routed(&pool, &sessions).await, homes);
    }
}

/// There: 44 of 300 keys had no session, of 200 some had twice as many as others, and one key more moved nearly all.
#[tokio::test(start_paused = true)]
async fn r3_1_i20_every_key_has_its_share_and_one_more_moves_no_other() {
    let count = 300;
    let pool = pool(count);
    let key_of = |number: usize| {
        let demand = Demand::default().session(&format!("s-{number}"));
        pool.checkout(&demand, &mut Tried::default(), pool.now()).unwrap().key_id()
    };
    let homes: Vec<_> = (0..30_000).map(key_of).collect();
    let shares = pool.snapshot().members.iter().map(|member| member.uses).collect::<Vec<_>>();
    assert!(shares.iter().all(|share| (50..200).contains(share)), "{shares:?}");
    let new = pool.add(keys(count + 1).remove(count)).unwrap();
    let moved = (0..30_000).map(key_of).zip(&homes).filter(|(now, before)| now != *before);
    assert!(moved.into_iter().all(|(now, _)| now == new));
}

#[tokio::test(start_paused = true)]
async fn r3_2_r3_3_a_session_whose_key_is_throttled_goes_to_the_first_that_is_not_and_comes_back() {
    let pool = pool(5);
    let session = in_session(&session_of(&pool, 3));
    let upstream = Upstream::in_turn(|number| if number < 2 { hinted_for("2") } else { ok() });
    let client = client(&pool, &upstream);
    assert_eq!(fetch(&client, body(&session)).await.status, 200, "within the same request");
    assert_eq!(sent(&upstream), [3, 0, 1], "its own, then the first, then the next");
    tokio::time::advance(Duration::from_millis(1_900)).await;
    assert_eq!(routed(&pool, &[session.clone(), session.clone()]).await, [1, 1]);
    tokio::time::advance(Duration::from_millis(100)).await;
    assert_eq!(routed(&pool, &[session.clone(), session]).await, [3, 3]);
}

#[tokio::test(start_paused = true)]
async fn r3_3_what_has_no_session_goes_to_the_first_that_is_not_throttled() {
    let (pool, upstream) = (pool(3), bad(1, || hinted_for("2")));
    let client = client(&pool, &upstream);
    for _ in 0..3 {
        assert_eq!(fetch(&client, body("{}")).await.status, 200);
    }
    assert_eq!(sent(&upstream), [0, 1, 1, 1]);
    tokio::time::advance(secs(2)).await;
    assert_eq!(routed(&pool, &["{}", "{}"].map(str::to_owned)).await, [0, 0]);
}

#[tokio::test(start_paused = true)]
async fn r3_3_i14_i16_if_all_rest_none_is_asked_before_its_time() {
    let (pool, upstream) = (pool(3), bad(3, || hinted_for("5")));
    let client = client(&pool, &upstream);
    fetch(&client, body("{}")).await;
    assert_eq!(fetch(&client, body("{}")).await.told(), (429, Some("5")));
    assert_eq!(upstream.count(), 3, "it asked the one that rests the shortest");
}

#[tokio::test(start_paused = true)]
async fn r4_3_429_rests_a_minute_or_what_retry_after_says() {
    assert_eq!(rests(throttled, 3).await, [60, 60, 60]);
    assert_eq!(rests(|| hinted_for("2"), 3).await, [2, 2, 2]);
    assert_eq!(rests(|| hinted_for("999999999999"), 1).await, [3_600], "I7: it had no bound");
    assert_eq!(rests(revoked, 1).await, [0; 0]);
}

#[tokio::test(start_paused = true)]
async fn r4_3_every_key_is_asked_its_own_first_and_the_last_429_passed_down() {
    let pool = pool(4);
    let upstream =
        Upstream::in_turn(|number| answer(429, &[("retry-after", ["9", "5", "7", "8"][number])], "slow down"));
    let session = in_session(&session_of(&pool, 2));
    let got = fetch(&client(&pool, &upstream), body(&session)).await;
    assert_eq!((got.status.as_u16(), got.text().as_str()), (429, "slow down"));
    assert_eq!(sent(&upstream), [2, 0, 1, 3]);
    assert_eq!(got.header("retry-after"), Some("5"), "I14: the pool's soonest, not the last key's");
}

#[tokio::test(start_paused = true)]
async fn r4_4_what_is_not_429_passes_without_a_retry_or_a_rest() {
    for status in [400, 403, 404, 500, 502, 503] {
        let (pool, upstream) = (pool(2), bad(2, move || answer(status, &[], "as it came")));
        let got = fetch(&client(&pool, &upstream), body("{}")).await;
        assert_eq!((got.status.as_u16(), got.text().as_str(), upstream.count()), (status, "as it came", 1));
        assert_eq!(pool.snapshot().active(), 2);
    }
}

#[tokio::test(start_paused = true)]
async fn r4_4_i14_a_401_is_tried_elsewhere_and_costs_the_key_nothing() {
    let (pool, upstream) = (pool(2), bad(1, revoked));
    for _ in 0..4 {
        assert_eq!(fetch(&client(&pool, &upstream), body("{}")).await.status, 200);
    }
    assert_eq!(pool.snapshot().active(), 2);
    let upstream = bad(2, revoked);
    let got = fetch(&client(&pool, &upstream), body("{}")).await;
    assert_eq!((got.status.as_u16(), upstream.count(), got.refusal), (503, 2, Some(Refusal::Refused)));
}
