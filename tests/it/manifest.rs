//! What the crate asks of its users' compilers and registries.

use std::process::Command;

use serde_json::Value;

/// The compiler that `Cargo.toml` promises to be enough.
const OLDEST: (u64, u64) = (1, 89);

/// Every package that any feature on any platform may need, the tools of the tests included.
fn packages() -> Vec<Value> {
    let mut cargo = Command::new(std::env::var("CARGO").unwrap_or_else(|_| "cargo".into()));
    cargo.args(["metadata", "--format-version", "1", "--all-features", "--locked"]);
    let output = cargo.current_dir(env!("CARGO_MANIFEST_DIR")).output().unwrap();
    assert!(output.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&output.stderr));
    let mut metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let Value::Array(packages) = metadata["packages"].take() else { panic!("no packages") };
    assert!(packages.len() > 20, "{} packages only", packages.len());
    packages
}

/// Major and minor.
fn version(text: &str) -> (u64, u64) {
    let mut parts = text.split('.').map(|part| part.parse().unwrap());
    (parts.next().unwrap(), parts.next().unwrap_or(0))
}

#[test]
fn the_oldest_compiler_is_enough_for_every_dependency() {
    assert_eq!(version(env!("CARGO_PKG_RUST_VERSION")), OLDEST);
    for package in packages() {
        let needs = package["rust_version"].as_str();
        assert!(needs.is_none_or(|needs| version(needs) <= OLDEST), "{} needs Rust {needs:?}", package["id"]);
    }
}

#[test]
fn every_dependency_is_from_a_registry() {
    for package in packages() {
        let source = package["source"].as_str();
        let ours = package["name"] == env!("CARGO_PKG_NAME");
        assert_eq!(source.is_some_and(|source| source.starts_with("registry+")), !ours, "{}", package["id"]);
    }
}

#[test]
fn the_package_says_what_is_in_it() {
    let manifest = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"));
    let list = manifest.split_once("\ninclude = [").expect("`include`").1.split_once(']').unwrap().0;
    let list: Vec<_> = list.split('"').skip(1).step_by(2).collect();
    for part in ["src/**", "README.md", "LICENSE"] {
        assert!(list.contains(&part), "{part} is not in {list:?}");
    }
    assert!(list.iter().all(|part| !part.starts_with(['*', '.', '/', '!'])), "too much is in {list:?}");
}
