//! A day of a commune: fifty members, a few of whom do harm, and an honest provider. The clock is in the test's hand.
//!
//! Every run can be had again by its seed. `KEY_COMMUNE_SEEDS=100` runs each plan with so many seeds;
//! `KEY_COMMUNE_SEED=7` with that one. The figures: `cargo test --test it commune::simulation -- --nocapture`.

mod ledger;
mod provider;

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap, HashMap, HashSet};
use std::fmt::Write as _;
use std::time::Duration;

use http::{Request, Response};
use key_commune::KeyCommune;
use key_commune::clock::Clock;
use key_commune::pool::{Commune, KeyPool};
use key_commune::secret::Secret;
use key_commune::service::ResponseBody;
use tokio::task::JoinSet;

use self::ledger::{Figures, Ledger};
use self::provider::Provider;
use super::chance::Chance;
use super::{CHAT, pepper};
use crate::support::{Got, Hand, Stepped, Upstream, assert_idle, client, fetch, key, plain, read, send, to};

const MEMBERS: usize = 50;
const DAY: u64 = 24 * 3_600_000;
/// Where the numbers of keys begin that never worked.
const JUNK: usize = 1_000_000;

/// What an attacker does, over and over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Attack {
    /// Chooses an account, which its own key may be good for.
    Account,
    /// Spends all that a key may in a minute.
    Giant,
    /// Asks for a model that is denied to everybody.
    Forbidden,
    /// Sends what no key makes right, in the words for a wrong key.
    Poison,
    Malformed,
    /// Goes away once it has the head, or before.
    Cancel,
    /// Presents keys that never worked, a new one each time.
    Junk,
    /// Asks for what its own key alone is allowed.
    Accuse,
}

use Attack::{Account, Accuse, Cancel, Forbidden, Giant, Junk, Malformed, Poison};

struct Day {
    clock: Hand,
    pool: KeyPool,
    provider: Provider,
    upstream: Upstream,
    attacks: &'static [Attack],
    ledger: Ledger,
    chance: Chance,
    /// When who calls next.
    calls: BinaryHeap<Reverse<(u64, usize)>>,
    /// Answers that are still read, until when.
    streams: Vec<(u64, Response<ResponseBody<Stepped>>)>,
    now: u64,
    junk: usize,
}

impl Day {
    /// The first members are the attackers.
    fn new(attacks: &'static [Attack], seed: u64) -> Self {
        let mut chance = Chance::new(seed);
        let clock = Hand::new();
        let pool = KeyPool::builder(key_commune::Provider::OPENAI).commune(Commune::default());
        let pool = pool.penalties(plain()).pepper(pepper()).seed(seed).clock(clock.clone()).build().unwrap();
        let valid: HashSet<_> = (0..MEMBERS).map(key).collect();
        let of = |attack| (0..attacks.len()).filter(move |&who| attacks[who] == attack).map(key);
        let provider = Provider::new(valid.clone(), of(Accuse).collect(), &clock, Chance::new(chance.next()));
        let id = |key: &String| pepper().id("openai", &Secret::new(key.as_str()).unwrap());
        let names: HashMap<_, _> = valid.iter().map(|key| (id(key), key.clone())).collect();
        let together = attacks.len() > 1;
        let attackers: BTreeSet<_> = (0..attacks.len()).map(key).collect();
        let calls = (0..MEMBERS).map(|who| Reverse((chance.below(600_000) as u64, who))).collect();
        Self {
            upstream: provider.upstream(),
            ledger: Ledger::new(names, attackers, together),
            clock,
            pool,
            provider,
            attacks,
            chance,
            calls,
            streams: Vec::new(),
            now: 0,
            junk: 0,
        }
    }

    async fn run(mut self) -> Figures {
        while let Some(Reverse((at, who))) = self.calls.pop().filter(|call| call.0.0 < DAY) {
            self.read_streams(at).await;
            self.pass_to(at);
            match self.attacks.get(who) {
                Some(&attack) => self.attack(who, attack).await,
                None => self.honest(who).await,
            }
            self.look();
            let pause = if who < self.attacks.len() { 10_000..120_000 } else { 30_000..1_200_000 };
            let pause = self.chance.between(pause.start, pause.end) as u64;
            self.calls.push(Reverse((at + pause, who)));
        }
        self.read_streams(u64::MAX).await;
        assert_idle(&self.pool);
        assert_eq!(self.pool.snapshot().members.len(), MEMBERS);
        self.ledger.figures
    }

    fn pass_to(&mut self, at: u64) {
        self.clock.pass(Duration::from_millis(at - self.now));
        self.now = at;
    }

    fn look(&mut self) {
        let sent = self.provider.take();
        let valid = |number: &String| number[8..16].parse::<usize>().unwrap() < JUNK;
        self.ledger.figures.free += sent.iter().filter(|sent| !valid(&sent.caller) && valid(&sent.key)).count();
        self.ledger.look(&self.pool, &self.provider, &sent, self.clock.now());
    }

    /// Reads to their ends the answers whose time has come.
    async fn read_streams(&mut self, until: u64) {
        self.streams.sort_by_key(|stream| stream.0);
        while self.streams.first().is_some_and(|stream| stream.0 <= until) {
            let (at, response) = self.streams.remove(0);
            self.pass_to(at.max(self.now));
            assert_eq!(read(response).await.broken, None);
            self.look();
        }
    }

    fn client(&self) -> KeyCommune<Upstream> {
        client(&self.pool, &self.upstream)
    }

    /// One request, or a few at once, some of which take their time to read the answer.
    async fn honest(&mut self, who: usize) {
        if self.chance.one_in(20) {
            let response = send(&self.client(), request(who, CHATTER)).await.unwrap();
            self.judge(who, response.status().as_u16());
            let until = self.now + self.chance.below(180_000) as u64;
            self.streams.push((until, response));
            return;
        }
        let mut calls = JoinSet::new();
        for _ in 0..if self.chance.one_in(10) { self.chance.between(2, 4) } else { 1 } {
            let client = self.client();
            calls.spawn(async move { fetch(&client, request(who, CHATTER)).await });
        }
        for got in calls.join_all().await {
            self.judge(who, got.status.as_u16());
        }
    }

    /// An honest caller is served, unless the provider failed, its own key was told to wait, or no key is open.
    fn judge(&mut self, who: usize, status: u16) {
        let now = self.clock.now();
        *self.ledger.figures.honest.entry(status).or_default() += 1;
        if matches!(status, 200 | 500) {
            return;
        }
        let told = self.provider.told(&key(who)) > now;
        let excused = status == 429 && told || matches!(status, 429 | 503) && self.ledger.none_is_open(now);
        assert!(excused, "{status} for honest caller {who}: {}", self.pool.snapshot());
        self.ledger.figures.excused += 1;
    }

    async fn attack(&mut self, who: usize, attack: Attack) {
        // Now and then it behaves, so that it is a member again.
        if self.chance.one_in(5) {
            self.call(request(who, CHATTER)).await;
            return;
        }
        let body = match attack {
            Giant => r#"{"model":"gpt","tokens":150}"#,
            Forbidden => r#"{"model":"forbidden"}"#,
            Poison => r#"{"model":"poison"}"#,
            Accuse => r#"{"model":"chosen"}"#,
            Malformed => r#"{"model":"#,
            Account | Cancel | Junk => CHATTER,
        };
        match attack {
            Account => drop(self.call(with_accounts(request(who, body))).await),
            Cancel => self.leave(request(who, body)).await,
            Junk => {
                self.junk += 1;
                let got = self.call(request(JUNK + self.junk, body)).await;
                assert_eq!(got.status, 401);
            }
            _ => drop(self.call(request(who, body)).await),
        }
    }

    async fn call(&self, request: Request<Stepped>) -> Got {
        fetch(&self.client(), request).await
    }

    /// Goes away after a few polls, or with the head in its hands.
    async fn leave(&mut self, request: Request<Stepped>) {
        let (client, patience) = (self.client(), self.chance.below(6));
        tokio::select! {
            biased;
            () = polls(patience) => {}
            response = send(&client, request) => drop(response.unwrap()),
        }
    }
}

const CHATTER: &str = r#"{"model":"gpt","tokens":1}"#;

async fn polls(count: usize) {
    for _ in 0..count {
        tokio::task::yield_now().await;
    }
}

/// Its caller's key is also where the provider learns who called.
fn request(who: usize, body: &str) -> Request<Stepped> {
    let bearer = format!("Bearer {}", key(who));
    let headers = [("authorization", &*bearer), ("content-type", "application/json"), ("user-agent", &key(who))];
    to(CHAT, &headers, Stepped::full(body.to_owned()))
}

fn with_accounts(mut request: Request<Stepped>) -> Request<Stepped> {
    for name in ["openai-organization", "openai-project", "x-goog-user-project"] {
        request.headers_mut().insert(name, http::HeaderValue::from_static("org-evil"));
    }
    request
}

fn seeds() -> Vec<u64> {
    let variable = |name| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    match (variable("KEY_COMMUNE_SEED"), variable("KEY_COMMUNE_SEEDS")) {
        (Some(seed), _) => vec![seed],
        (None, count) => (1..=count.unwrap_or(1)).collect(),
    }
}

/// Runs a day; says which one it was if it fails.
#[allow(clippy::print_stderr, reason = "the seed of a failure")]
fn run(name: &str, attacks: &'static [Attack], seed: u64) -> Figures {
    struct Named<'a>(&'a str, u64);
    impl Drop for Named<'_> {
        fn drop(&mut self) {
            if std::thread::panicking() {
                eprintln!("failed: {:?}, KEY_COMMUNE_SEED={}", self.0, self.1);
            }
        }
    }
    let _named = Named(name, seed);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(Day::new(attacks, seed).run())
}

fn row(table: &mut String, name: &str, figures: &Figures) {
    let Figures { calls, foreign, free, blocks, longest_block, isolations, excused, .. } = figures;
    let (rejections, throttles, failures) = (figures.most_rejections, figures.most_throttles, figures.most_failures);
    let longest = longest_block.as_secs();
    let _ = writeln!(
        table,
        "{name:16} {calls:6} {foreign:7} {free:4} {rejections:7} {throttles:9} {blocks:6} {longest:7} {failures:8} \
         {isolations:8} {excused:7}  {:?}",
        figures.honest
    );
}

#[allow(clippy::print_stdout, reason = "figures to look at")]
fn days(plans: &[(&str, &'static [Attack])]) {
    let mut table = String::from(
        "attack            calls foreign free strikes throttles blocks longest failures isolated excused  honest\n",
    );
    for &(name, attacks) in plans {
        for seed in seeds() {
            let figures = run(name, attacks, seed);
            assert_eq!(figures.free, 0, "{name}, seed {seed}");
            assert!(figures.foreign > 5_000, "{name}, seed {seed}: the keys are shared");
            row(&mut table, name, &figures);
        }
    }
    println!("{table}");
}

#[test]
fn attacks_13_and_31_a_day_with_one_attacker_whose_requests_no_key_makes_right() {
    days(&[("account headers", &[Account]), ("forbidden model", &[Forbidden]), ("poison", &[Poison])]);
}

#[test]
fn attacks_31_and_37_a_day_with_one_attacker_whose_requests_only_its_own_key_makes_right() {
    days(&[("accuse", &[Accuse]), ("malformed", &[Malformed]), ("cancel", &[Cancel])]);
}

#[test]
fn attacks_20_to_24_a_day_with_junk_keys_and_one_with_giant_prompts() {
    days(&[("junk keys", &[Junk]), ("giant prompts", &[Giant])]);
}

#[test]
fn a_day_with_five_attackers() {
    days(&[("five at once", &[Accuse, Poison, Forbidden, Junk, Cancel])]);
}
