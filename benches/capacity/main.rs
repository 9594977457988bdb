//! What a pool of keys gets out of a provider that limits each of them, beside what simpler clients get. On simulated
//! time: half an hour of each client at each load. Run with `cargo bench --bench capacity`; `-- --help` tells what can be
//! chosen. The loads are shares of the sum of the keys' limits.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a bench prints what it measures, and may panic"
)]

mod options;
mod plot;
mod report;
mod simulation;

use std::time::Duration;

use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};

use options::Options;
use report::Row;
use simulation::{MINUTE, Plan, run};

/// The number of keys that is drawn, and that the article speaks of.
const DRAWN: usize = 10;

fn main() {
    let options = Options::parse();
    let bar = bar(options.keys.len() * options.loads.len() * options.kinds().len());
    for &keys in &options.keys {
        let rows: Vec<_> = plans(&options, keys).into_iter().map(|plan| row(plan, &bar)).collect();
        bar.suspend(|| report::print(keys, &options, &rows));
        if keys == DRAWN {
            plot::write(&options.svg, &rows).expect("the picture is written");
            bar.suspend(|| println!("The picture: {}\n", options.svg.display()));
        }
    }
    bar.finish_and_clear();
}

/// On stderr, if that is a terminal.
fn bar(count: usize) -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:40} {pos}/{len}  {msg}").expect("a template");
    ProgressBar::new(count as u64).with_style(style)
}

fn plans(options: &Options, keys: usize) -> Vec<Plan> {
    let kinds = options.kinds().into_iter();
    let pairs = kinds.flat_map(|kind| options.loads.iter().map(move |&load| (kind, load)));
    let (terms, arrivals, seed) = (options.terms(), options.arrivals.into(), options.seed);
    pairs.map(|(kind, load)| Plan { kind, keys, terms, arrivals, load, span: span(keys), seed }).collect()
}

/// Whole minutes; fewer where there is more to do in each.
fn span(keys: usize) -> Duration {
    if keys > 100 { MINUTE * 10 } else { MINUTE * 30 }
}

fn row(plan: Plan, bar: &ProgressBar) -> Row {
    bar.set_message(format!("{} keys, {}", plan.keys, plan.kind.name()));
    let figures = run(&plan);
    bar.inc(1);
    Row { kind: plan.kind, load: plan.load, figures }
}
