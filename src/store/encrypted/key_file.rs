//! Master keys in files that only their owner may read.

use std::fs::{self, File, OpenOptions};
use std::io::{Error, ErrorKind, Read, Write};
use std::path::Path;

use rand::TryRng;
use rand::rngs::SysRng;
use zeroize::Zeroizing;

use super::master_key::{MasterKey, MasterKeyError};
use crate::store::folder::keep;

impl MasterKey {
    /// Reads a file that holds the key and nothing else but the end of its line.
    ///
    /// # Errors
    /// When others than its owner may read it, or it holds something else.
    pub fn read(path: impl AsRef<Path>) -> Result<Self, MasterKeyError> {
        let file = File::open(path)?;
        if is_exposed(&file)? {
            return Err(MasterKeyError::Exposed);
        }
        let mut text = Zeroizing::new(String::with_capacity(256));
        file.take(256).read_to_string(&mut text)?;
        text.trim_end_matches(['\r', '\n']).parse()
    }

    /// Draws a key by lot and writes it, durably, to a new file that only its owner may read.
    ///
    /// # Errors
    /// When there is such a file already, or it cannot be made.
    pub fn create(path: impl AsRef<Path>) -> Result<Self, MasterKeyError> {
        let mut bytes = Zeroizing::new([0; 32]);
        SysRng.try_fill_bytes(&mut *bytes).map_err(|_| MasterKeyError::File(ErrorKind::Other))?;
        let key = Self::new(*bytes)?;
        let mut text = Zeroizing::new(String::with_capacity(65));
        let digits = key.0.iter().flat_map(|byte| [byte >> 4, byte & 15]);
        text.extend(digits.filter_map(|digit| char::from_digit(digit.into(), 16)).chain(['\n']));
        let mut options = OpenOptions::new();
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let path = path.as_ref();
        let mut file = options.write(true).create_new(true).open(path)?;
        let written = file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).and_then(|()| keep(path));
        // Half a key is in the way of the next attempt, on a full disk say.
        written.inspect_err(|_| drop(fs::remove_file(path)))?;
        Ok(key)
    }
}

#[cfg(unix)]
fn is_exposed(file: &File) -> std::io::Result<bool> {
    use std::os::unix::fs::PermissionsExt;
    Ok(file.metadata()?.permissions().mode() & 0o077 != 0)
}

#[cfg(not(unix))]
fn is_exposed(_: &File) -> std::io::Result<bool> {
    Ok(false)
}

impl From<Error> for MasterKeyError {
    fn from(error: Error) -> Self {
        Self::File(error.kind())
    }
}
