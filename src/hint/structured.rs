//! `RateLimit` and `RateLimit-Policy`: the structured fields of draft-ietf-httpapi-ratelimit-headers.

use std::time::Duration;

use http::HeaderMap;
use sfv::{BareItem, Dictionary, Item, List, ListEntry, Parser};

/// The longest field taken, in bytes.
const MAX_LEN: usize = 4096;

/// The longest wait of the policies that have nothing left: `RateLimit: "default";r=0;t=30`.
///
/// A policy that does not say when it resets does so within its window: `RateLimit-Policy: "default";q=100;w=60`.
pub(super) fn read(headers: &HeaderMap) -> Option<Duration> {
    let policies: Vec<Item> = items(headers, "ratelimit-policy").collect();
    let spent = items(headers, "ratelimit").filter(|limit| number(limit, "r") == Some(0));
    let waits = spent.filter_map(|limit| {
        let window = || number(policies.iter().find(|policy| policy.bare_item == limit.bare_item)?, "w");
        number(&limit, "t").or_else(window).map(Duration::from_secs)
    });
    waits.chain(dictionaries(headers)).max()
}

fn items(headers: &HeaderMap, name: &str) -> impl Iterator<Item = Item> {
    let lists = fields(headers, name).filter_map(|field| Parser::new(field).parse::<List>().ok());
    lists.flatten().filter_map(|entry| match entry {
        ListEntry::Item(item) => Some(item),
        ListEntry::InnerList(_) => None,
    })
}

/// The form of draft 08: `RateLimit: limit=100, remaining=0, reset=30`.
fn dictionaries(headers: &HeaderMap) -> impl Iterator<Item = Duration> {
    let dictionaries = fields(headers, "ratelimit").filter_map(|field| Parser::new(field).parse::<Dictionary>().ok());
    dictionaries.filter_map(|dictionary| {
        let number = |name| match dictionary.get(name)? {
            ListEntry::Item(item) => unsigned(&item.bare_item),
            ListEntry::InnerList(_) => None,
        };
        if number("remaining")? == 0 { number("reset").map(Duration::from_secs) } else { None }
    })
}

fn fields<'a>(headers: &'a HeaderMap, name: &str) -> impl Iterator<Item = &'a [u8]> {
    headers.get_all(name).iter().map(http::HeaderValue::as_bytes).filter(|field| field.len() <= MAX_LEN)
}

fn number(item: &Item, name: &str) -> Option<u64> {
    unsigned(item.params.get(name)?)
}

fn unsigned(value: &BareItem) -> Option<u64> {
    u64::try_from(i64::from(value.as_integer()?)).ok()
}
