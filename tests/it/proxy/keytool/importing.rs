//! Keys come in and go out.

use std::fmt::Write;
use std::os::unix::fs::PermissionsExt;

use serde_json::Value;

use super::{ONE, TWO, Tool};

#[tokio::test]
async fn the_first_import_makes_what_it_needs_and_says_so() {
    let tool = Tool::new();
    let (out, told) = tool.ends(0, "import -", ONE).await;
    assert!(out.starts_with("1 key of custom added, 0 there already,"), "{out}");
    assert_eq!(told.lines().count(), 1, "{told}");
    assert!(told.contains("made the database data/keys.db and the master key data/master.key"), "{told}");
    for (name, mode) in [("data", 0o700), ("data/keys.db", 0o600), ("data/master.key", 0o600)] {
        assert_eq!(tool.path(name).metadata().unwrap().permissions().mode() & 0o777, mode, "{name}");
    }
    let (_, told) = tool.ends(0, "import -", TWO).await;
    assert_eq!(told, "", "nothing was made");
    assert!(!std::fs::read(tool.path("data/keys.db")).unwrap().windows(9).any(|bytes| bytes == b"sk-secret"));
}

#[tokio::test]
async fn every_line_is_taken_as_a_whole_or_refused_by_its_number() {
    let tool = Tool::new();
    let long = format!("{ONE}{}", "x".repeat(257 - ONE.len()));
    let lines = [
        "\u{feff}# a comment".into(),
        format!("{ONE} label=blue base_url=https://api.example/v1 # the blue one"),
        String::new(),
        "too-short-a-key".into(),
        long.clone(),
        long[..256].into(),
        format!("{TWO} model=all"),
        format!("{TWO} base_url=http://10.0.0.5"),
        format!("{TWO} base_url=ftp://10.0.0.5"),
        format!("{TWO} label={}", "x".repeat(65)),
        format!("{TWO}\u{e9}"),
        ONE.into(),
        format!("{TWO} {}", "x".repeat(80_000)),
        "sixteen-letters_".into(),
    ];
    tool.write("keys.txt", lines.join("\n"));
    let (out, _) = tool.ends(1, "import keys.txt", "").await;
    assert!(out.contains("3 keys of custom added, 0 there already, 1 given twice, 8 refused, 0 beyond"), "{out}");
    for says in [
        "line 4: the key has 15 characters, not 16 to 256",
        "line 5: the key has 257 characters",
        "line 7: only label=, models=, weight=, tier=, group= and base_url= may follow a key",
        "line 8: plain http shows keys",
        "line 9: ",
        "line 10: a label has 1 to 64 bytes",
        "line 11: ",
        "line 13: the line is longer than 73984 bytes",
    ] {
        assert!(out.contains(says), "{says}: {out}");
    }
    assert!(!out.contains("sk-secret"), "{out}");
    let blue = tool.key("blue").await;
    assert_eq!((&blue["base_url"], &blue["state"]), (&"https://api.example/v1".into(), &"active".into()));
    assert_eq!(tool.list().await.len(), 3);
}

const NAMES: &str =
    "only label=, models=, weight=, tier=, group= and base_url= may follow a key, with their values right behind";

#[tokio::test]
async fn what_is_wrong_about_a_key_is_said_without_it() {
    let table = [
        ("weight=0", "a weight is a whole number from 1 to 255"),
        ("weight=256 tier=1", "a weight is a whole number from 1 to 255"),
        ("tier=-1", "a tier is a whole number from 0 to 255"),
        ("tier = 1", NAMES),
        ("group=", "a group has 1 to 64 bytes and no control characters"),
        (&format!("group={}", "x".repeat(65)), "a group has 1 to 64 bytes and no control characters"),
        ("models=", "models: the name of a model is empty"),
        ("models=gpt-4,,o3", "models: the name of a model is empty"),
        ("models=gpt-4, o3", "models: the name of a model is empty"),
        (&format!("models={}", "x".repeat(257)), "models: the name of a model has 257 bytes; at most 256 are allowed"),
        (&format!("models={}", vec!["x"; 257].join(",")), "models: there are more than 256 models"),
        ("tier=1 label=a tier=1", "tier= is given twice"),
        (&format!("{ONE}=1"), NAMES),
    ];
    let lines: Vec<_> = table.iter().map(|(said, _)| format!("{TWO} {said}")).collect();
    let (out, _) = Tool::new().ends(1, "import -", &lines.join("\n")).await;
    for (index, (said, wrong)) in table.iter().enumerate() {
        assert!(out.contains(&format!("  line {}: {wrong}\n", index + 1)), "{said}: {out}");
    }
    assert!(!out.contains("sk-secret"), "{out}");
}

#[tokio::test]
async fn many_refusals_are_counted() {
    let (out, _) = Tool::new().ends(1, "import -", &"short\n".repeat(25)).await;
    assert!(out.contains("25 refused"), "{out}");
    assert!(out.contains("line 20: ") && !out.contains("line 21: ") && out.contains("and 5 more"), "{out}");
}

#[tokio::test]
async fn a_limit_takes_what_fits() {
    let tool = Tool::with(&[ONE]).await;
    let lines = format!("{ONE}\n{TWO}\n{TWO}-3\n{TWO}-4\n");
    let (out, _) = tool.ends(1, "import - --max-keys 3", &lines).await;
    assert!(out.contains("2 keys of custom added, 1 there already, 0 given twice, 0 refused, 1 beyond"), "{out}");
    assert_eq!(tool.list().await.len(), 3);
}

#[tokio::test]
async fn whose_keys_they_are_is_told_as_to_serve_or_by_those_that_are_there() {
    let tool = Tool::new();
    let provider = async |tool: &Tool, key: &str, options: &str| {
        let (out, _) = tool.ends(0, &format!("import - {options}"), key).await;
        out.split_whitespace().nth(3).unwrap().to_owned()
    };
    assert_eq!(provider(&tool, ONE, "--upstream https://eu.api.openai.com/v1").await, "openai");
    assert_eq!(provider(&tool, TWO, "").await, "openai", "as the one that is there");
    assert_eq!(provider(&tool, TWO, "--provider anthropic").await, "anthropic", "the same text is another key");
    assert_eq!(provider(&tool, &format!("{TWO}-3"), "").await, "custom", "there are two");
    assert!(tool.refuses("import - --provider nobody").await.contains("openai, anthropic"));
}

#[tokio::test]
async fn what_is_exported_can_be_imported() {
    let lines = [format!("{ONE} label=blue base_url=https://api.example/v1"), TWO.into()];
    let tool = Tool::with(&[&lines[0], &lines[1]]).await;
    let masked = tool.says("export").await;
    assert!(!masked.contains("sk-secret"), "{masked}");
    assert!(masked.contains("sk-s..6789 label=blue base_url=https://api.example/v1"), "{masked}");
    let exported = tool.says("export --reveal").await;
    let mut found: Vec<_> = exported.lines().filter(|line| !line.starts_with('#')).collect();
    found.sort_unstable();
    assert_eq!(found, lines);
    assert_eq!(tool.says("export --provider openai").await, "");
    let other = Tool::new();
    assert!(other.import(&exported).await.starts_with("2 keys"));
}

#[tokio::test]
async fn all_that_is_said_about_a_key_goes_out_as_it_came_in() {
    let longest = (0..256).map(|number| format!("{number:0>256}")).collect::<Vec<_>>().join(",");
    let lines = [
        format!(
            "{ONE} label=blue models=gpt-4,gpt-4o*,others weight=2 tier=1 group=acct-a base_url=https://api.example/v1"
        ),
        format!("{TWO} models={longest} group={}", "x".repeat(64)),
        format!("{TWO}-3"),
        format!("{TWO}-4 weight=255"),
    ];
    // Another order, and what goes without saying.
    let other = format!("{TWO}-4 tier=0 weight=255 # comment");
    let tool = Tool::with(&[&lines[0], &lines[1], &lines[2], &other]).await;
    let exported = tool.says("export --reveal").await;
    let mut found: Vec<_> = exported.lines().filter(|line| !line.starts_with('#')).collect();
    found.sort_unstable();
    assert_eq!(found, lines);
    let again = Tool::new();
    assert!(again.import(&exported).await.starts_with("4 keys"));
    let said = |keys: Vec<Value>| -> Vec<Value> {
        let names = ["key", "label", "base_url", "models", "weight", "tier", "group"];
        keys.into_iter().map(|key| names.iter().map(|&name| (name.to_owned(), key[name].clone())).collect()).collect()
    };
    let sorted = |mut keys: Vec<Value>| {
        keys.sort_by_cached_key(Value::to_string);
        keys
    };
    let (one, two) = (sorted(said(tool.list().await)), sorted(said(again.list().await)));
    assert_eq!(one, two);
    let blue = tool.key("blue").await;
    let shown = serde_json::json!([blue["models"], blue["weight"], blue["tier"], blue["group"], blue["base_url"]]);
    assert_eq!(shown, serde_json::json!(["gpt-4,gpt-4o*,others", 2, 1, "acct-a", "https://api.example/v1"]));
}

#[tokio::test]
async fn a_table_shows_what_the_pool_chooses_by_and_one_key_all_of_it() {
    let tool = Tool::with(&[&format!("{ONE} label=blue models=gpt-4,gpt-4o* weight=2 tier=1 group=acct-a"), TWO]).await;
    let table = tool.says("list").await;
    assert!(table.lines().next().unwrap().ends_with("LAST SUCCESS  TRAITS"), "{table}");
    assert!(table.contains("  models=gpt-4,gpt-4o* weight=2 tier=1 group=acct-a\n"), "{table}");
    assert_eq!(table.lines().filter(|line| line.ends_with("0      -             -")).count(), 1, "{table}");
    let shown = tool.says(&format!("show {}", tool.id("blue").await)).await;
    for (name, value) in [("models", "gpt-4,gpt-4o*"), ("weight", "2"), ("tier", "1"), ("group", "acct-a")] {
        assert!(shown.contains(&format!("{name:20}{value}\n")), "{shown}");
    }
    tool.import(&format!("{TWO}-3 models={}", "é".repeat(128))).await;
    let table = tool.says("list").await;
    assert!(table.contains(&format!("  models={}..\n", "é".repeat(73))), "{table}");
}

#[tokio::test]
async fn whoever_reads_may_hang_up() {
    let keys: String = (0..5_000).fold(String::new(), |mut text, number| {
        writeln!(text, "sk-secret-{number:020}").unwrap();
        text
    });
    let tool = Tool::new();
    tool.import(&keys).await;
    let mut child = super::command(&["keys", "list"]).current_dir(&tool.folder).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().await.unwrap();
    assert_eq!((output.status.code(), output.stderr.len()), (Some(0), 0));
}
