//! Lines of keys are read as they are written.

use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use super::{ONE, TWO, Tool};

type Line = (String, Option<String>, Option<String>, Option<String>);

/// A key, its label, its group and its models, of letters of which most mean something to somebody.
fn line() -> impl Strategy<Value = Line> {
    let key = prop_oneof!["[!-~]{16,24}", r##"['"#\\][!-~]{15,20}"##];
    let text = || prop_oneof![4 => r#"[ '"\\#=$`!^{}*?;|<>(),a\x{a0}\x{2028}-]{1,12}"#, 1 => r"[^\p{Cc}]{1,12}"];
    let models = r#"['"\\#$*?a-c]{1,5}(,['"\\#a-c]{1,5}){0,2}"#;
    (key, of(text()), of(text()), of(models))
}

/// In double quotes: the program writes single ones.
fn quoted(key: &str) -> String {
    let escaped = |letter| format!("{}{letter}", if "\\\"$`".contains(letter) { "\\" } else { "" });
    format!("\"{}\"\n", key.chars().map(escaped).collect::<String>())
}

/// A tool with these keys, of which this is said.
async fn stored(lines: &[Line]) -> Tool {
    let tool = Tool::new();
    tool.import(&lines.iter().map(|(key, ..)| quoted(key)).collect::<String>()).await;
    let mut database = rusqlite::Connection::open(tool.path("data/keys.db")).unwrap();
    let transaction = database.transaction().unwrap();
    for ((_, label, group, models), key) in lines.iter().zip(tool.list().await) {
        let change = "UPDATE api_keys SET label = ?1, quota_group = ?2, models = ?3 WHERE id = ?4";
        transaction.execute(change, (label, group, models, key["id"].as_str())).unwrap();
    }
    transaction.commit().unwrap();
    tool
}

/// Of all keys, in one order.
async fn said(tool: &Tool) -> Vec<Value> {
    let of_key = |key: &Value| json!(["key", "label", "group", "models"].map(|name| key[name].clone()));
    let mut said: Vec<_> = tool.list().await.iter().map(of_key).collect();
    said.sort_by_key(Value::to_string);
    said
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 8, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn what_is_exported_is_imported_as_it_was(lines in vec(line(), 1..40)) {
        Runtime::new().unwrap().block_on(async {
            let tool = stored(&lines).await;
            let other = Tool::new();
            let told = other.import(&tool.says("export --reveal").await).await;
            assert!(told.starts_with(&format!("{} key", lines.len())), "{told}");
            assert_eq!(said(&tool).await, said(&other).await);
            other.ends(0, "show -", &lines[0].0).await;
        });
    }
}

#[tokio::test]
async fn a_line_is_read_as_a_shell_reads_words() {
    let table = [
        ("label='team blue'", "team blue"),
        (r#"label="team \"blue\"" # comment"#, "team \"blue\""),
        (r"label=team\ blue", "team blue"),
        ("'label=team blue'\t", "team blue"),
        ("label=blue#1", "blue#1"),
        ("label=blue\r", "blue"),
    ];
    let lines: Vec<_> = table.iter().enumerate().map(|(index, (said, _))| format!("{ONE}-{index} {said}")).collect();
    let tool = Tool::with(&lines.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let mut found: Vec<_> = tool.list().await.iter().map(|key| (key["key"].clone(), key["label"].clone())).collect();
    found.sort_by_key(|(key, _)| key.to_string());
    let labels: Vec<_> = found.iter().map(|(_, label)| label.as_str().unwrap()).collect();
    assert_eq!(labels, table.map(|(_, label)| label));
    tool.import(r#"sk-se'ret"\0123456789"#).await;
    tool.ends(0, "show -", r#"sk-se'ret"\0123456789"#).await;
    let (out, _) = tool.ends(1, "import -", &format!("{TWO} label='team\n{TWO} label=team\\\n'{TWO}\n")).await;
    for number in 1..=3 {
        assert!(out.contains(&format!("line {number}: the line ends inside quotes, or with a backslash")), "{out}");
    }
}
