//! What is said about a key, changed.

use clap::{ArgGroup, Args};
use key_commune::record::{Change, Record};
use key_commune::store::Store;

use super::change::{name, say, settle};
use super::session::Session;
use super::wanted;
use crate::Problem;
use crate::said::Said;

#[derive(Args)]
#[command(group(ArgGroup::new("said").required(true).multiple(true)), override_usage = "proxy keys set <KEY> [OPTIONS]")]
pub(super) struct Set {
    /// An id, the first digits of one (4 or more), or - for a key on stdin
    #[arg(value_name = "KEY")]
    key: String,
    /// A name for people
    #[arg(long, group = "said", value_name = "NAME")]
    label: Option<String>,
    /// Which models it serves: names, patterns with * and ?, and `others` (those that no key names), with commas. None: any
    #[arg(long, group = "said", value_name = "LIST")]
    models: Option<String>,
    /// How many keys of weight 1 it counts for, up to 255. None: 1
    #[arg(long, group = "said", value_name = "NUMBER")]
    weight: Option<String>,
    /// It serves only while no key of a lower tier can, up to 255. None: 0
    #[arg(long, group = "said", value_name = "NUMBER")]
    tier: Option<String>,
    /// The account that it belongs to, whose limits its keys share. None: it is by itself
    #[arg(long, group = "said", value_name = "NAME")]
    group: Option<String>,
    /// Where it is sent, and nowhere else. None: to the --upstream of `proxy serve`
    #[arg(long, group = "said", value_name = "URL")]
    base_url: Option<String>,
    /// Allow --base-url to be plain http to this host. Loopback is always allowed. May be repeated
    #[arg(long, value_name = "HOST")]
    allow_http: Vec<String>,
}

impl Set {
    pub(super) async fn run(&self, session: &Session) -> Result<(), Problem> {
        let record = wanted::find(&self.key, session).await?;
        let said = self.said(&record)?;
        if self.base_url.is_some() && record.secret.plain().is_none() {
            return Err(format!("the key {} cannot be read, and its base URL is sealed with it", name(&record)));
        }
        let raw = session.raw()?;
        let store: &dyn Store = if self.base_url.is_some() { &session.vault } else { &raw };
        settle(store, Some(record.id), |record| self.change(record, session)).await?;
        let said = said.to_string();
        let said = if said.is_empty() { " nothing" } else { &said };
        say(format_args!("of {} is said:{said}", name(&record)))
    }

    /// A new seal binds the key to its new base URL.
    fn change(&self, record: &Record, session: &Session) -> Option<Change> {
        let said = self.said(record).ok().filter(|said| *said != Said::of(record))?;
        let mut new = record.clone();
        new.seal = new.seal.saturating_add(u32::from(said.origin != record.origin));
        said.put_into(&mut new);
        let condition = new.condition;
        Some(new.revised(condition, session.now()).into())
    }

    /// What is to be said about the key from now on.
    fn said(&self, record: &Record) -> Result<Said, Problem> {
        let mut said = Said::of(record);
        for (name, value) in self.options() {
            match value {
                None => {}
                Some("") => said.unset(name),
                Some(value) => said.set(name, value, &self.allow_http)?,
            }
        }
        Ok(said)
    }

    fn options(&self) -> [(&'static str, Option<&str>); 6] {
        let Self { label, models, weight, tier, group, base_url, .. } = self;
        [
            ("label", label.as_deref()),
            ("models", models.as_deref()),
            ("weight", weight.as_deref()),
            ("tier", tier.as_deref()),
            ("group", group.as_deref()),
            ("base_url", base_url.as_deref()),
        ]
    }
}
