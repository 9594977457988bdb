//! Two memories of one key become one, whichever is told first (I20).

use std::num::NonZeroU8;
use std::time::Duration;

use bytes::Bytes;
use key_commune::clock::Timestamp;
use key_commune::health::{Condition, Health, Judge, Penalties, Reason, State};
use key_commune::origin::Origin;
use key_commune::outcome::{Outcome, Verdict};
use key_commune::record::{Change, Kept, Record, Replica, Rest, RestOf, Rests, Tallies, Tally, Tombstone, Traits};
use key_commune::secret::{KeyId, Pepper, Secret};
use proptest::prelude::*;

use crate::support::key;

fn at(seconds: u64) -> Timestamp {
    Timestamp::from_unix(Duration::from_secs(seconds))
}

fn secret() -> Secret {
    key(1).parse().unwrap()
}

fn id() -> KeyId {
    Pepper::new([1; 32]).id("openai", &secret())
}

fn record() -> Record {
    Record::new(id(), "openai", secret())
}

fn tally(calls: u64, day: u32) -> Tally {
    let mut tally = Tally::default();
    (tally.total.calls, tally.today.calls, tally.day) = (calls, calls / 2, day);
    tally
}

fn traits() -> impl Strategy<Value = Traits> {
    let models = prop::option::of(prop::sample::select(vec!["a,b*", "others"]));
    (0..2_u8, prop::option::of("[ab]"), models).prop_map(|(tier, group, models)| {
        let mut traits = Traits::default();
        (traits.tier, traits.group) = (tier, group.map(Box::from));
        traits.models = models.map(|models| models.parse().unwrap());
        traits
    })
}

fn resting(of: RestOf, since: u64, until: u64) -> Rest {
    let mut condition = Condition::default();
    (condition.state, condition.until) = (State::Resting, at(until));
    Rest { of, since: at(since), condition }
}

/// More than are remembered, at times.
fn rests() -> impl Strategy<Value = Rests> {
    let rest = (0..40_u8, 0..4_u64, 0..3_u64).prop_map(|(of, since, until)| {
        let of = match of {
            0 => RestOf::Pool,
            1 | 2 => RestOf::Group(of.to_string().into()),
            _ => RestOf::Model(of.to_string().into()),
        };
        let mut rest = resting(of, since, until);
        if until == 0 {
            rest.condition = Condition::default();
        }
        rest
    });
    let few = prop::collection::vec(rest.clone(), 0..4);
    prop_oneof![few, prop::collection::vec(rest, 30..60)].prop_map(|rests| rests.into_iter().collect())
}

/// Few values of each, so that there are many draws.
fn change() -> impl Strategy<Value = Change> {
    let states = prop::sample::select(vec![State::Active, State::Resting, State::Suspect, State::Retired]);
    let tallies = prop::collection::vec((0..3_u64, 0..9_u64, 0..3_u32), 0..3);
    let put =
        ((0..3_u32, 0..3_u64, 0..2_u64), states, tallies, (prop::option::of("[ab]"), traits()), (0..3_u32, 0..3_u8));
    let put = (put, rests());
    let put =
        put.prop_map(|(((generation, version, until), state, tallies, (label, traits), (seal, sealed)), rests)| {
            let mut record = record();
            record.rests = rests;
            (record.generation, record.version, record.label, record.traits) = (generation, version, label, traits);
            (record.condition.until, record.condition.state) = (at(until), state);
            record.tallies = tallies.into_iter().map(|(at, calls, day)| (Replica(at), tally(calls, day))).collect();
            record.seal = seal;
            record.secret = if sealed == 0 { record.secret } else { Kept::Sealed(vec![sealed].into()) };
            Change::from(record)
        });
    let gone = (0..3_u32, 0..3_u64).prop_map(|(generation, s)| Tombstone { generation, at: at(s), id: id() }.into());
    prop_oneof![4 => put, 1 => gone]
}

fn merged(changes: impl IntoIterator<Item = Change>) -> Change {
    changes.into_iter().reduce(Change::merge).unwrap()
}

proptest! {
    #[test]
    fn i20_any_order_and_any_repetition_come_to_the_same(
        changes in prop::collection::vec(change(), 1..8),
        again in prop::collection::vec(any::<prop::sample::Index>(), 0..8),
        (seed, split) in (any::<u64>(), any::<prop::sample::Index>()),
    ) {
        let expected = merged(changes.clone());
        let mut shuffled: Vec<_> = changes.iter().chain(again.iter().map(|index| index.get(&changes))).cloned().collect();
        shuffled.sort_by_cached_key(|change| {
            use std::hash::{DefaultHasher, Hash, Hasher};
            let mut hasher = DefaultHasher::new();
            (seed, format!("{change:?}")).hash(&mut hasher);
            hasher.finish()
        });
        prop_assert_eq!(&merged(shuffled.clone()), &expected);
        shuffled.reverse();
        // In two places first, then together.
        let second = shuffled.split_off(split.index(shuffled.len()));
        let parts = [shuffled, second].into_iter().filter(|part| !part.is_empty()).map(merged);
        prop_assert_eq!(merged(parts), expected);
    }

    #[test]
    fn i20_what_counts_is_never_lost_within_a_generation(counted in prop::collection::vec((0..4_u64, 0..99_u64), 1..20)) {
        let all = counted.iter().map(|&(replica, calls)| {
            let mut record = record();
            (record.tallies, record.version) = ([(Replica(replica), tally(calls, 1))].into_iter().collect(), calls % 3);
            Change::from(record)
        });
        let most = |replica| counted.iter().filter(|(at, _)| *at == replica).map(|(_, calls)| *calls).max();
        let sum: u64 = (0..4).filter_map(most).sum();
        prop_assert_eq!(merged(all).record().unwrap().tallies.sum().total.calls, sum);
    }
}

#[test]
fn i20_the_greater_wins_whole() {
    let with = |version, until, state, label: &str| {
        let mut record = record();
        (record.version, record.label) = (version, Some(label.to_owned()));
        (record.condition.until, record.condition.state) = (at(until), state);
        Change::from(record)
    };
    let table = [
        (with(2, 0, State::Active, "won"), with(1, 9, State::Retired, "zzz"), "the later version"),
        (with(1, 9, State::Resting, "won"), with(1, 8, State::Retired, "zzz"), "the later deadline"),
        (with(1, 9, State::Retired, "won"), with(1, 9, State::Resting, "zzz"), "the graver state"),
    ];
    for (winner, loser, what) in table {
        assert_eq!(loser.clone().merge(winner.clone()), winner, "{what}");
        assert_eq!(winner.clone().merge(loser), winner, "{what}");
    }
}

#[test]
fn i20_what_a_pool_chooses_by_wins_with_the_rest_and_decides_where_all_else_is_the_same() {
    let with = |version, tier, models: &str| {
        let mut record = record();
        (record.version, record.traits.tier) = (version, tier);
        record.traits.models = Some(models.parse().unwrap());
        Change::from(record)
    };
    for (winner, loser) in [(with(2, 0, "a"), with(1, 9, "z")), (with(1, 2, "a"), with(1, 1, "z"))] {
        assert_eq!(loser.clone().merge(winner.clone()), winner);
        assert_eq!(winner.clone().merge(loser), winner);
    }
}

#[test]
fn traits_are_read_as_they_are_written_and_may_be_missing() {
    let mut record = record();
    record.secret = Kept::Sealed(Bytes::from_static(b"opaque"));
    (record.traits.weight, record.traits.group) = (NonZeroU8::MAX, Some("acct-a".into()));
    record.traits.models = Some("gpt-4,gpt-4o*,others".parse().unwrap());
    let mut json = serde_json::to_value(&record).unwrap();
    let expected = serde_json::json!(
        { "weight": 255, "tier": 0, "group": "acct-a", "models": "gpt-4,gpt-4o*,others" });
    assert_eq!(json["traits"], expected);
    assert_eq!(serde_json::from_value::<Record>(json.clone()).unwrap(), record);
    json.as_object_mut().unwrap().remove("traits");
    assert_eq!(
        serde_json::from_value::<Record>(json.clone()).unwrap().traits,
        Traits::default(),
        "of a former version"
    );
    json["traits"] = serde_json::json!({ "models": "a,,b" });
    assert!(serde_json::from_value::<Record>(json).is_err());
}

#[test]
fn i20_of_two_rests_of_one_thing_the_later_stands_and_others_are_not_touched() {
    let model = |name: &str| RestOf::Model(name.into());
    let with = |version, rests: &[Rest]| {
        let mut record = record();
        (record.version, record.rests) = (version, rests.iter().cloned().collect());
        Change::from(record)
    };
    let ended = Rest { condition: Condition::default(), ..resting(model("a"), 3, 0) };
    let one = with(9, &[resting(model("a"), 2, 99), resting(RestOf::Pool, 1, 9)]);
    let other = with(1, &[ended.clone(), resting(model("b"), 1, 9)]);
    for merged in [one.clone().merge(other.clone()), other.merge(one)] {
        let merged = merged.record().unwrap();
        let expected = [ended.clone(), resting(model("b"), 1, 9), resting(RestOf::Pool, 1, 9)];
        assert_eq!(merged.rests.iter().cloned().collect::<Vec<_>>(), expected);
        assert_eq!(merged.version, 9);
    }
}

#[test]
fn i19_rests_are_few_and_their_names_short() {
    let all = (0..100).map(|number| resting(RestOf::Model(format!("{number:03}").into()), number, 0));
    let rests: Rests = all.collect();
    let kept: Vec<_> = rests.iter().map(|rest| rest.since).collect();
    assert_eq!(kept, (100 - Rests::MOST as u64..100).map(at).collect::<Vec<_>>(), "the latest ones");
    let long = resting(RestOf::Group("x".repeat(257).into()), 1, 2);
    assert!(Rests::from(vec![long]).is_empty());
}

#[test]
fn rests_are_read_as_they_are_written_and_take_no_room_where_there_are_none() {
    let mut record = record();
    record.secret = Kept::Sealed(Bytes::from_static(b"opaque"));
    let json = serde_json::to_value(&record).unwrap();
    assert!(json.get("rests").is_none());
    assert_eq!(serde_json::from_value::<Record>(json).unwrap(), record);
    record.rests = [resting(RestOf::Model("gpt-4".into()), 1, 2), resting(RestOf::Pool, 1, 2)].into_iter().collect();
    let json = serde_json::to_value(&record).unwrap();
    assert_eq!(json["rests"][0]["of"], serde_json::json!({ "model": "gpt-4" }));
    assert_eq!(json["rests"][1]["of"], serde_json::json!("pool"));
    assert_eq!(serde_json::from_value::<Record>(json).unwrap(), record);
}

#[test]
fn i20_sealing_anew_undoes_nothing_and_is_not_undone() {
    let (mut resealed, mut struck) = (record(), record());
    (resealed.seal, resealed.secret) = (1, Kept::Sealed(Bytes::from_static(b"new")));
    (struck.version, struck.secret) = (1, Kept::Sealed(Bytes::from_static(b"old")));
    let merged = Change::from(resealed.clone()).merge(struck.into());
    let merged = merged.record().unwrap();
    assert_eq!((merged.version, merged.seal, &merged.secret), (1, 1, &resealed.secret));
}

#[test]
fn i20_a_removed_key_stays_removed_until_it_joins_again() {
    let gone = Change::from(Tombstone { generation: 3, at: at(5), id: id() });
    let with = |generation, version| {
        let mut record = record();
        (record.generation, record.version) = (generation, version);
        Change::from(record)
    };
    assert_eq!(with(3, 1_000).merge(gone.clone()), gone, "an old snapshot that goes on being written");
    assert_eq!(gone.clone().merge(with(2, 9)), gone);
    assert_eq!(gone.merge(with(4, 0)), with(4, 0), "joined again");
}

#[test]
fn a_record_tells_what_becomes_of_it() {
    let joined = record().joined(None, at(1));
    assert_eq!((joined.generation, joined.created, joined.since), (0, at(1), at(1)));
    let blocked = Health::default().blocked(at(9), 1).condition();
    let revised = joined.clone().revised(blocked, at(2));
    assert_eq!((revised.version, revised.since, revised.updated, revised.created), (1, at(2), at(2), at(1)));
    assert_eq!(revised.clone().revised(blocked, at(3)).since, at(2), "in the same state since then");
    assert_eq!(merged([joined.clone().into(), revised.clone().into()]), revised.clone().into());
    let gone = revised.removed(at(4));
    assert_eq!(merged([gone.into(), revised.into()]), gone.into());
    let again = record().joined(Some(gone), at(5));
    assert_eq!(again.generation, 1);
    assert_eq!(merged([gone.into(), again.clone().into()]), again.into(), "whoever joins again is back");
}

#[test]
fn i19_no_more_than_so_many_replicas_are_remembered() {
    let tallies: Tallies = (0..1_000).map(|number| (Replica(number), tally(1, 1))).collect();
    assert_eq!(tallies.iter().count(), Tallies::MOST);
    let text = serde_json::to_string(&tallies).unwrap();
    assert_eq!(serde_json::from_str::<Tallies>(&text).unwrap(), tallies);
    let many = format!("{{{}}}", (0..1_000).map(|at| format!("\"{at}\":{{}}")).collect::<Vec<_>>().join(","));
    assert_eq!(serde_json::from_str::<Tallies>(&many).unwrap().iter().count(), Tallies::MOST);
}

#[test]
fn i3_no_text_holds_a_secret() {
    let mut record = record();
    let change = Change::from(record.clone());
    assert!(serde_json::to_string(&change).is_err(), "in clear it is not serialized");
    record.secret = Kept::Sealed(Bytes::from_static(b"opaque"));
    record.origin = Some(Origin::plain("http://10.0.0.5:8080/v1").unwrap());
    let text = serde_json::to_string(&record).unwrap();
    assert_eq!(serde_json::from_str::<Record>(&text).unwrap(), record);
    for text in [format!("{change:?}"), format!("{record:?}")] {
        assert!(!text.contains(&key(1)[4..20]) && !text.contains("opaque"), "{text}");
    }
}

#[test]
fn i7_sealed_bytes_are_bounded() {
    let text = |len: usize| format!("[{}]", vec!["1"; len].join(","));
    assert!(serde_json::from_str::<Kept>(&text(Kept::MAX_SEALED)).is_ok());
    assert!(serde_json::from_str::<Kept>(&text(Kept::MAX_SEALED + 1)).is_err());
}

/// The health after these outcomes, at step 10 of a process.
fn after(outcomes: &[Outcome]) -> Health {
    let penalties = Penalties::default().jitter(false);
    outcomes.iter().enumerate().fold(Health::default(), |health, (number, &outcome)| {
        let judge = Judge { penalties: &penalties, now: at(1_000), next: number as u64 + 1, draw: 0, counts: true };
        health.judged(&Verdict::new(outcome), health.changed(), &judge)
    })
}

fn restored(health: Health, now: u64) -> Health {
    let penalties = Penalties::default();
    let judge = Judge { penalties: &penalties, now: at(now), next: 1, draw: 0, counts: true };
    Health::restored(health.condition(), &judge)
}

#[test]
fn what_health_knows_comes_back() {
    use Outcome::{Rejected, Throttled};
    for outcomes in [&[][..], &[Throttled; 3], &[Throttled, Rejected], &[Rejected; 4]] {
        let (before, back) = (after(outcomes), restored(after(outcomes), 1_001));
        assert_eq!((back.state(), back.until(), back.due()), (before.state(), before.until(), before.due()));
        assert_eq!((back.strikes(), back.reason()), (before.strikes(), before.reason()));
        assert_eq!((back.retirements(), back.is_clean()), (before.retirements(), before.is_clean()));
        assert_eq!(back.condition(), before.condition());
    }
}

#[test]
fn a_probe_and_a_suspicion_end_with_their_process() {
    let penalties = Penalties::default();
    let judge = Judge { penalties: &penalties, now: at(1_000), next: 9, draw: 0, counts: true };
    let probing = after(&[Outcome::Throttled]).probed(&judge);
    assert_eq!(probing.condition().state, State::Resting);
    assert_eq!((restored(probing, 1_000).state(), restored(probing, 1_000).due()), (State::Resting, Some(at(1_030))));
    let suspect = Health::default().suspected(&judge);
    for health in [suspect, suspect.probed(&judge)] {
        assert_eq!(health.condition().state, State::Suspect);
        assert_eq!((restored(health, 1_000).state(), restored(health, 1_000).is_suspected()), (State::Active, false));
    }
}

#[test]
fn a_restored_deadline_is_clamped_unless_an_operator_set_it() {
    let rests = after(&[Outcome::Throttled]);
    assert_eq!(restored(rests, 0).until(), at(1_060), "the clock was set back by less than a day");
    let mut past = rests.condition();
    past.until = Timestamp::MAX;
    let penalties = Penalties::default();
    let judge = Judge { penalties: &penalties, now: at(1_000), next: 1, draw: 0, counts: true };
    assert_eq!(Health::restored(past, &judge).until(), at(1_000 + 86_400));
    past.reason = Some(Reason::Disabled);
    assert_eq!(Health::restored(past, &judge).until(), Timestamp::MAX);
}

#[test]
fn no_number_from_a_store_overflows() {
    let mut past = after(&[Outcome::Rejected; 3]).condition();
    (past.throttles, past.rejections, past.retirements) = (u32::MAX, u32::MAX, u32::MAX);
    let penalties = Penalties::default();
    let judge = Judge { penalties: &penalties, now: at(1_000), next: 1, draw: 0, counts: true };
    let health = Health::restored(past, &judge);
    let struck = health.judged(&Verdict::new(Outcome::Rejected), health.changed(), &judge);
    assert_eq!((struck.state(), struck.retirements()), (State::Retired, u32::MAX));
}
