//! The pool at one moment, for people and programs: everything but the secrets.

use std::fmt;

use serde::Serialize;

use super::cell::Cell;
use super::ledger::Ledger;
use super::usage::ModelUsage;
use crate::clock::Timestamp;
use crate::health::{Health, Reason, State};
use crate::origin::Origin;
use crate::outcome::Scope;
use crate::record::Traits;
use crate::secret::KeyId;
use crate::subnet::Subnet;

/// The pool at one moment. Prints as a table; serializes; holds no secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Snapshot {
    /// The provider's name.
    pub provider: String,
    /// When it was taken.
    pub at: Timestamp,
    /// Whether many keys fail alike, so that nobody is struck (I15).
    pub outage: bool,
    /// Requests that wait for a key.
    pub waiting: usize,
    /// Whether all keys rest, because the provider has refused our address or everybody.
    pub rest: Option<Rest>,
    /// The members, in the order of their places.
    pub members: Vec<MemberSnapshot>,
}

/// One member at one moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct MemberSnapshot {
    /// The name of the key.
    pub id: KeyId,
    /// A form that a person recognises: `sk-t..qrst`.
    pub key: String,
    /// What an operator called it.
    pub label: Option<String>,
    /// Where it is sent, if not to the pool's origin.
    pub origin: Option<String>,
    /// By what the pool chooses it.
    #[serde(flatten)]
    pub traits: Traits,
    /// What it may be used for.
    pub state: State,
    /// Why.
    pub reason: Option<Reason>,
    /// Since when it is in this state.
    pub since: Timestamp,
    /// When it may be probed, if it rests.
    pub until: Option<Timestamp>,
    /// Throttles in a row.
    pub throttles: u32,
    /// Throttles since midnight UTC.
    pub throttles_today: u32,
    /// Rejections in a row.
    pub rejections: u32,
    /// What rests besides the key itself: the key for some models, or its account.
    pub rests: Vec<Rest>,
    /// When it can be asked again, if it has been asked for all that its limits allow.
    pub full_until: Option<Timestamp>,
    /// How often its answers have retired it, in a commune, where it comes back once it has proved itself.
    pub retirements: u32,
    /// Where the caller that it served last comes from, if the application says so.
    pub last_client: Option<Subnet>,
    /// Requests that it serves now.
    pub in_flight: u32,
    /// Requests that it has served, or serves.
    pub uses: u64,
    /// The same, since midnight UTC.
    pub uses_today: u64,
    /// What its answers have said about tokens and cost since midnight UTC, where they are
    /// [metered](crate::KeyCommuneLayer::usage).
    pub usage_today: Vec<ModelUsage>,
}

/// What rests that is more or less than a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Rest {
    /// What kind of thing it is.
    pub scope: Scope,
    /// The model, if it is a key for one.
    pub model: Option<String>,
    /// Why.
    pub reason: Option<Reason>,
    /// When it may be probed.
    pub until: Timestamp,
}

impl Rest {
    /// `None` if the thing does not rest.
    pub(super) fn of(scope: Scope, model: Option<&str>, health: Health) -> Option<Self> {
        let (reason, until) = (health.reason(), health.until());
        let rests = !matches!(health.state(), State::Active | State::Retired);
        rests.then(|| Self { scope, model: model.map(str::to_owned), reason, until })
    }
}

impl Snapshot {
    pub(super) fn take(provider: &str, ledger: &Ledger, now: Timestamp) -> Self {
        Self {
            provider: provider.to_owned(),
            at: now,
            outage: ledger.journal.is_outage(),
            waiting: ledger.queue.len(),
            rest: Rest::of(Scope::Pool, None, ledger.scopes.pool()),
            members: ledger.cells.iter().flatten().map(|cell| MemberSnapshot::take(ledger, cell, now)).collect(),
        }
    }

    /// The member with this id.
    #[must_use]
    pub fn member(&self, id: KeyId) -> Option<&MemberSnapshot> {
        self.members.iter().find(|member| member.id == id)
    }

    /// How many members may serve any request.
    #[must_use]
    pub fn active(&self) -> usize {
        self.members.iter().filter(|member| member.state == State::Active).count()
    }
}

impl MemberSnapshot {
    fn take(ledger: &Ledger, cell: &Cell, now: Timestamp) -> Self {
        let (member, health) = (&cell.member, cell.health);
        let (throttles, rejections) = health.strikes();
        let (in_flight, _) = member.word.counts();
        Self {
            id: member.id,
            key: member.secret().masked(),
            label: member.key.labelled().map(str::to_owned),
            origin: member.key.own_origin().map(Origin::to_string),
            traits: member.key.own_traits(),
            state: health.state(),
            reason: health.reason(),
            since: cell.since,
            until: matches!(health.state(), State::Resting | State::Suspect).then(|| health.until()),
            throttles,
            throttles_today: member.throttles(now),
            rejections,
            rests: ledger.rests_of(cell),
            full_until: Some(ledger.refills.at(member.place)).filter(|&until| until > now),
            retirements: health.retirements(),
            last_client: member.client(),
            in_flight,
            uses: member.uses(),
            uses_today: member.uses_today(now),
            usage_today: cell.spending().map(|spending| spending.of_day(now.day())).unwrap_or_default(),
        }
    }

    fn why(&self, now: Timestamp) -> String {
        let reason = match (self.reason, &self.rests[..]) {
            (Some(reason), _) => reason.to_string(),
            (None, [Rest { scope: Scope::Group, reason: Some(reason), .. }, ..]) => format!("its account: {reason}"),
            (None, [Rest { model: Some(model), reason: Some(reason), .. }]) => format!("for {model}: {reason}"),
            (None, []) => String::new(),
            (None, rests) => format!("for {} models", rests.len()),
        };
        match self.until {
            Some(until) if until > now => format!("{reason}, {} s to go", (until - now).as_secs_f64().ceil()),
            Some(_) if self.state == State::Suspect => reason,
            Some(_) => format!("{reason}, next request probes"),
            None => reason,
        }
    }
}

impl fmt::Display for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (active, all) = (self.active(), self.members.len());
        write!(f, "{}: {active} of {all} keys active, {} waiting", self.provider, self.waiting)?;
        writeln!(f, "{}", if self.outage { ", OUTAGE" } else { "" })?;
        writeln!(f, "{:<12} {:<16} {:<8} {:>9} {:>8}  why", "key", "label", "state", "in flight", "uses")?;
        for member in &self.members {
            let label = member.label.as_deref().unwrap_or("");
            let MemberSnapshot { key, state, in_flight, uses, .. } = member;
            let line = format!("{key:<12} {label:<16} {state:<8} {in_flight:>9} {uses:>8}  {}", member.why(self.at));
            writeln!(f, "{}", line.trim_end())?;
        }
        Ok(())
    }
}
