//! What is said about a key is changed by hand.

use serde_json::{Value, json};

use super::super::caller::get;
use super::super::{Provider, Proxy};
use super::serving::{soon, start, stop};
use super::{ONE, TWO, Tool};

const ALL: &str = "label=one models=gpt-4,gpt-4o* weight=2 tier=1 group=acct-a base_url=https://api.example/v1";

impl Tool {
    /// Words may have blanks in them.
    async fn said(&self, words: &[&str]) -> String {
        let output = self.output_of(&[&["set"], words].concat(), "").await;
        assert_eq!(output.status.code(), Some(0), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    async fn only(&self) -> Value {
        let [key] = self.list().await.try_into().unwrap();
        key
    }
}

fn traits(key: &Value) -> Value {
    json!(["label", "models", "weight", "tier", "group", "base_url"].map(|name| key[name].clone()))
}

#[tokio::test]
async fn each_thing_that_is_said_is_changed_or_taken_back_by_itself() {
    let tool = Tool::with(&[&format!("{ONE} {ALL}")]).await;
    let id = tool.id("one").await;
    let mut expected = json!(["one", "gpt-4,gpt-4o*", 2, 1, "acct-a", "https://api.example/v1"]);
    assert_eq!(traits(&tool.only().await), expected);
    let changes = [
        (0, "--label", "my key", json!("my key"), json!(null)),
        (1, "--models", "o3,others", json!("o3,others"), json!(null)),
        (2, "--weight", "255", json!(255), json!(1)),
        (3, "--tier", "7", json!(7), json!(0)),
        (4, "--group", "acct b", json!("acct b"), json!(null)),
        (5, "--base-url", "https://eu.example", json!("https://eu.example"), json!(null)),
    ];
    for (at, option, value, new, _) in &changes {
        tool.said(&[&id, option, value]).await;
        expected[at] = new.clone();
        assert_eq!(traits(&tool.only().await), expected, "{option}");
    }
    for (at, option, _, _, none) in changes {
        let out = tool.said(&[&id[..6], option, ""]).await;
        expected[at] = none;
        assert_eq!(traits(&tool.only().await), expected, "{option}");
        assert_eq!(out.contains("said: nothing"), at == 5, "{out}");
    }
    let out = tool.said(&[&id, "--tier", "3", "--label", "again", "--base-url", "http://127.0.0.1:1"]).await;
    assert!(out.ends_with("is said: label=again tier=3 base_url=http://127.0.0.1:1\n"), "{out}");
    assert_eq!(traits(&tool.only().await), json!(["again", null, 1, 3, null, "http://127.0.0.1:1"]));
    assert!(tool.says("export --reveal").await.contains(ONE), "and it still opens");
}

#[tokio::test]
async fn how_a_key_does_stays_as_it_is() {
    let tool = Tool::with(&[&format!("{ONE} label=one"), TWO]).await;
    let id = tool.id("one").await;
    tool.says(&format!("block {id} --for 1h")).await;
    let before = tool.key("one").await;
    tool.said(&[&id, "--base-url", "https://eu.example", "--tier", "2"]).await;
    let mut after = tool.key("one").await;
    assert_eq!((&after["tier"], &after["base_url"]), (&2.into(), &"https://eu.example".into()));
    for name in ["base_url", "tier", "updated"] {
        after[name] = before[name].clone();
    }
    assert_eq!(before, after);
    assert_eq!(tool.list().await.iter().filter(|key| key["tier"] == 2).count(), 1, "the other one is left alone");
}

#[tokio::test]
async fn what_is_wrong_is_told_and_changes_nothing() {
    let tool = Tool::with(&[&format!("{ONE} {ALL}")]).await;
    let (id, before) = (tool.id("one").await, tool.only().await);
    for (words, wrong) in [
        ("", "the following required arguments were not provided: <--label"),
        ("--weight 0", "a weight is a whole number from 1 to 255"),
        ("--tier 1 --weight 256", "a weight is a whole number from 1 to 255"),
        ("--tier=-1", "a tier is a whole number from 0 to 255"),
        ("--models a,,b", "models: the name of a model is empty"),
        (&format!("--label {}", "x".repeat(65)), "a label has 1 to 64 bytes and no control characters"),
        ("--base-url http://10.0.0.5", "allow it with --allow-http HOST"),
        ("--base-url api.example", "the base URL must begin with https:// or http://"),
        ("--state active", "unexpected argument '--state' found"),
    ] {
        let told = tool.refuses(&format!("set {id} {words}")).await;
        assert!(told.contains(wrong), "{words}: {told}");
    }
    assert!(tool.refuses(&format!("set {ONE} --tier 1")).await.contains("KEY is an id"));
    assert!(tool.refuses("set 0123456789 --tier 1").await.contains("there is no such key"));
    assert_eq!(tool.only().await, before);
    tool.said(&[&id, "--base-url", "http://10.0.0.5", "--allow-http", "10.0.0.5"]).await;
    assert_eq!(tool.only().await["base_url"], "http://10.0.0.5");
}

/// Its base URL cannot be trusted, nor can another one be sealed with it.
#[tokio::test]
async fn i03_of_a_key_that_cannot_be_read_the_base_url_stays() {
    let tool = Tool::with(&[&format!("{ONE} label=one")]).await;
    let id = tool.id("one").await;
    let shell = rusqlite::Connection::open(tool.path("data/keys.db")).unwrap();
    shell.execute("UPDATE api_keys SET origin = 'https://elsewhere.example'", []).unwrap();
    let told = tool.refuses(&format!("set {id} --base-url https://eu.example")).await;
    assert!(told.contains("cannot be read"), "{told}");
    tool.said(&[&id, "--label", "broken"]).await;
    let label: String = shell.query_row("SELECT label FROM api_keys", [], |row| row.get(0)).unwrap();
    assert_eq!(label, "broken");
}

#[tokio::test]
async fn i01_a_running_proxy_hears_of_it() {
    let tool = Tool::with(&[&format!("{ONE} label=one tier=1"), &format!("{TWO} label=two tier=2")]).await;
    let (provider, own) = (Provider::start(), Provider::start());
    let proxy: Proxy = start(&tool, &provider, "--mode private").await;
    let last = || provider.seen().last().is_some_and(|seen| seen.only("authorization").ends_with(TWO));
    assert_eq!(get(proxy.address, "/v1/models").await.status, 200);
    assert!(!last(), "of a later tier");
    let id = tool.id("two").await;
    tool.said(&[&id, "--tier", ""]).await;
    soon(&proxy, "another tier", |_| last()).await;
    let base = format!("http://{}/deep", own.address);
    tool.said(&[&id, "--base-url", &base]).await;
    soon(&proxy, "a base URL", |_| own.seen().last().is_some_and(|seen| seen.line == "GET /deep/v1/models")).await;
    provider.seen();
    assert_eq!(get(proxy.address, "/v1/models").await.status, 200);
    assert!(!last(), "a key leaves for its own place alone");
    tool.said(&[&id, "--base-url", ""]).await;
    soon(&proxy, "no base URL", |_| last()).await;
    let log = stop(proxy).await;
    assert!(!log.contains("WARN"), "{log}");
    let two = tool.key("two").await;
    assert_eq!(traits(&two), json!(["two", null, 1, 0, null, null]), "nor has the proxy written it over");
    assert!(two["calls"].as_u64() >= Some(3) && two["failures"] == 0, "{two}");
}
