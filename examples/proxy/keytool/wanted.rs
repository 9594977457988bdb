//! Which key is meant. What somebody writes in its place may be a key: it is never shown.

use std::io::{Read, stdin};

use key_commune::record::Record;
use key_commune::secret::{KeyId, Secret};
use key_commune::store::Store;
use zeroize::Zeroizing;

use super::session::{Session, records, told};
use crate::Problem;

/// Fewer digits say too little.
const FEWEST: usize = 4;

enum Wanted {
    Prefix(String),
    Secret(Secret),
}

/// The one key that is meant.
pub(super) async fn find(text: &str, session: &Session) -> Result<Record, Problem> {
    let wanted = Wanted::read(text)?;
    let loaded = session.load().await?;
    let hidden = loaded.unreadable.iter().any(|&id| wanted.begins(id));
    let mut found = records(loaded).into_iter().filter(|record| wanted.is(record));
    match (found.next(), found.count()) {
        (Some(record), 0) => Ok(record),
        (Some(_), more) => Err(format!("{} keys are meant by that; give more of the id", more + 1)),
        (None, _) if hidden => sealed(&wanted, session).await,
        (None, _) => Err("there is no such key; `proxy keys list` shows those that there are".into()),
    }
}

/// A key whose secret cannot be read may still be removed.
async fn sealed(wanted: &Wanted, session: &Session) -> Result<Record, Problem> {
    let loaded = session.raw()?.load().await.map_err(told)?;
    let found = records(loaded).into_iter().find(|record| wanted.begins(record.id));
    found.ok_or_else(|| "that key's record is damaged; remove it with the sqlite3 shell".into())
}

impl Wanted {
    fn read(text: &str) -> Result<Self, Problem> {
        if text == "-" {
            return read_secret().map(Self::Secret);
        }
        if text.len() < FEWEST || text.len() > 32 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err("KEY is an id, the first digits of one (4 or more), or - for a key on stdin".into());
        }
        Ok(Self::Prefix(text.to_ascii_lowercase()))
    }

    fn is(&self, record: &Record) -> bool {
        match self {
            Self::Prefix(_) => self.begins(record.id),
            Self::Secret(secret) => record.secret.plain() == Some(secret),
        }
    }

    fn begins(&self, id: KeyId) -> bool {
        matches!(self, Self::Prefix(prefix) if id.to_string().starts_with(prefix))
    }
}

fn read_secret() -> Result<Secret, Problem> {
    let mut text = Zeroizing::new(String::with_capacity(Secret::MAX_LEN + 3));
    let read = stdin().take(Secret::MAX_LEN as u64 + 3).read_to_string(&mut text);
    read.map_err(|error| format!("stdin: {error}"))?;
    Secret::new(text.trim()).map_err(|error| format!("stdin: {error}"))
}
