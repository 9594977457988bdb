//! `proxy keys`: the keys of a store, by hand. Works on the store alone, while a proxy uses it or none does.
//!
//! In reading order: `session` (the open store), `wanted` (which key is meant), `import` with `intake`, `summary`
//! and the sources `lines` and `predecessor`, `list`, `export`, `change` (how keys do), `set` (what is said about them), `rotate` (the master key), `out` and `progress`.
#![allow(clippy::doc_markdown, reason = "doc comments here are the text of --help")]

mod change;
mod export;
mod import;
mod intake;
mod lines;
mod list;
mod out;
mod predecessor;
mod progress;
mod rotate;
mod session;
mod set;
mod summary;
mod wanted;

use std::process::ExitCode;

use clap::{Args, Subcommand};
use tokio::runtime::Builder;

use crate::{Problem, vault};
use session::Session;

#[derive(Args)]
pub(crate) struct Keys {
    #[command(flatten)]
    store: vault::Options,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Add keys from a file, or from a database of the predecessor
    Import(import::Import),
    /// Show what is known of all keys
    List(list::List),
    /// Show all that is known of a key
    Show(list::Show),
    /// Change what is said about a key, of which it keeps the rest. An empty value takes something back: --group ''
    Set(set::Set),
    /// Let a key rest for a while
    Block(change::Block),
    /// Let keys that rest or are retired serve again, with a clean slate
    Unblock(change::Unblock),
    /// Take a key out of use until it is enabled
    Disable(change::One),
    /// Let a key serve again that was disabled
    Enable(change::One),
    /// Forget a key
    Remove(change::One),
    /// Write keys to stdout, in the form that `import` reads
    Export(export::Export),
    /// Seal all keys by a new master key, while the proxy runs if it does. Goes on where it was interrupted
    RotateMasterKey(rotate::Rotate),
}

pub(crate) fn run(keys: &Keys) -> Result<ExitCode, Problem> {
    let runtime = Builder::new_current_thread().build().map_err(|error| format!("no runtime: {error}"))?;
    runtime.block_on(act(keys))
}

async fn act(keys: &Keys) -> Result<ExitCode, Problem> {
    let safe = keys.store.safe()?.ok_or("what is in memory ends with its process; give a --store sqlite:PATH")?;
    if let Command::Import(import) = &keys.command {
        return import.run(safe).await;
    }
    if let Command::RotateMasterKey(rotate) = &keys.command {
        return rotate.run(&safe).await.map(|()| ExitCode::SUCCESS);
    }
    let session = Session::join(safe).await?;
    match &keys.command {
        Command::List(list) => list.run(&session).await?,
        Command::Show(show) => show.run(&session).await?,
        Command::Set(set) => set.run(&session).await?,
        Command::Block(block) => block.run(&session).await?,
        Command::Unblock(unblock) => unblock.run(&session).await?,
        Command::Disable(one) => one.disable(&session).await?,
        Command::Enable(one) => one.enable(&session).await?,
        Command::Remove(one) => one.remove(&session).await?,
        Command::Export(export) => export.run(&session).await?,
        Command::Import(_) | Command::RotateMasterKey(_) => {}
    }
    Ok(ExitCode::SUCCESS)
}
