//! The database of the TypeScript program key-commune, read only.
//!
//! Its keys are sealed by AES-256-GCM with nonces of 16 bytes and without associated data, as text:
//! `base64(nonce):base64(tag):base64(key)`. Times are seconds since 1970, days are written as in `2025-11-07`.

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use aes_gcm::aead::KeyInit;
use aes_gcm::aead::consts::U16;
use aes_gcm::aes::Aes256;
use aes_gcm::{AeadInOut, AesGcm};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use key_commune::clock::Timestamp;
use key_commune::health::{Reason, State};
use key_commune::outcome::Outcome;
use key_commune::record::{Counts, Record, Replica, Tally};
use key_commune::secret::Secret;
use rusqlite::{Connection, OpenFlags, Row};
use zeroize::Zeroizing;

use super::intake::{Candidate, Item};
use crate::Problem;
use crate::entry::Entry;
use crate::keys::variable;

const VARIABLE: &str = "ENCRYPTION_KEY";
/// Whoever counted there counts here no more: a number that no proxy of today has.
const REPLICA: Replica = Replica(u64::MAX);
/// What was written by a program that knew no bounds (a block without end is stored as a real) is cast.
const KEYS: &str = "SELECT id, key_encrypted, CAST(coalesce(blocked_until, 0) AS INTEGER),
    CAST(consecutive_throttles AS INTEGER), CAST(consecutive_auth_failures AS INTEGER),
    CAST(coalesce(last_success_at, 0) AS INTEGER), CAST(created_at AS INTEGER) FROM api_keys ORDER BY id";
const DAYS: &str = "SELECT key_id, CAST(unixepoch(date) AS INTEGER) / 86400, CAST(call_count AS INTEGER),
    CAST(throttle_count AS INTEGER), last_client_subnet, CAST(updated_at AS INTEGER)
    FROM daily_stats WHERE unixepoch(date) IS NOT NULL ORDER BY date";

type Cipher = AesGcm<Aes256, U16>;

/// What was known of a key there.
pub(super) struct History {
    blocked_until: Timestamp,
    throttles: u32,
    rejections: u32,
    last_success: Timestamp,
    created: Timestamp,
    days: Vec<Day>,
}

struct Day {
    number: u32,
    counts: Counts,
    client: Option<(Timestamp, key_commune::subnet::Subnet)>,
}

/// All keys. If none opens, the key that should open them is another one.
pub(super) fn read(path: &Path) -> Result<Vec<Item>, Problem> {
    let cipher = cipher()?;
    let rows = rows(path).map_err(|error| format!("{}: {}", path.display(), what(&error)))?;
    let items: Vec<_> = rows.into_iter().map(|row| row.open(&cipher)).collect();
    if !items.is_empty() && items.iter().all(|item| item.found.is_err()) {
        return Err(format!("{VARIABLE} opens none of the {} keys of {}", items.len(), path.display()));
    }
    Ok(items)
}

fn cipher() -> Result<Cipher, Problem> {
    let text = variable("--from key-commune", VARIABLE)?;
    let mut key = Zeroizing::new([0; 32]);
    let pairs = text.trim().as_bytes();
    let wrong = || format!("{VARIABLE}: it has 64 hexadecimal digits");
    let digit = |letter: u8| char::from(letter).to_digit(16).ok_or_else(wrong);
    let (pairs, rest) = pairs.as_chunks::<2>();
    if pairs.len() != key.len() || !rest.is_empty() {
        return Err(wrong());
    }
    for (byte, [high, low]) in key.iter_mut().zip(pairs) {
        *byte = (digit(*high)? << 4 | digit(*low)?) as u8;
    }
    Ok(Cipher::new((&*key).into()))
}

struct Sealed {
    id: i64,
    text: String,
    history: History,
}

fn rows(path: &Path) -> rusqlite::Result<Vec<Sealed>> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(Duration::from_secs(5))?;
    let transaction = connection.unchecked_transaction()?;
    let mut days = days(&transaction)?;
    let mut keys = transaction.prepare(KEYS)?;
    let rows = keys.query_map([], |row| sealed(row, &mut days))?;
    rows.collect()
}

fn days(connection: &Connection) -> rusqlite::Result<HashMap<i64, Vec<Day>>> {
    let mut all = HashMap::<_, Vec<_>>::new();
    let mut days = connection.prepare(DAYS)?;
    let mut rows = days.query([])?;
    while let Some(row) = rows.next()? {
        let (calls, throttles) = (count(row.get(2)?), count(row.get(3)?));
        let subnet = row.get::<_, Option<String>>(4)?.and_then(|text| text.parse().ok());
        let time = seconds(row.get(5)?);
        let counts = Counts { calls, throttles, ..Counts::default() };
        let number = row.get::<_, i64>(1)?.try_into().unwrap_or_default();
        all.entry(row.get(0)?).or_default().push(Day { number, counts, client: subnet.map(|subnet| (time, subnet)) });
    }
    Ok(all)
}

fn sealed(row: &Row<'_>, days: &mut HashMap<i64, Vec<Day>>) -> rusqlite::Result<Sealed> {
    let id = row.get(0)?;
    let history = History {
        blocked_until: seconds(row.get(2)?),
        throttles: count(row.get(3)?).try_into().unwrap_or(u32::MAX),
        rejections: count(row.get(4)?).try_into().unwrap_or(u32::MAX),
        last_success: seconds(row.get(5)?),
        created: seconds(row.get(6)?),
        days: days.remove(&id).unwrap_or_default(),
    };
    Ok(Sealed { id, text: row.get(1)?, history })
}

fn count(number: i64) -> u64 {
    number.try_into().unwrap_or_default()
}

fn seconds(number: i64) -> Timestamp {
    Timestamp::from_unix(Duration::from_secs(count(number)))
}

impl Sealed {
    fn open(self, cipher: &Cipher) -> Item {
        let (place, history) = (format!("row {}", self.id), Some(self.history));
        let text = unseal(cipher, &self.text).ok_or_else(|| "the key does not open".to_owned());
        let secret = text.and_then(|text| Secret::new(text).map_err(|error| error.to_string()));
        let candidate = secret.map(|secret| Some(Candidate { entry: Entry::from(secret), history }));
        Item { place, read: 1, found: candidate }
    }
}

fn unseal(cipher: &Cipher, text: &str) -> Option<String> {
    let mut parts = text.split(':').map(|part| STANDARD.decode(part).ok());
    let (nonce, tag, key) = (parts.next()??, parts.next()??, parts.next()??);
    let (nonce, tag): ([u8; 16], [u8; 16]) = (nonce.try_into().ok()?, tag.try_into().ok()?);
    let mut key = Zeroizing::new(parts.next().is_none().then_some(key)?);
    cipher.decrypt_inout_detached(&nonce.into(), b"", key.as_mut_slice().into(), &tag.into()).ok()?;
    String::from_utf8(std::mem::take(&mut *key)).ok()
}

/// What SQLite says, without what it was told.
fn what(error: &rusqlite::Error) -> String {
    match error.sqlite_error_code() {
        Some(rusqlite::ErrorCode::Unknown) | None => "it is no database of key-commune".into(),
        Some(rusqlite::ErrorCode::NotADatabase) => "it is no SQLite database".into(),
        Some(rusqlite::ErrorCode::CannotOpen) => "it cannot be opened".into(),
        Some(code) => format!("{code:?}"),
    }
}

impl History {
    /// The key as it was there, once for each day that it was counted on: a store remembers the days that it is told of.
    pub(super) fn told(mut self, mut record: Record, now: Timestamp) -> Vec<Record> {
        self.condition(&mut record, now);
        (record.created, record.since) = (self.created, self.created);
        let mut total = Counts::default();
        for day in &self.days {
            total.calls = total.calls.saturating_add(day.counts.calls);
            total.throttles = total.throttles.saturating_add(day.counts.throttles);
        }
        // A day that is yet to come would make a store forget those before it.
        self.days.retain(|day| day.number <= now.day() + 1);
        if self.days.is_empty() {
            self.days.push(Day { number: self.last_success.day(), counts: Counts::default(), client: None });
        }
        let tallied = |day: &Day| {
            let mut tally = Tally::default();
            (tally.total, tally.day, tally.today) = (total, day.number, day.counts);
            (tally.last_success, tally.last_client) = (self.last_success, day.client);
            let mut record = record.clone();
            record.tallies.note(REPLICA, tally);
            record
        };
        self.days.iter().map(tallied).collect()
    }

    fn condition(&self, record: &mut Record, now: Timestamp) {
        let condition = &mut record.condition;
        (condition.throttles, condition.rejections) = (self.throttles, self.rejections);
        if self.blocked_until > now {
            let outcome = if self.rejections > 0 { Outcome::Rejected } else { Outcome::Throttled };
            (condition.state, condition.until) = (State::Resting, self.blocked_until);
            condition.reason = Some(Reason::Outcome(outcome));
        }
    }
}
