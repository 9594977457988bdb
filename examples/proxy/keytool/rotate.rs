//! A new master key. Interrupted at any moment, what is sealed by either key still opens, and running it again goes on.

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Args;
use key_commune::store::{Encrypted, KeyRing, Resealed, RingId, SqliteStore};

use super::out;
use super::progress::Progress;
use super::session::told;
use crate::Problem;
use crate::master::{self, Master};
use crate::vault::Safe;

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
        if key.id() == present.id() {
            return Err(format!("{} holds the master key that is in use already", file.display()));
        }
        let ring = KeyRing::new(&key).older(&present);
        let resealed = reseal(safe.raw()?, ring).await?;
        out::print(|out| writeln!(out, "{}", told_of(resealed, key.id())))?;
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
    let resealed = store.reseal(show).await.map_err(told)?;
    match resealed.left {
        0 => Ok(resealed),
        left => Err(format!(
            "{left} keys are sealed by the old master key again and again; stop who does, and run this again"
        )),
    }
}

fn told_of(resealed: Resealed, name: RingId) -> String {
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
