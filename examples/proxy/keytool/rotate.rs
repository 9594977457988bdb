//! A new master key. Interrupted at any moment, what is sealed by either key still opens, and running it again goes on.

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Args;
use key_commune::store::{Encrypted, KeyRing, Resealed, SqliteStore};

use super::out;
use super::progress::Progress;
use super::session::told;
use crate::Problem;
use crate::master::{self, Master};
use crate::vault::Safe;

/// A proxy that runs may seal by the old key until it has seen the new one.
const TRIES: usize = 10;

#[derive(Args)]
pub(super) struct Rotate {
    /// Where the new master key is to be, if the present one is in the environment. What is in it already is taken
    #[arg(long, value_name = "FILE")]
    new_master_key_file: Option<PathBuf>,
}

impl Rotate {
    pub(super) async fn run(&self, safe: &Safe) -> Result<(), Problem> {
        let file = self.file(&safe.master)?;
        // Whoever has the wrong key is refused before a new one is made.
        drop(safe.join().await?);
        let present = safe.master.key()?.ok_or_else(|| safe.master.held())?;
        let key = master::read(&file)?.map_or_else(|| master::create(&file), Ok)?;
        let new = master::name(&key);
        if new == master::name(&present) {
            return Err(format!("{} holds the master key that is in use already", file.display()));
        }
        let ring = KeyRing::new(&key).older(&present);
        let resealed = reseal(safe.raw()?, ring).await?;
        let name = new.map(|name| name.to_string()).unwrap_or_default();
        out::print(|out| writeln!(out, "{}", told_of(resealed, &name)))?;
        advance(&safe.master, &file)
    }

    /// Where the new key is, or is to be.
    fn file(&self, master: &Master) -> Result<PathBuf, Problem> {
        match (master, &self.new_master_key_file) {
            (Master::File(path), None) => Ok(master::next(path)),
            (Master::Environment(_), Some(file)) => Ok(file.clone()),
            (Master::File(path), Some(_)) => {
                Err(format!("--new-master-key-file: the new key comes to where the present one is, {}", path.display()))
            }
            (Master::Environment(_), None) => {
                Err(format!("the master key is in {master}; say with --new-master-key-file where the new one is to be"))
            }
        }
    }
}

async fn reseal(store: SqliteStore, ring: KeyRing) -> Result<Resealed, Problem> {
    let store = Encrypted::open(store, ring).await.map_err(told)?;
    let progress = Progress::new(Some(0));
    let show = |resealed: Resealed| {
        progress.total((resealed.done + resealed.left) as u64);
        progress.at(resealed.done as u64, resealed.done);
    };
    let mut resealed = store.reseal(show).await.map_err(told)?;
    for _ in 0..TRIES {
        if resealed.left == 0 {
            return Ok(resealed);
        }
        let more = store.reseal(show).await.map_err(told)?;
        (resealed.done, resealed.left) = (resealed.done + more.done, more.left);
    }
    Err(format!(
        "{} keys are sealed by the old master key again and again; stop the proxy and run this again",
        resealed.left
    ))
}

fn told_of(resealed: Resealed, name: &str) -> String {
    let Resealed { done, unreadable, .. } = resealed;
    let rest =
        if unreadable > 0 { format!("; {unreadable} cannot be opened and stay as they are") } else { String::new() };
    format!("sealed {done} {} by the master key {name}{rest}", if done == 1 { "key" } else { "keys" })
}

fn advance(master: &Master, file: &Path) -> Result<(), Problem> {
    let Master::File(path) = master else {
        let text = format!("set {master} to what is in {} before the proxy starts again", file.display());
        return out::print(|out| writeln!(out, "{text}"));
    };
    master::advance(path)?;
    let last = master::last(path);
    let text =
        format!("{} holds it; {} holds the one before, which only older copies need", path.display(), last.display());
    out::print(|out| writeln!(out, "{text}"))
}
