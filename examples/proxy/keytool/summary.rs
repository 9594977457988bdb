//! What became of the keys of an import. Never the text of one.

use std::fmt;

use key_commune::provider::Provider;

/// Refusals that are told one by one.
const TOLD: usize = 20;

pub(super) struct Summary {
    provider: Provider,
    pub(super) added: usize,
    pub(super) present: usize,
    pub(super) repeated: usize,
    pub(super) left_out: usize,
    refused: usize,
    told: Vec<String>,
}

impl Summary {
    pub(super) fn new(provider: &Provider) -> Self {
        let provider = provider.clone();
        Self { provider, added: 0, present: 0, repeated: 0, left_out: 0, refused: 0, told: Vec::new() }
    }

    pub(super) fn refuse(&mut self, place: &str, problem: &str) {
        self.refused += 1;
        if self.told.len() < TOLD {
            self.told.push(format!("{place}: {problem}"));
        }
    }

    /// Whether every key is in the store now.
    pub(super) fn is_complete(&self) -> bool {
        self.refused + self.left_out == 0
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { added, present, repeated, left_out, refused, .. } = self;
        let name = self.provider.name();
        write!(f, "{added} {} of {name} added", if *added == 1 { "key" } else { "keys" })?;
        writeln!(
            f,
            ", {present} there already, {repeated} given twice, {refused} refused, {left_out} beyond --max-keys"
        )?;
        self.told.iter().try_for_each(|line| writeln!(f, "  {line}"))?;
        if *refused > self.told.len() {
            writeln!(f, "  and {} more", refused - self.told.len())?;
        }
        let upstream = if self.provider.base_url().is_none() { " --upstream URL" } else { "" };
        writeln!(
            f,
            "served by `proxy serve --provider {name}{upstream}`; with --mode private to callers without a key, too"
        )
    }
}
