//! What it takes to restore a million keys: the time, and the memory that each needs beyond its text.
//!
//! ```sh
//! cargo bench --bench keeper
//! ```
#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::disallowed_methods, missing_docs, reason = "a bench")]

use std::time::{Duration, Instant};

use bytes::Bytes;
use key_commune::clock::Timestamp;
use key_commune::keeper::Keeper;
use key_commune::record::{Change, Record, Replica, Tally};
use key_commune::secret::{Pepper, Secret};
use key_commune::store::{Doing, Loaded, Store};
use key_commune::{KeyPool, Provider};

const KEYS: usize = 1_000_000;
const LENGTH: usize = 51;

/// A store that makes its records up.
struct Made;

fn record(number: usize, pepper: &Pepper) -> Record {
    let secret: Secret = format!("sk-{number:0width$}", width = LENGTH - 3).parse().unwrap();
    let mut record = Record::new(pepper.id("openai", &secret), "openai", secret);
    record.created = Timestamp::from_unix(Duration::from_secs(1_700_000_000 + number as u64));
    let mut tally = Tally::default();
    (tally.total.calls, tally.total.successes, tally.last_success) = (number as u64, number as u64, record.created);
    record.tallies.note(Replica(0), tally);
    record
}

impl Store for Made {
    fn load(&self) -> Doing<'_, Loaded> {
        Box::pin(async { Ok(Loaded { changes: make(), ..Loaded::default() }) })
    }

    fn write(&self, _: Vec<Change>) -> Doing<'_, ()> {
        Box::pin(async { Ok(()) })
    }

    fn flush(&self) -> Doing<'_, ()> {
        Box::pin(async { Ok(()) })
    }

    fn header(&self) -> Doing<'_, Option<Bytes>> {
        Box::pin(async { Ok(None) })
    }

    fn replace_header(&self, _: Option<Bytes>, _: Bytes) -> Doing<'_, bool> {
        Box::pin(async { Ok(false) })
    }
}

fn restore() -> (KeyPool, Duration) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let pool = KeyPool::builder(Provider::OPENAI).pepper(Pepper::new([7; 32])).build().unwrap();
    let made = Instant::now();
    runtime.block_on(async {
        let keeper = Keeper::open(&pool, Made).await.unwrap();
        assert_eq!(keeper.restored().keys, KEYS);
    });
    drop(runtime);
    (pool, made.elapsed())
}

fn make() -> Vec<Change> {
    let pepper = Pepper::new([7; 32]);
    (0..KEYS).map(|number| record(number, &pepper).into()).collect()
}

fn main() {
    let start = Instant::now();
    drop(make());
    let making = start.elapsed();
    let mut restored = None;
    let info = allocation_counter::measure(|| restored = Some(restore()));
    let (pool, time) = restored.unwrap();
    let (time, making) = (time.as_secs_f64(), making.as_secs_f64());
    println!("{KEYS} keys of {LENGTH} bytes in {:.1} s, and {making:.1} s to make them up", time - making);
    let (bytes, most) = (info.bytes_current as usize / KEYS, info.bytes_max as usize / KEYS);
    println!("{} bytes each beyond the text, in {} pieces", bytes - LENGTH, info.count_current as usize / KEYS);
    println!("{} bytes each at the most while they are restored", most - LENGTH);
    drop(pool);
}
