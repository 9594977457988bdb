//! Where keys outlive the proxy: a SQLite database with every secret in it sealed by the master key.
#![allow(clippy::doc_markdown, reason = "doc comments here are the text of --help")]

use std::fmt;
use std::fs::DirBuilder;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use clap::Args;
use key_commune::store::{Encrypted, ErrorKind, KeyRing, MasterKey, SqliteStore, Store, StoreError};

use crate::Problem;
use crate::master::Master;

pub(crate) type Vault = Encrypted<SqliteStore>;

/// Where keys are kept, and what opens it.
#[derive(Args, Clone)]
pub(crate) struct Options {
    /// Where keys are kept: sqlite:PATH, or memory, which forgets them when the process ends
    #[arg(long, global = true, help_heading = "Store", value_name = "STORE", default_value = "sqlite:data/keys.db")]
    store: Place,
    /// File with the master key that seals the keys: 64 hex digits, mode 0600. Default: that of the environment variable
    /// KEY_COMMUNE_MASTER_KEY, else in master.key beside the database, made when the database is
    #[arg(long, global = true, help_heading = "Store", value_name = "FILE")]
    master_key_file: Option<PathBuf>,
}

#[derive(Clone)]
enum Place {
    Memory,
    Sqlite(PathBuf),
}

impl FromStr for Place {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.strip_prefix("sqlite:") {
            Some(path) if !["", ":memory:"].contains(&path) => Ok(Self::Sqlite(path.into())),
            None if text == "memory" => Ok(Self::Memory),
            _ => Err("it is sqlite:PATH or memory"),
        }
    }
}

impl Options {
    /// The database, if keys are to be kept at all.
    pub(crate) fn safe(&self) -> Result<Option<Safe>, Problem> {
        let Place::Sqlite(path) = &self.store else { return Ok(None) };
        let master = Master::find(self.master_key_file.as_deref(), path)?;
        Ok(Some(Safe { path: path.clone(), master }))
    }
}

/// A database and its master key, both still closed.
pub(crate) struct Safe {
    pub(crate) path: PathBuf,
    pub(crate) master: Master,
}

/// A database that is open, and whether anything was made for that.
pub(crate) struct Opened {
    pub(crate) vault: Vault,
    pub(crate) made: Option<Made>,
}

impl Safe {
    /// For the proxy, which has the database to itself but for the key tool. Makes what is not there yet.
    pub(crate) async fn open(&self) -> Result<Opened, Problem> {
        self.master.ring()?;
        make_folder(&self.path)?;
        let is_new = !self.path.exists();
        let taken = || {
            let path = self.path.display();
            format!("another proxy has {path} open, or another program has locked it; give this one another --store")
        };
        let store = SqliteStore::open(&self.path);
        let told = |error: StoreError| if error.kind() == ErrorKind::Locked { taken() } else { error.to_string() };
        self.unlock(store.map_err(told)?, is_new).await
    }

    /// For the key tool, beside the proxy. Makes what is not there yet.
    pub(crate) async fn found(&self) -> Result<Opened, Problem> {
        if self.path.exists() {
            return self.join().await;
        }
        self.master.ring()?;
        make_folder(&self.path)?;
        match SqliteStore::open(&self.path).map(drop) {
            Err(error) if error.kind() != ErrorKind::Locked => Err(self.explain(&error)),
            _ => self.unlock(self.raw()?, true).await,
        }
    }

    /// For the key tool, beside the proxy.
    pub(crate) async fn join(&self) -> Result<Opened, Problem> {
        if !self.path.exists() {
            return Err(format!("there is no database {}; --store names another", self.path.display()));
        }
        self.unlock(self.raw()?, false).await
    }

    /// The database as it is, secrets sealed.
    pub(crate) fn raw(&self) -> Result<SqliteStore, Problem> {
        self.beside().map_err(|error| self.explain(&error))
    }

    /// One of an earlier version is brought up to date by who has it alone, which the tool is while no proxy runs.
    fn beside(&self) -> Result<SqliteStore, StoreError> {
        let beside = || SqliteStore::open_beside(&self.path);
        match beside() {
            Err(error) if error.kind() == ErrorKind::Damaged => {
                SqliteStore::open(&self.path).map_err(|_| error)?;
                beside()
            }
            settled => settled,
        }
    }

    async fn unlock(&self, store: SqliteStore, is_new: bool) -> Result<Opened, Problem> {
        let is_blank = is_blank(&store).await.map_err(|error| self.explain(&error))?;
        let is_keyless = is_blank && self.master.key()?.is_none();
        if is_keyless {
            self.master.create()?;
        }
        let ring = self.master.ring()?.map_or_else(nobodys, Ok)?;
        let vault = Encrypted::open(store, ring).await.map_err(|error| self.explain(&error))?;
        let database = is_new.then(|| self.path.clone());
        let key = is_keyless.then(|| self.master.to_string());
        let made = (is_new || is_keyless).then_some(Made { database, key });
        Ok(Opened { vault, made })
    }

    fn explain(&self, error: &StoreError) -> Problem {
        match error.kind() {
            ErrorKind::WrongKey => format!("{}: {error}; {}", self.path.display(), self.master.held()),
            _ => error.to_string(),
        }
    }
}

/// Whether no key has sealed it, and there is nothing to seal.
async fn is_blank(store: &SqliteStore) -> Result<bool, StoreError> {
    if store.header().await?.is_some() {
        return Ok(false);
    }
    Ok(store.load().await?.keys() == 0)
}

/// A key that has sealed nothing. What is sealed refuses it, and so tells the name of the key that is missing.
fn nobodys() -> Result<KeyRing, Problem> {
    let bytes = std::array::from_fn(|index| index as u8);
    MasterKey::new(bytes).map(|key| KeyRing::new(&key)).map_err(|error| error.to_string())
}

fn make_folder(path: &Path) -> Result<(), Problem> {
    let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) else { return Ok(()) };
    let mut builder = DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.recursive(true).create(folder).map_err(|error| format!("{}: {error}", folder.display()))
}

/// What was not there before.
pub(crate) struct Made {
    database: Option<PathBuf>,
    key: Option<String>,
}

impl fmt::Display for Made {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.database, &self.key) {
            (Some(database), None) => write!(f, "made the database {}", database.display()),
            (Some(database), Some(key)) => write!(
                f,
                "made the database {} and the master key {key}; without a copy of it elsewhere the keys are lost with it",
                database.display()
            ),
            (None, Some(key)) => {
                write!(f, "made the master key {key}; without a copy of it elsewhere the keys are lost with it")
            }
            (None, None) => Ok(()),
        }
    }
}
