//! Every interleaving that the memory model allows of two requests of the same caller, run by loom on the code itself:
//! `RUSTFLAGS="--cfg key_commune_loom" cargo test --lib --release models`.

use std::sync::Arc;
use std::time::Duration;

use loom::thread;

use super::crowd::Table;
use super::{Gate, Rate};
use crate::clock::Timestamp;
use crate::secret::KeyId;

const NOW: Timestamp = Timestamp::from_unix(Duration::from_secs(1_700_000_000));
const RATE: Rate = Rate::new(Duration::from_secs(2));

fn model(run: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(run);
}

/// How many of these are admitted when all come at once.
fn admitted<const N: usize>(requests: [impl FnOnce() -> bool + 'static; N]) -> usize {
    let threads = requests.map(thread::spawn);
    threads.into_iter().map(|thread| usize::from(thread.join().unwrap())).sum()
}

#[test]
fn a_gate_admits_exactly_as_many_as_the_rate_allows() {
    model(|| {
        let gate = Arc::new(Gate::default());
        let requests = [(); 2].map(|()| {
            let gate = Arc::clone(&gate);
            move || gate.admit(RATE, NOW).is_ok()
        });
        assert_eq!(admitted(requests), 1);
    });
}

/// Alone in all of its cells, a stranger is held as by a gate.
#[test]
fn a_crowd_admits_exactly_as_many_as_the_rate_allows() {
    model(|| {
        let table = Arc::new(Table::new(1));
        let requests = [(); 2].map(|()| {
            let table = Arc::clone(&table);
            move || table.admit(id(0), RATE, NOW).is_ok()
        });
        assert_eq!(admitted(requests), 1);
    });
}

/// A neighbour who shares the first cell makes two requests of a stranger decide on different ones.
#[test]
fn a_crowd_never_admits_more_than_the_rate_allows() {
    model(|| {
        let table = Arc::new(Table::new(2));
        let neighbour = Arc::clone(&table);
        let neighbour = thread::spawn(move || neighbour.admit(id(!0 << 32), RATE, NOW));
        let requests = [(); 2].map(|()| {
            let table = Arc::clone(&table);
            move || table.admit(id(0), RATE, NOW).is_ok()
        });
        assert!(admitted(requests) <= 1);
        neighbour.join().unwrap().ok();
    });
}

fn id(bits: u128) -> KeyId {
    format!("{bits:032x}").parse().unwrap()
}
