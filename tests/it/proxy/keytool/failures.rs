//! What goes wrong is one line on stderr and status 2, and changes nothing.

use std::os::unix::fs::PermissionsExt;

use key_commune::store::SqliteStore;

use super::{ONE, TWO, Tool};

const OTHER: &str = "8f0c8f0c8f0c8f0c8f0c8f0c8f0c8f0c8f0c8f0c8f0c8f0c8f0c8f0c8f0c8f0c";

/// The name of the master key in use.
async fn ring(tool: &Tool) -> String {
    std::fs::rename(tool.path("data/master.key"), tool.path("kept")).unwrap();
    let told = tool.refuses("list").await;
    std::fs::rename(tool.path("kept"), tool.path("data/master.key")).unwrap();
    told.split_once("the master key ").unwrap().1.split(' ').next().unwrap().to_owned()
}

/// As the first version of the schema had it.
#[tokio::test]
async fn a_database_of_an_earlier_version_is_brought_up_to_date() {
    let tool = Tool::with(&[&format!("{ONE} label=blue tier=1")]).await;
    let shell = rusqlite::Connection::open(tool.path("data/keys.db")).unwrap();
    shell.execute_batch("DROP VIEW rests").unwrap();
    for column in ["weight", "tier", "quota_group", "models", "rests"] {
        shell.execute_batch(&format!("ALTER TABLE api_keys DROP COLUMN {column}")).unwrap();
    }
    shell.execute_batch("DROP TRIGGER key_put; DROP TRIGGER key_inserted; PRAGMA user_version = 1").unwrap();
    let lock = std::fs::File::open(tool.path("data/keys.db.lock")).unwrap();
    lock.lock().unwrap();
    assert!(tool.refuses("list").await.contains("earlier version"), "not while a proxy has it");
    drop(lock);
    assert_eq!(tool.key("blue").await["tier"], 0);
}

#[tokio::test]
async fn without_a_database_there_is_nothing_to_see() {
    let tool = Tool::new();
    for command in
        ["list", "show 1234", "export", "block 1234 --for 1h", "unblock --all", "remove 1234", "rotate-master-key"]
    {
        assert!(tool.refuses(command).await.contains("there is no database data/keys.db"), "{command}");
    }
    assert!(!tool.has("data"), "nothing was made");
    assert!(tool.refuses("import --store sqlite::memory: -").await.contains("sqlite:PATH or memory"));
    assert!(tool.refuses("list --store memory").await.contains("sqlite:PATH"));
    assert!(tool.refuses("list --store file:x").await.contains("sqlite:PATH or memory"));
}

#[tokio::test]
async fn i03_a_missing_or_wrong_master_key_is_named_and_none_is_made() {
    let mut tool = Tool::with(&[ONE]).await;
    let name = ring(&tool).await;
    let before = std::fs::read(tool.path("data/keys.db")).unwrap();
    std::fs::rename(tool.path("data/master.key"), tool.path("kept")).unwrap();
    for command in ["list", "import -", "unblock --all", "rotate-master-key"] {
        let told = tool.refuses(command).await;
        assert!(told.contains(&format!("the master key {name} is missing; there is no data/master.key")), "{told}");
        assert!(told.contains("data/keys.db"), "{told}");
    }
    assert!(!tool.has("data/master.key") && !tool.has("data/master.key.new"));
    tool.write("wrong", format!("{OTHER}\n"));
    std::fs::set_permissions(tool.path("wrong"), PermissionsExt::from_mode(0o600)).unwrap();
    for command in ["list", "import -", "rotate-master-key"] {
        let told = tool.refuses(&format!("{command} --master-key-file wrong")).await;
        assert!(told.contains(&format!("the master key {name} is missing; wrong holds ")), "{told}");
    }
    assert!(!tool.has("wrong.new"));
    tool.set("KEY_COMMUNE_MASTER_KEY", OTHER);
    let told = tool.refuses("list").await;
    assert!(told.contains(&name) && told.contains("KEY_COMMUNE_MASTER_KEY holds "), "{told}");
    assert!(std::fs::read(tool.path("data/keys.db")).unwrap() == before);
    assert!(tool.says("list --master-key-file kept").await.contains("sk-s..6789"), "an option goes first");
}

#[tokio::test]
async fn a_master_key_is_64_digits_for_its_owner_only() {
    let mut tool = Tool::with(&[ONE]).await;
    std::fs::set_permissions(tool.path("data/master.key"), PermissionsExt::from_mode(0o640)).unwrap();
    let told = tool.refuses("list").await;
    assert!(told.contains("data/master.key: others than its owner may read") && told.contains("chmod 600"), "{told}");
    std::fs::set_permissions(tool.path("data/master.key"), PermissionsExt::from_mode(0o600)).unwrap();
    tool.write("data/master.key", "8f0c");
    assert!(tool.refuses("list").await.contains("data/master.key: a master key has 64 hexadecimal digits, not 4"));
    tool.set("KEY_COMMUNE_MASTER_KEY", "nonsense");
    assert!(tool.refuses("list").await.contains("KEY_COMMUNE_MASTER_KEY: a master key has 64"));
    let fresh = Tool { folder: Tool::new().folder.clone(), environment: tool.environment.clone() };
    std::fs::create_dir_all(&fresh.folder).unwrap();
    assert!(fresh.refuses("import -").await.contains("KEY_COMMUNE_MASTER_KEY: "));
    assert!(!fresh.has("data"), "nothing was made");
}

#[tokio::test]
async fn a_master_key_of_the_environment_needs_no_file() {
    let mut tool = Tool::new();
    tool.set("KEY_COMMUNE_MASTER_KEY", OTHER);
    tool.import(ONE).await;
    assert!(!tool.has("data/master.key"));
    assert_eq!(tool.list().await.len(), 1);
}

#[tokio::test]
async fn what_is_no_database_of_ours_is_left_alone() {
    let tool = Tool::new();
    for (name, content, says) in
        [("empty.db", &b""[..], "it is cut off"), ("text.db", &[b'x'; 200], "it is no SQLite database")]
    {
        tool.write(name, content);
        let told = tool.refuses(&format!("import - --store sqlite:{name}")).await;
        assert!(told.contains(says) && told.contains(name), "{told}");
        assert_eq!(std::fs::read(tool.path(name)).unwrap(), content);
    }
    assert!(!tool.has("master.key"));
}

#[tokio::test]
async fn the_tool_works_beside_a_proxy() {
    let tool = Tool::with(&[ONE]).await;
    let proxy = SqliteStore::open(tool.path("data/keys.db")).unwrap();
    tool.import(TWO).await;
    assert_eq!(tool.list().await.len(), 2);
    drop(proxy);
}

#[tokio::test]
async fn a_file_that_cannot_be_read_is_told() {
    let tool = Tool::new();
    assert!(tool.refuses("import nowhere.txt").await.contains("nowhere.txt: No such file"));
    assert!(tool.refuses("import /").await.contains("/: is a directory"));
    assert!(!tool.has("data"), "nothing was made");
    assert!(tool.refuses("").await.contains("`proxy keys`"));
    assert!(tool.refuses("nonsense").await.contains("--help"));
    assert!(tool.refuses("block 1234").await.contains("--for"));
    assert!(tool.refuses("block 1234 --for soon").await.contains("--for"));
    assert!(tool.refuses("unblock").await.contains("--all"));
    assert!(tool.refuses("import - --max-keys 0").await.contains("--max-keys"));
    assert!(tool.refuses("list sk-secret-stray").await.contains("belongs to no option"));
}
