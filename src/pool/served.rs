//! How often a member has served each model since midnight UTC, where the strategy asks for that.

use std::collections::HashMap;

use crate::clock::Timestamp;
use crate::sync::{Mutex, lock};

#[derive(Debug, Default)]
pub(super) struct Served(Mutex<Day>);

#[derive(Debug, Default)]
struct Day {
    number: u32,
    models: HashMap<Box<str>, u64>,
}

/// The most models that are told apart (I19).
const MOST: usize = 64;

/// The name for all models beyond those, and for none.
const OTHER: &str = "";

impl Served {
    pub(super) fn note(&self, model: Option<&str>, now: Timestamp) {
        let mut day = lock(&self.0);
        if day.number != now.day() {
            *day = Day { number: now.day(), ..Day::default() };
        }
        let model = model.filter(|&model| day.models.len() < MOST || day.models.contains_key(model));
        *day.models.entry(model.unwrap_or(OTHER).into()).or_default() += 1;
    }

    pub(super) fn of(&self, model: Option<&str>, now: Timestamp) -> u64 {
        let day = lock(&self.0);
        let known = model.filter(|&model| day.models.len() < MOST || day.models.contains_key(model));
        let count = day.models.get(known.unwrap_or(OTHER)).filter(|_| day.number == now.day());
        count.copied().unwrap_or(0)
    }
}

#[cfg(not(key_commune_loom))]
#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn i19_a_day_of_any_number_of_models_is_counted_within_bounds() {
        let served = Served::default();
        let at = |hours: u64| Timestamp::from_unix(Duration::from_secs(hours * 3_600));
        for number in 0..1_000 {
            served.note(Some(&format!("m{number}")), at(24));
        }
        served.note(Some("m7"), at(47));
        assert_eq!((served.of(Some("m7"), at(47)), served.of(Some("m8"), at(47))), (2, 1));
        assert_eq!(served.of(Some("m999"), at(47)), 936, "one of all others");
        assert_eq!(lock(&served.0).models.len(), MOST + 1);
        assert_eq!((served.of(Some("m7"), at(48)), served.of(None, at(48))), (0, 0), "a new day");
        served.note(None, at(48));
        assert_eq!((served.of(Some("m7"), at(48)), served.of(None, at(48))), (0, 1));
    }
}
