//! What a database takes and gives, in clear and sealed: changes of state, new keys, and the restore of a million records.
//! Run with `cargo bench --features encryption,sqlite --bench store`; `changes`, `import` or `restore` may follow `--` to
//! measure only that, and a number of thousands of records to restore. It needs about 2 GiB below the target folder.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "a bench prints what it measures, and may panic"
)]

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use key_commune::clock::Timestamp;
use key_commune::health::{Reason, State};
use key_commune::outcome::Outcome;
use key_commune::record::{Change, Record, Replica, Tallies, Tally};
use key_commune::secret::{Pepper, Secret};
use key_commune::store::{Encrypted, KeyRing, SqliteStore, Store};

/// Keys that change their state.
const BUSY: usize = 10_000;
/// Changes of state written back to back.
const CHANGES: usize = 200_000;
const IMPORTED: usize = 100_000;
/// What a write-behind collects, and how often it writes.
const FLUSH: (usize, Duration) = (500, Duration::from_millis(50));
/// For so many flushes.
const FLUSHES: usize = 200;

/// Makes ids that are the same in every run.
struct Keys(Pepper);

impl Keys {
    fn record(&self, number: usize, version: u64) -> Record {
        let secret: Secret = format!("sk-proj-{number:056}").parse().unwrap();
        let mut record = Record::new(self.0.id("openai", &secret), "openai", secret);
        record.version = version;
        record.updated = Timestamp::from_unix(Duration::from_secs(1_780_000_000 + version));
        record.condition.state = if version % 2 == 1 { State::Resting } else { State::Active };
        record.condition.reason = Some(Reason::Outcome(Outcome::Throttled));
        record.condition.until = record.updated + Duration::from_secs(60);
        record.tallies = Tallies::from_iter([(Replica(1), tally(version, record.updated))]);
        record
    }

    fn some(&self, numbers: impl Iterator<Item = usize>, version: u64) -> Vec<Change> {
        numbers.map(|number| self.record(number, version).into()).collect()
    }

    /// Only its counts have changed.
    fn used(&self, number: usize, count: u64) -> Change {
        let mut record = self.record(number, 0);
        record.tallies = Tallies::from_iter([(Replica(1), tally(count, record.updated))]);
        record.into()
    }

    /// Nothing has been counted yet.
    fn fresh(&self, number: usize) -> Change {
        let mut record = self.record(number, 0);
        record.tallies = Tallies::default();
        record.into()
    }
}

fn tally(count: u64, at: Timestamp) -> Tally {
    let mut tally = Tally::default();
    (tally.day, tally.last_success) = (at.day(), at);
    for counts in [&mut tally.total, &mut tally.today] {
        (counts.calls, counts.successes, counts.throttles) = (2 * count + 1, count + 1, count);
    }
    tally.last_client = Some((at, std::net::IpAddr::from([192, 0, 2, 1]).into()));
    tally
}

/// Seconds of processor time that this process has taken: on a machine that others use, what it would be alone.
fn cpu() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat.rsplit(") ").next().unwrap_or_default().split(' ').skip(11).take(2);
    fields.filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() / 100.0
}

/// A folder that is gone when it is dropped.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("bench-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let thousands = std::env::args().find_map(|argument| argument.parse().ok()).unwrap_or(1_000);
    let folder = Folder::new();
    println!("{:8} {:44} {:>12} {:>10}", "store", "what", "figure", "CPU since");
    let plain = async |path: PathBuf| SqliteStore::open(path).unwrap();
    all("plain", &folder.0.join("plain.db"), &Keys(Pepper::new([7; 32])), thousands * 1_000, plain).await;
    let ring = KeyRing::new(&"8f0c".repeat(16).parse().unwrap());
    let sealed = async |path| Encrypted::open(SqliteStore::open(path).unwrap(), ring.clone()).await.unwrap();
    all("sealed", &folder.0.join("sealed.db"), &Keys(Pepper::new([7; 32])), thousands * 1_000, sealed).await;
}

async fn all<S: Store>(name: &str, path: &Path, keys: &Keys, count: usize, open: impl AsyncFn(PathBuf) -> S) {
    let mut before = cpu();
    let mut tell = |what: &str, figure: String| {
        let used = cpu() - std::mem::replace(&mut before, cpu());
        println!("{name:8} {what:44} {figure:>12} {used:>9.2}s");
    };
    let named = |part| std::env::args().any(|argument| argument == part);
    let wanted = |part| named(part) || !["changes", "import", "restore"].into_iter().any(named);
    let fresh = async |end: &str| open(path.with_extension(end)).await;
    if wanted("changes") {
        changes(&fresh("changes").await, keys, &mut tell).await;
    }
    if wanted("import") {
        import(&fresh("import").await, keys, &mut tell).await;
    }
    if wanted("restore") {
        fill(&fresh("full").await, keys, count).await;
        tell(&format!("write {count} records by 10000"), String::new());
        restore(async || fresh("full").await, count, &mut tell).await;
    }
}

async fn changes(store: &impl Store, keys: &Keys, tell: &mut impl FnMut(&str, String)) {
    store.write(keys.some(0..BUSY, 0)).await.unwrap();
    back_to_back(store, ("counts", |number, version| keys.used(number, version)), 1_000, tell).await;
    let (size, pace) = FLUSH;
    let (mut turns, mut times) = (tokio::time::interval(pace), Vec::new());
    for flush in 0..FLUSHES {
        turns.tick().await;
        let (from, version) = (flush * size, (flush * size / BUSY) as u64 + 1);
        let batch = keys.some((from..from + size).map(|number| number % BUSY), version);
        let start = Instant::now();
        store.write(batch).await.unwrap();
        times.push(start.elapsed());
    }
    times.sort_unstable();
    let (median, most) = (times[times.len() / 2], times[times.len() - 1]);
    let what = format!("{size} changes each {pace:?}: a write takes");
    tell(&what, format!("{median:.1?}"));
    tell("  at most", format!("{most:.1?}"));
    for size in [1_000, 4_096] {
        back_to_back(store, ("changes", |number, version| keys.record(number, version).into()), size, tell).await;
    }
}

async fn back_to_back(
    store: &impl Store,
    (what, make): (&str, impl Fn(usize, u64) -> Change),
    size: usize,
    tell: &mut impl FnMut(&str, String),
) {
    let mut took = Duration::ZERO;
    for from in (0..CHANGES).step_by(size) {
        let version = (1_000 * size + from / BUSY) as u64;
        let batch = (from..from + size).map(|number| make(number % BUSY, version)).collect();
        let start = Instant::now();
        store.write(batch).await.unwrap();
        took += start.elapsed();
    }
    let rate = CHANGES.next_multiple_of(size) as f64 / took.as_secs_f64();
    tell(&format!("{what} by {size}, back to back"), format!("{rate:.0}/s"));
}

async fn import(store: &impl Store, keys: &Keys, tell: &mut impl FnMut(&str, String)) {
    let start = Instant::now();
    for from in (0..IMPORTED).step_by(1_000) {
        store.write((from..from + 1_000).map(|number| keys.fresh(number)).collect()).await.unwrap();
    }
    tell(&format!("import {IMPORTED} keys by 1000"), format!("{:.2?}", start.elapsed()));
}

/// Opening includes a look at every page: a damaged database is refused.
async fn restore<S: Store>(open: impl AsyncFn() -> S, count: usize, tell: &mut impl FnMut(&str, String)) {
    let start = Instant::now();
    let store = open().await;
    tell(&format!("open a database of {count} records"), format!("{:.2?}", start.elapsed()));
    let start = Instant::now();
    let loaded = store.load().await.unwrap();
    tell("  load them", format!("{:.2?}", start.elapsed()));
    assert_eq!((loaded.changes.len(), loaded.unreadable.len()), (count, 0));
}

async fn fill(store: &impl Store, keys: &Keys, count: usize) {
    for from in (0..count).step_by(10_000) {
        store.write(keys.some(from..(from + 10_000).min(count), 0)).await.unwrap();
        eprint!("\r{from} of {count} records written");
    }
    eprint!("\r{:60}\r", "");
}
