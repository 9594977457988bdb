//! A12: which key serves.

use key_commune::demand::Demand;
use key_commune::health::State;
use key_commune::select::{Candidates, Load, NextTwo, Place, Select};

use super::super::World;
use super::{chat, commune, fails};
use crate::support::ok;

/// Candidates that stay as they are: throttles and calls today.
struct Fixed<'a>(&'a [(u32, u64)], Option<Place>);

impl Candidates for Fixed<'_> {
    fn capacity(&self) -> usize {
        self.0.len()
    }

    fn at_or_after(&self, place: Place) -> Option<Place> {
        (!self.0.is_empty()).then(|| place % self.0.len())
    }

    fn draw(&self, _: Option<Place>) -> Option<Place> {
        panic!("chosen by chance")
    }

    fn load(&self, place: Place) -> Load {
        panic!("chosen by what was of late, at {place}")
    }

    fn load_today(&self, place: Place) -> Load {
        Load::new(self.0[place].0, self.0[place].1 as u32 % 3, self.0[place].1)
    }

    fn own(&self) -> Option<Place> {
        self.1
    }
}

fn picks(keys: &[(u32, u64)], presented: Option<Place>, count: usize) -> Vec<Place> {
    let strategy = NextTwo::default();
    (0..count).filter_map(|_| strategy.select(&Fixed(keys, presented), &Demand::default())).collect()
}

#[test]
fn a12_1_no_keys_and_a_single_key() {
    assert_eq!(picks(&[], None, 1), [0; 0]);
    assert_eq!(picks(&[(9, 9)], None, 3), [0; 3]);
    assert_eq!(picks(&[(9, 9)], Some(0), 3), [0; 3]);
}

#[test]
fn a12_1_a_counter_walks_the_list_in_pairs() {
    // Of equals the first wins, so this is the first of each pair.
    assert_eq!(picks(&[(0, 0); 3], None, 6), [0, 2, 1, 0, 2, 1]);
    assert_eq!(picks(&[(0, 0); 4], None, 6), [0, 2, 0, 2, 0, 2]);
    assert_eq!(picks(&[(0, 0); 5], None, 6), [0, 2, 4, 1, 3, 0]);
    // And here, where each is better than those before it, the second.
    assert_eq!(picks(&[(0, 3), (0, 2), (0, 1)], None, 3), [1, 2, 2]);
}

#[test]
fn a12_2_fewer_throttles_today_then_fewer_calls_today_then_the_first() {
    assert_eq!(picks(&[(1, 0), (0, 100)], None, 10), [1; 10], "one throttle outranks any number of calls");
    assert_eq!(picks(&[(0, 100), (1, 0)], None, 10), [0; 10]);
    assert_eq!(picks(&[(0, 5), (0, 4)], None, 10), [1; 10]);
    assert_eq!(picks(&[(0, 4), (0, 4)], None, 10), [0; 10]);
}

#[test]
fn a12_2_the_presented_key_wins_if_it_is_better_than_both() {
    assert_eq!(picks(&[(0, 5), (0, 5), (0, 4)], Some(2), 1), [2]);
    assert_eq!(picks(&[(1, 0), (1, 0), (0, 9)], Some(2), 1), [2]);
    assert_eq!(picks(&[(0, 5), (0, 5), (1, 0)], Some(2), 1), [0]);
    assert_eq!(picks(&[(0, 0), (0, 0), (0, 0)], Some(2), 1), [0], "of equals it comes last");
}

async fn counts(world: &World, keys: usize, calls: usize) -> Vec<usize> {
    let from = world.upstream.count();
    for _ in 0..calls {
        chat(world, 0).await;
    }
    let used = world.used(from);
    (0..keys).map(|key| used.iter().filter(|&&number| number == key).count()).collect()
}

#[tokio::test]
async fn a12_1_without_its_defect_11_every_key_serves() {
    for keys in [2, 3, 4, 5, 6, 10] {
        let shares = counts(&commune(keys), keys, 12 * keys).await;
        assert!(shares.iter().all(|share| (11..=13).contains(share)), "{shares:?}: half of them had nothing to do");
    }
}

#[tokio::test]
async fn a12_1_only_available_keys_are_in_the_list() {
    let world = commune(6);
    fails(&world, 401, &[2, 3]);
    for blocked in [2, 3] {
        while world.state(blocked) != State::Resting {
            chat(&world, blocked).await;
        }
    }
    let shares = counts(&world, 6, 40).await;
    assert_eq!((shares[2], shares[3]), (0, 0));
    assert!(
        [0, 1, 4, 5].iter().all(|&key| (8..=12).contains(&shares[key])),
        "their neighbours take no more: {shares:?}"
    );
}

#[tokio::test]
async fn a12_2_a_throttle_counts_for_the_rest_of_the_day() {
    let world = commune(2);
    fails(&world, 429, &[1]);
    while world.state(1) == State::Active {
        chat(&world, 0).await;
    }
    world.answers(|_| ok());
    world.pass(61);
    while world.state(1) != State::Active {
        chat(&world, 0).await;
    }
    assert_eq!(counts(&world, 2, 20).await, [20, 0]);
    world.pass(86_400);
    assert_eq!(counts(&world, 2, 20).await, [10, 10], "midnight wipes it");
}

#[tokio::test]
async fn a12_2_a_key_without_calls_today_wins_until_it_has_caught_up() {
    let world = commune(2);
    counts(&world, 2, 20).await;
    chat(&world, 2).await;
    let shares = counts(&world, 3, 30).await;
    assert!(shares[2] >= 14, "{shares:?}");
    assert_eq!(world.member(2).unwrap().uses_today as usize, shares[2]);
}

#[tokio::test]
async fn a12_2_calls_are_those_of_today() {
    let world = commune(3);
    counts(&world, 3, 30).await;
    chat(&world, 3).await;
    // Yesterday is forgotten: the newcomer has nothing to catch up.
    world.pass(86_400);
    let shares = counts(&world, 4, 40).await;
    assert!(shares.iter().all(|share| (9..=11).contains(share)), "{shares:?}");
    let today: Vec<_> = (0..4).map(|number| world.member(number).unwrap().uses_today as usize).collect();
    assert_eq!(today, shares);
    let all: u64 = world.pool.snapshot().members.iter().map(|member| member.uses).sum();
    assert_eq!(all, 70);
}

#[tokio::test]
async fn a12_2_the_day_ends_at_midnight_utc() {
    let world = commune(2);
    let now = world.pool.now();
    let midnight = 86_400 - now.since_unix().as_secs() % 86_400;
    world.pass(midnight - 60);
    let before = counts(&world, 2, 29).await;
    assert_eq!(world.pool.now().day(), now.day());
    world.pass(2);
    assert_eq!(world.pool.now().day(), now.day() + 1);
    let after = counts(&world, 2, 4).await;
    assert_eq!(before.iter().sum::<usize>(), 29);
    let today: Vec<_> = (0..2).map(|number| world.member(number).unwrap().uses_today as usize).collect();
    assert_eq!((today, after), (vec![2, 2], vec![2, 2]), "to the call");
}

#[tokio::test]
async fn a12_2_the_callers_own_key_is_the_third_candidate() {
    let world = commune(10);
    counts(&world, 10, 100).await;
    chat(&world, 10).await;
    // Key 10 has no calls today: for its owner it wins each time, whatever pair comes up.
    let from = world.upstream.count();
    for _ in 0..5 {
        chat(&world, 10).await;
    }
    assert_eq!(world.used(from), [10; 5]);
}
