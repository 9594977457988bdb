//! No eight bytes in a row of another caller's key reach anybody (I18), whatever the provider does with it.
//!
//! The prefix that all keys of a provider share does not count. Each key is drawn anew for each run of the test; a failure
//! names the seed.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};

use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode};
use key_commune::pool::{Commune, Key, KeyPool};
use key_commune::{Provider, Refusal};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::CHAT;
use super::chance::Chance;
use crate::support::{Got, Hand, Seen, Step, Stepped, Upstream, assert_idle, client, fetch, plain, secs, to};

const PREFIX: &str = "sk-proj-";
const MEMBERS: usize = 20;
const WINDOW: usize = 8;
/// Where an echo may stand that callers see.
const HEADERS: [&str; 5] = ["content-type", "retry-after", "vary", "x-echo", "set-cookie"];

fn each(key: &str, format: impl Fn(u8) -> String) -> String {
    key.bytes().map(format).collect()
}

/// Base64 without what depends on the bytes around, if so many stand before.
fn base64(key: &str, before: usize) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let text = [&vec![b' '; before], key.as_bytes()].concat();
    let bits: Vec<u8> = text.iter().flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1)).collect();
    let value = |six: &[u8]| six.iter().fold(0, |value, bit| 2 * value + usize::from(*bit));
    bits.chunks_exact(6).map(|six| char::from(DIGITS[value(six)])).collect()
}

/// Every way in which the provider writes a whole key.
fn forms(key: &str) -> Vec<String> {
    vec![
        key.to_owned(),
        utf8_percent_encode(key, NON_ALPHANUMERIC).to_string(),
        each(key, |byte| format!("%{byte:02X}")),
        each(key, |byte| format!("{byte:02x}")),
        each(key, |byte| format!("{byte:02X}")),
        each(key, |byte| format!("\\u{byte:04x}")),
        base64(key, 0),
        base64(&format!("Bearer {key}"), 0),
    ]
}

/// How eight bytes are written, and how long they are then. `%41` and `\u0041` become `41` first.
const WRITTEN: [usize; 3] = [8, 16, 11];

/// The secret part of a key in each of these ways.
fn secrets(key: &str) -> [Vec<String>; 3] {
    let part = &key[PREFIX.len()..];
    let base64 = (0..3).map(|before| base64(part, before).split_off(2));
    let hex = vec![each(part, |byte| format!("{byte:02x}")), each(part, |byte| format!("{byte:02X}"))];
    [vec![part.to_owned()], hex, base64.collect()]
}

/// Finds eight bytes of any key of a pool.
struct Searcher {
    windows: [HashSet<Vec<u8>>; 3],
    /// One bit for each hash of a window's beginning, so that hardly any place needs a look into the sets.
    hashes: Vec<bool>,
}

impl Searcher {
    fn new(keys: &[String]) -> Self {
        let mut searcher = Self { windows: Default::default(), hashes: vec![false; 1 << 16] };
        for key in keys {
            for ((texts, length), windows) in secrets(key).iter().zip(WRITTEN).zip(&mut searcher.windows) {
                for window in texts.iter().flat_map(|text| text.as_bytes().windows(length)) {
                    searcher.hashes[hash(window)] = true;
                    windows.insert(window.to_vec());
                }
            }
        }
        searcher
    }

    fn find(&self, text: &[u8]) -> Option<String> {
        let text = String::from_utf8_lossy(text);
        let hex = text.replace("\\u00", "").replace('%', "");
        let hex = (hex.len() != text.len()).then_some(hex);
        [&*text, hex.as_deref().unwrap_or_default()].into_iter().find_map(|text| self.find_written(text.as_bytes()))
    }

    fn find_written(&self, text: &[u8]) -> Option<String> {
        let place = (0..text.len().saturating_sub(7)).find(|&start| {
            let rest = &text[start..];
            self.hashes[hash(rest)]
                && WRITTEN
                    .iter()
                    .zip(&self.windows)
                    .any(|(&length, windows)| rest.get(..length).is_some_and(|window| windows.contains(window)))
        });
        place.map(|start| String::from_utf8_lossy(&text[start..]).into_owned())
    }

    fn find_in(&self, headers: &HeaderMap) -> Option<String> {
        headers.values().find_map(|value| self.find(value.as_bytes()))
    }
}

/// Of the first eight bytes.
fn hash(window: &[u8]) -> usize {
    let first = window.first_chunk().copied().unwrap();
    (u64::from_ne_bytes(first).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 48) as usize
}

/// A provider that sends back the key, in ever new ways.
#[derive(Debug)]
struct Echo {
    chance: Chance,
    /// Each key in all its forms.
    forms: HashMap<String, Vec<String>>,
    /// Whether only parts of keys come back, as in `sk-proj-AbCdEfGh***wXyZ`.
    parts: bool,
}

impl Echo {
    fn answer(&mut self, seen: &Seen) -> Response<Stepped> {
        let status = [200, 200, 200, 206, 400, 401, 403, 429, 500][self.chance.below(9)];
        let mut response = Response::new(Stepped::full(""));
        *response.status_mut() = StatusCode::from_u16(status).unwrap();
        let kind = if self.chance.one_in(3) { "text/event-stream" } else { "application/json" };
        let headers = response.headers_mut();
        headers.insert("content-type", HeaderValue::from_static(kind));
        if status == 206 {
            headers.insert("content-range", HeaderValue::from_static("bytes 0-9/100"));
        }
        if status == 429 {
            headers.insert("retry-after", HeaderValue::from_static("1"));
        }
        if self.chance.one_in(20) {
            headers.insert("content-encoding", HeaderValue::from_static("gzip"));
        }
        if self.chance.one_in(4) {
            let name = HeaderName::from_static(HEADERS[self.chance.below(HEADERS.len())]);
            headers.insert(name, self.echo(seen.key()).parse().unwrap());
        }
        *response.body_mut() = self.body(seen.key(), kind == "text/event-stream");
        response
    }

    /// The key as it is written this time.
    fn echo(&mut self, key: &str) -> String {
        if !self.parts {
            let forms = &self.forms[key];
            return forms[self.chance.below(forms.len())].clone();
        }
        let (secret, end) = (&key[PREFIX.len()..], key.len() - PREFIX.len());
        match self.chance.below(4) {
            0 => format!("{}***{}", &key[..PREFIX.len() + WINDOW], &key[key.len() - 4..]),
            1 => secret[..self.chance.between(WINDOW, end - 1)].to_owned(),
            2 => secret[self.chance.below(end - WINDOW)..].to_owned(),
            _ => {
                let from = self.chance.below(end - WINDOW);
                secret[from..from + WINDOW].to_owned()
            }
        }
    }

    fn body(&mut self, key: &str, events: bool) -> Stepped {
        let (before, after) = if events { ("data: {\"a\":\"", "\"}\n\n") } else { ("{\"a\":\"", "\"}") };
        let mut text = String::new();
        for _ in 0..self.chance.between(1, if events { 3 } else { 1 }) {
            text.extend([before, &self.echo(key), after]);
        }
        let body = self.cut(text.as_bytes());
        if !self.chance.one_in(10) {
            return body;
        }
        let mut trailers = HeaderMap::new();
        trailers.insert("x-echo", self.echo(key).parse().unwrap());
        body.then(Step::Trailers(trailers))
    }

    /// In one piece, or in chunks of any length.
    fn cut(&mut self, mut text: &[u8]) -> Stepped {
        if !self.chance.one_in(3) {
            return Stepped::full(text.to_vec());
        }
        let mut chunks = Vec::new();
        while !text.is_empty() {
            let (chunk, rest) = text.split_at(self.chance.between(1, 120).min(text.len()));
            chunks.push(chunk.to_vec());
            text = rest;
        }
        Stepped::chunks(chunks)
    }
}

fn upstream(own: &str, echo: Echo) -> Upstream {
    let own = own.to_owned();
    let echo = Arc::new(Mutex::new(echo));
    Upstream::answering(move |seen| {
        assert!(!seen.headers.contains_key("range") || seen.key() == own, "sent with another's key");
        echo.lock().unwrap().answer(seen)
    })
}

fn request(key: &str) -> Request<Stepped> {
    let bearer = format!("Bearer {key}");
    let headers =
        [("authorization", &*bearer), ("content-type", "application/json"), ("range", "bytes=0-9"), ("te", "trailers")];
    to(CHAT, &headers, Stepped::full("{}"))
}

fn drawn_key(chance: &mut Chance) -> String {
    let length = chance.between(40, 160);
    PREFIX.to_owned() + &chance.text(length)
}

/// Sends requests of the first member, and looks for the keys of the others.
async fn search(seed: u64, requests: usize, parts: bool) {
    let mut chance = Chance::new(seed);
    let keys: Vec<String> = (0..=MEMBERS).map(|_| drawn_key(&mut chance)).collect();
    let searcher = Searcher::new(&keys[1..]);
    let clock = Hand::new();
    let pool = KeyPool::builder(Provider::OPENAI).commune(Commune::default()).penalties(plain()).seed(seed);
    let pool =
        pool.clock(clock.clone()).keys(keys.iter().map(|key| Key::new(key.clone()).unwrap()).collect::<Vec<_>>());
    let pool = pool.build().unwrap();
    let upstream =
        upstream(&keys[0], Echo { chance, forms: keys.iter().map(|key| (key.clone(), forms(key))).collect(), parts });
    let ids: Vec<_> = pool.snapshot().members.iter().map(|member| member.id).collect();
    let (mut foreign, mut echoed) = (0, 0);
    for _ in 0..requests {
        let got = fetch(&client(&pool, &upstream), request(&keys[0])).await;
        check(&got, &searcher, seed);
        let own = got.text().contains(&keys[0][PREFIX.len()..]);
        foreign += usize::from(!own);
        echoed += usize::from(got.text().contains("****"));
        // Nobody stays at rest, above all not the caller, who would be on its own.
        clock.pass(secs(2));
        if !matches!(got.status.as_u16(), 206 | 400 | 500) {
            for &id in &ids {
                assert!(pool.unblock(id));
            }
        }
    }
    assert!(foreign > requests / 2 && echoed > requests / 4, "{foreign} foreign answers, {echoed} with an echo");
    assert_idle(&pool);
}

fn check(got: &Got, searcher: &Searcher, seed: u64) {
    let found = searcher.find(&got.body).or_else(|| searcher.find_in(&got.headers));
    let found = found.or_else(|| got.trailers.as_ref().and_then(|trailers| searcher.find_in(trailers)));
    assert_eq!(found, None, "seed {seed}: {} {:?} {}", got.status, got.headers, got.text());
    if got.headers.contains_key("content-encoding") {
        assert!(got.text().contains("\"a\""), "only to the owner");
    }
    if got.refusal == Some(Refusal::Encoded) {
        assert_eq!(got.status, 502);
    }
}

#[tokio::test]
async fn i18_attack_16_no_echo_of_a_key_reaches_another_caller() {
    for seed in 0..10 {
        search(seed, 5_000, false).await;
    }
}

#[tokio::test]
async fn i18_attack_17_no_part_of_a_key_reaches_another_caller() {
    for seed in 0..10 {
        search(seed, 5_000, true).await;
    }
}
