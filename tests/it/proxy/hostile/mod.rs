//! Callers of a commune that wish the others ill: they write bytes to a proxy that runs, and see what it shows.
//!
//! What nobody sees from there (strikes, states, what happens after minutes) is in `tests/it/commune`; the table in
//! `tests/it/attacks` says which attack is met where.

mod borders;
mod crowd;
mod joining;
mod poison;
mod spelling;
mod tenants;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::caller::{Answer, ask};
use super::program::Proxy;
use super::provider::{Provider, Reply, Seen};

const CHAT: &str = "POST /v1/chat/completions";

/// Begins every key: no secret.
const PREFIX: &str = "sk-member-";

type Script = dyn Fn(&Seen) -> Reply + Send + Sync;

/// A commune in front of a provider whose answers can be exchanged while it runs.
struct World {
    provider: Provider,
    proxy: Proxy,
    script: Arc<Mutex<Arc<Script>>>,
}

impl World {
    /// The keys 0 to `members` are members; the provider accepts everybody.
    async fn new(members: usize, options: &[&str]) -> Self {
        let script: Arc<Mutex<Arc<Script>>> = Arc::new(Mutex::new(Arc::new(|_: &Seen| ok())));
        let current = Arc::clone(&script);
        let provider = Provider::acting(move |seen| {
            let script = Arc::clone(&current.lock().unwrap());
            script(seen)
        });
        let keys: Vec<_> = (0..members).flat_map(|number| ["--key".to_owned(), key(number)]).collect();
        let keys = keys.iter().map(String::as_str);
        let options: Vec<_> = ["--mode", "commune"].into_iter().chain(keys).chain(options.iter().copied()).collect();
        let proxy = Proxy::serve(&provider, &options).await;
        Self { provider, proxy, script }
    }

    fn address(&self) -> SocketAddr {
        self.proxy.address
    }

    /// From now on the provider answers like this.
    fn answers(&self, script: impl Fn(&Seen) -> Reply + Send + Sync + 'static) {
        *self.script.lock().unwrap() = Arc::new(script);
    }

    /// From now on the provider rejects these keys and accepts all others.
    fn rejects(&self, numbers: &'static [usize]) {
        self.answers(move |seen| if numbers.contains(&number(seen)) { rejected() } else { ok() });
    }

    async fn ask(&self, caller: usize, line: &str, headers: &str) -> Answer {
        ask(self.address(), line, &format!("{}{headers}", bearer(caller)), "{}").await
    }

    async fn chat(&self, caller: usize) -> u16 {
        self.ask(caller, CHAT, "").await.status
    }

    /// The keys that were used since the last time.
    fn used(&self) -> BTreeSet<usize> {
        self.provider.seen().iter().map(number).collect()
    }

    /// The keys that this many chats of a caller use.
    async fn used_in(&self, chats: usize, caller: usize) -> BTreeSet<usize> {
        self.used();
        for _ in 0..chats {
            self.chat(caller).await;
        }
        self.used()
    }

    /// Has a caller whose key is refused chat until so many chats in a row went with that key alone.
    async fn isolate(&self, chats: usize, caller: usize) {
        for _ in 0..500 {
            if self.used_in(chats, caller).await == [caller].into() {
                return;
            }
        }
        panic!("caller {caller} is not on its own");
    }

    /// Whether these keys, all of them, serve a caller who has no trouble itself: it is a matter of chance when, not whether.
    async fn serve(&self, caller: usize, keys: std::ops::Range<usize>) -> bool {
        let mut left: BTreeSet<_> = keys.clone().collect();
        self.used();
        for _ in 0..keys.len() * 40 {
            assert_eq!(self.chat(caller).await, 200, "an honest caller is served all the while");
            left = &left - &self.used();
            if left.is_empty() {
                return true;
            }
        }
        println!("of no use: {left:?}");
        false
    }

    /// Has `chat` sent again and again, until `count` of them stand before a gate.
    async fn hold(&self, count: usize, door: &mut Door, chat: impl Fn() -> String) -> Vec<JoinHandle<Answer>> {
        let mut calls = Vec::new();
        while calls.len() < count {
            let (address, headers) = (self.address(), chat());
            let mut call = tokio::spawn(async move { ask(address, CHAT, &headers, "{}").await });
            tokio::select! {
                _ = &mut call => {}
                _ = door.came.recv() => calls.push(call),
            }
        }
        calls
    }
}

/// Where answers wait.
struct Door {
    gate: Arc<Semaphore>,
    came: mpsc::UnboundedReceiver<()>,
}

impl Door {
    /// A door, and what makes an answer wait before it.
    fn new() -> (Self, impl Fn(Reply) -> Reply + Clone) {
        let gate = Arc::new(Semaphore::new(0));
        let (sender, came) = mpsc::unbounded_channel();
        let own = Arc::clone(&gate);
        (Self { gate, came }, move |reply: Reply| {
            let _ = sender.send(());
            reply.waits(&own)
        })
    }

    fn open(&self) {
        self.gate.add_permits(1_000_000);
    }
}

/// Fails rather than wait for ever.
async fn soon<T>(future: impl Future<Output = T>) -> T {
    timeout(Duration::from_secs(20), future).await.expect("it does not come")
}

/// Any eight characters of a key behind its prefix are those of no other key.
fn key(number: usize) -> String {
    format!("{PREFIX}{number:04}-{:016x}", (number as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15))
}

/// A member's header line.
fn bearer(number: usize) -> String {
    format!("authorization: Bearer {}\r\n", key(number))
}

/// The key that a request came with.
fn number(seen: &Seen) -> usize {
    let value = ["authorization", "x-api-key"].iter().find_map(|name| seen.headers.get(*name)).expect("a key");
    let (_, rest) = value.to_str().unwrap().split_once(PREFIX).expect("a key of these tests");
    rest[..4].parse().unwrap()
}

fn language(seen: &Seen) -> &str {
    seen.headers.get("accept-language").map_or("", |value| value.to_str().unwrap())
}

fn ok() -> Reply {
    Reply::new(200, r#"{"id":"chatcmpl-1","choices":[]}"#)
}

fn rejected() -> Reply {
    refused(401, "invalid_api_key")
}

fn refused(status: u16, code: &str) -> Reply {
    Reply::new(status, format!(r#"{{"error":{{"message":"no","code":"{code}"}}}}"#))
}
