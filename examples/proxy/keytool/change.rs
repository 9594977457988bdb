//! How keys do, by an operator's word.

use std::time::Duration;

use clap::Args;
use key_commune::clock::Timestamp;
use key_commune::health::{Condition, Reason, State};
use key_commune::record::{Change, Record};
use key_commune::secret::KeyId;
use key_commune::store::Store;

use super::session::{Session, records, told};
use super::{out, wanted};
use crate::Problem;

/// A proxy that changes the same key at the same moment may win, but not for ever.
const TRIES: usize = 5;

#[derive(Args)]
pub(super) struct One {
    /// An id, the first digits of one (4 or more), or - for a key on stdin
    #[arg(value_name = "KEY")]
    key: String,
}

#[derive(Args)]
pub(super) struct Block {
    #[command(flatten)]
    one: One,
    /// For how long, such as 90s, 1h or 7d
    #[arg(long = "for", value_name = "DURATION", value_parser = span)]
    span: Duration,
}

#[derive(Args)]
pub(super) struct Unblock {
    #[command(flatten)]
    one: Option<One>,
    /// All keys but those that were disabled
    #[arg(long, conflicts_with = "key", required_unless_present = "key")]
    all: bool,
}

/// What is far away is farther than databases count.
const LONGEST: Duration = Duration::from_secs(100 * 366 * 24 * 3_600);

fn span(text: &str) -> Result<Duration, Problem> {
    let span = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    if span > LONGEST { Err("it is 100 years at most; `disable` has no end".into()) } else { Ok(span) }
}

impl Block {
    pub(super) async fn run(&self, session: &Session) -> Result<(), Problem> {
        let record = wanted::find(&self.one.key, session).await?;
        if is_disabled(&record) {
            return Err(format!("the key {} is disabled", name(&record)));
        }
        let until = session.now() + self.span;
        let blocked = |record: &Record| Some(blocked(record.condition, until)).filter(|new| *new != record.condition);
        settle(&session.raw()?, Some(record.id), |record| Some(revised(record, blocked(record)?, session.now())))
            .await?;
        say(format_args!("blocked {} until {until}", name(&record)))
    }
}

impl Unblock {
    pub(super) async fn run(&self, session: &Session) -> Result<(), Problem> {
        let Some(one) = &self.one else {
            let serves = |record: &Record| record.condition.state == State::Active && record.rests.is_clear();
            let clear = |record: &Record| if serves(record) { None } else { cleared(record, session) };
            let count = settle(&session.raw()?, None, clear).await?;
            return say(format_args!("unblocked {count} {}", if count == 1 { "key" } else { "keys" }));
        };
        let record = wanted::find(&one.key, session).await?;
        if is_disabled(&record) {
            return Err(format!("the key {} is disabled; `proxy keys enable` lets it serve again", name(&record)));
        }
        settle(&session.raw()?, Some(record.id), |record| cleared(record, session)).await?;
        say(format_args!("unblocked {}", name(&record)))
    }
}

impl One {
    pub(super) async fn disable(&self, session: &Session) -> Result<(), Problem> {
        let record = wanted::find(&self.key, session).await?;
        let disable = |record: &Record| (!is_disabled(record)).then(|| disabled(record.condition));
        settle(&session.raw()?, Some(record.id), |record| Some(revised(record, disable(record)?, session.now())))
            .await?;
        say(format_args!("disabled {}", name(&record)))
    }

    pub(super) async fn enable(&self, session: &Session) -> Result<(), Problem> {
        let record = wanted::find(&self.key, session).await?;
        if !is_disabled(&record) {
            return Err(format!("the key {} is not disabled but {}", name(&record), record.condition.state));
        }
        let enable = |record: &Record| is_disabled(record).then(|| enabled(record, session.now()));
        settle(&session.raw()?, Some(record.id), enable).await?;
        say(format_args!("enabled {}", name(&record)))
    }

    pub(super) async fn remove(&self, session: &Session) -> Result<(), Problem> {
        let record = wanted::find(&self.key, session).await?;
        settle(&session.raw()?, Some(record.id), |record| Some(record.removed(session.now()).into())).await?;
        say(format_args!("removed {}", name(&record)))
    }
}

/// Changes a key, or all, until nothing is left to change: what `change` answers of a key that is as it should be is
/// `None`. Answers how many there were.
pub(super) async fn settle(
    store: &dyn Store,
    id: Option<KeyId>,
    change: impl Fn(&Record) -> Option<Change>,
) -> Result<usize, Problem> {
    let mut count = None;
    for _ in 0..TRIES {
        let records = records(store.load().await.map_err(told)?);
        let meant = records.iter().filter(|record| id.is_none_or(|id| record.id == id));
        let changes: Vec<_> = meant.filter_map(&change).collect();
        let first = *count.get_or_insert(changes.len());
        if changes.is_empty() {
            return Ok(first);
        }
        store.write(changes).await.map_err(told)?;
        store.flush().await.map_err(told)?;
    }
    Err("the proxy changes it at the same time again and again; try once more".into())
}

fn revised(record: &Record, condition: Condition, now: Timestamp) -> Change {
    record.clone().revised(condition, now).into()
}

fn blocked(mut condition: Condition, until: Timestamp) -> Condition {
    (condition.state, condition.until, condition.reason) = (State::Resting, until, Some(Reason::Disabled));
    condition
}

fn disabled(mut condition: Condition) -> Condition {
    (condition.state, condition.until, condition.reason) = (State::Retired, Timestamp::MAX, Some(Reason::Disabled));
    condition
}

fn enabled(record: &Record, now: Timestamp) -> Change {
    let mut record = record.clone();
    record.rests.clear(now);
    record.revised(Condition::default(), now).into()
}

fn cleared(record: &Record, session: &Session) -> Option<Change> {
    let is_clear = record.condition == Condition::default() && record.strikers.is_empty() && record.rests.is_clear();
    let mut record = record.clone();
    record.strikers.clear();
    record.rests.clear(session.now());
    (!is_clear && !is_disabled(&record)).then(|| record.revised(Condition::default(), session.now()).into())
}

fn is_disabled(record: &Record) -> bool {
    record.condition.state == State::Retired && record.condition.reason == Some(Reason::Disabled)
}

pub(super) fn name(record: &Record) -> String {
    format!("{} ({})", out::plain(&record.display), &record.id.to_string().get(..8).unwrap_or_default())
}

pub(super) fn say(text: std::fmt::Arguments<'_>) -> Result<(), Problem> {
    out::print(|out| std::io::Write::write_fmt(out, format_args!("{text}\n")))
}
