//! What is seen of the pool after each step of a simulation, and what must be true of it (I22).

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use key_commune::clock::Timestamp;
use key_commune::health::{Reason, State};
use key_commune::outcome::Outcome;
use key_commune::pool::{KeyPool, MemberSnapshot};
use key_commune::secret::KeyId;

use super::provider::{Provider, Sent};
use crate::support::secs;

/// One member as it was seen last.
#[derive(Clone, Debug, Default)]
struct Sight {
    open: bool,
    /// When a suspicion against it runs out.
    suspected: Option<Timestamp>,
    /// Since when a refusal keeps it from others, and until when.
    blocked: Option<(Timestamp, Timestamp)>,
    /// Who was throttled with it since it had no strike: each caller once, its owner as often as it was.
    throttled: BTreeSet<String>,
    by_owner: u32,
}

/// The figures of a run.
#[derive(Clone, Debug, Default)]
pub(super) struct Figures {
    pub(super) calls: usize,
    pub(super) foreign: usize,
    pub(super) free: usize,
    pub(super) most_rejections: u32,
    pub(super) most_throttles: u32,
    pub(super) longest_block: Duration,
    pub(super) blocks: usize,
    pub(super) most_failures: usize,
    pub(super) isolations: usize,
    pub(super) honest: BTreeMap<u16, usize>,
    /// Answers of 429 and 503 to honest callers whose own key was told to wait, or when no key was open.
    pub(super) excused: usize,
}

/// Looks at the pool after each step.
#[derive(Debug)]
pub(super) struct Ledger {
    sights: BTreeMap<String, Sight>,
    /// Whose key has which id.
    names: HashMap<KeyId, String>,
    members: usize,
    /// Refusals in a row that each attacker met with keys of others while it was a member in good standing.
    failures: BTreeMap<String, usize>,
    attackers: BTreeSet<String>,
    /// Whether there is more than one attacker.
    together: bool,
    pub(super) figures: Figures,
}

impl Ledger {
    pub(super) fn new(names: HashMap<KeyId, String>, attackers: BTreeSet<String>, together: bool) -> Self {
        Self {
            sights: BTreeMap::new(),
            names,
            members: 0,
            failures: BTreeMap::new(),
            attackers,
            together,
            figures: Figures::default(),
        }
    }

    /// Whether others' keys may serve this member.
    fn is_open(&self, key: &str, now: Timestamp) -> bool {
        let over = |sight: &Sight| sight.suspected.is_some_and(|until| until <= now);
        self.sights.get(key).is_some_and(|sight| sight.open || over(sight))
    }

    pub(super) fn none_is_open(&self, now: Timestamp) -> bool {
        self.names.values().all(|key| !self.is_open(key, now))
    }

    /// Looks at what has been sent and at what it has made of the pool.
    pub(super) fn look(&mut self, pool: &KeyPool, provider: &Provider, sent: &[Sent], now: Timestamp) {
        for sent in sent {
            self.note(sent, now);
        }
        // What its own key makes right was the other keys' fault; what the provider fails at, nobody finds out.
        if sent.iter().any(Sent::is_refusal)
            && let Some(last) = sent.last().filter(|last| matches!(last.status, 200 | 500))
        {
            self.failures.remove(&last.caller);
        }
        let away = self.names.values().any(|key| !self.sights.get(key).is_some_and(|sight| sight.open));
        let telling = sent.iter().any(|sent| !matches!(sent.status, 200 | 400 | 500));
        if !away && !telling {
            return;
        }
        let snapshot = pool.snapshot();
        assert!(snapshot.members.len() >= self.members, "a member was removed");
        self.members = snapshot.members.len();
        for member in &snapshot.members {
            self.see(member, provider, now);
        }
    }

    fn note(&mut self, sent: &Sent, now: Timestamp) {
        self.figures.calls += 1;
        let foreign = sent.caller != sent.key;
        self.figures.foreign += usize::from(foreign);
        if foreign {
            assert!(self.is_open(&sent.caller, now), "{sent:?}: only a member in good standing is served by others");
        }
        let sight = self.sights.entry(sent.key.clone()).or_default();
        match sent.status {
            429 if foreign => drop(sight.throttled.insert(sent.caller.clone())),
            429 => sight.by_owner += 1,
            200 if !foreign => sight.open = true,
            _ => {}
        }
        if foreign && sent.is_refusal() && self.attackers.contains(&sent.caller) {
            *self.failures.entry(sent.caller.clone()).or_default() += 1;
        }
    }

    fn see(&mut self, member: &MemberSnapshot, provider: &Provider, now: Timestamp) {
        let key = self.names[&member.id].clone();
        let open = member.state == State::Active;
        let sight = self.sights.entry(key.clone()).or_default();
        let was_open = std::mem::replace(&mut sight.open, open);
        sight.suspected = member.until.filter(|_| member.state == State::Suspect);
        self.see_throttles(&key, member, provider.told(&key).max(now));
        if self.attackers.contains(&key) {
            self.see_isolation(&key, was_open && !open);
        } else {
            self.see_victim(&key, member, now);
        }
    }

    /// A 429 rests the key for its hint and no longer, and is one strike of each caller.
    fn see_throttles(&mut self, key: &str, member: &MemberSnapshot, told: Timestamp) {
        let Some(sight) = self.sights.get_mut(key) else { return };
        if member.throttles == 0 {
            sight.throttled.clear();
            sight.by_owner = 0;
        }
        let strikers = sight.throttled.len() as u32 + sight.by_owner;
        assert!(member.throttles <= strikers, "{member:?}: struck by {strikers}");
        if member.reason == Some(Reason::Hinted(Outcome::Throttled)) && member.state == State::Resting {
            assert!(member.until.unwrap() <= told, "{member:?}: longer than it was told");
        }
        self.figures.most_throttles = self.figures.most_throttles.max(member.throttles);
    }

    fn see_isolation(&mut self, key: &str, isolated: bool) {
        let failures = self.failures.entry(key.to_owned()).or_default();
        self.figures.most_failures = self.figures.most_failures.max(*failures);
        if isolated {
            self.figures.isolations += 1;
            *failures = 0;
        }
        assert!(*failures <= 3, "an attacker failed {failures} times with keys of others and is not isolated");
    }

    fn see_victim(&mut self, key: &str, member: &MemberSnapshot, now: Timestamp) {
        assert_ne!(member.state, State::Retired, "{member:?}");
        assert!(member.rejections <= 1, "{member:?}");
        let Some(sight) = self.sights.get_mut(key) else { return };
        let until = member.until.filter(|&until| until > now);
        let refused = member.reason == Some(Reason::Outcome(Outcome::Rejected)) && member.state != State::Active;
        let before = sight.blocked.filter(|&(_, until)| until > now);
        sight.blocked = until.filter(|_| refused).map(|until| (before.map_or(now, |(since, _)| since), until));
        self.figures.blocks += usize::from(before.is_none() && sight.blocked.is_some());
        self.figures.most_rejections = self.figures.most_rejections.max(member.rejections);
        if let Some((since, until)) = sight.blocked {
            self.figures.longest_block = self.figures.longest_block.max(until - since);
            // Two callers together may do more (I22): one accuses, and the other is the witness.
            let most = if self.together { 120 } else { 60 };
            assert!(until - since <= secs(most), "{member:?}: blocked since {since:?}");
        }
    }
}
