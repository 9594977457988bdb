//! The ways in which providers count what a key may do in a minute. All time is in whole milliseconds, as tokio's timers are.

use std::collections::VecDeque;
use std::time::Duration;

use super::MINUTE;

/// How a provider counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Counting {
    /// A bucket that is filled all the time (`OpenAI`, Anthropic) and holds so much time's worth. It is empty at first: what
    /// it holds is a gift that a longer run would not notice.
    Bucket(Duration),
    /// What was used in the minute that ends now.
    Sliding,
    /// What was used in this minute of the clock.
    Fixed,
}

/// One limit of one key.
#[derive(Clone, Debug)]
pub(crate) struct Limit {
    /// In a minute.
    most: u64,
    /// The latest moment that was asked about, or for which something was taken.
    at: Duration,
    used: Used,
}

#[derive(Clone, Debug)]
enum Used {
    /// In parts, of which a millisecond brings as many as a minute brings units.
    Bucket {
        holds: u64,
        left: u64,
    },
    Sliding {
        taken: VecDeque<(Duration, u64)>,
        sum: u64,
    },
    Fixed {
        sum: u64,
    },
}

/// How many parts of a bucket one unit is.
const PARTS: u64 = MINUTE.as_millis() as u64;

impl Limit {
    /// So much in a minute.
    pub(crate) fn new(counting: Counting, most: u64) -> Self {
        let used = match counting {
            Counting::Bucket(time) => Used::Bucket { holds: (most * time.as_millis() as u64).max(PARTS), left: 0 },
            Counting::Sliding => Used::Sliding { taken: VecDeque::new(), sum: 0 },
            Counting::Fixed => Used::Fixed { sum: 0 },
        };
        Self { most, at: Duration::ZERO, used }
    }

    /// From when on so much fits, if nothing else is taken: not before `now`, nor before what is taken already.
    pub(crate) fn fits_at(&mut self, cost: u64, now: Duration) -> Duration {
        self.pass_to(now);
        match &self.used {
            Used::Bucket { left, .. } => {
                self.at + Duration::from_millis((cost * PARTS).saturating_sub(*left).div_ceil(self.most))
            }
            Used::Sliding { taken, sum } => {
                let mut sum = *sum;
                let gone = taken.iter().take_while(|&&(_, used)| {
                    let over = sum + cost > self.most;
                    sum -= if over { used } else { 0 };
                    over
                });
                gone.last().map_or(self.at, |last| last.0 + MINUTE)
            }
            Used::Fixed { sum } if *sum + cost <= self.most => self.at,
            Used::Fixed { .. } => MINUTE * (self.minute() + 1),
        }
    }

    /// Takes what fits.
    pub(crate) fn take(&mut self, cost: u64, now: Duration) {
        self.pass_to(now);
        match &mut self.used {
            Used::Bucket { left, .. } => *left -= cost * PARTS,
            Used::Sliding { taken, sum } => {
                taken.push_back((self.at, cost));
                *sum += cost;
            }
            Used::Fixed { sum } => *sum += cost,
        }
    }

    /// How much is left.
    pub(crate) fn left(&self) -> u64 {
        match self.used {
            Used::Bucket { left, .. } => left / PARTS,
            Used::Sliding { sum, .. } | Used::Fixed { sum } => self.most - sum,
        }
    }

    /// How long until nothing is used.
    pub(crate) fn whole_in(&self) -> Duration {
        match &self.used {
            Used::Bucket { holds, left } => Duration::from_millis((holds - left).div_ceil(self.most)),
            Used::Sliding { taken, .. } => {
                taken.back().map_or(Duration::ZERO, |last| (last.0 + MINUTE).saturating_sub(self.at))
            }
            Used::Fixed { .. } => (MINUTE * (self.minute() + 1)).saturating_sub(self.at),
        }
    }

    fn minute(&self) -> u32 {
        (self.at.as_secs() / MINUTE.as_secs()) as u32
    }

    fn pass_to(&mut self, now: Duration) {
        let (before, minute) = (self.at, self.minute());
        self.at = now.max(before);
        let is_new = self.minute() > minute;
        match &mut self.used {
            Used::Bucket { holds, left } => {
                let passed = self.at.saturating_sub(before).as_millis() as u64;
                *left = (*left + passed * self.most).min(*holds);
            }
            Used::Sliding { taken, sum } => {
                while taken.front().is_some_and(|first| first.0 + MINUTE <= self.at) {
                    *sum -= taken.pop_front().map_or(0, |first| first.1);
                }
            }
            Used::Fixed { sum } if is_new => *sum = 0,
            Used::Fixed { .. } => (),
        }
    }
}
