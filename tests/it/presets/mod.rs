//! The predecessors' behaviour, row by row, on the presets that have their numbers; Key Commune's is in `commune`.

mod api_key_lb;
mod key_cycle;
mod rotator;

use http::{Request, Response};
use key_commune::health::{Reason, State};
use key_commune::outcome::Outcome;
use key_commune::pool::{Builder, Commune, KeyPool};
use key_commune::preset;
use key_commune::provider::Provider;

use crate::support::{
    CHAT, Seen, Stepped, Upstream, answer, client, fetch, key, keys, ok, secs, throttled, to, tokio_clock,
};

const JSON: (&str, &str) = ("content-type", "application/json");

fn pool(preset: fn(Provider) -> Builder, count: usize) -> KeyPool {
    preset(Provider::OPENAI).keys(keys(count)).clock(tokio_clock()).build().unwrap()
}

/// A chat with a model.
fn chat(model: &str) -> Request<Stepped> {
    body(&format!(r#"{{"model":"{model}","messages":[]}}"#))
}

fn body(text: &str) -> Request<Stepped> {
    to(CHAT, &[JSON], Stepped::full(text.to_owned()))
}

/// The first `bad` keys answer so, the others well.
fn bad(bad: usize, said: impl Fn() -> Response<Stepped> + Clone + Send + Sync + 'static) -> Upstream {
    Upstream::answering(move |seen: &Seen| if (0..bad).any(|number| seen.key() == key(number)) { said() } else { ok() })
}

fn hinted_for(seconds: &str) -> Response<Stepped> {
    answer(429, &[("retry-after", seconds)], "")
}

/// The numbers of the keys that were sent, in turn.
fn sent(upstream: &Upstream) -> Vec<usize> {
    let number = |seen: &Seen| (0..100).find(|&number| seen.key() == key(number)).unwrap();
    upstream.seen().iter().map(number).collect()
}

/// Without the limit of each caller's rate, which would let one of a burst through.
fn unlimited_key_commune(provider: Provider) -> Builder {
    preset::key_commune(provider).commune(Commune::default())
}

#[tokio::test(start_paused = true)]
async fn i6_a_burst_is_one_strike_under_every_preset() {
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
        assert_eq!((member.reason, member.throttles, upstream.count()), (reason, strikes, 20));
        assert_ne!(member.state, State::Retired);
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_shows_no_pace_under_any_preset() {
    for preset in [unlimited_key_commune, preset::rotator, preset::api_key_lb, preset::key_cycle] {
        let pool = pool(preset, 1);
        let upstream = Upstream::in_turn(|number| if number == 20 { hinted_for("1") } else { ok() });
        let client = client(&pool, &upstream);
        for _ in 0..=20 {
            fetch(&client, presented()).await;
            tokio::time::advance(secs(1)).await;
        }
        tokio::time::advance(secs(60)).await;
        for _ in 0..10 {
            assert_eq!(fetch(&client, presented()).await.status, 200, "at once");
        }
    }
}

/// A request with key 0, which a private pool takes no notice of.
fn presented() -> Request<Stepped> {
    to(CHAT, &[("authorization", &format!("Bearer {}", key(0)))], Stepped::full("x"))
}
