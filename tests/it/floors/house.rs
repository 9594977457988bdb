//! The modules of a crate as their `mod` lines declare them, and what each of them imports.

use std::collections::{BTreeMap, BTreeSet};

use quote::ToTokens;
use syn::{Attribute, Item, ItemMod, ItemUse, Meta, Token, UseTree, Visibility};

use super::{Sources, paths};

const ROOT: &str = "src/lib.rs";

#[derive(Default)]
pub(super) struct House {
    /// The modules of the root, from the top of the file to its end.
    pub(super) order: Vec<String>,
    pub(super) faults: Vec<String>,
    declared: BTreeSet<String>,
    /// Names that the root gives to things in its modules, and whether everybody sees them.
    aliases: BTreeMap<String, (String, bool)>,
    /// File, module, and the path from the root of what is imported there.
    imports: Vec<(String, String, Vec<String>)>,
}

/// Where an item stands.
#[derive(Clone)]
struct Place {
    file: String,
    /// Where the files of the modules declared here are.
    folder: String,
    module: Vec<String>,
    tests: bool,
}

impl House {
    pub(super) fn read(sources: &Sources) -> Self {
        let mut house = Self::default();
        let root = Place { file: ROOT.into(), folder: "src".into(), module: Vec::new(), tests: false };
        house.file(sources, &root);
        house
    }

    pub(super) fn declares(&self, file: &str) -> bool {
        self.declared.contains(file)
    }

    pub(super) fn re_exports(&self) -> usize {
        self.aliases.values().filter(|(_, public)| *public).count()
    }

    /// File, the module that it belongs to, and the module that it imports from.
    pub(super) fn imports(&self) -> impl Iterator<Item = (&str, &str, &str)> {
        self.imports.iter().filter_map(|(file, own, path)| {
            let target = path.first()?;
            let target = self.aliases.get(target).map_or(target, |(module, _)| module);
            Some((file.as_str(), own.as_str(), target.as_str()))
        })
    }

    fn file(&mut self, sources: &Sources, place: &Place) {
        self.declared.insert(place.file.clone());
        match syn::parse_file(sources.get(&place.file).map_or("", String::as_str)) {
            Ok(parsed) => self.items(sources, place, parsed.items),
            Err(error) => self.faults.push(format!("{}: {error}", place.file)),
        }
    }

    fn items(&mut self, sources: &Sources, place: &Place, items: Vec<Item>) {
        for item in items {
            match item {
                Item::Mod(module) => self.module(sources, place, module),
                Item::Use(import) if place.module.is_empty() => self.alias(&import),
                _ if place.module.is_empty() || place.tests => {}
                item => self.paths(place, &item),
            }
        }
    }

    fn module(&mut self, sources: &Sources, place: &Place, item: ItemMod) {
        let name = item.ident.to_string().trim_start_matches("r#").to_owned();
        let tests = place.tests || item.attrs.iter().any(is_for_tests);
        if place.module.is_empty() && !tests {
            self.order.push(name.clone());
        }
        let folder = format!("{}/{name}", place.folder);
        let files = [format!("{folder}.rs"), format!("{folder}/mod.rs")];
        let mut inner = Place { module: [&place.module[..], &[name]].concat(), folder, tests, ..place.clone() };
        let name = &item.ident;
        if item.attrs.iter().any(|attribute| attribute.path().is_ident("path")) {
            self.faults.push(format!("{}: `mod {name}` has a `path` of its own", place.file));
        } else if let Some((_, items)) = item.content {
            self.items(sources, &inner, items);
        } else if let Some(file) = files.into_iter().find(|file| sources.contains_key(file)) {
            inner.file = file;
            self.file(sources, &inner);
        } else {
            self.faults.push(format!("{}: `mod {name}` has no file", place.file));
        }
    }

    fn paths(&mut self, place: &Place, item: &Item) {
        let own = place.module.first().cloned().unwrap_or_default();
        for path in paths::paths(item.to_token_stream()) {
            match resolve(&place.module, &path) {
                Some(path) if path.is_empty() => {
                    self.faults.push(format!("{}: `{own}` imports the root of the crate", place.file));
                }
                Some(path) => self.imports.push((place.file.clone(), own.clone(), path)),
                None => self.faults.push(format!("{}: `{}` leads nowhere", place.file, path.join("::"))),
            }
        }
    }

    fn alias(&mut self, import: &ItemUse) {
        let public = matches!(import.vis, Visibility::Public(_));
        let mut leaves = Vec::new();
        names(&import.tree, &mut Vec::new(), &mut leaves);
        for (name, path) in leaves {
            if name == "*" && public {
                self.faults.push(format!("{ROOT}: a glob re-exports who knows what"));
            } else if let Some(module) = resolve(&[], &path).and_then(|path| path.into_iter().next()) {
                self.aliases.insert(name, (module, public));
            }
        }
    }
}

/// From the root, what `path` means in `module`.
fn resolve(module: &[String], path: &[String]) -> Option<Vec<String>> {
    let mut at = if path.first()? == "crate" { Vec::new() } else { module.to_vec() };
    for name in path {
        match name.as_str() {
            "crate" | "self" => {}
            "super" => drop(at.pop()?),
            _ => at.push(name.clone()),
        }
    }
    Some(at)
}

/// Each name that an import brings, with the path it stands for.
fn names(tree: &UseTree, prefix: &mut Vec<String>, found: &mut Vec<(String, Vec<String>)>) {
    match tree {
        UseTree::Path(path) => {
            prefix.push(path.ident.to_string());
            names(&path.tree, prefix, found);
            prefix.pop();
        }
        UseTree::Group(group) => group.items.iter().for_each(|tree| names(tree, prefix, found)),
        UseTree::Name(name) => found.push((name.ident.to_string(), with(prefix, &name.ident))),
        UseTree::Rename(name) => found.push((name.rename.to_string(), with(prefix, &name.ident))),
        UseTree::Glob(_) => found.push(("*".into(), prefix.clone())),
    }
}

fn with(prefix: &[String], name: &syn::Ident) -> Vec<String> {
    prefix.iter().cloned().chain([name.to_string()]).collect()
}

fn is_for_tests(attribute: &Attribute) -> bool {
    attribute.path().is_ident("cfg") && attribute.parse_args::<Meta>().is_ok_and(|meta| needs_test(&meta))
}

/// Whether `meta` holds in tests only.
fn needs_test(meta: &Meta) -> bool {
    let parts = |list: &syn::MetaList| {
        list.parse_args_with(syn::punctuated::Punctuated::<Meta, Token![,]>::parse_terminated).unwrap_or_default()
    };
    match meta {
        Meta::Path(path) => path.is_ident("test"),
        Meta::List(list) if list.path.is_ident("all") => parts(list).iter().any(needs_test),
        Meta::List(list) if list.path.is_ident("any") => {
            let parts = parts(list);
            !parts.is_empty() && parts.iter().all(needs_test)
        }
        _ => false,
    }
}
