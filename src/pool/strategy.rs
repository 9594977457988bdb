//! How a strategy is asked: for a member to take, and for where a request belongs.

use super::bitmap::Bitmap;
use super::view::{Question, Seats, View};
use crate::guard::guarded;
use crate::select::{Select, better_of_two};
use std::time::Duration;

/// How a member is chosen.
pub(super) enum Strategy {
    /// [`TwoChoices`](crate::select::TwoChoices), the default, on the pool itself: nothing is looked up, and nothing in
    /// it panics.
    TwoChoices,
    /// Any other. One that panics has any candidate chosen for it.
    Other(Box<dyn Select>),
}

impl Strategy {
    /// The place in the roster of the member to take.
    pub(super) fn choose(&self, question: &Question<'_>) -> Option<u32> {
        let roster = question.roster;
        if roster.tiers.is_empty() {
            return self.choose_among(roster, roster.places(question.lane), question);
        }
        let mut floors =
            roster.floors(question.lane).filter(|(tier, open)| tier.any_of(open, question.tried).is_some());
        floors.find_map(|(tier, open)| self.choose_among(tier, open, question))
    }

    pub(super) fn choose_among(&self, seats: &impl Seats, open: &Bitmap, question: &Question<'_>) -> Option<u32> {
        let view = View::new(seats, open, question);
        let seat = match self {
            Self::TwoChoices => better_of_two(&view),
            Self::Other(strategy) => guarded(|| strategy.select(&view, question.demand)).unwrap_or_else(|| view.any()),
        };
        seats.owner(seat?)
    }

    /// The only members that this request may probe, if the strategy knows where it belongs: none but those, in the tiers
    /// that have nobody else for it and in the one that has.
    pub(super) fn homes(&self, question: &Question<'_>) -> Option<Vec<u32>> {
        let Self::Other(strategy) = self else { return None };
        let roster = question.roster;
        if roster.tiers.is_empty() {
            return home(&**strategy, roster, roster.places(question.lane), question).map(|home| vec![home]);
        }
        let serving = roster.serving(question.lane, question.tried).unwrap_or(u8::MAX);
        let floors = roster.floors(question.lane).take_while(|(tier, _)| tier.rank <= serving);
        floors.map(|(tier, open)| home(&**strategy, tier, open, question)).collect()
    }

    pub(super) fn latency_decay(&self) -> Option<Duration> {
        match self {
            Self::TwoChoices => None,
            Self::Other(strategy) => guarded(|| strategy.latency_decay()).flatten(),
        }
    }

    pub(super) fn counts_models(&self) -> bool {
        matches!(self, Self::Other(strategy) if guarded(|| strategy.counts_models()).unwrap_or(false))
    }
}

fn home(strategy: &dyn Select, seats: &impl Seats, open: &Bitmap, question: &Question<'_>) -> Option<u32> {
    let view = View::new(seats, open, question);
    seats.owner(guarded(|| strategy.home(&view, question.demand)).flatten()?)
}
