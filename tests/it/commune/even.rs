//! Members are used evenly: within 10 % in each minute of 600 requests or more, from the first minute on.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::Response;
use key_commune::health::State;
use key_commune::pool::{Commune, KeyPool, MemberSnapshot};
use key_commune::provider::Provider;
use key_commune::secret::Secret;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout_at};

use super::chance::Chance;
use super::{chat, number, pepper};
use crate::support::{
    Seen, Stepped, Upstream, answer, assert_idle, client, fetch, key, ok, plain, revoked, secs, tokio_clock,
};

const MEMBERS: usize = 10;
const MINUTE: usize = 600;

type Answer = fn(&Seen) -> Response<Stepped>;

/// Ten members that joined by their own first calls, in front of a provider that takes its time, on paused time.
struct Town {
    pool: KeyPool,
    upstream: Upstream,
    chance: Arc<Mutex<Chance>>,
    answer: Arc<Mutex<Answer>>,
    /// How long the slowest answer takes.
    slowest: Arc<Mutex<usize>>,
}

impl Town {
    async fn new(seed: u64) -> Self {
        let pool = KeyPool::builder(Provider::OPENAI).commune(Commune::default()).pepper(pepper());
        let pool = pool.penalties(plain()).seed(seed).clock(tokio_clock()).build().unwrap();
        let chance = Arc::new(Mutex::new(Chance::new(seed)));
        let answer = Arc::new(Mutex::new((|_| ok()) as Answer));
        let slowest = Arc::new(Mutex::new(0));
        let town = Self { upstream: upstream(&chance, &answer, &slowest), pool, chance, answer, slowest };
        for member in 0..MEMBERS {
            assert_eq!(town.chat(member).await, 200);
        }
        assert_eq!(town.pool.snapshot().active(), MEMBERS);
        town
    }

    async fn chat(&self, who: usize) -> u16 {
        fetch(&client(&self.pool, &self.upstream), chat(who)).await.status.as_u16()
    }

    fn anybody(&self) -> usize {
        self.chance.lock().unwrap().below(MEMBERS)
    }

    /// A minute of so many requests, one after the other at even pace.
    async fn minute(&self) {
        let from = self.upstream.count();
        for _ in 0..MINUTE {
            assert_eq!(self.chat(self.anybody()).await, 200);
            sleep(Duration::from_millis(100)).await;
        }
        self.assert_even(from);
    }

    /// A minute with so many requests in flight all the time.
    async fn crowded_minute(&self, calls: &mut JoinSet<u16>) {
        let (from, end) = (self.upstream.count(), Instant::now() + secs(60));
        while Instant::now() < end {
            while calls.len() < 20 {
                let (client, request) = (client(&self.pool, &self.upstream), chat(self.anybody()));
                calls.spawn(async move { fetch(&client, request).await.status.as_u16() });
            }
            if let Ok(status) = timeout_at(end, calls.join_next()).await {
                assert_eq!(status.unwrap().unwrap(), 200);
            }
        }
        self.assert_even(from);
    }

    fn assert_even(&self, from: usize) {
        let mut uses: BTreeMap<_, _> = (0..MEMBERS).map(|member| (member, 0_usize)).collect();
        self.upstream.seen()[from..].iter().for_each(|seen| *uses.get_mut(&number(seen)).unwrap() += 1);
        let all: usize = uses.values().sum();
        assert!(all >= MINUTE, "{all}");
        let even = all as f64 / MEMBERS as f64;
        assert!(uses.values().all(|&count| (count as f64 - even).abs() <= even / 10.0), "{even} each: {uses:?}");
    }

    fn member(&self, number: usize) -> MemberSnapshot {
        let id = pepper().id("openai", &Secret::new(key(number)).unwrap());
        self.pool.snapshot().member(id).unwrap().clone()
    }

    /// Member 3's own calls are refused until it rests for an hour, which passes while the others work.
    async fn rest_for_an_hour(&self, refuse: Answer) {
        *self.answer.lock().unwrap() = refuse;
        while self.member(3).until.is_none_or(|until| until - self.pool.now() < secs(3_500)) {
            self.chat(3).await;
            sleep(secs(1)).await;
        }
        *self.answer.lock().unwrap() = |_| ok();
        for _ in 0..3_600 {
            let others = (self.anybody() + 4) % MEMBERS;
            if others != 3 {
                self.chat(others).await;
            }
            sleep(secs(1)).await;
        }
        self.chat(4).await;
        assert_eq!(self.member(3).state, State::Active);
    }
}

fn upstream(chance: &Arc<Mutex<Chance>>, answer: &Arc<Mutex<Answer>>, slowest: &Arc<Mutex<usize>>) -> Upstream {
    let (chance, answer, slowest) = (Arc::clone(chance), Arc::clone(answer), Arc::clone(slowest));
    Upstream::new(move |mut call| {
        let most = *slowest.lock().unwrap();
        let time = Duration::from_millis(chance.lock().unwrap().below(most + 1) as u64);
        let answer = *answer.lock().unwrap();
        async move {
            let seen = call.read().await;
            if !time.is_zero() {
                sleep(time).await;
            }
            Ok(answer(&seen))
        }
    })
}

#[tokio::test(start_paused = true)]
async fn each_minute_is_even_one_request_after_the_other() {
    for seed in 1..=3 {
        let town = Town::new(seed).await;
        for _ in 0..3 {
            town.minute().await;
        }
        assert_idle(&town.pool);
    }
}

#[tokio::test(start_paused = true)]
async fn each_minute_is_even_with_twenty_in_flight() {
    for seed in 1..=3 {
        let town = Town::new(seed).await;
        *town.slowest.lock().unwrap() = 2_000;
        let mut calls = JoinSet::new();
        for _ in 0..3 {
            town.crowded_minute(&mut calls).await;
        }
        calls.join_all().await;
        assert_idle(&town.pool);
    }
}

/// It is neither flooded with what it missed nor left out.
#[tokio::test(start_paused = true)]
async fn a_member_that_was_rejected_for_an_hour_is_used_as_the_others_are() {
    let town = Town::new(1).await;
    town.rest_for_an_hour(|seen| if number(seen) == 3 { revoked() } else { ok() }).await;
    for _ in 0..3 {
        town.minute().await;
    }
    *town.slowest.lock().unwrap() = 2_000;
    let mut calls = JoinSet::new();
    town.crowded_minute(&mut calls).await;
}

#[tokio::test(start_paused = true)]
async fn a_member_that_was_throttled_for_an_hour_is_used_as_the_others_are() {
    let town = Town::new(1).await;
    town.rest_for_an_hour(|seen| if number(seen) == 3 { answer(429, &[("retry-after", "3600")], "") } else { ok() })
        .await;
    for _ in 0..3 {
        town.minute().await;
    }
}
