//! What has been found in an answer, before it is known whose words they are.

use super::{Cost, Model, Usage};

/// What a number counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Count {
    /// All input tokens.
    Prompt,
    /// Input tokens, to which some add those that a cache spared or took up.
    Input,
    CacheRead,
    CacheWritten,
    ToolPrompt,
    Output,
    Thoughts,
    Cached,
    Cost,
}

const COUNTS: usize = Count::Cost as usize + 1;

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Found {
    pub(super) model: Option<Model>,
    numbers: [Option<u64>; COUNTS],
}

impl Found {
    /// Takes note of a number as JSON writes it.
    pub(super) fn note(&mut self, count: Count, number: &str) {
        let value = if count == Count::Cost { micros(number) } else { whole(number) };
        if let (Some(known), Some(_)) = (self.numbers.get_mut(count as usize), value) {
            *known = value;
        }
    }

    /// Adds what was found later, if it tells of usage.
    pub(super) fn add(&mut self, later: &Self) {
        if later.tells() {
            self.model = later.model.or(self.model);
            let pairs = self.numbers.iter_mut().zip(later.numbers);
            pairs.for_each(|(known, later)| *known = later.or(*known));
        }
    }

    pub(super) fn usage(&self) -> Option<Usage> {
        let sum = |counts: &[Count]| counts.iter().filter_map(|&count| self.number(count)).fold(0, u64::saturating_add);
        self.tells().then(|| Usage {
            model: self.model,
            input: match self.number(Count::Prompt) {
                Some(_) => sum(&[Count::Prompt, Count::ToolPrompt]),
                None => sum(&[Count::Input, Count::CacheRead, Count::CacheWritten]),
            },
            output: sum(&[Count::Output, Count::Thoughts]),
            cached: self.number(Count::Cached).or(self.number(Count::CacheRead)).unwrap_or(0),
            cost: self.number(Count::Cost).map(Cost::from_micros),
        })
    }

    fn tells(&self) -> bool {
        self.numbers.iter().any(Option::is_some)
    }

    fn number(&self, count: Count) -> Option<u64> {
        self.numbers.get(count as usize).copied().flatten()
    }
}

/// The greatest there is if it is greater; nothing if it is negative.
fn whole(number: &str) -> Option<u64> {
    number.parse().ok().or_else(|| Some(positive(number)? as u64))
}

fn micros(dollars: &str) -> Option<u64> {
    Some((positive(dollars)? * 1e6).round() as u64)
}

fn positive(number: &str) -> Option<f64> {
    number.parse().ok().filter(|number| *number >= 0.0)
}
