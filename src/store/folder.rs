//! What files that a store makes have in common.

use std::fs::File;
use std::io;
use std::path::Path;

/// A new name lasts once its folder does.
pub(super) fn keep(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if cfg!(unix) { File::open(folder)?.sync_all() } else { Ok(()) }
}
