//! Once a day strikes are forgotten, where a pool is told to: for providers whose limits begin anew at a set time.

use std::time::Duration;

use super::ledger::Ledger;
use super::spot::Spot;
use crate::clock::Timestamp;
use crate::health::Health;

const DAY: Duration = Duration::from_secs(86_400);

/// When the next day begins.
#[derive(Debug)]
pub(super) struct Renewal {
    time: Duration,
    next: Timestamp,
}

impl Renewal {
    /// Every day at this time, UTC, after `now`.
    pub(super) fn new(time: Duration, now: Timestamp) -> Self {
        let time = Duration::from_nanos((time.as_nanos() % DAY.as_nanos()) as u64);
        Self { time, next: next(time, now) }
    }

    pub(super) fn next(&self) -> Timestamp {
        self.next
    }

    /// When what rests will do so no more.
    pub(super) fn end_of(&self, health: Health) -> Timestamp {
        let renewed = health.renewed(health.changed()).state() != health.state();
        if renewed { health.until().min(self.next) } else { health.until() }
    }

    /// When the last day began.
    fn began(&self) -> Timestamp {
        Timestamp::from_unix(self.next.since_unix().saturating_sub(DAY))
    }

    /// Whether a day has begun, of which everybody knows from now on.
    fn begins(&mut self, now: Timestamp) -> bool {
        let begins = now >= self.next;
        if begins {
            self.next = next(self.time, now);
        }
        begins
    }
}

fn next(time: Duration, now: Timestamp) -> Timestamp {
    let today = Timestamp::from_unix(DAY * now.day() + time);
    if today > now { today } else { today + DAY }
}

impl Ledger {
    /// Begins a day, if it is time.
    pub(super) fn renew(&mut self, now: Timestamp) {
        if !self.renewal.as_mut().is_some_and(|renewal| renewal.begins(now)) {
            return;
        }
        let keys = self.cells.iter().flatten().map(|cell| Spot::Key(cell.member.place));
        let spots: Vec<Spot> = keys.chain(self.scopes.spots()).collect();
        for spot in spots {
            if let Some(health) = self.health_at(spot) {
                self.install_at(spot, health.renewed(self.next_step()), now);
            }
        }
    }

    /// A day may have begun since a thing was last heard of, while nobody was there to notice.
    pub(super) fn renew_late(&mut self, spot: Spot, heard: Timestamp, now: Timestamp) {
        let is_late = self.renewal.as_ref().is_some_and(|renewal| heard < renewal.began());
        if is_late && let Some(health) = self.health_at(spot) {
            self.install_at(spot, health.renewed(self.next_step()), now);
        }
    }
}
