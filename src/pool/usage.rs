//! What the answers of a member have said about tokens and cost, by model since midnight UTC, and in all. Only where the
//! layer's `usage` is on; then each answer that tells of it takes the pool's lock once more.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;

use super::member::Member;
use super::shared::Shared;
use crate::clock::Timestamp;
use crate::record::{Record, Replica, Spent, UsageOfDay};
use crate::usage::{Model, Usage};

/// What the answers of one model have said on one day (UTC).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ModelUsage {
    /// The model; [`Model::OTHER`] for answers that name none, and for all models beyond the first 64.
    pub model: Model,
    /// What they have said.
    #[serde(flatten)]
    pub spent: Spent,
}

/// What a member's answers have said on the last day that any has said something, and since it joined.
#[derive(Clone, Debug, Default)]
pub(super) struct Spending {
    day: u32,
    models: BTreeMap<Model, Spent>,
    total: Spent,
}

impl Spending {
    /// The most models that are told apart (I19): names come from answers.
    const MOST: usize = 64;

    /// What is remembered, if that is anything.
    pub(super) fn remembered(record: &Record, replica: Replica) -> Option<Box<Self>> {
        let total = record.tallies.of(replica).unwrap_or_default().spent;
        let own = record.usage.iter().filter(|&(told, ..)| told == replica);
        let models: BTreeMap<_, _> = own.map(|(_, model, spent)| (model, spent)).collect();
        let is_any = !models.is_empty() || total != Spent::default();
        is_any.then(|| Box::new(Self { day: record.usage.day(), models, total }))
    }

    /// The same on top of what is remembered, which is heard of only now.
    pub(super) fn after(mut self, past: Self) -> Self {
        self.total = self.total.plus(past.total);
        for (model, spent) in past.models.into_iter().filter(|_| past.day == self.day) {
            let model = self.place(model);
            let own = self.models.entry(model).or_default();
            *own = own.plus(spent);
        }
        self
    }

    fn note(&mut self, usage: &Usage, now: Timestamp) {
        if self.day < now.day() {
            (self.day, self.models) = (now.day(), BTreeMap::new());
        }
        let model = self.place(usage.model.unwrap_or(Model::OTHER));
        let spent = self.models.entry(model).or_default();
        *spent = spent.and(usage);
        self.total = self.total.and(usage);
    }

    fn place(&self, model: Model) -> Model {
        let full = self.models.len() >= Self::MOST && !self.models.contains_key(&model);
        if full { Model::OTHER } else { model }
    }

    /// What has been said on this day, in the order of the models' names.
    pub(super) fn of_day(&self, day: u32) -> Vec<ModelUsage> {
        let models = self.models.iter().filter(|_| self.day == day);
        models.map(|(&model, &spent)| ModelUsage { model, spent }).collect()
    }

    pub(super) fn total(&self) -> Spent {
        self.total
    }

    /// As it is to be remembered.
    pub(super) fn told(&self, replica: Replica) -> UsageOfDay {
        let mut usage = UsageOfDay::default();
        self.models.iter().for_each(|(&model, &spent)| usage.note(self.day, replica, model, spent));
        usage
    }
}

impl Shared {
    /// Takes note of what an answer says about its request, unless the member is gone.
    pub(super) fn note_usage(&self, member: &Arc<Member>, usage: &Usage, now: Timestamp) {
        self.with(|ledger| {
            let cell = ledger.cell_mut(member.place).filter(|cell| Arc::ptr_eq(&cell.member, member));
            if let Some(cell) = cell {
                cell.metered().note(usage, now);
                ledger.changes.note(member.place);
            }
        });
    }
}
