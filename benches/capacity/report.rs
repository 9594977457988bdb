//! The figures as tables.

use std::time::Duration;

use crate::options::Options;
use crate::simulation::{Figures, Kind};

/// What one client came to under one load.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) kind: Kind,
    pub(crate) load: f64,
    pub(crate) figures: Figures,
}

const HEAD: &str = "\
client                    load  served     429   other   per min   used  wait p50  wait p99  wasted  at once  refused late  served late   true  found";

pub(crate) fn print(keys: usize, options: &Options, rows: &[Row]) {
    let Options { counting, arrivals, requests, tokens, faults, seed, .. } = options;
    println!("{keys} keys of {requests} requests and {tokens} tokens a minute");
    println!("{counting:?}, {arrivals:?} arrivals, {} of requests meet a 500, seed {seed}\n", percent(*faults));
    println!("{HEAD}");
    rows.iter().for_each(line);
    println!();
    compare(keys, rows);
}

fn line(row: &Row) {
    let figures = &row.figures;
    let of_requests = |count: u64| percent(count as f64 / figures.requests as f64);
    let known = |share: Option<f64>| share.map_or_else(|| "-".to_owned(), percent);
    println!(
        "{:24} {:>5} {:>7} {:>7} {:>7} {:>9.1} {:>6} {:>9} {:>9} {:>7} {:>8} {:>13} {:>12} {:>6} {:>6}",
        row.kind.name(),
        format!("{:.0}%", row.load * 100.0),
        percent(figures.success()),
        of_requests(figures.throttled),
        of_requests(figures.failed),
        figures.throughput(),
        percent(figures.used()),
        seconds(figures.wait(0.5)),
        seconds(figures.wait(0.99)),
        percent(figures.wasted()),
        of_requests(figures.at_once),
        of_requests(figures.refused_late()),
        of_requests(figures.late),
        known(figures.truthful()),
        known(figures.found()),
    );
}

/// The article of a predecessor claims "82 % error reduction, 3× throughput with 10 keys", and does not say at which load.
fn compare(keys: usize, rows: &[Row]) {
    if keys == 1 {
        return;
    }
    println!("{keys} keys against one key; \"82 % error reduction, 3× throughput with 10 keys\" was claimed elsewhere");
    for row in rows.iter().filter(|row| matches!(row.kind, Kind::Pool(_) | Kind::Told)) {
        let Some(one) = rows.iter().find(|one| one.kind == Kind::OneKey && one.load.total_cmp(&row.load).is_eq())
        else {
            continue;
        };
        let (before, after) = (1.0 - one.figures.success(), 1.0 - row.figures.success());
        let times = row.figures.throughput() / one.figures.throughput();
        let (name, load, fewer) = (row.kind.name(), row.load * 100.0, percent(1.0 - after / before));
        println!("{name:24} {load:>4.0}%: {fewer:>6} fewer errors, {times:.1}× throughput");
    }
    println!();
}

pub(crate) fn percent(share: f64) -> String {
    format!("{:.1}%", share * 100.0)
}

fn seconds(time: Duration) -> String {
    format!("{:.2} s", time.as_secs_f64())
}
