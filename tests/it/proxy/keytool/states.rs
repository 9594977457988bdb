//! How keys do, by an operator's word.

use key_commune::clock::Timestamp;
use key_commune::health::{Condition, Reason, State};
use key_commune::outcome::Outcome;
use key_commune::record::{Change, Record, Rest, RestOf};
use key_commune::store::{SqliteStore, Store};
use serde_json::json;

use super::{ONE, TWO, Tool};

async fn pair() -> Tool {
    Tool::with(&[&format!("{ONE} label=one"), &format!("{TWO} label=two")]).await
}

#[tokio::test]
async fn a_key_is_blocked_for_a_while_and_unblocked() {
    let tool = pair().await;
    let id = tool.id("one").await;
    let said = tool.says(&format!("block {} --for 1h", &id[..4])).await;
    assert!(said.starts_with("blocked sk-s..6789 ("), "{said}");
    let key = tool.key("one").await;
    assert_eq!((&key["state"], &key["reason"]), (&json!("resting"), &json!("disabled by operator")));
    assert!(said.contains(key["blocked_until"].as_str().unwrap()), "{said}");
    assert_eq!(tool.key("two").await["state"], "active");
    let table = tool.says("list").await;
    let row = table.lines().find(|line| line.contains("one")).unwrap();
    assert!(row.starts_with(&id[..8]) && row.contains("resting"), "{table}");
    assert!(tool.refuses(&format!("block {id} --for 500y")).await.contains("100 years at most"));
    tool.says(&format!("unblock {id}")).await;
    let key = tool.key("one").await;
    assert_eq!((&key["state"], &key["reason"], &key["blocked_until"]), (&json!("active"), &json!(null), &json!(null)));
}

#[tokio::test]
async fn a_key_is_disabled_until_it_is_enabled() {
    let tool = pair().await;
    let id = tool.id("one").await;
    tool.says(&format!("disable {id}")).await;
    let key = tool.key("one").await;
    assert_eq!((&key["state"], &key["reason"]), (&json!("retired"), &json!("disabled by operator")));
    assert!(tool.refuses(&format!("unblock {id}")).await.contains("`proxy keys enable`"));
    assert!(tool.refuses(&format!("block {id} --for 1h")).await.contains("is disabled"));
    assert_eq!(tool.says("unblock --all").await, "unblocked 0 keys\n");
    tool.says(&format!("enable {id}")).await;
    assert_eq!(tool.key("one").await["state"], "active");
    assert!(tool.refuses(&format!("enable {id}")).await.contains("is not disabled but active"));
}

#[tokio::test]
async fn all_keys_are_unblocked_whatever_for_but_those_that_were_disabled() {
    let tool =
        Tool::with(&[&format!("{ONE} label=one"), &format!("{TWO} label=two"), &format!("{TWO}-3 label=three")]).await;
    let store = SqliteStore::open_beside(tool.path("data/keys.db")).unwrap();
    let loaded = store.load().await.unwrap();
    let find = |label| {
        loaded.changes.iter().filter_map(|change| change.record()).find(|record| record.label.as_deref() == Some(label))
    };
    let mut condition = find("one").unwrap().condition;
    (condition.state, condition.until) = (State::Retired, Timestamp::MAX);
    (condition.reason, condition.rejections) = (Some(Reason::Outcome(Outcome::Rejected)), 4);
    let revised = find("one").unwrap().clone().revised(condition, Timestamp::ZERO);
    store.write(vec![revised.into()]).await.unwrap();
    assert_eq!(tool.key("one").await["consecutive_auth_failures"], 4);
    tool.says(&format!("block {} --for 90s", tool.id("two").await)).await;
    tool.says(&format!("disable {}", tool.id("three").await)).await;
    assert_eq!(tool.says("unblock --all").await, "unblocked 2 keys\n");
    let one = tool.key("one").await;
    assert_eq!((&one["state"], &one["consecutive_auth_failures"]), (&json!("active"), &json!(0)));
    assert_eq!(tool.key("two").await["state"], "active");
    assert_eq!(tool.key("three").await["state"], "retired");
}

#[tokio::test]
async fn what_rests_beside_a_key_is_unblocked_with_it() {
    let tool = pair().await;
    let store = SqliteStore::open_beside(tool.path("data/keys.db")).unwrap();
    let mut condition = Condition::default();
    (condition.state, condition.until) = (State::Resting, Timestamp::MAX);
    let resting = |mut record: Record| {
        record.rests.note(Rest { of: RestOf::Model("gpt-4o".into()), since: Timestamp::ZERO, condition });
        record
    };
    let changes = store.load().await.unwrap().changes;
    let changes = changes.iter().filter_map(Change::record).cloned().map(resting).map(Change::from);
    store.write(changes.collect()).await.unwrap();
    tool.says(&format!("unblock {}", tool.id("one").await)).await;
    let left = async || {
        let changes = store.load().await.unwrap().changes;
        changes.iter().filter_map(Change::record).filter(|record| !record.rests.is_clear()).count()
    };
    assert_eq!(left().await, 1);
    assert_eq!(tool.says("unblock --all").await, "unblocked 1 key\n");
    assert_eq!((left().await, tool.says("unblock --all").await), (0, "unblocked 0 keys\n".to_owned()));
}

#[tokio::test]
async fn a_key_that_was_removed_may_come_again() {
    let tool = pair().await;
    let id = tool.id("one").await;
    tool.says(&format!("block {id} --for 1h")).await;
    tool.says(&format!("remove {id}")).await;
    assert_eq!(tool.list().await.len(), 1);
    assert!(tool.refuses(&format!("remove {id}")).await.contains("no such key"));
    assert!(tool.import(&format!("{ONE} label=again")).await.starts_with("1 key of custom added, 0 there already"));
    let key = tool.key("again").await;
    assert_eq!((&key["id"], &key["state"]), (&json!(id), &json!("active")));
}

#[tokio::test]
async fn a_key_is_named_by_the_first_digits_of_its_id_or_by_itself_on_stdin() {
    let tool = pair().await;
    let id = tool.id("two").await;
    let (shown, _) = tool.ends(0, "show -", &format!("{TWO}\n")).await;
    assert!(shown.lines().any(|line| line.split_whitespace().eq(["id", &id])), "{shown}");
    assert!(!shown.contains("sk-secret"), "{shown}");
    let shown: serde_json::Value =
        serde_json::from_str(&tool.says(&format!("show --json {}", id.to_uppercase())).await).unwrap();
    assert_eq!(shown["label"], "two");
    tool.ends(0, "disable -", TWO).await;
    assert_eq!(tool.key("two").await["state"], "retired");
    for (wrong, says) in [
        ("sk-secret-one-0123456789", "the first digits of one (4 or more), or - for a key on stdin"),
        (&id[..3], "4 or more"),
        (&format!("{id}0"), "4 or more"),
        ("0000000000000000", "there is no such key"),
        ("-", "stdin: the key is empty"),
    ] {
        assert!(tool.refuses(&format!("show {wrong}")).await.contains(says), "{wrong}");
    }
}

#[tokio::test]
async fn a_beginning_that_two_ids_share_names_neither() {
    let keys: Vec<_> = (0..2_000).map(|number| format!("sk-secret-{number:020}")).collect();
    let keys: Vec<_> = keys.iter().map(String::as_str).collect();
    let tool = Tool::with(&keys).await;
    let ids: Vec<_> = tool.list().await.iter().map(|key| key["id"].as_str().unwrap()[..4].to_owned()).collect();
    let shared = ids.iter().find(|id| ids.iter().filter(|other| other == id).count() == 2).expect("two of 2,000");
    assert!(tool.refuses(&format!("remove {shared}")).await.contains("2 keys are meant by that"));
    assert_eq!(tool.list().await.len(), 2_000);
}
