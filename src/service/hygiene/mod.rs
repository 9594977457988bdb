//! What may cross the layer: nothing beside the leased key that is a credential, chooses an account, frames a message
//! or belongs to one hop only (I2, I18).
//!
//! All of it runs before a slot puts the leased key in, so nothing that a caller nominates or names can take that out
//! again. A message without anything unusual costs one look at each header and no allocation.

mod names;
#[cfg(not(key_commune_loom))]
#[cfg(test)]
mod tests;

use http::header::{ACCEPT_ENCODING, CONNECTION, IF_RANGE, RANGE, TE, UPGRADE};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method};

use crate::slot;

/// How strict a layer is with requests.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules<'a> {
    /// What the application wants spared.
    pub(crate) keep: &'a Keep,
    /// The parameters of the provider's query that carry credentials.
    pub(crate) query: &'a [&'a str],
    /// Whether answers are searched for the key, for which they must be neither encoded nor cut (I18).
    pub(crate) scrub: bool,
}

/// The headers and query parameters that the application wants spared by name. Never spares what frames a message,
/// routes it or belongs to one hop.
#[derive(Clone, Debug, Default)]
pub(crate) struct Keep(Vec<Box<str>>);

impl Keep {
    /// Spares one more name, in any case.
    pub(crate) fn add(&mut self, name: &str) {
        self.0.push(name.to_ascii_lowercase().into());
    }

    fn has_header(&self, name: &HeaderName) -> bool {
        self.0.iter().any(|kept| **kept == *name.as_str())
    }

    fn has_parameter(&self, name: &str) -> bool {
        self.0.iter().any(|kept| slot::is_same_name(name, kept))
    }
}

/// Whether a request wants to leave HTTP: `CONNECT`, or an upgrade. `Upgrade: h2c` is none: it is an offer that a server
/// may ignore (RFC 9110, 7.8), and some clients make it with every request.
pub(crate) fn is_upgrade(head: &Parts) -> bool {
    let is_offer = |value: &HeaderValue| value.as_bytes().trim_ascii().eq_ignore_ascii_case(b"h2c");
    head.method == Method::CONNECT || !head.headers.get_all(UPGRADE).iter().all(is_offer)
}

/// Cleans a request's head. Call it after `Slot::take` and before `Slot::put`.
pub(crate) fn request(head: &mut Parts, rules: &Rules<'_>) {
    let trailers = takes_trailers(&head.headers);
    remove_nominated(&mut head.headers);
    let is_doomed = |name: &HeaderName| {
        names::is_never_sent(name.as_str()) || (names::is_credential(name.as_str()) && !rules.keep.has_header(name))
    };
    remove_where(&mut head.headers, |name| !names::is_harmless(name) && is_doomed(name));
    if trailers {
        head.headers.insert(TE, HeaderValue::from_static("trailers"));
    }
    let is_listed = |name: &str| rules.query.iter().any(|listed| slot::is_same_name(name, listed));
    slot::remove(&mut head.uri, |name| is_listed(name) && !rules.keep.has_parameter(name));
    if rules.scrub {
        make_searchable(&mut head.headers);
    } else if !rules.keep.has_header(&ACCEPT_ENCODING) {
        make_readable(&mut head.headers);
    }
}

/// Leaves of a request's headers only those in a list, since it goes out with a key that is not the caller's, and asks for
/// an answer in which that key can be found.
pub(crate) fn foreign_request(headers: &mut HeaderMap, allowed: &[HeaderName]) {
    only(headers, allowed);
    make_searchable(headers);
}

/// Removes every header that is not in a list.
pub(crate) fn only(headers: &mut HeaderMap, allowed: &[HeaderName]) {
    remove_where(headers, |name| !allowed.contains(name));
}

/// Cleans an answer's headers.
pub(crate) fn response(headers: &mut HeaderMap) {
    remove_nominated(headers);
    remove_where(headers, |name| names::is_never_returned(name.as_str()));
}

/// Cleans trailers, in either direction.
pub(crate) fn trailers(trailers: &mut HeaderMap) {
    remove_where(trailers, |name| names::is_no_trailer(name.as_str()));
}

/// Removes what a request's headers say of its body, but for how to read it.
pub(crate) fn undigested(headers: &mut HeaderMap) {
    remove_where(headers, |name| names::is_digest(name.as_str()));
}

/// Asks for an answer whose words can be read. Who asks for no coding gets none; and an inner client may add a wish of its own
/// then, and decodes what comes.
fn make_readable(headers: &mut HeaderMap) {
    if headers.contains_key(ACCEPT_ENCODING) {
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    }
}

/// Asks for an answer in which the key can be found, should it be there.
fn make_searchable(headers: &mut HeaderMap) {
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    headers.remove(RANGE);
    headers.remove(IF_RANGE);
}

fn takes_trailers(headers: &HeaderMap) -> bool {
    headers.get_all(TE).iter().flat_map(words).any(|word| word.eq_ignore_ascii_case("trailers"))
}

/// Nominations that count for nothing. `Connection` goes last, lest a list that nominates it hide the lists after it; and
/// `Via` is the way so far: who could take it out would send a request in circles.
const NOT_NOMINATED: [&str; 2] = ["connection", "via"];

/// Removes `Connection` and what it nominates (RFC 9110, 7.6.1).
fn remove_nominated(headers: &mut HeaderMap) {
    let mut read = 0;
    while let Some(list) = headers.get_all(CONNECTION).iter().nth(read).cloned() {
        let is_nominated = |name: &&str| !NOT_NOMINATED.iter().any(|kept| name.eq_ignore_ascii_case(kept));
        for name in words(&list).filter(is_nominated) {
            headers.remove(name);
        }
        read += 1;
    }
    headers.remove(CONNECTION);
}

/// The members of a list that are text; no header has another name.
fn words(list: &HeaderValue) -> impl Iterator<Item = &str> {
    list.as_bytes().split(|&byte| byte == b',').filter_map(|word| std::str::from_utf8(word.trim_ascii()).ok())
}

/// Removes every header whose name is `doomed`.
///
/// A removal may reorder what comes after it, so each search starts where the last one ended; only a search over all
/// of them that finds nothing ends it.
fn remove_where(headers: &mut HeaderMap, doomed: impl Fn(&HeaderName) -> bool) {
    let mut start = 0;
    loop {
        let found = headers.keys().enumerate().skip(start).find(|(_, name)| doomed(name));
        match found.map(|(at, name)| (at, name.clone())) {
            Some((at, name)) => {
                headers.remove(name);
                start = at;
            }
            None if start == 0 => return,
            None => start = 0,
        }
    }
}
