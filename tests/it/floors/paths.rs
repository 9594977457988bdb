//! Every path that starts at `crate`, `self` or `super`, wherever it stands in the tokens of an item.
//!
//! Tokens, not syntax trees, because the arguments of a macro have no syntax. Comments are gone by then, and strings
//! are one token each.

use proc_macro2::{Delimiter, Spacing, TokenStream, TokenTree};

/// One entry for each path; a tree of imports yields one for each of its leaves. Names only: `as` and `<…>` end a path.
pub(super) fn paths(tokens: TokenStream) -> Vec<Vec<String>> {
    let tokens: Vec<_> = tokens.into_iter().collect();
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(token) = tokens.get(at) {
        match token {
            TokenTree::Ident(name)
                if is_start(&name.to_string(), &tokens[at + 1..]) && !follows_colons(&tokens[..at]) =>
            {
                at += leaves(&tokens[at..], &[], &mut found);
            }
            TokenTree::Group(group) => {
                found.extend(paths(group.stream()));
                at += 1;
            }
            _ => at += 1,
        }
    }
    found
}

/// A keyword alone is no path: `self.name`, `pub(crate)`. With `as` it is one, and an alias of a whole module.
fn is_start(name: &str, rest: &[TokenTree]) -> bool {
    match name {
        "crate" | "super" => colons(rest) || rest.first().is_some_and(|token| token.to_string() == "as"),
        "self" => colons(rest),
        _ => false,
    }
}

fn follows_colons(before: &[TokenTree]) -> bool {
    before.len() > 1 && colons(&before[before.len() - 2..])
}

fn colons(tokens: &[TokenTree]) -> bool {
    let colon = |at: usize, spacing: Option<Spacing>| match tokens.get(at) {
        Some(TokenTree::Punct(punct)) => {
            punct.as_char() == ':' && spacing.is_none_or(|spacing| punct.spacing() == spacing)
        }
        _ => false,
    };
    colon(0, Some(Spacing::Joint)) && colon(1, None)
}

/// Follows one path to its end, and says how many tokens it took.
fn leaves(tokens: &[TokenTree], prefix: &[String], found: &mut Vec<Vec<String>>) -> usize {
    let mut path = prefix.to_vec();
    let mut at = 0;
    loop {
        match tokens.get(at) {
            Some(TokenTree::Ident(name)) => path.push(name.to_string().trim_start_matches("r#").to_owned()),
            Some(TokenTree::Punct(star)) if star.as_char() == '*' => path.push("*".to_owned()),
            Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Brace => {
                branches(group.stream(), &path, found);
                return at + 1;
            }
            _ => break,
        }
        at += 1;
        if !colons(&tokens[at..]) {
            break;
        }
        at += 2;
    }
    found.push(path);
    at
}

fn branches(tree: TokenStream, prefix: &[String], found: &mut Vec<Vec<String>>) {
    let tokens: Vec<_> = tree.into_iter().collect();
    let comma = |token: &TokenTree| matches!(token, TokenTree::Punct(punct) if punct.as_char() == ',');
    for branch in tokens.split(comma).filter(|branch| !branch.is_empty()) {
        leaves(branch, prefix, found);
    }
}
