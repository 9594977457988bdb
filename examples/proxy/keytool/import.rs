//! `proxy keys import`: from where, and for whom.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use key_commune::provider::Provider;

use super::intake::{Intake, Source};
use super::lines::Lines;
use super::progress::Progress;
use super::session::Session;
use super::{out, predecessor};
use crate::vault::Safe;
use crate::{Problem, row};

type Ended = Result<ExitCode, Problem>;

#[derive(Args)]
pub(super) struct Import {
    /// File with a key per line, `KEY [label=NAME] [models=LIST] [weight=NUMBER] [tier=NUMBER] [group=NAME]
    /// [base_url=URL]`; # begins a comment, and a value with blanks is in quotes. - is stdin. With --from, a database
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Read the database of another program, with the counts and blocks of its keys. That of key-commune, the
    /// predecessor, is opened by its ENCRYPTION_KEY in the environment
    #[arg(long, value_name = "PROGRAM", value_enum)]
    from: Option<Program>,
    /// Whose keys they are, as for `proxy serve`. Default: told by the host of --upstream, else the provider of the keys
    /// that are there already, if it is one, else custom
    #[arg(long, value_name = "NAME")]
    provider: Option<String>,
    /// Base URL that `proxy serve` will be given; it only tells the provider here
    #[arg(long, value_name = "URL")]
    upstream: Option<String>,
    /// The most keys to be in the store in the end; those beyond it are left out. Default: no limit
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..))]
    max_keys: Option<u32>,
    /// Allow a key's base_url to be plain http to this host. Loopback is always allowed. May be repeated
    #[arg(long, value_name = "HOST")]
    allow_http: Vec<String>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Program {
    KeyCommune,
}

impl Import {
    pub(super) async fn run(&self, safe: Safe) -> Ended {
        let named = self.provider.is_some() || self.upstream.is_some();
        let row = row::choose(self.provider.as_deref(), self.upstream.as_deref())?;
        let row = named.then_some(row);
        match self.from {
            None => {
                let lines = Lines::open(&self.file, &self.allow_http)?;
                self.fill(lines.total, lines, Session::found(safe).await?, row).await
            }
            Some(Program::KeyCommune) => {
                let rows = predecessor::read(&self.file)?;
                self.fill(Some(rows.len() as u64), rows.into_iter().map(Ok), Session::found(safe).await?, row).await
            }
        }
    }

    async fn fill(&self, total: Option<u64>, source: impl Source, session: Session, row: Option<Provider>) -> Ended {
        let mut intake = Intake::new(&session, row, self.max_keys).await?;
        let progress = Progress::new(total);
        for item in source {
            match item {
                Ok(item) => {
                    progress.at(item.read, intake.summary.added);
                    intake.take(item).await?;
                }
                Err(problem) => {
                    return Err(format!("{problem}; {} keys were added before", intake.finish().await?.added));
                }
            }
        }
        drop(progress);
        let summary = intake.finish().await?;
        out::print(|out| write!(out, "{summary}"))?;
        Ok(if summary.is_complete() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}
