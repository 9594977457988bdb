//! What the answers of a member have said about tokens and cost since midnight UTC, by model. Only where the layer's
//! `usage` is on; then each answer that tells of it takes the pool's lock once more.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;

use super::member::Member;
use super::shared::Shared;
use crate::clock::Timestamp;
use crate::usage::{Cost, Model, Usage};

/// What the answers of one model have said on one day (UTC).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ModelUsage {
    /// The model; [`Model::OTHER`] for answers that name none, and for all models beyond the first 64.
    pub model: Model,
    /// Answers that have told of usage.
    pub calls: u64,
    /// Tokens of the requests.
    pub input: u64,
    /// Tokens of the answers.
    pub output: u64,
    /// The part of the input that was read from a cache.
    pub cached: u64,
    /// What those answers cost that say so.
    pub cost: Cost,
}

impl ModelUsage {
    fn new(model: Model) -> Self {
        Self { model, calls: 0, input: 0, output: 0, cached: 0, cost: Cost::default() }
    }

    fn add(&mut self, usage: &Usage) {
        self.calls += 1;
        self.input = self.input.saturating_add(usage.input);
        self.output = self.output.saturating_add(usage.output);
        self.cached = self.cached.saturating_add(usage.cached);
        self.cost = self.cost.saturating_add(usage.cost.unwrap_or_default());
    }
}

/// What a member's answers have said on the last day that any has said something.
#[derive(Debug, Default)]
pub(super) struct UsageOfDay {
    day: u32,
    models: BTreeMap<Model, ModelUsage>,
}

impl UsageOfDay {
    /// The most models that are told apart (I19): names come from answers.
    const MOST: usize = 64;

    fn note(&mut self, usage: &Usage, now: Timestamp) {
        if self.day < now.day() {
            *self = Self { day: now.day(), ..Self::default() };
        }
        self.of(usage.model.unwrap_or(Model::OTHER)).add(usage);
    }

    fn of(&mut self, model: Model) -> &mut ModelUsage {
        let full = self.models.len() >= Self::MOST && !self.models.contains_key(&model);
        let model = if full { Model::OTHER } else { model };
        self.models.entry(model).or_insert_with(|| ModelUsage::new(model))
    }

    /// What has been said on this day, in the order of the models' names.
    pub(super) fn of_day(&self, day: u32) -> Vec<ModelUsage> {
        let models = self.models.values().filter(|_| self.day == day);
        models.copied().collect()
    }
}

impl Shared {
    /// Takes note of what an answer says about its request, unless the member is gone.
    pub(super) fn note_usage(&self, member: &Arc<Member>, usage: &Usage, now: Timestamp) {
        self.with(|ledger| {
            let cell = ledger.cell_mut(member.place).filter(|cell| Arc::ptr_eq(&cell.member, member));
            if let Some(cell) = cell {
                cell.usage.get_or_insert_default().note(usage, now);
            }
        });
    }
}
