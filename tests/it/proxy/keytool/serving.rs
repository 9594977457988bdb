//! What the proxy has learned outlives it.

use std::path::Path;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, BufReader};

use super::super::caller::{ask, get};
use super::super::program::command;
use super::super::provider::Reply;
use super::super::{Provider, Proxy};
use super::{ONE, TWO, Tool};

/// These options, after those that say for whom.
pub(super) fn serve(tool: &Tool, provider: &Provider, options: &str) -> tokio::process::Command {
    let upstream = format!("http://{}", provider.address);
    let base = ["serve", "--listen", "127.0.0.1:0", "--upstream", &upstream, "--store", "sqlite:data/keys.db"];
    let mut command = command(&base.into_iter().chain(options.split_whitespace()).collect::<Vec<_>>());
    command.current_dir(&tool.folder).envs(tool.environment.iter().cloned());
    command
}

pub(super) async fn start(tool: &Tool, provider: &Provider, options: &str) -> Proxy {
    Proxy::start(serve(tool, provider, options)).await
}

/// Its log.
pub(super) async fn stop(mut proxy: Proxy) -> String {
    proxy.signal("TERM");
    assert_eq!(proxy.ended().await.code(), Some(0));
    proxy.stderr().await
}

async fn refused(tool: &Tool, provider: &Provider, options: &str) -> String {
    let ended = tokio::time::timeout(Duration::from_secs(20), serve(tool, provider, options).output()).await;
    let output = ended.expect("it serves").unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0), "{text}");
    assert_eq!(text.lines().count(), 1, "{text}");
    assert!(!text.contains("sk-secret"), "{text}");
    text
}

#[tokio::test]
async fn the_first_start_makes_a_store_and_the_next_one_finds_its_keys_there() {
    let (tool, provider) = (Tool::new(), Provider::start());
    let proxy = start(&tool, &provider, &format!("--key {ONE}")).await;
    for _ in 0..3 {
        assert_eq!(get(proxy.address, "/v1/models").await.status, 200);
    }
    let log = stop(proxy).await;
    assert!(log.contains("made the database data/keys.db and the master key data/master.key"), "{log}");
    let keys = tool.list().await;
    assert_eq!(
        (&keys[0]["calls"], &keys[0]["successes"], &keys[0]["provider"]),
        (&3.into(), &3.into(), &"custom".into())
    );
    let proxy = start(&tool, &provider, "--mode private").await;
    assert_eq!(get(proxy.address, "/v1/models").await.status, 200);
    assert!(provider.seen().iter().all(|seen| seen.only("authorization") == format!("Bearer {ONE}")));
    let log = stop(proxy).await;
    assert!(log.contains("1 keys restored") && !log.contains("made"), "{log}");
    assert_eq!(tool.list().await[0]["calls"], 4);
    let proxy = start(&tool, &provider, &format!("--key {ONE} --key {TWO}")).await;
    stop(proxy).await;
    assert_eq!(tool.list().await.len(), 2, "only what is new was added");
}

#[tokio::test]
async fn a_key_that_rests_rests_on() {
    let (tool, provider) =
        (Tool::with(&["sk-busy-0123456789abcdef label=busy", &format!("{ONE} label=one")]).await, Provider::start());
    let proxy = start(&tool, &provider, "--mode private").await;
    while !provider.seen().iter().any(|seen| seen.only("authorization").contains("busy")) {
        assert_eq!(get(proxy.address, "/v1/models").await.status, 200);
    }
    stop(proxy).await;
    let busy = tool.key("busy").await;
    assert_eq!((&busy["state"], &busy["throttles"]), (&"resting".into(), &1.into()));
    let proxy = start(&tool, &provider, "--mode private").await;
    for _ in 0..20 {
        assert_eq!(get(proxy.address, "/v1/models").await.status, 200);
    }
    assert!(provider.seen().iter().all(|seen| !seen.only("authorization").contains("busy")));
    stop(proxy).await;
}

#[tokio::test]
async fn i01_a_key_goes_to_the_place_that_it_was_imported_with() {
    let (provider, own) = (Provider::start(), Provider::start());
    let tool = Tool::with(&[&format!("{ONE} label=one base_url=http://{}/deep", own.address)]).await;
    let proxy = start(&tool, &provider, "--mode private").await;
    assert_eq!(get(proxy.address, "/v1/models").await.status, 200);
    stop(proxy).await;
    assert_eq!(own.only().line, "GET /deep/v1/models");
    assert!(provider.seen().is_empty());
    let told = refused(&tool, &provider, &format!("--key {ONE}")).await;
    assert!(told.contains("the key sk-s..6789 has another base URL in the store"), "{told}");
}

#[tokio::test]
async fn i03_a_wrong_start_is_one_line_and_makes_nothing() {
    let (tool, provider) = (Tool::new(), Provider::start());
    let told = refused(&tool, &provider, "--mode private").await;
    assert!(told.contains("`proxy keys import`"), "{told}");
    assert!(!tool.has("data"), "{told}");
    let other = Tool::new();
    other.ends(0, "import - --provider openai", ONE).await;
    let told = refused(&other, &provider, "--mode private").await;
    assert!(told.contains("0 keys restored, 1 of other providers; there is no key"), "{told}");
    tool.import(&format!("{ONE} label=one")).await;
    std::fs::rename(tool.path("data/master.key"), tool.path("kept")).unwrap();
    let told = refused(&tool, &provider, &format!("--key {TWO}")).await;
    assert!(told.contains("is missing; there is no data/master.key") && told.contains("data/keys.db"), "{told}");
    assert!(!tool.has("data/master.key"));
    std::fs::rename(tool.path("kept"), tool.path("data/master.key")).unwrap();
    tool.says(&format!("remove {}", tool.id("one").await)).await;
    let told = refused(&tool, &provider, "--mode private").await;
    assert!(told.contains("there is no key"), "{told}");
}

#[tokio::test]
async fn a77_a_second_proxy_on_the_same_file_is_refused_and_the_tool_is_not() {
    let (tool, provider) = (Tool::with(&[ONE]).await, Provider::start());
    let proxy = start(&tool, &provider, "--mode private").await;
    let told = refused(&tool, &provider, "--mode private").await;
    assert!(told.contains("another proxy has data/keys.db open"), "{told}");
    assert_eq!(tool.list().await.len(), 1);
    assert_eq!(get(proxy.address, "/v1/models").await.status, 200);
    stop(proxy).await;
    stop(start(&tool, &provider, "--mode private").await).await;
}

#[tokio::test]
async fn i12_a_store_that_is_held_up_holds_nobody_up_and_is_told() {
    let (tool, provider) = (Tool::with(&[ONE]).await, Provider::start());
    let mut proxy = start(&tool, &provider, "--mode private").await;
    let other = rusqlite::Connection::open(tool.path("data/keys.db")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    for _ in 0..10 {
        assert_eq!(get(proxy.address, "/v1/models").await.status, 200);
    }
    let line = proxy.says("the store does not keep up with the pool").await;
    assert!(line.contains("WARN") && line.contains("pending="), "{line}");
    assert_eq!(get(proxy.address, "/v1/models").await.status, 200);
    other.execute_batch("ROLLBACK").unwrap();
    stop(proxy).await;
    assert_eq!(tool.list().await[0]["calls"], 11);
}

#[tokio::test]
async fn keys_of_another_provider_are_told_and_left_alone() {
    let (tool, provider) = (Tool::with(&[ONE]).await, Provider::start());
    tool.ends(0, "import - --provider openai", TWO).await;
    let proxy = start(&tool, &provider, "--mode private").await;
    let log = stop(proxy).await;
    assert!(
        log.contains("WARN")
            && log.contains("1 keys restored, 1 of other providers; what is not in use stays in the store"),
        "{log}"
    );
    assert_eq!(tool.list().await.len(), 2);
}

#[tokio::test]
async fn whoever_reads_the_log_may_hang_up() {
    let (tool, provider) = (Tool::with(&[ONE]).await, Provider::start());
    let (reader, log) = std::io::pipe().unwrap();
    drop(reader);
    let mut proxy = serve(&tool, &provider, "--mode private");
    let mut proxy = proxy.env("RUST_LOG", "proxy=debug").stderr(log).spawn().unwrap();
    let mut lines = BufReader::new(proxy.stdout.take().unwrap()).lines();
    let line = lines.next_line().await.unwrap().expect("it serves");
    let address = line.rsplit('/').next().unwrap().parse().unwrap();
    for _ in 0..2 {
        assert_eq!(get(address, "/v1/models").await.status, 200);
    }
}

/// How long a running proxy may take to hear of what the tool did.
const SOON: Duration = Duration::from_secs(1);

/// Asks until the answer is the one that is awaited, for as long as it may take after the tool has ended.
pub(super) async fn soon(proxy: &Proxy, what: &str, mut is: impl FnMut(u16) -> bool) {
    let asked = async { while !is(get(proxy.address, "/v1/models").await.status) {} };
    tokio::time::timeout(SOON, asked).await.unwrap_or_else(|_| panic!("the proxy does not hear of {what}"));
}

#[tokio::test]
async fn a_running_proxy_hears_of_what_the_tool_does() {
    let (tool, provider) = (Tool::with(&[&format!("{ONE} label=one")]).await, Provider::start());
    let proxy = start(&tool, &provider, "--mode private").await;
    assert_eq!(get(proxy.address, "/v1/models").await.status, 200);
    let id = tool.id("one").await;
    for (command, status) in [
        (format!("block {id} --for 1h"), 429),
        (format!("unblock {id}"), 200),
        (format!("disable {id}"), 503),
        (format!("enable {id}"), 200),
        (format!("remove {id}"), 503),
    ] {
        tool.says(&command).await;
        soon(&proxy, &command, |found| found == status).await;
    }
    tool.import(&format!("{TWO} label=two")).await;
    provider.seen();
    soon(&proxy, "import", |found| found == 200).await;
    assert_eq!(provider.seen().pop().unwrap().only("authorization"), format!("Bearer {TWO}"));
    tool.import(&format!("{ONE} label=again")).await;
    soon(&proxy, "a second import", |_| provider.seen().pop().unwrap().only("authorization").ends_with(ONE)).await;
    stop(proxy).await;
    let keys = tool.list().await;
    assert_eq!(keys.len(), 2);
    assert!(keys.iter().all(|key| key["calls"].as_u64() > Some(0) && key["state"] == "active"), "{keys:?}");
}

#[tokio::test]
async fn what_a_file_says_about_a_key_is_kept_and_stands() {
    let (tool, provider) = (Tool::new(), Provider::start());
    let with = async |lines: &str| {
        tool.write("keys.txt", lines);
        stop(start(&tool, &provider, "--keys-file keys.txt").await).await
    };
    let line = format!("{ONE} label=blue models=gpt-4,gpt-4o* weight=2 tier=1 group=acct-a");
    with(&line).await;
    let blue = tool.key("blue").await;
    let shown = serde_json::json!([blue["models"], blue["weight"], blue["tier"], blue["group"]]);
    assert_eq!(shown, serde_json::json!(["gpt-4,gpt-4o*", 2, 1, "acct-a"]));
    for same in [&line, ONE] {
        let log = with(same).await;
        assert!(!log.contains("WARN"), "{log}");
    }
    let log = with(&format!("{ONE} label=blue tier=2")).await;
    assert!(
        log.contains(
            "1 given keys have another label or other traits in the store, which stand; `proxy keys set` changes them"
        ),
        "{log}"
    );
    assert_eq!(tool.key("blue").await, blue);
}

/// They are there, though not in use.
#[tokio::test]
async fn given_keys_beyond_what_the_pool_takes_are_told_and_left_alone() {
    let (tool, provider) = (Tool::with(&[ONE, TWO]).await, Provider::start());
    tool.write("keys.txt", format!("{ONE}\n{TWO}\n"));
    let options = "--mode commune --max-keys 1 --keys-file keys.txt";
    let log = stop(start(&tool, &provider, options).await).await;
    assert!(log.contains("WARN") && log.contains("1 given keys are not in use: there are more in the store"), "{log}");
    assert_eq!(tool.list().await.len(), 2);
    let log = stop(start(&tool, &provider, &options.replace('1', "2")).await).await;
    assert!(!log.contains("WARN"), "{log}");
}

#[tokio::test]
async fn a_running_proxy_hears_what_is_said_about_a_key_in_the_shell() {
    let tool = Tool::with(&[&format!("{ONE} label=one tier=1"), &format!("{TWO} label=two tier=2")]).await;
    let provider = Provider::start();
    let proxy = start(&tool, &provider, "--mode private").await;
    let last = || provider.seen().last().is_some_and(|seen| seen.only("authorization").ends_with(TWO));
    for _ in 0..10 {
        assert_eq!(get(proxy.address, "/v1/models").await.status, 200);
        assert!(!last(), "of a later tier");
    }
    let shell = rusqlite::Connection::open(tool.path("data/keys.db")).unwrap();
    shell.busy_timeout(Duration::from_secs(5)).unwrap();
    shell.execute("UPDATE api_keys SET tier = 0, quota_group = 'acct-a' WHERE label = 'two'", []).unwrap();
    soon(&proxy, "a key of another tier", |_| last()).await;
    stop(proxy).await;
    let two = tool.key("two").await;
    assert_eq!((&two["tier"], &two["group"]), (&0.into(), &"acct-a".into()));
    assert!(two["calls"].as_u64() > Some(0));
}

#[tokio::test]
async fn a44_the_master_key_changes_while_the_proxy_runs() {
    let (tool, provider) = (Tool::new(), Provider::start());
    let proxy = start(&tool, &provider, &format!("--key {ONE} --key {TWO}")).await;
    assert_eq!(get(proxy.address, "/v1/models").await.status, 200);
    // How many depends on what the proxy has written by now.
    assert!(tool.says("rotate-master-key").await.contains(" by the master key "));
    std::fs::remove_file(tool.path("data/master.key.old")).unwrap();
    tool.import(&format!("{TWO}-3 label=three")).await;
    soon(&proxy, "a key under the new master key", |_| {
        provider.seen().iter().any(|seen| seen.only("authorization").ends_with("-3"))
    })
    .await;
    let log = stop(proxy).await;
    assert!(!log.contains("WARN"), "{log}");
    let keys = tool.list().await;
    assert_eq!(keys.len(), 3, "the last words of the proxy are sealed by the new key");
    assert!(keys.iter().any(|key| key["label"] == "three" && key["calls"].as_u64() > Some(0)));
}

#[tokio::test]
async fn what_is_kept_in_memory_leaves_nothing_behind() {
    let (tool, provider) = (Tool::new(), Provider::start());
    let options = ["serve", "--listen", "127.0.0.1:0", "--upstream", &format!("http://{}", provider.address)];
    let mut command = command(&[&options[..], &["--key", ONE, "--store", "memory"]].concat());
    command.current_dir(&tool.folder);
    stop(Proxy::start(command).await).await;
    assert_eq!(Path::new(&tool.folder).read_dir().unwrap().count(), 0);
}

#[tokio::test]
async fn tokens_and_dollars_are_in_the_database_by_model() {
    let said = r#"{"model":"gpt-4o","usage":{"prompt_tokens":9,"completion_tokens":2,"cost":0.25}}"#;
    let (tool, provider) = (Tool::new(), Provider::acting(move |_| Reply::new(200, said)));
    let proxy = start(&tool, &provider, &format!("--key {ONE}")).await;
    for _ in 0..2 {
        assert_eq!(get(proxy.address, "/v1/models").await.status, 200);
    }
    stop(proxy).await;
    let shell = rusqlite::Connection::open(tool.folder.join("data/keys.db")).unwrap();
    let row = |sql: &str| {
        let read = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?));
        shell.query_row(sql, [], read).unwrap()
    };
    let expected: (String, i64, i64, f64) = ("gpt-4o".into(), 18, 4, 0.5);
    assert_eq!(row("SELECT model, input_tokens, output_tokens, cost FROM usage"), expected);
    assert_eq!(row("SELECT 'gpt-4o', input_tokens, output_tokens, cost FROM totals"), expected, "not only of late");
    let client = "SELECT last_client_subnet, call_count, success_count, 0.5 FROM daily_stats";
    assert_eq!(row(client), ("127.0.0.0/24".into(), 2, 2, 0.5), "and where callers come from");
}

/// No key had any when the proxy started.
#[tokio::test]
async fn a_running_proxy_tells_models_apart_as_soon_as_a_key_names_some() {
    let (tool, provider) = (Tool::with(&[&format!("{ONE} label=one")]).await, Provider::start());
    let proxy = start(&tool, &provider, "--mode private").await;
    let chat = async |model: &str| {
        let body = format!(r#"{{"model":"{model}"}}"#);
        ask(proxy.address, "POST /v1/chat/completions", "content-type: application/json\r\n", &body).await.status
    };
    assert_eq!((chat("o3").await, chat("gpt-4o").await), (200, 200));
    tool.import(&format!("{TWO} label=two models=o3")).await;
    tool.says(&format!("remove {}", tool.id("one").await)).await;
    provider.seen();
    let asked = async { while chat("o3").await != 200 || chat("gpt-4o").await != 404 {} };
    tokio::time::timeout(SOON, asked).await.expect("it does not tell models apart");
    assert_eq!(chat("o3").await, 200);
    assert_eq!(provider.seen().pop().unwrap().only("authorization"), format!("Bearer {TWO}"));
}
