//! The database of the TypeScript program key-commune, made here by its description: every key as
//! `base64(nonce):base64(tag):base64(text)` of AES-256-GCM with a nonce of 16 bytes.

use std::time::Duration;

use aes_gcm::aead::KeyInit;
use aes_gcm::aead::consts::U16;
use aes_gcm::aes::Aes256;
use aes_gcm::{AeadInOut, AesGcm};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use key_commune::clock::{Clock, SystemClock, Timestamp};
use rusqlite::{Connection, params};
use serde_json::json;

use super::{ONE, TWO, Tool};

const KEY: [u8; 32] = *b"an encryption key for tests only";
const SCHEMA: &str = "PRAGMA journal_mode=WAL;
    CREATE TABLE IF NOT EXISTS api_keys (id INTEGER PRIMARY KEY AUTOINCREMENT, key_hash TEXT NOT NULL UNIQUE,
        key_encrypted TEXT NOT NULL, key_display TEXT NOT NULL, blocked_until INTEGER,
        consecutive_auth_failures INTEGER NOT NULL DEFAULT 0, consecutive_throttles INTEGER NOT NULL DEFAULT 0,
        last_success_at INTEGER, created_at INTEGER NOT NULL DEFAULT (unixepoch()),
        updated_at INTEGER NOT NULL DEFAULT (unixepoch()));
    CREATE TABLE IF NOT EXISTS daily_stats (id INTEGER PRIMARY KEY AUTOINCREMENT,
        key_id INTEGER NOT NULL REFERENCES api_keys(id) ON DELETE CASCADE, date TEXT NOT NULL,
        call_count INTEGER NOT NULL DEFAULT 0, throttle_count INTEGER NOT NULL DEFAULT 0, last_client_subnet TEXT,
        created_at INTEGER NOT NULL DEFAULT (unixepoch()), updated_at INTEGER NOT NULL DEFAULT (unixepoch()),
        UNIQUE(key_id, date));";

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
}

fn now() -> u64 {
    SystemClock::new().now().since_unix().as_secs()
}

fn sealed(key: &[u8; 32], text: &str, nonce: u8) -> String {
    let (nonce, mut sealed) = ([nonce; 16], text.as_bytes().to_vec());
    let cipher = AesGcm::<Aes256, U16>::new(key.into());
    let tag = cipher.encrypt_inout_detached(&nonce.into(), b"", sealed.as_mut_slice().into()).unwrap();
    [&nonce[..], &tag, &sealed].map(|part| STANDARD.encode(part)).join(":")
}

struct Old(Connection);

impl Old {
    fn new(tool: &Tool) -> Self {
        let connection = Connection::open(tool.path("old.db")).unwrap();
        connection.execute_batch(SCHEMA).unwrap();
        Self(connection)
    }

    fn put(&self, encrypted: &str, columns: &str, values: &str) {
        let sql = format!(
            "INSERT INTO api_keys (key_hash, key_encrypted, key_display{columns}) VALUES (?1, ?2, 'sk-s..6789'{values})"
        );
        self.0.execute(&sql, params![encrypted, encrypted]).unwrap();
    }

    fn day(&self, key: u32, date: &str, calls: u32, throttles: u32) {
        let sql = "INSERT INTO daily_stats (key_id, date, call_count, throttle_count, last_client_subnet)
            VALUES (?1, ?2, ?3, ?4, '192.0.2.0/24')";
        self.0.execute(sql, params![key, date, calls, throttles]).unwrap();
    }
}

/// What is kept of each day.
fn days(tool: &Tool) -> Vec<(String, u32)> {
    let database = Connection::open(tool.path("data/keys.db")).unwrap();
    let sql = "SELECT date, call_count FROM daily_stats WHERE call_count > 0 ORDER BY date";
    let mut days = database.prepare(sql).unwrap();
    days.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap().map(Result::unwrap).collect()
}

#[tokio::test]
async fn its_keys_come_with_their_counts_and_blocks() {
    let mut tool = Tool::new();
    tool.set("ENCRYPTION_KEY", &hex(&KEY));
    let old = Old::new(&tool);
    let until = now() + 3_600;
    old.put(&sealed(&KEY, ONE, 1), ", last_success_at, created_at", ", 1762500000, 1762400000");
    old.put(&sealed(&KEY, TWO, 2), ", blocked_until, consecutive_throttles", &format!(", {until}, 7"));
    old.put(&sealed(&KEY, &format!("{TWO}-3"), 3), ", blocked_until, consecutive_auth_failures", ", 1762500000, 2");
    old.put(&sealed(&KEY, &format!("{TWO}-4"), 4), ", blocked_until, consecutive_throttles", ", 9e999, 1100");
    old.put(&sealed(&KEY, "short", 5), "", "");
    old.put("nonsense", "", "");
    old.day(1, "2025-11-06", 5, 1);
    old.day(1, "2025-11-07", 20, 2);
    old.day(1, "2999-12-31", 1, 0);
    let (out, _) = tool.ends(1, "import --from key-commune old.db --provider openrouter", "").await;
    assert!(out.contains("4 keys of openrouter added, 0 there already, 0 given twice, 2 refused"), "{out}");
    assert!(out.contains("row 5: the key has 5 characters") && out.contains("row 6: the key does not open"), "{out}");
    let find = |keys: &[serde_json::Value], calls: u64, throttles: u64| {
        let found = keys.iter().find(|key| key["calls"] == calls && key["consecutive_throttles"] == throttles);
        found.expect("a key with these counts").clone()
    };
    let keys = tool.list().await;
    let one = find(&keys, 26, 0);
    assert_eq!((&one["throttles"], &one["state"], &one["label"]), (&json!(3), &json!("active"), &json!(null)));
    assert_eq!(one["last_success"], "2025-11-07T07:20:00Z");
    assert_eq!(one["created"], "2025-11-06T03:33:20Z");
    let two = find(&keys, 0, 7);
    assert_eq!((&two["state"], &two["reason"]), (&json!("resting"), &json!("throttled")));
    let end = Timestamp::from_unix(Duration::from_secs(until)).to_string();
    assert_eq!(two["blocked_until"], end);
    let three = keys.iter().find(|key| key["consecutive_auth_failures"] == 2).unwrap();
    assert_eq!(three["state"], "active", "its block is over");
    assert_eq!(find(&keys, 0, 1100)["state"], "resting", "a block without end");
    assert_eq!(days(&tool), [("2025-11-06".into(), 5), ("2025-11-07".into(), 20)], "none of the days to come");
    let (out, _) = tool.ends(1, "import --from key-commune old.db", "").await;
    assert!(out.contains("0 keys of openrouter added, 4 there already"), "{out}");
    assert!(tool.says("export --reveal").await.contains(ONE));
}

#[tokio::test]
async fn a_wrong_key_imports_nothing() {
    let mut tool = Tool::new();
    let old = Old::new(&tool);
    old.put(&sealed(&KEY, ONE, 1), "", "");
    old.put(&sealed(&KEY, TWO, 2), "", "");
    drop(old);
    let import = "import --from key-commune old.db";
    assert!(tool.refuses(import).await.contains("the environment has no ENCRYPTION_KEY"));
    for (key, says) in [
        ("8f0c".repeat(16), "ENCRYPTION_KEY opens none of the 2 keys of old.db"),
        (hex(&KEY)[..62].into(), "ENCRYPTION_KEY: it has 64 hexadecimal digits"),
        ("x".repeat(64), "ENCRYPTION_KEY: it has 64 hexadecimal digits"),
    ] {
        tool.set("ENCRYPTION_KEY", &key);
        let told = tool.refuses(import).await;
        assert!(told.contains(says) && !told.contains(&key), "{told}");
    }
    assert!(!tool.has("data"), "nothing was made");
}

#[tokio::test]
async fn another_database_is_none_of_its_own() {
    let mut tool = Tool::with(&[ONE]).await;
    tool.set("ENCRYPTION_KEY", &hex(&KEY));
    tool.write("text.db", "no database, whatever else it may be");
    for (name, says) in [
        ("data/keys.db", "data/keys.db: it is no database of key-commune"),
        ("text.db", "text.db: it is no SQLite database"),
        ("nowhere.db", "nowhere.db: it cannot be opened"),
    ] {
        let told = tool.refuses(&format!("import --from key-commune {name}")).await;
        assert!(told.contains(says), "{told}");
    }
}
