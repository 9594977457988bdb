//! What a key may be sent to: a scheme, a host, a port and a base path (I1).
//!
//! A key is bound to one [`Origin`] and never leaves for another. An origin recognises the URIs that are its own, and
//! makes URIs out of its own scheme and authority and the caller's path: nothing that a caller writes can change
//! where a request goes. URIs are put together from parts, never by joining text.
//!
//! # How paths are joined
//!
//! What counts of a path is what lies below the base path of the origin that it was written for; of a request without an
//! origin that is all of it. It is put below the base path of the origin that it goes to, and what the one ends with and the other begins
//! with, by whole segments, is written once. So `/v1` may stand in the base URL, in the request or in both, with a slash
//! at the end or without, and never comes out twice. Query strings are kept as they are.
//!
//! | pool | key | request | goes to |
//! |---|---|---|---|
//! | `https://a` | `https://b/v1` | `https://a/v1/models?x` | `https://b/v1/models?x` |
//! | `https://a` | `https://b/v1/` | `https://a/models` | `https://b/v1/models` |
//! | `https://a/v1` | `https://b/openai/v1` | `https://a/v1/models` | `https://b/openai/v1/models` |
//! | `https://a/v1` | `https://b` | `https://a/v1/models` | `https://b/models`: the key's base URL stands for the pool's |
//! | `https://a/v1` | `https://b/v1` | `https://a/v2/models` | nowhere: it is not the pool's |
//! | any | any | `…/../models`, `…/%2e%2e/models` | nowhere: see [`check_path`] |

mod error;
mod host;
mod path;

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use bytes::Bytes;
use http::Uri;
use http::uri::{Authority, Parts, PathAndQuery, Scheme};
use serde::{Deserialize, Serialize};

pub use error::{OriginError, PathError};
pub use path::check_path;

/// The place that a key may be sent to.
///
/// Kept in one form: host in lower case without a trailing dot, no default port, no trailing slash. As a string in
/// serde; reading it back keeps to the rules of [`parse`](Self::parse).
///
/// ```
/// use key_commune::origin::Origin;
///
/// let origin: Origin = "https://API.openai.com:443/v1/".parse()?;
/// assert_eq!(origin.to_string(), "https://api.openai.com/v1");
/// assert!(origin.covers(&"https://api.openai.com/v1/chat/completions".parse()?));
/// assert!(!origin.covers(&"https://api.openai.com.evil.example/v1/chat".parse()?));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Origin {
    scheme: Scheme,
    authority: Authority,
    port: u16,
    base: Box<str>,
}

impl Origin {
    /// Reads an `https` URL, or an `http` URL of this machine: `localhost`, `127.0.0.0/8` or `[::1]`.
    ///
    /// # Errors
    /// When the text is no such URL; when it has a user name, password, query or fragment; when its host is neither a
    /// host name in ASCII nor an IP address in its usual form; when [`check_path`] refuses its path.
    pub fn parse(url: &str) -> Result<Self, OriginError> {
        let origin = Self::plain(url)?;
        if origin.scheme == Scheme::HTTP && !host::is_loopback(origin.authority.host()) {
            return Err(OriginError::Plain);
        }
        Ok(origin)
    }

    /// The same, with plain `http` to other machines allowed by name: keys are readable on the way.
    ///
    /// ```
    /// use key_commune::origin::{Origin, OriginError};
    ///
    /// assert_eq!(Origin::parse("http://10.0.0.5:8080").unwrap_err(), OriginError::Plain);
    /// assert!(Origin::plain("http://10.0.0.5:8080").is_ok());
    /// ```
    ///
    /// # Errors
    /// As [`parse`](Self::parse), but for [`OriginError::Plain`].
    pub fn plain(url: &str) -> Result<Self, OriginError> {
        if url.contains('#') {
            return Err(OriginError::Fragment);
        }
        let uri: Uri = url.parse().map_err(|_| OriginError::Url)?;
        let scheme = uri.scheme().filter(|scheme| default_port(scheme).is_some()).ok_or(OriginError::Scheme)?;
        let place = host::split(uri.authority().ok_or(OriginError::Url)?)?;
        if uri.query().is_some() {
            return Err(OriginError::Query);
        }
        check_path(uri.path()).map_err(OriginError::Path)?;
        let port = place.port.filter(|&port| Some(port) != default_port(scheme));
        Ok(Self {
            scheme: scheme.clone(),
            authority: authority(&host::normal(place.host)?, port)?,
            port: port.or(default_port(scheme)).unwrap_or_default(),
            base: uri.path().trim_end_matches('/').into(),
        })
    }

    /// Whether `uri` leads to this origin: absolute, with the same scheme, host and port, without a user name, and
    /// with a path under the base path by whole segments (RFC 3986, 6.2; `a.example.` is `a.example`).
    ///
    /// Says nothing about dot segments and their like: ask [`check_path`] before a covered URI is sent.
    #[must_use]
    pub fn covers(&self, uri: &Uri) -> bool {
        uri.scheme() == Some(&self.scheme)
            && uri.authority().is_some_and(|authority| self.is_at(authority))
            && path::is_under(&self.base, uri.path())
    }

    /// Whether a host, with or without a port, is this one or lies below it. For what requests say of themselves, which keys
    /// never follow.
    pub(crate) fn is_host(&self, text: &str) -> bool {
        let Ok(authority) = text.trim().parse::<Authority>() else { return false };
        let (host, own) = (authority.host().to_ascii_lowercase(), self.authority.host());
        host::is_same(&host, own) || host.strip_suffix(own).is_some_and(|below| below.ends_with('.'))
    }

    /// Whether `uri` names this origin's scheme, host and port, whatever its path and user name are.
    pub(crate) fn is_origin_of(&self, uri: &Uri) -> bool {
        uri.scheme() == Some(&self.scheme) && uri.authority().is_some_and(|authority| self.is_at(authority))
    }

    fn is_at(&self, authority: &Authority) -> bool {
        host::split(authority).is_ok_and(|place| {
            let port = place.port.or(default_port(&self.scheme));
            port == Some(self.port) && host::is_same(place.host, self.authority.host())
        })
    }

    /// The URI of a path at this origin. The longest overlap of the base path's end and the path's start is written
    /// once, so callers may write the base path's end or leave it out.
    ///
    /// ```
    /// use key_commune::origin::Origin;
    ///
    /// let origin: Origin = "https://openrouter.ai/api/v1".parse()?;
    /// let uri = origin.rebase(&"/v1/chat/completions?stream=1".parse()?)?;
    /// assert_eq!(uri, "https://openrouter.ai/api/v1/chat/completions?stream=1");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// When [`check_path`] refuses the path, or when it is too long.
    pub fn rebase(&self, target: &PathAndQuery) -> Result<Uri, PathError> {
        self.uri(path::move_under(target, "", &self.base)?)
    }

    /// A URI of the origin `from`, moved to the same place under this origin; for a key that has a base URL of its own.
    ///
    /// ```
    /// use key_commune::origin::Origin;
    ///
    /// let pool: Origin = "https://api.openai.com/v1".parse()?;
    /// let own: Origin = "https://eu.example.com/openai/v1".parse()?;
    /// let uri = own.relocate(&"https://api.openai.com/v1/models".parse()?, &pool)?;
    /// assert_eq!(uri, "https://eu.example.com/openai/v1/models");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// When `from` does not cover the URI; else as [`rebase`](Self::rebase).
    pub fn relocate(&self, uri: &Uri, from: &Self) -> Result<Uri, PathError> {
        let target = uri.path_and_query().filter(|_| from.covers(uri)).ok_or(PathError::Outside)?;
        self.uri(path::move_under(target, &from.base, &self.base)?)
    }

    fn uri(&self, target: PathAndQuery) -> Result<Uri, PathError> {
        let mut parts = Parts::default();
        parts.scheme = Some(self.scheme.clone());
        parts.authority = Some(self.authority.clone());
        parts.path_and_query = Some(target);
        // All three parts are there, which is all that this asks for.
        Uri::from_parts(parts).map_err(|_| PathError::TooLong)
    }
}

fn default_port(scheme: &Scheme) -> Option<u16> {
    match scheme.as_str() {
        "https" => Some(443),
        "http" => Some(80),
        _ => None,
    }
}

/// Bytes with an owner are cloned without an allocation, even the first time.
fn authority(host: &str, port: Option<u16>) -> Result<Authority, OriginError> {
    let text = port.map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
    Authority::from_maybe_shared(Bytes::from_owner(text)).map_err(|_| OriginError::Host)
}

impl FromStr for Origin {
    type Err = OriginError;

    fn from_str(url: &str) -> Result<Self, OriginError> {
        Self::parse(url)
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}{}", self.scheme, self.authority, self.base)
    }
}

impl fmt::Debug for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Origin({self})")
    }
}

impl Serialize for Origin {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Origin {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let url = Cow::<str>::deserialize(deserializer)?;
        url.parse().map_err(serde::de::Error::custom)
    }
}
