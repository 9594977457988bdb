//! The house keeps its shape: a module imports only from its own folder or from modules that `src/lib.rs` lists above it.
//!
//! The order is that of the `mod` lines of `src/lib.rs`; only the floors are written down here. Paths count wherever
//! they stand in code, macro calls included; `#[cfg(test)] mod` is free to import, yet must be declared as any other.

mod house;
mod paths;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use house::House;

/// Paths from the root of the crate, with `/`, and what is in the files.
type Sources = BTreeMap<String, String>;

/// The floors above the ground, with the modules that live there.
const FLOORS: [&[&str]; 3] = [
    &["pool", "preset"],
    &["store", "keeper"],
    &["service", "hyper_client", "reqwest", "reqwest_middleware", "admin", "config"],
];
/// Adapters between a client and `service`, the one sibling that they may know.
const ADAPTERS: [&str; 3] = ["hyper_client", "reqwest", "reqwest_middleware"];
/// An adapter that is built on another one, as its feature is.
const LAYERED: (&str, &str) = ("reqwest_middleware", "reqwest");
/// More names than this at the root, and nobody can tell the front door.
const RE_EXPORTS: usize = 8;

/// What is wrong with the house that these sources make.
fn faults(sources: &Sources) -> Vec<String> {
    let house = House::read(sources);
    let undeclared = sources.keys().filter(|file| !house.declares(file));
    let undeclared = undeclared.map(|file| format!("{file}: no `mod` declares this file"));
    let mut faults: Vec<_> = house.faults.iter().cloned().chain(undeclared).collect();
    faults.extend(misplaced(&house.order));
    faults.extend(house.imports().filter_map(|(file, own, target)| forbidden(&house.order, file, own, target)));
    if house.re_exports() > RE_EXPORTS {
        faults.push(format!("src/lib.rs: {} public re-exports, more than {RE_EXPORTS}", house.re_exports()));
    }
    faults
}

/// 0 is the ground.
fn floor(module: &str) -> usize {
    FLOORS.iter().position(|floor| floor.contains(&module)).map_or(0, |above| above + 1)
}

/// `src/lib.rs` lists the floors from the ground up.
fn misplaced(order: &[String]) -> Vec<String> {
    let pairs = order.iter().zip(order.iter().skip(1)).filter(|(above, below)| floor(above) > floor(below));
    pairs.map(|(above, below)| format!("src/lib.rs: `{below}` is listed below `{above}`, a floor too high")).collect()
}

fn forbidden(order: &[String], file: &str, own: &str, target: &str) -> Option<String> {
    let place = |module: &str| order.iter().position(|listed| listed == module);
    let why = if own == target {
        return None;
    } else if place(target).is_none() {
        "which src/lib.rs neither declares nor re-exports"
    } else if place(target) > place(own) {
        "which src/lib.rs lists below it"
    } else if own == "store" && target == "pool" {
        "but a store knows records, not the pool"
    } else if floor(own) == FLOORS.len() && floor(target) == FLOORS.len() && !may_know_sibling(own, target) {
        "but siblings on the top floor do not know each other"
    } else {
        return None;
    };
    Some(format!("{file}: `{own}` imports `{target}`, {why}"))
}

fn may_know_sibling(own: &str, target: &str) -> bool {
    own == "config" || (ADAPTERS.contains(&own) && target == "service") || (own, target) == LAYERED
}

/// Files of `examples/` that its README does not name. An expected output belongs to the example of its name; a file in
/// a folder to the folder, if the README names that.
fn unlisted<'a>(files: &'a [String], readme: &str) -> Vec<&'a str> {
    let words = readme.split(|c: char| !(c.is_alphanumeric() || "_-./".contains(c)));
    let words: Vec<_> = words.map(|word| word.trim_end_matches('.').trim_start_matches("./")).collect();
    let names = |name: &str| words.iter().any(|word| word.trim_start_matches("examples/") == name);
    let listed = |file: &str| match file.strip_prefix("expected/").and_then(|file| file.strip_suffix(".txt")) {
        Some(example) => names(&format!("{example}.rs")) || names(&format!("{example}/main.rs")),
        None => file == "README.md" || names(file) || folders(file).any(names),
    };
    files.iter().map(String::as_str).filter(|file| !listed(file)).collect()
}

/// The folders that a file lies in, each with a slash at its end.
fn folders(file: &str) -> impl Iterator<Item = &str> {
    file.match_indices('/').filter_map(|(at, _)| file.get(..=at))
}

/// Every file below `folder`, by its path from there.
fn files(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let below = |path: std::path::PathBuf| {
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if path.is_dir() { files(&path).iter().map(|file| format!("{name}/{file}")).collect() } else { vec![name] }
    };
    entries.flat_map(below).collect()
}

#[test]
fn every_module_imports_from_above_only() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let names = files(&folder).into_iter().filter(|file| Path::new(file).extension().is_some_and(|kind| kind == "rs"));
    let sources = names.map(|file| (format!("src/{file}"), fs::read_to_string(folder.join(file)).unwrap())).collect();
    let faults = faults(&sources);
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[test]
fn every_example_is_listed() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    if folder.is_dir() {
        let readme = fs::read_to_string(folder.join("README.md")).expect("examples/README.md");
        let files = files(&folder);
        assert_eq!(unlisted(&files, &readme), Vec::<&str>::new(), "examples/README.md does not list these files");
    }
}

/// A sound house, with `changes` made to it.
fn house(changes: &[(&str, &str)]) -> Sources {
    let sound = [
        (
            "src/lib.rs",
            "//! Front door.\npub mod secret; mod clock; pub mod select; pub mod pool; mod store; mod keeper;\n\
             pub mod service; #[cfg(feature = \"reqwest\")] pub mod reqwest; pub mod reqwest_middleware;\n\
             pub mod admin; pub mod config;\n\
             pub use pool::KeyPool; pub use service::{KeyCommune as Commune, KeyCommuneLayer};",
        ),
        ("src/secret.rs", "pub struct Secret;"),
        ("src/clock.rs", "/// Not [`crate::pool`].\nuse crate::secret::Secret; const S: &str = \"crate::pool\";"),
        ("src/select/mod.rs", "mod sticky; pub(crate) use self::sticky::Sticky; pub(crate) trait Select {}"),
        ("src/select/sticky.rs", "use super::super::clock; use super::Select; mod inner { use super::super::Select; }"),
        ("src/pool.rs", "mod lease; #[cfg(test)] mod model { use crate::config::Config; }"),
        ("src/pool/lease.rs", "use crate::{clock::{self, Clock}, secret};"),
        ("src/store.rs", "#[cfg(all(test, feature = \"x\"))] mod tests;"),
        ("src/store/tests.rs", "use crate::pool::KeyPool;"),
        ("src/keeper.rs", "use crate::{pool, store}; use crate::KeyPool as Pool;"),
        ("src/service.rs", "pub use crate::KeyPool;"),
        ("src/reqwest.rs", "use crate::service::KeyCommune; use crate::KeyCommuneLayer;"),
        ("src/reqwest_middleware.rs", "use crate::{reqwest, service};"),
        ("src/admin.rs", "use crate::pool::KeyPool;"),
        ("src/config.rs", "use crate::{admin, service};"),
    ];
    sound.iter().chain(changes).map(|&(file, text)| (file.to_owned(), text.to_owned())).collect()
}

#[test]
fn a_sound_house_has_no_faults() {
    assert_eq!(faults(&house(&[])), Vec::<String>::new());
}

#[test]
fn a_forbidden_import_is_reported() {
    let table = [
        ("src/select/sticky.rs", "use crate::{clock, keeper::Keeper};", "`select` imports `keeper`, which src/lib.rs"),
        ("src/store.rs", "#[cfg(test)] mod tests; fn f() { crate::pool::f::<u8>() }", "`store` imports `pool`, but"),
        ("src/pool/lease.rs", "use super::super::store;", "`pool` imports `store`, which src/lib.rs lists below it"),
        ("src/service.rs", "fn f() { log!(a, crate::keeper::X, crate::config::Y) }", "`service` imports `config`"),
        ("src/secret.rs", "mod a { mod b { use super::super::super::clock::Clock; } }", "`secret` imports `clock`"),
        ("src/admin.rs", "impl From<crate::service::Error> for u8 {}", "but siblings on the top floor do not know"),
        ("src/reqwest.rs", "use crate::reqwest_middleware::X;", "`reqwest` imports `reqwest_middleware`, which"),
        ("src/admin.rs", "use crate::Commune;", "`admin` imports `service`, but siblings on the top floor"),
        ("src/service.rs", "macro_rules! m { () => { $crate::reqwest::X } }", "`service` imports `reqwest`"),
        ("src/config.rs", "use crate::nothing;", "`config` imports `nothing`, which src/lib.rs neither declares nor"),
        ("src/config.rs", "use super::*;", "`config` imports `*`, which src/lib.rs neither declares nor"),
        ("src/clock.rs", "#[cfg(any(test, unix))] mod a { use crate::pool; }", "`clock` imports `pool`"),
        ("src/clock.rs", "pub use crate as root;", "src/clock.rs: `clock` imports the root of the crate"),
    ];
    for (file, text, message) in table {
        let faults = faults(&house(&[(file, text)]));
        assert!(faults.len() == 1 && faults[0].starts_with(file) && faults[0].contains(message), "{text}: {faults:?}");
    }
}

#[test]
fn a_house_that_is_not_whole_is_reported() {
    let nine = "pub mod secret; pub use secret::{A, B, C, D, E, F, G, H, I};";
    let table = [
        ("src/outcome.rs", "", vec!["src/outcome.rs: no `mod` declares this file"]),
        ("src/select/fixture.rs", "use crate::config;", vec!["src/select/fixture.rs: no `mod` declares this file"]),
        ("src/keeper.rs", "mod gone;", vec!["src/keeper.rs: `mod gone` has no file"]),
        ("src/keeper.rs", "#[path = \"x.rs\"] mod x;", vec!["src/keeper.rs: `mod x` has a `path` of its own"]),
        ("src/keeper.rs", "fn", vec!["expected identifier"]),
    ];
    for (file, text, messages) in table {
        let faults = faults(&house(&[(file, text)]));
        let told = faults.iter().zip(&messages).all(|(fault, message)| fault.contains(message));
        assert!(told && faults.len() == messages.len(), "{file}: {faults:?}");
    }
    let only =
        |text: &str| faults(&[("src/lib.rs", text), ("src/secret.rs", "")].map(|(f, t)| (f.into(), t.into())).into());
    assert_eq!(only(nine), ["src/lib.rs: 9 public re-exports, more than 8"]);
    assert_eq!(only(&nine.replace("pub use", "pub(crate) use")), Vec::<String>::new());
    assert_eq!(only("mod secret; pub use secret::*;"), ["src/lib.rs: a glob re-exports who knows what"]);
    let upside_down =
        house(&[]).remove("src/lib.rs").unwrap().replace("mod keeper", "mod wrong").replace("mod clock", "mod keeper");
    assert!(faults(&house(&[("src/lib.rs", &upside_down)])).iter().any(|fault| fault.contains("a floor too high")));
}

#[test]
fn an_unlisted_example_is_reported() {
    let files = ["README.md", "proxy.rs", "reverse_proxy.rs", "expected/proxy.txt", "expected/old.txt", "big/main.rs"];
    let files =
        files.iter().chain(&["whole/main.rs", "whole/deep/part.rs", "hole/main.rs"]).map(|file| (*file).to_owned());
    let readme = "Start with [the proxy](proxy.rs). Then see ./examples/big/main.rs and `whole/`.";
    let files: Vec<_> = files.collect();
    assert_eq!(unlisted(&files, readme), ["reverse_proxy.rs", "expected/old.txt", "hole/main.rs"]);
}
