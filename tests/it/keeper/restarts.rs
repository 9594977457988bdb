use std::time::Duration;

use key_commune::clock::Timestamp;
use key_commune::demand::Models;
use key_commune::health::{Reason, State};
use key_commune::keeper::Keeper;
use key_commune::outcome::Outcome;
use key_commune::pool::{Commune, Key};
use key_commune::record::{Change, Replica, Traits};
use key_commune::secret::Pepper;
use key_commune::store::{MemoryStore, Store};
use key_commune::{KeyPool, Provider};

use super::{SOON, add, call, empty, kept, only, pool};
use crate::support::{Hand, builder, checkout, complete, key, plain, secs};

#[tokio::test(start_paused = true)]
async fn what_a_pool_has_learned_outlives_it() {
    let store = MemoryStore::default();
    let first = empty();
    let keeper = kept(&first, &store).await;
    let ids: Vec<_> = (0..4).map(|number| add(&first, number)).collect();
    first.block(ids[0], first.now() + secs(500));
    first.disable(ids[1]);
    first.remove(ids[3]);
    let throttled = call(&first, Outcome::Throttled);
    assert_eq!(throttled, ids[2]);
    let before = first.snapshot();
    keeper.close().await.unwrap();

    let second = empty();
    let keeper = kept(&second, &store).await;
    assert_eq!(keeper.restored().keys, 3);
    let after = second.snapshot();
    assert_eq!(after.members.len(), 3);
    for was in &before.members {
        let is = after.member(was.id).unwrap();
        assert_eq!((is.state, is.reason, is.since, is.until), (was.state, was.reason, was.since, was.until));
        assert_eq!((is.throttles, is.rejections, is.uses), (was.throttles, was.rejections, was.uses));
        assert_eq!((is.uses_today, is.throttles_today), (was.uses_today, was.throttles_today));
    }
    assert!(checkout(&second).is_err(), "all of them rest");
    tokio::time::advance(secs(100)).await;
    assert!(checkout(&second).unwrap().is_probe(), "and are probed when it is time (I16)");
}

#[tokio::test(start_paused = true)]
async fn ladders_go_on_where_they_were() {
    let store = MemoryStore::default();
    for rest in [60, 3_600, 24 * 3_600] {
        let pool = empty();
        let keeper = kept(&pool, &store).await;
        if pool.snapshot().members.is_empty() {
            add(&pool, 1);
        }
        let id = call(&pool, Outcome::Rejected);
        let until = pool.snapshot().member(id).unwrap().until.unwrap();
        assert_eq!(until - pool.now(), secs(rest));
        keeper.close().await.unwrap();
        // The clock of every new pool begins at the same moment.
        let mut record = only(&store).await;
        record.condition.until = Timestamp::ZERO;
        record.version += 1;
        store.write(vec![record.into()]).await.unwrap();
    }
    let pool = empty();
    let _keeper = kept(&pool, &store).await;
    let id = call(&pool, Outcome::Rejected);
    assert_eq!(pool.snapshot().member(id).unwrap().state, State::Retired, "the fourth in a row");
}

#[tokio::test(start_paused = true)]
async fn calls_are_counted_by_how_they_ended_and_go_on_counting() {
    use Outcome::{Aborted, Accepted, CallerFault, Failed, Forbidden, Overloaded, Rejected, Throttled, Unreachable};
    let store = MemoryStore::default();
    for round in 1..=3 {
        let pool = empty();
        let keeper = kept(&pool, &store).await;
        if round == 1 {
            add(&pool, 1);
        }
        for outcome in [Accepted, Accepted, CallerFault, Failed, Forbidden, Overloaded, Unreachable, Aborted] {
            call(&pool, outcome);
        }
        drop(checkout(&pool).unwrap());
        let under_way = checkout(&pool).unwrap();
        let id = call(&pool, Throttled);
        pool.unblock(id);
        call(&pool, Rejected);
        pool.unblock(id);
        keeper.flush().await.unwrap();
        let one = only(&store).await.tallies.of(Replica(0)).unwrap();
        let expected = [12 * round, 2 * round, round, round, 4 * round];
        assert_eq!(one.total.all(), expected, "round {round}");
        assert_eq!(one.today.all(), expected);
        assert_eq!(one.last_success, pool.now());
        assert_eq!(pool.snapshot().members[0].uses, 12 * round);
        drop(under_way);
        keeper.close().await.unwrap();
        let one = only(&store).await.tallies.of(Replica(0)).unwrap();
        assert_eq!(one.total.all(), expected, "what was never answered is no success");
    }
}

#[tokio::test]
async fn a_new_day_counts_anew() {
    let (store, clock) = (MemoryStore::default(), Hand::new());
    let pool = builder(1).clock(clock.clone()).build().unwrap();
    let keeper = kept(&pool, &store).await;
    for day in 1..=3 {
        for _ in 0..day {
            call(&pool, Outcome::Accepted);
        }
        keeper.flush().await.unwrap();
        let tally = only(&store).await.tallies.sum();
        assert_eq!((tally.today.calls, tally.day), (day, pool.now().day()));
        assert_eq!(tally.total.calls, (1..=day).sum::<u64>());
        clock.pass(secs(24 * 3_600));
    }
}

#[tokio::test(start_paused = true)]
async fn every_use_is_written_within_a_moment() {
    let store = MemoryStore::default();
    let pool = pool(1);
    let _keeper = kept(&pool, &store).await;
    for calls in 1..=20 {
        let lease = checkout(&pool).unwrap();
        tokio::time::sleep(SOON).await;
        let tally = only(&store).await.tallies.sum().total;
        assert_eq!((tally.calls, tally.successes), (calls, calls - 1), "while it is under way");
        let mut lease = lease;
        lease.settle(&key_commune::outcome::Verdict::new(Outcome::Accepted), pool.now());
        drop(lease);
        tokio::time::sleep(SOON).await;
        let tally = only(&store).await.tallies.sum().total;
        assert_eq!((tally.calls, tally.successes), (calls, calls), "once it has ended");
    }
}

#[tokio::test(start_paused = true)]
async fn blocks_joins_and_removals_are_written_within_a_moment() {
    let store = MemoryStore::default();
    let pool = empty();
    let _keeper = kept(&pool, &store).await;
    let id = add(&pool, 1);
    tokio::time::sleep(SOON).await;
    assert_eq!(only(&store).await.id, id);
    call(&pool, Outcome::Throttled);
    tokio::time::sleep(SOON).await;
    let record = only(&store).await;
    assert_eq!((record.condition.state, record.condition.throttles), (State::Resting, 1));
    pool.remove(id);
    tokio::time::sleep(SOON).await;
    assert!(matches!(store.load().await.unwrap().changes[..], [Change::Gone(gone)] if gone.id == id));
}

#[tokio::test(start_paused = true)]
async fn a_removed_key_stays_removed_until_it_is_added_again() {
    let store = MemoryStore::default();
    for generation in 0..3 {
        let pool = empty();
        let keeper = kept(&pool, &store).await;
        assert_eq!(pool.snapshot().members.len(), 0, "generation {generation}");
        let id = add(&pool, 1);
        call(&pool, Outcome::Throttled);
        keeper.flush().await.unwrap();
        assert_eq!(only(&store).await.generation, generation);
        pool.remove(id);
        keeper.close().await.unwrap();
        let copy = MemoryStore::default();
        copy.write(store.load().await.unwrap().changes).await.unwrap();
        let configured = self::pool(2);
        let other = kept(&configured, &copy).await;
        assert_eq!(
            (configured.snapshot().members.len(), other.restored().removed),
            (1, 1),
            "given before it was opened"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn keys_that_are_given_at_the_start_are_merged_with_what_is_known_of_them() {
    let store = MemoryStore::default();
    let first = pool(2);
    let keeper = kept(&first, &store).await;
    let id = call(&first, Outcome::Throttled);
    keeper.close().await.unwrap();
    let second = pool(3);
    let keeper = kept(&second, &store).await;
    assert_eq!((keeper.restored().keys, keeper.restored().changed), (0, 1));
    assert_eq!(second.snapshot().member(id).unwrap().state, State::Resting);
    assert_eq!((second.snapshot().active(), second.snapshot().member(id).unwrap().uses), (2, 1));
    keeper.close().await.unwrap();
    assert_eq!(store.load().await.unwrap().changes.len(), 3, "the new one is written");
}

#[tokio::test(start_paused = true)]
async fn labels_origins_and_last_clients_come_back() {
    let store = MemoryStore::default();
    let first = empty();
    let keeper = kept(&first, &store).await;
    let origin = key_commune::Origin::parse("https://other.example/v1").unwrap();
    let id = first.add(Key::new(key(1)).unwrap().label("team blue").origin(origin.clone())).unwrap();
    let client = "192.0.2.7".parse::<std::net::IpAddr>().unwrap();
    let mut lease = checkout(&first).unwrap();
    lease.note_client(client.into());
    lease.settle(&key_commune::outcome::Verdict::new(Outcome::Accepted), first.now());
    drop(lease);
    keeper.close().await.unwrap();
    let second = empty();
    let _keeper = kept(&second, &store).await;
    let member = second.snapshot().member(id).unwrap().clone();
    assert_eq!(member.label.as_deref(), Some("team blue"));
    assert_eq!(member.last_client.unwrap().to_string(), "192.0.2.0/24");
    assert_eq!(checkout(&second).unwrap().origin(), Some(&origin), "bound to its own origin (I1)");
}

#[tokio::test(start_paused = true)]
async fn all_that_was_said_about_a_key_comes_back() {
    let store = MemoryStore::default();
    let first = empty();
    let keeper = kept(&first, &store).await;
    let id = first.add(complete(1)).unwrap();
    first.add(Key::new(key(2)).unwrap().traits(Traits::default())).unwrap();
    let before = first.snapshot();
    keeper.close().await.unwrap();
    let second = empty();
    let _keeper = kept(&second, &store).await;
    let (before, after) = (before.member(id).unwrap(), second.snapshot().member(id).unwrap().clone());
    assert_eq!((&after.label, &after.origin, &after.traits), (&before.label, &before.origin, &before.traits));
    let Traits { weight, tier, group, models, .. } = &after.traits;
    assert_eq!((weight.get(), *tier, group.as_deref()), (2, 1, Some("acct-a")));
    assert_eq!(models.as_ref().map(Models::as_str), Some("gpt-4,gpt-4o*,others"));
    assert!(second.snapshot().members.iter().any(|other| other.traits == Traits::default()), "nothing was said of it");
}

#[tokio::test]
async fn a_deadline_of_a_clock_that_was_wrong_is_clamped_and_a_clock_set_back_does_no_harm() {
    let store = MemoryStore::default();
    let clock = Hand::new();
    let first = builder(1).pepper(Pepper::new([7; 32])).clock(clock.clone()).build().unwrap();
    let keeper = kept(&first, &store).await;
    clock.pass(secs(400 * 24 * 3_600));
    call(&first, Outcome::Throttled);
    keeper.close().await.unwrap();
    // The next process has a clock that is more than a year behind.
    let second = builder(0).pepper(Pepper::new([7; 32])).clock(Hand::new()).build().unwrap();
    let keeper = kept(&second, &store).await;
    let member = &second.snapshot().members[0];
    assert!(member.until.unwrap() - second.now() <= secs(7 * 24 * 3_600), "{:?}", member.until);
    second.unblock(member.id);
    call(&second, Outcome::Accepted);
    keeper.close().await.unwrap();
    let record = only(&store).await;
    assert_eq!((record.condition.state, record.tallies.sum().total.calls), (State::Active, 2), "news win all the same");
}

#[tokio::test(start_paused = true)]
async fn only_as_many_keys_are_restored_as_fit_and_only_the_providers() {
    let store = MemoryStore::default();
    let first = empty();
    let keeper = kept(&first, &store).await;
    for number in 0..5 {
        add(&first, number);
        tokio::time::advance(Duration::from_millis(5)).await;
    }
    keeper.close().await.unwrap();
    let small = builder(0).pepper(Pepper::new([7; 32])).max_keys(3).build().unwrap();
    let keeper = kept(&small, &store).await;
    assert_eq!((keeper.restored().keys, keeper.restored().left_out), (3, 2));
    assert_eq!(keeper.restored().to_string(), "3 keys restored, 2 beyond what the pool takes");
    let mut oldest: Vec<_> = first.snapshot().members.iter().take(3).map(|member| member.id).collect();
    let mut seated: Vec<_> = small.snapshot().members.iter().map(|member| member.id).collect();
    oldest.sort();
    seated.sort();
    assert_eq!(seated, oldest, "those that have been there for longest");
    keeper.close().await.unwrap();
    let other = KeyPool::builder(Provider::ANTHROPIC).build().unwrap();
    let keeper = kept(&other, &store).await;
    assert_eq!((keeper.restored().keys, keeper.restored().foreign), (0, 5));
    keeper.close().await.unwrap();
    assert_eq!(store.load().await.unwrap().changes.len(), 5, "they stay where they are");
}

#[tokio::test(start_paused = true)]
async fn a_commune_comes_back_with_its_members_and_their_strikers() {
    let store = MemoryStore::default();
    let commune = || {
        let pool = KeyPool::builder(Provider::OPENAI).commune(Commune::default()).penalties(plain());
        pool.pepper(Pepper::new([7; 32])).clock(crate::support::tokio_clock()).build().unwrap()
    };
    let first = commune();
    let keeper = kept(&first, &store).await;
    let victim = add(&first, 1);
    keeper.flush().await.unwrap();
    let mut record = only(&store).await;
    record.strikers = vec![key_commune::demand::Caller(9)];
    (record.condition.throttles, record.condition.reason) = (1, Some(Reason::Outcome(Outcome::Throttled)));
    record.version += 1;
    keeper.close().await.unwrap();
    store.write(vec![record].into_iter().map(Change::from).collect()).await.unwrap();
    let second = commune();
    let keeper = kept(&second, &store).await;
    // A caller that has struck it before the restart strikes it no second time (I22).
    let demand = key_commune::demand::Demand::default().caller(key_commune::demand::Caller(9));
    let mut lease = second.checkout(&demand, &mut key_commune::pool::Tried::default(), second.now()).unwrap();
    lease.settle(&key_commune::outcome::Verdict::new(Outcome::Throttled), second.now());
    drop(lease);
    assert_eq!(second.snapshot().member(victim).unwrap().throttles, 1);
    keeper.close().await.unwrap();
    assert_eq!(only(&store).await.strikers.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn whoever_drops_a_keeper_loses_nothing_while_the_runtime_lives() {
    let store = MemoryStore::default();
    let pool = empty();
    let keeper = kept(&pool, &store).await;
    add(&pool, 1);
    drop(keeper);
    tokio::time::sleep(SOON).await;
    only(&store).await;
    add(&pool, 2);
    tokio::time::sleep(secs(1)).await;
    only(&store).await;
}

#[tokio::test]
async fn a_store_that_cannot_be_read_leaves_the_pool_as_it_was() {
    struct Broken;
    use key_commune::store::{Doing, ErrorKind, Loaded, StoreError};
    impl Store for Broken {
        fn load(&self) -> Doing<'_, Loaded> {
            Box::pin(async { Err(StoreError::new(ErrorKind::Damaged, "somewhere")) })
        }
        fn write(&self, _: Vec<Change>) -> Doing<'_, ()> {
            unreachable!("nothing is written")
        }
        fn flush(&self) -> Doing<'_, ()> {
            unreachable!("nothing is written")
        }
        fn header(&self) -> Doing<'_, Option<bytes::Bytes>> {
            unreachable!("nobody asks")
        }
        fn replace_header(&self, _: Option<bytes::Bytes>, _: bytes::Bytes) -> Doing<'_, bool> {
            unreachable!("nothing is written")
        }
    }
    let pool = builder(2).build().unwrap();
    assert!(Keeper::open(&pool, Broken).await.is_err());
    assert_eq!(pool.snapshot().active(), 2);
}

#[tokio::test(start_paused = true)]
async fn tokens_and_cost_go_on_counting_over_restarts() {
    use key_commune::KeyCommuneLayer;
    use key_commune::record::Spent;
    use key_commune::usage::Cost;
    use tower::Layer;

    use crate::support::{Upstream, answer, fetch, post};
    let said = r#"{"model":"gpt-4o","usage":{"prompt_tokens":9,"completion_tokens":2,"cost":0.5}}"#;
    let upstream = Upstream::in_turn(move |_| answer(200, &[("content-type", "application/json")], said));
    let spent = |calls: u64| {
        let cost = Cost::from_micros(500_000 * calls);
        Spent { calls, input: 9 * calls, output: 2 * calls, cached: 0, cost }
    };
    let store = MemoryStore::default();
    for round in 1..=4 {
        // The key is given at the start, or comes from the store; the last time it is used before the store is heard of.
        let pool = pool(usize::from(round != 2));
        let client = KeyCommuneLayer::new(pool.clone()).usage(true).layer(upstream.clone());
        if round == 4 {
            fetch(&client, post("x")).await;
        }
        let keeper = kept(&pool, &store).await;
        if round != 4 {
            fetch(&client, post("x")).await;
        }
        let today = pool.snapshot().members[0].usage_today.clone();
        assert_eq!((today.len(), today[0].spent), (1, spent(round)));
        tokio::time::sleep(SOON).await;
        let record = only(&store).await;
        assert_eq!(record.tallies.sum().spent, spent(round));
        let day: Vec<_> = record.usage.iter().map(|(_, model, spent)| (model.to_string(), spent)).collect();
        assert_eq!(day, [("gpt-4o".to_owned(), spent(round))]);
        keeper.close().await.unwrap();
    }
}
