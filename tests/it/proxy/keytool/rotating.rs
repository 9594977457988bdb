//! A new master key for a store that is in use.

use key_commune::store::{Encrypted, KeyRing, MasterKey, SqliteStore, Store};

use super::{ONE, TWO, Tool};

async fn ids(tool: &Tool) -> Vec<serde_json::Value> {
    let mut keys = tool.list().await;
    keys.sort_by_key(|key| key["id"].to_string());
    keys
}

fn read(tool: &Tool, name: &str) -> String {
    std::fs::read_to_string(tool.path(name)).unwrap()
}

#[tokio::test]
async fn everything_is_sealed_by_the_new_key_and_the_old_one_is_kept_aside() {
    let tool = Tool::with(&[ONE, TWO]).await;
    let (before, old) = (ids(&tool).await, read(&tool, "data/master.key"));
    let said = tool.says("rotate-master-key").await;
    assert!(said.starts_with("sealed 2 keys by the master key "), "{said}");
    assert!(said.contains("data/master.key.old holds the one before"), "{said}");
    assert_eq!(read(&tool, "data/master.key.old"), old);
    assert_ne!(read(&tool, "data/master.key"), old);
    assert!(!tool.has("data/master.key.new"));
    assert_eq!(ids(&tool).await, before, "ids stay, and all else");
    std::fs::remove_file(tool.path("data/master.key.old")).unwrap();
    assert!(tool.says("export --reveal").await.contains(ONE), "the old one is not needed");
    tool.write("old", &old);
    std::fs::set_permissions(tool.path("old"), std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    assert!(tool.refuses("list --master-key-file old").await.contains("is missing"), "nor does it open anything");
}

#[tokio::test]
async fn a_change_that_was_interrupted_goes_on() {
    let tool = Tool::with(&[ONE, TWO]).await;
    let old = MasterKey::read(tool.path("data/master.key")).unwrap();
    let new = MasterKey::create(tool.path("data/master.key.new")).unwrap();
    let text = read(&tool, "data/master.key.new");
    // One of two keys is sealed anew when it ends.
    let ring = KeyRing::new(&new).older(&old);
    let store = Encrypted::open(SqliteStore::open(tool.path("data/keys.db")).unwrap(), ring).await.unwrap();
    let mut change = store.load().await.unwrap().changes.remove(0);
    if let key_commune::record::Change::Put(record) = &mut change {
        record.seal += 1;
    }
    store.write(vec![change]).await.unwrap();
    drop(store);
    assert_eq!(tool.list().await.len(), 2, "both keys open meanwhile");
    tool.import(&format!("{TWO}-3")).await;
    let said = tool.says("rotate-master-key").await;
    assert!(said.starts_with("sealed 2 keys by "), "what is left: {said}");
    assert_eq!(read(&tool, "data/master.key"), text);
    std::fs::remove_file(tool.path("data/master.key.old")).unwrap();
    assert_eq!(tool.list().await.len(), 3);
}

#[tokio::test]
async fn a_change_that_was_interrupted_at_its_very_end_goes_on() {
    let tool = Tool::with(&[ONE]).await;
    let old = MasterKey::read(tool.path("data/master.key")).unwrap();
    let new = MasterKey::create(tool.path("data/master.key.new")).unwrap();
    let ring = KeyRing::new(&new).older(&old);
    let store = Encrypted::open(SqliteStore::open(tool.path("data/keys.db")).unwrap(), ring).await.unwrap();
    assert_eq!(store.reseal(|_| ()).await.unwrap().left, 0);
    drop(store);
    assert_eq!(tool.list().await.len(), 1);
    let said = tool.says("rotate-master-key").await;
    assert!(said.starts_with("sealed 0 keys by "), "{said}");
    assert!(!tool.has("data/master.key.new"));
    assert_eq!(tool.list().await.len(), 1);
}

#[tokio::test]
async fn a_key_of_the_environment_is_changed_there() {
    let mut tool = Tool::new();
    tool.set("KEY_COMMUNE_MASTER_KEY", &"8f0c".repeat(16));
    tool.import(ONE).await;
    assert!(tool.refuses("rotate-master-key").await.contains("--new-master-key-file"));
    let said = tool.says("rotate-master-key --new-master-key-file next").await;
    assert!(said.starts_with("sealed 1 key by "), "{said}");
    assert!(said.contains("set KEY_COMMUNE_MASTER_KEY to what is in next"), "{said}");
    assert!(tool.refuses("list").await.contains("KEY_COMMUNE_MASTER_KEY holds"), "the old one opens nothing");
    let text = read(&tool, "next");
    tool.set("KEY_COMMUNE_MASTER_KEY", text.trim());
    assert_eq!(tool.list().await.len(), 1);
    assert!(tool.refuses("rotate-master-key --new-master-key-file next").await.contains("in use already"));
    let tool = Tool::with(&[ONE]).await;
    let told = tool.refuses("rotate-master-key --new-master-key-file next").await;
    assert!(told.contains("--new-master-key-file") && !tool.has("next"), "{told}");
}
