//! A streaming reverse proxy that gives everybody behind it one pool of API keys.
//!
//! ```text
//! cargo run --release --example proxy -- demo                     # a fake provider, three keys, lines to try
//! cargo run --release --example proxy -- serve --help
//! OPENAI_KEYS=sk-1…,sk-2… proxy serve --upstream https://api.openai.com --keys-env OPENAI_KEYS
//! proxy keys --help                                               # import, list, block, remove … keys
//! ```
//!
//! The data plane is hyper's own server with the layered client as its service; nothing stands between them:
//!
//! ```text
//! accept ─ wire (stalls) ─ hyper ─ plane (health, loops, door) ─ KeyCommuneLayer ─ upstream (head timeout) ─ connections ─ hyper
//! ```
//!
//! In reading order: `cli` (the options), `settings` (checked before anything starts: `row`, `keys` with `entry`, `said` and `words`, `door`, `choosing`, `limiting`, `content`, `stock`), `server`
//! and `wire` (connections and signals), `plane` (one request), `census` and `index` (what the proxy says of itself),
//! `upstream` with `connections`, `connect` and `tls` (the client below the layer), `idle` (bodies that stand still),
//! `failure` (what goes wrong, as an answer), `vault`, `master` and `keeping` (keys outlive the process), `keytool`
//! (`proxy keys`), and `demo` with its `fake` provider.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program speaks to who starts it")]

mod answer;
mod census;
mod choosing;
mod cli;
mod connect;
mod connections;
mod content;
mod demo;
mod door;
mod entry;
mod failure;
mod fake;
mod idle;
mod index;
mod keeping;
mod keys;
mod keytool;
mod limiting;
mod log;
mod master;
mod plane;
mod row;
mod said;
mod server;
mod settings;
mod stock;
mod tls;
mod upstream;
mod vault;
mod wire;
mod words;

use std::fmt::Display;
use std::io::{Write, stderr};
use std::process::ExitCode;

use tokio::runtime::{Builder, Runtime};

use cli::{Command, Common, Parsed};
use settings::Settings;

/// What can be said about a wrong start: one line, without a secret in it.
type Problem = String;

/// How a program ends that was started wrongly.
const MISUSED: u8 = 2;

fn main() -> ExitCode {
    let command = match cli::parse() {
        Parsed::Command(command) => command,
        Parsed::Help(text) => {
            print!("{text}");
            return ExitCode::SUCCESS;
        }
        Parsed::Wrong(problem) => return refuse(&problem),
    };
    run(*command).unwrap_or_else(|problem| refuse(&problem))
}

fn refuse(problem: &str) -> ExitCode {
    say(problem);
    ExitCode::from(MISUSED)
}

/// A line on stderr, if anybody still reads there.
fn say(text: impl Display) {
    let _ = writeln!(stderr(), "proxy: {text}");
}

fn run(command: Command) -> Result<ExitCode, Problem> {
    match command {
        Command::Serve(options) => serve(&options.common, async {
            let settings = Settings::read(&options).await?;
            let pool = settings.pool.clone();
            server::run(settings, |_| settings::tell(&options, &pool)).await
        }),
        Command::Demo(options) => serve(&options.common.clone(), demo::run(options)),
        Command::Keys(keys) => keytool::run(&keys),
    }
}

fn serve(common: &Common, serving: impl Future<Output = Result<(), Problem>>) -> Result<ExitCode, Problem> {
    log::start(common.log_format)?;
    let runtime = runtime(common)?;
    let ended = runtime.block_on(serving);
    // A name that is still being looked up must not hold the process back.
    runtime.shutdown_background();
    ended.map(|()| ExitCode::SUCCESS)
}

/// One thread runs everything by default: per request that costs the least, and on few cores nothing is faster.
fn runtime(common: &Common) -> Result<Runtime, Problem> {
    let mut builder = match common.threads {
        1 => Builder::new_current_thread(),
        _ => Builder::new_multi_thread(),
    };
    builder.worker_threads(common.threads.into()).enable_all().build().map_err(|error| format!("no runtime: {error}"))
}
