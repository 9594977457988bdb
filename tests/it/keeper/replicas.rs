use key_commune::demand::Demand;
use key_commune::health::{Health, State};
use key_commune::keeper::Keeper;
use key_commune::outcome::Outcome;
use key_commune::pool::Tried;
use key_commune::record::Change;
use key_commune::store::Store;

use super::{SOON, Shaky, add, call, empty, only, pool};
use crate::support::{checkout, secs};

#[tokio::test(start_paused = true)]
async fn what_others_change_is_taken_over() {
    let store = Shaky::new();
    let pool = empty();
    let keeper = Keeper::open(&pool, store.clone()).await.unwrap();
    let id = add(&pool, 1);
    keeper.flush().await.unwrap();
    let record = only(&store).await;
    let until = pool.now() + secs(77);
    let blocked = record.clone().revised(Health::default().blocked(until, 1).condition(), pool.now());
    store.tell(vec![blocked.clone().into()]).await;
    tokio::time::sleep(SOON).await;
    let member = pool.snapshot().members[0].clone();
    assert_eq!((member.state, member.until), (State::Resting, Some(until)));
    store.tell(vec![record.clone().into()]).await;
    tokio::time::sleep(SOON).await;
    assert_eq!(pool.snapshot().members[0].state, State::Resting, "older news change nothing");
    let active = blocked.clone().revised(Health::default().condition(), pool.now());
    store.tell(vec![active.clone().into()]).await;
    tokio::time::sleep(SOON).await;
    assert_eq!(pool.snapshot().active(), 1);
    store.tell(vec![active.removed(pool.now()).into()]).await;
    tokio::time::sleep(SOON).await;
    assert_eq!(pool.snapshot().members.len(), 0);
    store.tell(vec![blocked.into()]).await;
    tokio::time::sleep(SOON).await;
    assert_eq!(pool.snapshot().members.len(), 0, "late news bring no removed key back (I20)");
    let again = record.joined(Some(active.removed(pool.now())), pool.now());
    store.tell(vec![again.into()]).await;
    tokio::time::sleep(SOON).await;
    assert_eq!(pool.snapshot().member(id).unwrap().state, State::Active);
    assert_eq!(keeper.status().pending, 0);
}

#[tokio::test(start_paused = true)]
async fn whoever_waits_for_a_key_gets_one_that_others_have_added() {
    let (there, here) = (Shaky::new(), Shaky::new());
    let other = empty();
    let keeper = Keeper::open(&other, there.clone()).await.unwrap();
    add(&other, 1);
    keeper.close().await.unwrap();
    let pool = empty();
    let _keeper = Keeper::open(&pool, here.clone()).await.unwrap();
    let deadline = pool.now() + secs(10);
    let waiting = pool.wait(&Demand::default(), &Tried::default(), deadline);
    here.tell(there.load().await.unwrap().changes).await;
    assert!(waiting.await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a46_a_store_that_was_rolled_back_is_told_again() {
    let store = Shaky::new();
    let pool = pool(1);
    let keeper = Keeper::open(&pool, store.clone()).await.unwrap();
    keeper.flush().await.unwrap();
    let old = only(&store).await;
    call(&pool, Outcome::Throttled);
    keeper.flush().await.unwrap();
    let written = keeper.status().written;
    store.tell(vec![old.into()]).await;
    tokio::time::sleep(SOON).await;
    assert_eq!(pool.snapshot().members[0].state, State::Resting);
    assert_eq!(keeper.status().written, written + 1);
}

#[tokio::test(start_paused = true)]
async fn a_key_that_moves_to_another_origin_is_sent_there_only() {
    let store = Shaky::new();
    let pool = pool(1);
    let keeper = Keeper::open(&pool, store.clone()).await.unwrap();
    keeper.flush().await.unwrap();
    let mut moved = only(&store).await;
    moved.origin = key_commune::Origin::parse("https://elsewhere.example").ok();
    (moved.seal, moved.version) = (moved.seal + 1, moved.version + 1);
    store.tell(vec![moved.clone().into()]).await;
    tokio::time::sleep(SOON).await;
    assert_eq!(checkout(&pool).unwrap().origin(), moved.origin.as_ref());
    assert_eq!(pool.snapshot().members.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_label_that_is_too_long_takes_a_member_from_its_seat_once_at_most() {
    let store = Shaky::new();
    let pool = pool(1);
    let keeper = Keeper::open(&pool, store.clone()).await.unwrap();
    keeper.flush().await.unwrap();
    let mut labelled = only(&store).await;
    labelled.label = Some("a very long label ".repeat(9));
    let mut leases = Vec::new();
    for version in 1..4 {
        labelled.version = version;
        store.tell(vec![labelled.clone().into()]).await;
        tokio::time::sleep(SOON).await;
        leases.push(checkout(&pool).unwrap());
    }
    let member = &pool.snapshot().members[0];
    assert_eq!((member.label.as_ref().map(String::len), member.in_flight), (Some(64), 3));
}

#[tokio::test(start_paused = true)]
async fn what_others_say_about_a_key_counts_and_takes_it_from_its_seat_once() {
    let store = Shaky::new();
    let pool = pool(1);
    let keeper = Keeper::open(&pool, store.clone()).await.unwrap();
    keeper.flush().await.unwrap();
    let mut told = only(&store).await;
    (told.traits.tier, told.traits.group) = (3, Some(format!("a\n{}", "b".repeat(99)).into()));
    let mut leases = Vec::new();
    for version in 1..4 {
        told.version = version;
        store.tell(vec![told.clone().into()]).await;
        tokio::time::sleep(SOON).await;
        leases.push(checkout(&pool).unwrap());
    }
    let member = &pool.snapshot().members[0];
    assert_eq!((member.traits.tier, member.in_flight), (3, 3));
    assert_eq!(member.traits.group, Some(format!("a{}", "b".repeat(63)).into()), "bounded as a label is");
    (told.traits.models, told.version) = (Some("gpt-4o*".parse().unwrap()), 4);
    store.tell(vec![told.into()]).await;
    tokio::time::sleep(SOON).await;
    let serves = |model| pool.checkout(&Demand::default().model(model), &mut Tried::default(), pool.now()).is_ok();
    assert!(serves("gpt-4o-mini") && !serves("o3"));
}

/// Replicas that hear of each other late, twice and in any order come to the same (I20).
#[test]
fn i20_pools_that_have_heard_the_same_are_the_same() {
    use proptest::prelude::*;
    let actions = prop::collection::vec((0..3_usize, 0..3_usize, 0..6_u8), 1..40);
    proptest!(|(actions in actions, order in any::<u64>())| {
        let clock = crate::support::Hand::new();
        let replica = |_| {
            let builder = crate::support::builder(0).pepper(key_commune::secret::Pepper::new([7; 32]));
            builder.clock(clock.clone()).build().unwrap()
        };
        let pools: Vec<_> = (0..3).map(replica).collect();
        let mut told: Vec<Change> = Vec::new();
        for (at, number, action) in actions {
            act(&pools[at], number, action);
            clock.pass(secs(1));
            told.extend(pools[at].drain(99));
        }
        for (turn, pool) in pools.iter().enumerate() {
            let mut heard = [told.clone(), told.clone()].concat();
            shuffle(&mut heard, order.wrapping_add(turn as u64));
            pool.merge(heard);
        }
        let states: Vec<_> = pools.iter().map(states).collect();
        prop_assert_eq!(&states[0], &states[1]);
        prop_assert_eq!(&states[0], &states[2]);
    });
}

fn act(pool: &key_commune::KeyPool, number: usize, action: u8) {
    let id = key_commune::secret::Pepper::new([7; 32]).id("openai", &crate::support::key(number).parse().unwrap());
    match action {
        0 | 1 => drop(pool.add(key_commune::Key::new(crate::support::key(number)).unwrap())),
        2 => drop(pool.remove(id)),
        3 => drop(pool.disable(id)),
        4 => drop(pool.block(id, pool.now() + secs(number as u64 * 10))),
        _ => drop(pool.unblock(id)),
    }
}

fn states(pool: &key_commune::KeyPool) -> Vec<impl PartialEq + std::fmt::Debug + use<>> {
    let snapshot = pool.snapshot();
    let state = |member: &key_commune::pool::MemberSnapshot| (member.id, member.state, member.until, member.reason);
    let mut states: Vec<_> = snapshot.members.iter().map(state).collect();
    states.sort_by_key(|&(id, ..)| id);
    states
}

pub(super) fn shuffle(changes: &mut [Change], seed: u64) {
    let mut state = seed | 1;
    for last in (1..changes.len()).rev() {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        changes.swap(last, (state >> 33) as usize % (last + 1));
    }
}
