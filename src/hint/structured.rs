//! `RateLimit` and `RateLimit-Policy`: the structured fields of draft-ietf-httpapi-ratelimit-headers.

use std::time::Duration;

use http::HeaderMap;
use sfv::{BareItem, Dictionary, Item, List, ListEntry, Parser};

use super::left::{Quota, Unit};

/// The longest field taken, in bytes.
const MAX_LEN: usize = 4096;

/// The longest wait of the policies that have nothing left: `RateLimit: "default";r=0;t=30`.
pub(super) fn read(headers: &HeaderMap) -> Option<Duration> {
    quotas(headers).filter(|(_, quota)| quota.remaining == 0).filter_map(|(_, quota)| quota.reset).max()
}

/// What the policies have left that count requests or tokens.
pub(super) fn left(headers: &HeaderMap) -> impl Iterator<Item = (Unit, Quota)> {
    quotas(headers).filter_map(|(unit, quota)| Some((unit?, quota)))
}

/// What each policy has left, and of what.
///
/// A policy that does not say when it resets does so within its window: `RateLimit-Policy: "default";q=100;w=60`.
fn quotas(headers: &HeaderMap) -> impl Iterator<Item = (Option<Unit>, Quota)> {
    // Most answers have none, and are not to pay for it.
    let policies: Option<Vec<Item>> =
        headers.contains_key("ratelimit").then(|| items(headers, "ratelimit-policy").collect());
    let quotas = policies.map(|policies| {
        let quotas = items(headers, "ratelimit").filter_map(move |limit| {
            let policy = policies.iter().find(|policy| policy.bare_item == limit.bare_item);
            let told = |name| number(policy?, name);
            let reset = number(&limit, "t").or_else(|| told("w")).map(Duration::from_secs);
            Some((unit(&limit, policy), Quota { remaining: number(&limit, "r")?, limit: told("q"), reset }))
        });
        quotas.chain(dictionaries(headers).map(|quota| (Some(Unit::Requests), quota)))
    });
    quotas.into_iter().flatten()
}

/// What a policy counts: the unit that it names, requests if it names none; unless it is called after tokens.
fn unit(limit: &Item, policy: Option<&Item>) -> Option<Unit> {
    let named = policy.and_then(|policy| policy.params.get("qu")?.as_string());
    let unit = named.map_or("requests", |named| named.as_str());
    let called = limit.bare_item.as_string().map_or("", |name| name.as_str());
    match unit {
        unit if unit.contains("token") || named.is_none() && called.contains("token") => Some(Unit::Tokens),
        "requests" => Some(Unit::Requests),
        _ => None,
    }
}

fn items(headers: &HeaderMap, name: &str) -> impl Iterator<Item = Item> {
    let lists = fields(headers, name).filter_map(|field| Parser::new(field).parse::<List>().ok());
    lists.flatten().filter_map(|entry| match entry {
        ListEntry::Item(item) => Some(item),
        ListEntry::InnerList(_) => None,
    })
}

/// The form of draft 08: `RateLimit: limit=100, remaining=0, reset=30`.
fn dictionaries(headers: &HeaderMap) -> impl Iterator<Item = Quota> {
    let dictionaries = fields(headers, "ratelimit").filter_map(|field| Parser::new(field).parse::<Dictionary>().ok());
    dictionaries.filter_map(|dictionary| {
        let number = |name| match dictionary.get(name)? {
            ListEntry::Item(item) => unsigned(&item.bare_item),
            ListEntry::InnerList(_) => None,
        };
        let reset = number("reset").map(Duration::from_secs);
        Some(Quota { remaining: number("remaining")?, limit: number("limit"), reset })
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
