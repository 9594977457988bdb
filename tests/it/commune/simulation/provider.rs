//! An honest provider: it checks each key, counts each key's tokens by the minute, and fails now and then.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use http::Response;
use key_commune::clock::{Clock, Timestamp};

use crate::commune::chance::Chance;
use crate::support::{Hand, Seen, Stepped, Upstream, answer, events, ok, revoked};

const JSON: (&str, &str) = ("content-type", "application/json");
/// What one key may spend in a minute.
const BUDGET: u64 = 100;

/// A request as the provider saw it, and what it answered.
#[derive(Clone, Debug)]
pub(super) struct Sent {
    pub(super) caller: String,
    pub(super) key: String,
    pub(super) status: u16,
}

impl Sent {
    pub(super) fn is_refusal(&self) -> bool {
        matches!(self.status, 401 | 403)
    }
}

#[derive(Debug)]
struct Books {
    valid: HashSet<String>,
    /// Who may use the model that others may not.
    chosen: HashSet<String>,
    spent: HashMap<String, (u64, u64)>,
    /// Until when it has told each key to wait.
    told: HashMap<String, Timestamp>,
    sent: Vec<Sent>,
    chance: Chance,
}

#[derive(Clone, Debug)]
pub(super) struct Provider {
    books: Arc<Mutex<Books>>,
    clock: Hand,
}

impl Provider {
    pub(super) fn new(valid: HashSet<String>, chosen: HashSet<String>, clock: &Hand, chance: Chance) -> Self {
        let books = Books { valid, chosen, spent: HashMap::new(), told: HashMap::new(), sent: Vec::new(), chance };
        Self { books: Arc::new(Mutex::new(books)), clock: clock.clone() }
    }

    /// The provider, answering after a few polls.
    pub(super) fn upstream(&self) -> Upstream {
        let provider = self.clone();
        Upstream::new(move |mut call| {
            let provider = provider.clone();
            async move {
                let seen = call.read().await;
                let pauses = provider.books().chance.below(4);
                for _ in 0..pauses {
                    tokio::task::yield_now().await;
                }
                Ok(provider.answer(&seen))
            }
        })
    }

    /// What was sent since this was asked last.
    pub(super) fn take(&self) -> Vec<Sent> {
        std::mem::take(&mut self.books().sent)
    }

    pub(super) fn told(&self, key: &str) -> Timestamp {
        self.books().told.get(key).copied().unwrap_or(Timestamp::ZERO)
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap()
    }

    fn answer(&self, seen: &Seen) -> Response<Stepped> {
        let mut books = self.books();
        let answer = books.answer(seen, self.clock.now());
        let caller = seen.headers["user-agent"].to_str().unwrap().to_owned();
        books.sent.push(Sent { caller, key: seen.key().to_owned(), status: answer.status().as_u16() });
        answer
    }
}

impl Books {
    fn answer(&mut self, seen: &Seen, now: Timestamp) -> Response<Stepped> {
        let key = seen.key();
        if seen.headers.contains_key("openai-organization") {
            return refusal(401, "mismatched_organization", "No such organization");
        }
        if !self.valid.contains(key) {
            return revoked();
        }
        if self.chance.one_in(100) {
            return refusal(500, "server_error", "The server had an error");
        }
        let Ok(request) = serde_json::from_slice::<serde_json::Value>(&seen.body) else {
            return refusal(400, "invalid_json", "We could not parse the JSON body of your request");
        };
        match request["model"].as_str() {
            Some("forbidden") => refusal(403, "unsupported_model", "You may not use this model"),
            Some("poison") => revoked(),
            Some("chosen") if !self.chosen.contains(key) => revoked(),
            _ => self.spend(key, request["tokens"].as_u64().unwrap_or(1), now),
        }
    }

    fn spend(&mut self, key: &str, tokens: u64, now: Timestamp) -> Response<Stepped> {
        let seconds = now.since_unix().as_secs();
        let (minute, spent) = self.spent.entry(key.to_owned()).or_default();
        if *minute != seconds / 60 {
            (*minute, *spent) = (seconds / 60, 0);
        }
        *spent += tokens;
        if *spent <= BUDGET {
            return if self.chance.one_in(4) { events(&["data: {\"a\":1}\n\n", "data: [DONE]\n\n"]) } else { ok() };
        }
        let wait = 60 - seconds % 60;
        let told = self.told.entry(key.to_owned()).or_default();
        *told = (*told).max(now + Duration::from_secs(wait));
        let body = r#"{"error":{"message":"Rate limit reached","code":"rate_limit_exceeded"}}"#;
        answer(429, &[JSON, ("retry-after", &wait.to_string())], body)
    }
}

fn refusal(status: u16, code: &str, message: &str) -> Response<Stepped> {
    answer(status, &[JSON], &format!(r#"{{"error":{{"message":"{message}","code":"{code}"}}}}"#))
}
