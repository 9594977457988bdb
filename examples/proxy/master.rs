//! The master key: out of the environment, or a file that only its owner may read.
//!
//! While it is being changed there are two, and both open. The next one is in `master.key.new` until everything is sealed
//! by it; then it is in `master.key`, and the one before it in `master.key.old`, where nobody looks for it.

use std::fmt;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use key_commune::store::{KeyRing, MasterKey};

use crate::Problem;
use crate::keys::variable;

const VARIABLE: &str = "KEY_COMMUNE_MASTER_KEY";

/// Where the master key is.
pub(crate) enum Master {
    Environment(MasterKey),
    File(PathBuf),
}

impl Master {
    /// An option comes before the environment, the environment before the usual place.
    pub(crate) fn find(option: Option<&Path>, database: &Path) -> Result<Self, Problem> {
        if let Some(file) = option {
            return Ok(Self::File(file.to_owned()));
        }
        if std::env::var_os(VARIABLE).is_none() {
            return Ok(Self::File(database.with_file_name("master.key")));
        }
        let text = variable("the master key", VARIABLE)?;
        text.parse().map(Self::Environment).map_err(|error| format!("{VARIABLE}: {error}"))
    }

    /// The key, if it is there.
    pub(crate) fn key(&self) -> Result<Option<MasterKey>, Problem> {
        match self {
            Self::Environment(key) => Ok(Some(key.clone())),
            Self::File(path) => read(path),
        }
    }

    /// The key, if it is there. When it is changed, the next one is found, be it on its way or in its place.
    pub(crate) fn ring(&self) -> Result<Option<KeyRing>, Problem> {
        let Some(key) = self.key()? else { return Ok(None) };
        let ring = KeyRing::new(&key);
        let Self::File(path) = self else { return Ok(Some(ring)) };
        let files = [next(path), path.clone()];
        let find = move |id| files.iter().filter_map(|file| MasterKey::read(file).ok()).find(|key| key.id() == id);
        Ok(Some(ring.source(find)))
    }

    /// Draws a key, where there is none yet.
    pub(crate) fn create(&self) -> Result<(), Problem> {
        match self {
            Self::Environment(_) => Ok(()),
            Self::File(path) => create(path).map(drop),
        }
    }

    /// What it has to offer where another key is needed.
    pub(crate) fn held(&self) -> String {
        match self.key() {
            Ok(Some(key)) => format!("{self} holds {}", key.id()),
            _ => format!("there is no {self}"),
        }
    }
}

impl fmt::Display for Master {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Environment(_) => f.write_str(VARIABLE),
            Self::File(path) => path.display().fmt(f),
        }
    }
}

/// The key in a file, if there is one.
pub(crate) fn read(path: &Path) -> Result<Option<MasterKey>, Problem> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        _ => MasterKey::read(path).map(Some).map_err(|error| format!("{}: {error}", path.display())),
    }
}

pub(crate) fn create(path: &Path) -> Result<MasterKey, Problem> {
    MasterKey::create(path).map_err(|error| format!("{}: {error}", path.display()))
}

/// The file of the key that comes next.
pub(crate) fn next(path: &Path) -> PathBuf {
    beside(path, ".new")
}

/// The file of the key that was there before.
pub(crate) fn last(path: &Path) -> PathBuf {
    beside(path, ".old")
}

/// Puts the next key in the place of the present one, which is kept. There always is one in its place.
pub(crate) fn advance(path: &Path) -> Result<(), Problem> {
    // Somebody else may have done it at the same moment: then the present key is not the one before.
    let advanced = fs::metadata(next(path))
        .and_then(|_| fs::copy(path, last(path)))
        .and_then(|_| File::open(last(path))?.sync_all())
        .and_then(|()| fs::rename(next(path), path))
        .and_then(|()| sync_folder(path));
    advanced.map_err(|error| format!("{}: {error}", path.display()))
}

/// A new name lasts once its folder does.
fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if cfg!(unix) { File::open(folder)?.sync_all() } else { Ok(()) }
}

fn beside(path: &Path, end: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(end);
    name.into()
}
