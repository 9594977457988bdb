//! Keys in the form that `import` reads, a line each.

use std::fmt;
use std::io::Write;

use clap::Args;
use key_commune::record::Record;

use super::out::{plain, print};
use super::session::{Session, records};
use crate::said::Said;
use crate::{Problem, say, words};

#[derive(Args)]
pub(super) struct Export {
    /// Only the keys of this provider
    #[arg(long, value_name = "NAME")]
    provider: Option<String>,
    /// Write the keys themselves, not a form that only a person can recognise
    #[arg(long)]
    reveal: bool,
}

impl Export {
    pub(super) async fn run(&self, session: &Session) -> Result<(), Problem> {
        let loaded = session.load().await?;
        let hidden = loaded.hidden();
        let records = records(loaded);
        print(|out| {
            let mut provider = None;
            for record in records.iter().filter(|record| self.wants(record)) {
                if provider.replace(&record.provider) != Some(&record.provider) {
                    writeln!(out, "# keys of {}", plain(&record.provider))?;
                }
                writeln!(out, "{}", Line { record, reveal: self.reveal })?;
            }
            Ok(())
        })?;
        if hidden > 0 {
            say(format_args!("{hidden} more cannot be read"));
        }
        Ok(())
    }

    fn wants(&self, record: &Record) -> bool {
        self.provider.as_ref().is_none_or(|name| *name == record.provider)
    }
}

struct Line<'a> {
    record: &'a Record,
    reveal: bool,
}

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.record.secret.plain().filter(|_| self.reveal) {
            Some(secret) => f.write_str(&words::key(secret.expose()))?,
            None => f.write_str(&plain(&self.record.display))?,
        }
        Said::of(self.record).fmt(f)
    }
}
