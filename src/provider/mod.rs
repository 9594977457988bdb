//! What is known of each provider: one row for each, in `rows`.
//!
//! A row says where a key may be sent, where in a request it sits, how refusals read, and, for communes, what proves
//! a key and what may be shared. [`Provider`] is such a row with what its user changed:
//!
//! ```
//! use http::HeaderName;
//! use key_commune::provider::{Placement, Provider};
//!
//! let groq = Provider::GROQ;
//! let own = Provider::custom("https://llm.example.com").slot(Placement::Header(HeaderName::from_static("x-api-key")));
//! assert_eq!(groq.base_url(), Some("https://api.groq.com/openai"));
//! assert_eq!(own.name(), "custom");
//! ```

mod endpoint;
mod rows;

use std::borrow::Cow;
use std::sync::Arc;

use http::HeaderName;

pub use endpoint::Endpoint;

use crate::classify::{Classify, Dialect};
use crate::origin::{Origin, OriginError};
use crate::slot::{Bearer, Header, Query, Slot};

/// Where in a request a credential sits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Placement {
    /// In `Authorization`, after `Bearer`.
    Bearer,
    /// In this header, alone.
    Header(HeaderName),
    /// In the value of this query parameter.
    Query(Cow<'static, str>),
}

/// A provider of an HTTP API: its row in the table, with what was changed of it.
///
/// The base is the scheme, the host and what every path of the API begins with before the version. Requests carry
/// the version (`/v1/chat/completions`), so one client can talk to all of them. `OpenRouter` is the exception: its
/// documentation counts `/api/v1` to the base, and so does everybody's configuration.
#[derive(Clone, Debug)]
pub struct Provider {
    name: &'static str,
    base: Option<Cow<'static, str>>,
    hosts: &'static [&'static str],
    placement: Placement,
    dialect: Dialect,
    queries: &'static [&'static str],
    proof: &'static [Endpoint],
    shared: &'static [Endpoint],
    request_headers: &'static [&'static str],
    response_headers: &'static [&'static str],
    plain: bool,
}

impl Provider {
    /// A provider that speaks as `OpenAI` does, at `base`.
    #[must_use]
    pub fn custom(base: impl Into<Cow<'static, str>>) -> Self {
        Self::CUSTOM.base(base)
    }

    /// The provider called `name`, as [`names`](Self::names) lists them.
    ///
    /// ```
    /// use key_commune::provider::Provider;
    ///
    /// assert_eq!(Provider::by_name("openai").map(|row| row.name()), Some("openai"));
    /// assert!(Provider::by_name("nobody").is_none());
    /// ```
    #[must_use]
    pub fn by_name(name: &str) -> Option<Self> {
        Self::all().into_iter().find(|row| row.name == name)
    }

    /// The provider whose API answers at `host` (without port; letter case does not matter).
    ///
    /// A host is known if it is one of a row's own, or lies below one that the row owns as a whole: the regional
    /// `eu.api.openai.com`, the resource `contoso.openai.azure.com`. The base then names that host. A longer name that
    /// merely ends alike, as `evilapi.openai.com` or `api.openai.com.evil.example`, is unknown.
    ///
    /// ```
    /// use key_commune::provider::Provider;
    ///
    /// let azure = Provider::by_host("contoso.openai.azure.com").ok_or("unknown")?;
    /// assert_eq!(azure.base_url(), Some("https://contoso.openai.azure.com"));
    /// assert!(Provider::by_host("api.openai.com.evil.example").is_none());
    /// # Ok::<(), &str>(())
    /// ```
    #[must_use]
    pub fn by_host(host: &str) -> Option<Self> {
        let host = host.to_ascii_lowercase();
        let row = Self::all().into_iter().find(|row| row.hosts.iter().any(|own| owns(own, &host)))?;
        Some(if row.hosts.first() == Some(&host.as_str()) { row } else { row.base(format!("https://{host}")) })
    }

    /// The names of all rows.
    pub fn names() -> impl Iterator<Item = &'static str> {
        Self::all().into_iter().map(|row| row.name)
    }

    /// The same, with a base URL of plain `http` to another machine allowed: keys are readable on the way.
    #[must_use]
    pub const fn plain_http(mut self) -> Self {
        self.plain = true;
        self
    }

    /// The same at another base URL. It is read, and refused if it is none, where a pool is made.
    #[must_use]
    pub fn base(self, url: impl Into<Cow<'static, str>>) -> Self {
        Self { base: Some(url.into()), ..self }
    }

    /// The same with the credential somewhere else.
    #[must_use]
    pub fn slot(self, placement: Placement) -> Self {
        Self { placement, ..self }
    }

    /// The same speaking another dialect.
    #[must_use]
    pub fn dialect(self, dialect: Dialect) -> Self {
        Self { dialect, ..self }
    }

    /// The same with other calls that [prove](Self::proof) a key.
    #[must_use]
    pub const fn proven_by(mut self, calls: &'static [Endpoint]) -> Self {
        self.proof = calls;
        self
    }

    /// The same with other calls that are [shared](Self::shared).
    #[must_use]
    pub const fn sharing(mut self, calls: &'static [Endpoint]) -> Self {
        self.shared = calls;
        self
    }

    /// The same with other [request headers](Self::request_headers) that go out with somebody else's key, in lower case.
    #[must_use]
    pub const fn sending(mut self, headers: &'static [&'static str]) -> Self {
        self.request_headers = headers;
        self
    }

    /// The same with other [response headers](Self::response_headers) that come back with somebody else's key, in lower case.
    #[must_use]
    pub const fn returning(mut self, headers: &'static [&'static str]) -> Self {
        self.response_headers = headers;
        self
    }

    /// Its name.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// Its base URL. `None` if it has no fixed one and none was given: Azure's resources, custom providers.
    #[must_use]
    pub fn base_url(&self) -> Option<&str> {
        self.base.as_deref()
    }

    /// Where the credential sits.
    #[must_use]
    pub const fn placement(&self) -> &Placement {
        &self.placement
    }

    /// The dialect it refuses in.
    #[must_use]
    pub const fn speaks(&self) -> Dialect {
        self.dialect
    }

    /// Who understands its answers.
    #[must_use]
    pub fn classifier(&self) -> Arc<dyn Classify> {
        self.dialect.classifier()
    }

    /// The query parameters that may carry a credential, wherever the credential should sit.
    #[must_use]
    pub const fn queries(&self) -> &'static [&'static str] {
        self.queries
    }

    /// Where in a request the credential sits.
    #[must_use]
    pub fn credential_slot(&self) -> Arc<dyn Slot> {
        match &self.placement {
            Placement::Bearer => Arc::new(Bearer),
            Placement::Header(name) => Arc::new(Header(name.clone())),
            Placement::Query(name) => Arc::new(Query(name.clone())),
        }
    }

    /// Where the keys may be sent.
    ///
    /// # Errors
    /// When the base URL is missing, or is not one that keys may be sent to.
    pub fn origin(&self) -> Result<Origin, OriginError> {
        let base = self.base_url().unwrap_or_default();
        if self.plain { Origin::plain(base) } else { Origin::parse(base) }
    }

    /// Where a clean 2xx proves that a key is good: nobody gets one there without a key.
    #[must_use]
    pub const fn proof(&self) -> &'static [Endpoint] {
        self.proof
    }

    /// What a caller may ask of a key that is not its own: calls that leave nothing behind and name nothing that is
    /// there.
    #[must_use]
    pub const fn shared(&self) -> &'static [Endpoint] {
        self.shared
    }

    /// The request headers that may go out with a key that is not the caller's, in lower case.
    #[must_use]
    pub const fn request_headers(&self) -> &'static [&'static str] {
        self.request_headers
    }

    /// The response headers that may come back with a key that is not the caller's, in lower case.
    #[must_use]
    pub const fn response_headers(&self) -> &'static [&'static str] {
        self.response_headers
    }
}

/// Whether `host` is `own`, or lies below it where `own` begins with a dot.
fn owns(own: &str, host: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'.';
    match own.strip_prefix('.') {
        None => host == own,
        Some(_) => host.strip_suffix(own).is_some_and(|below| !below.is_empty() && below.bytes().all(plain)),
    }
}
