//! What is known of keys, as a table or as JSON. No secrets.

use std::io::Write;

use clap::Args;
use key_commune::Origin;
use key_commune::clock::Timestamp;
use key_commune::demand::Models;
use key_commune::health::Reason;
use key_commune::record::{Counts, Record, Traits};
use serde::Serialize;

use super::out::{plain, print, table};
use super::session::{Session, records};
use super::wanted;
use crate::said::Chosen;
use crate::{Problem, say};

const HEAD: [&str; 10] =
    ["ID", "KEY", "LABEL", "PROVIDER", "STATE", "REASON", "BLOCKED UNTIL", "CALLS", "LAST SUCCESS", "TRAITS"];

/// The most letters of a key's traits that a table shows.
const MOST_TRAITS: usize = 80;

#[derive(Args)]
pub(super) struct List {
    /// As a JSON array, an object per line
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
pub(super) struct Show {
    /// An id, the first digits of one (4 or more), or - for a key on stdin
    #[arg(value_name = "KEY")]
    key: String,
    /// As a JSON object
    #[arg(long)]
    json: bool,
}

/// All that is known of a key.
#[derive(Serialize)]
struct Shown {
    id: String,
    key: String,
    label: Option<String>,
    provider: String,
    base_url: Option<String>,
    #[serde(flatten)]
    traits: Traits,
    state: String,
    reason: Option<String>,
    blocked_until: Option<String>,
    consecutive_throttles: u32,
    consecutive_auth_failures: u32,
    #[serde(flatten)]
    counts: Counts,
    last_success: Option<String>,
    created: Option<String>,
    updated: Option<String>,
}

impl List {
    pub(super) async fn run(&self, session: &Session) -> Result<(), Problem> {
        let loaded = session.load().await?;
        let hidden = loaded.hidden();
        let shown: Vec<_> = records(loaded).iter().map(Shown::new).collect();
        if self.json { print(|out| write_all(out, &shown)) } else { print(|out| table(out, HEAD, &rows(&shown))) }?;
        if hidden > 0 {
            say(format_args!(
                "{hidden} more cannot be read: they are damaged, were altered, or are sealed by another key"
            ));
        }
        Ok(())
    }
}

impl Show {
    pub(super) async fn run(&self, session: &Session) -> Result<(), Problem> {
        let shown = Shown::new(&wanted::find(&self.key, session).await?);
        print(|out| {
            if self.json {
                serde_json::to_writer_pretty(&mut *out, &shown)?;
                return writeln!(out);
            }
            shown.fields().iter().try_for_each(|(name, value)| writeln!(out, "{name:20}{value}"))
        })
    }
}

impl Shown {
    fn new(record: &Record) -> Self {
        let (condition, tally) = (record.condition, record.tallies.sum());
        Self {
            id: record.id.to_string(),
            key: plain(&record.display),
            label: record.label.as_deref().map(plain),
            provider: plain(&record.provider),
            base_url: record.origin.as_ref().map(Origin::to_string),
            traits: fit(record.traits.clone()),
            state: condition.state.to_string(),
            reason: condition.reason.map(|reason| Reason::to_string(&reason)),
            blocked_until: time(condition.until),
            consecutive_throttles: condition.throttles,
            consecutive_auth_failures: condition.rejections,
            counts: tally.total,
            last_success: time(tally.last_success),
            created: time(record.created),
            updated: time(record.updated),
        }
    }

    fn row(&self) -> [String; 10] {
        let id = self.id.get(..8).unwrap_or_default().to_owned();
        let (key, provider, state) = (self.key.clone(), self.provider.clone(), self.state.clone());
        let [label, reason, until, success] =
            [&self.label, &self.reason, &self.blocked_until, &self.last_success].map(|text| or_dash(text.as_deref()));
        [id, key, label, provider, state, reason, until, self.counts.calls.to_string(), success, self.traits()]
    }

    fn traits(&self) -> String {
        let text = Chosen(&self.traits).to_string();
        let text = text.trim_start();
        match text.char_indices().nth(MOST_TRAITS) {
            Some((end, _)) => format!("{}..", &text[..end]),
            None => or_dash(Some(text).filter(|text| !text.is_empty())),
        }
    }

    fn fields(&self) -> [(&'static str, String); 22] {
        let Self { counts, traits, .. } = self;
        [
            ("id", self.id.clone()),
            ("key", self.key.clone()),
            ("label", or_dash(self.label.as_deref())),
            ("provider", self.provider.clone()),
            ("base URL", or_dash(self.base_url.as_deref())),
            ("models", or_dash(traits.models.as_ref().map(Models::as_str))),
            ("weight", traits.weight.to_string()),
            ("tier", traits.tier.to_string()),
            ("group", or_dash(traits.group.as_deref())),
            ("state", self.state.clone()),
            ("reason", or_dash(self.reason.as_deref())),
            ("blocked until", or_dash(self.blocked_until.as_deref())),
            ("throttles in a row", self.consecutive_throttles.to_string()),
            ("refusals in a row", self.consecutive_auth_failures.to_string()),
            ("calls", counts.calls.to_string()),
            ("successes", counts.successes.to_string()),
            ("throttles", counts.throttles.to_string()),
            ("rejections", counts.rejections.to_string()),
            ("failures", counts.failures.to_string()),
            ("last success", or_dash(self.last_success.as_deref())),
            ("created", or_dash(self.created.as_deref())),
            ("updated", or_dash(self.updated.as_deref())),
        ]
    }
}

fn or_dash(text: Option<&str>) -> String {
    text.unwrap_or("-").to_owned()
}

/// For a terminal.
fn fit(mut traits: Traits) -> Traits {
    traits.group = traits.group.as_deref().map(|group| plain(group).into());
    traits
}

fn rows(shown: &[Shown]) -> Vec<[String; 10]> {
    shown.iter().map(Shown::row).collect()
}

fn write_all(out: &mut impl Write, shown: &[Shown]) -> std::io::Result<()> {
    write!(out, "[")?;
    for (index, one) in shown.iter().enumerate() {
        out.write_all(if index == 0 { b"\n" } else { b",\n" })?;
        serde_json::to_writer(&mut *out, one)?;
    }
    writeln!(out, "\n]")
}

/// Neither the beginning nor the end of time is one.
fn time(time: Timestamp) -> Option<String> {
    (time != Timestamp::ZERO && time != Timestamp::MAX).then(|| time.to_string())
}
