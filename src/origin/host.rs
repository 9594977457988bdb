//! Host and port of an authority, read strictly.
//!
//! The `http` crate takes `host:99999` and `host:+80` for a host with and without a port, and a user name for part of the
//! authority. A guard that did likewise could be talked past (I1).

use std::net::{Ipv4Addr, Ipv6Addr};

use http::uri::Authority;

use super::OriginError;

/// An authority without a user name.
pub(super) struct Place<'a> {
    /// As it was written; in brackets if it is an IPv6 address.
    pub(super) host: &'a str,
    /// `None` stands for the scheme's own.
    pub(super) port: Option<u16>,
}

pub(super) fn split(authority: &Authority) -> Result<Place<'_>, OriginError> {
    let text = authority.as_str();
    if text.contains('@') {
        return Err(OriginError::Userinfo);
    }
    let host_end = text.find(']').map_or_else(|| text.find(':'), |bracket| Some(bracket + 1));
    let (host, port) = text.split_at(host_end.unwrap_or(text.len()));
    Ok(Place { host, port: read_port(port)? })
}

/// Reads nothing, or a colon and a number.
fn read_port(text: &str) -> Result<Option<u16>, OriginError> {
    if text.is_empty() {
        return Ok(None);
    }
    let digits = text.strip_prefix(':').filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()));
    let port = digits.and_then(|digits| digits.parse().ok()).filter(|&port| port != 0);
    port.map(Some).ok_or(OriginError::Port)
}

/// A host in the one form that origins are kept in.
pub(super) fn normal(host: &str) -> Result<String, OriginError> {
    if host.starts_with('[') {
        return read_v6(host).map(|address| format!("[{address}]")).ok_or(OriginError::Host);
    }
    let host = without_dot(host).to_ascii_lowercase();
    if is_name(&host) { Ok(host) } else { Err(OriginError::Host) }
}

/// Whether a host, as it was written, is the one kept as `own`.
pub(super) fn is_same(host: &str, own: &str) -> bool {
    match read_v6(host) {
        Some(address) => read_v6(own) == Some(address),
        None => without_dot(host).eq_ignore_ascii_case(own),
    }
}

/// Whether a host, as origins keep it, is this machine.
pub(super) fn is_loopback(host: &str) -> bool {
    host == "localhost"
        || host.parse::<Ipv4Addr>().is_ok_and(|address| address.is_loopback())
        || read_v6(host).is_some_and(|address| address.is_loopback())
}

fn read_v6(host: &str) -> Option<Ipv6Addr> {
    host.strip_prefix('[')?.strip_suffix(']')?.parse().ok()
}

/// A trailing dot says that a name is complete; the host is the same (RFC 3986, 3.2.2).
fn without_dot(host: &str) -> &str {
    host.strip_suffix('.').unwrap_or(host)
}

fn is_name(host: &str) -> bool {
    let last = host.rsplit('.').next().unwrap_or_default();
    // Resolvers read `127.1`, `0x7f.1` and `2130706433` as addresses, so a number must be an address in full.
    let is_number = last.starts_with("0x") || last.bytes().all(|byte| byte.is_ascii_digit());
    host.len() <= 253 && host.split('.').all(is_label) && (!is_number || host.parse::<Ipv4Addr>().is_ok())
}

fn is_label(label: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    (1..=63).contains(&label.len()) && label.bytes().all(is_part)
}
