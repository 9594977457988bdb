use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
#[cfg(all(feature = "encryption", feature = "sqlite", unix))]
use std::time::Duration;

#[cfg(all(feature = "encryption", feature = "sqlite", unix))]
use key_commune::store::{ErrorKind, SqliteStore, StoreError};

/// A folder that is gone when it is dropped.
pub(super) struct Folder(PathBuf);

impl Folder {
    pub(super) fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("store-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        std::fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    #[cfg(feature = "sqlite")]
    pub(super) fn file(&self) -> PathBuf {
        self.0.join("keys.db")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Opens a database that nobody has. Still, children that other tests start have the locks of this process until they run
/// their own programs.
#[cfg(all(feature = "encryption", feature = "sqlite", unix))]
pub(super) async fn unlocked(path: &Path) -> Result<SqliteStore, StoreError> {
    for _ in 0..1_000 {
        match SqliteStore::open(path) {
            Err(error) if error.kind() == ErrorKind::Locked => tokio::time::sleep(Duration::from_millis(1)).await,
            opened => return opened,
        }
    }
    panic!("locked for good");
}
