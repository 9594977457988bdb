//! Lines of a file or of stdin, none of which is longer than a key can be.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, stdin};
use std::path::{Path, PathBuf};

use key_commune::demand::Models;
use zeroize::Zeroizing;

use super::intake::{Candidate, Item};
use crate::Problem;
use crate::entry::Entry;

/// The longest line, in bytes: a key, its models, and what else is said about it.
const LONGEST: usize = 8 * 1024 + Models::MAX_NAMES * (Models::MAX_LEN + 1);

pub(super) struct Lines<'a> {
    path: PathBuf,
    reader: Box<dyn BufRead>,
    allow_http: &'a [String],
    /// How many bytes there are, if that is known.
    pub(super) total: Option<u64>,
    read: u64,
    number: u64,
    buffer: Zeroizing<Vec<u8>>,
}

impl<'a> Lines<'a> {
    /// `-` is stdin.
    pub(super) fn open(path: &Path, allow_http: &'a [String]) -> Result<Self, Problem> {
        let (reader, total) = source(path).map_err(|error| format!("{}: {error}", path.display()))?;
        let buffer = Zeroizing::new(Vec::with_capacity(LONGEST + 1));
        Ok(Self { path: path.to_owned(), reader, allow_http, total, read: 0, number: 0, buffer })
    }

    /// Whether there was one more, and whether it has an end.
    fn fill(&mut self) -> io::Result<Option<bool>> {
        self.buffer.clear();
        let read = (&mut self.reader).take(LONGEST as u64 + 1).read_until(b'\n', &mut self.buffer)?;
        let is_whole = read <= LONGEST || self.buffer.ends_with(b"\n");
        self.read += read as u64 + if is_whole { 0 } else { self.reader.skip_until(b'\n')? as u64 };
        self.number += 1;
        Ok((read > 0).then_some(is_whole))
    }
}

impl Iterator for Lines<'_> {
    type Item = Result<Item, Problem>;

    fn next(&mut self) -> Option<Self::Item> {
        let found = match self.fill() {
            Err(error) => return Some(Err(format!("{}: {error}", self.path.display()))),
            Ok(None) => return None,
            Ok(Some(false)) => Err(format!("the line is longer than {LONGEST} bytes")),
            Ok(Some(true)) => Entry::read(&self.buffer, self.allow_http),
        };
        let found = found.map(|entry| entry.map(Candidate::from));
        Some(Ok(Item { place: format!("line {}", self.number), read: self.read, found }))
    }
}

fn source(path: &Path) -> io::Result<(Box<dyn BufRead>, Option<u64>)> {
    if path.as_os_str() == "-" {
        return Ok((Box::new(stdin().lock()), None));
    }
    let file = File::open(path)?;
    let data = file.metadata()?;
    if data.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    let total = data.is_file().then_some(data.len());
    Ok((Box::new(BufReader::with_capacity(64 * 1024, file)), total))
}
