//! Which provider it is, and where its keys may go.

use http::{HeaderName, Uri, header};
use key_commune::origin::{Origin, OriginError};
use key_commune::provider::{Placement, Provider};

use crate::Problem;
use crate::cli::Serve;

/// The provider's row, with what the options change of it.
pub(crate) fn read(options: &Serve) -> Result<Provider, Problem> {
    let mut row = choose(options.provider.as_deref(), options.upstream.as_deref())?;
    if let Some(url) = &options.upstream {
        row = row.base(url.clone());
        if is_allowed(url, &options.allow_http) {
            row = row.plain_http();
        }
    }
    if let Some(name) = &options.auth_header {
        row = row.slot(placement(name)?);
    }
    if row.base_url().is_none() {
        return Err(format!("the provider {} has no fixed address; give one with --upstream", row.name()));
    }
    row.origin().map_err(|error| format!("--upstream: {}", explain(error)))?;
    Ok(row)
}

/// The named row, else the one that the host belongs to, as yet without what other options change of it.
pub(crate) fn choose(provider: Option<&str>, upstream: Option<&str>) -> Result<Provider, Problem> {
    match provider {
        Some(name) => named(name),
        None => Ok(upstream.map_or(Provider::CUSTOM, by_host)),
    }
}

/// The origin of a key that brings its own.
pub(crate) fn origin(url: &str, allow_http: &[String]) -> Result<Origin, Problem> {
    let origin = if is_allowed(url, allow_http) { Origin::plain(url) } else { Origin::parse(url) };
    origin.map_err(explain)
}

fn named(name: &str) -> Result<Provider, Problem> {
    let known = || Provider::names().collect::<Vec<_>>().join(", ");
    Provider::by_name(name).ok_or_else(|| format!("--provider: {name:?} is unknown; known are {}", known()))
}

fn by_host(url: &str) -> Provider {
    host(url).and_then(|host| Provider::by_host(&host)).unwrap_or(Provider::CUSTOM)
}

fn placement(name: &str) -> Result<Placement, Problem> {
    let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| "--auth-header: not the name of a header")?;
    Ok(if name == header::AUTHORIZATION { Placement::Bearer } else { Placement::Header(name) })
}

fn is_allowed(url: &str, hosts: &[String]) -> bool {
    host(url).is_some_and(|host| hosts.iter().any(|allowed| allowed.eq_ignore_ascii_case(&host)))
}

fn host(url: &str) -> Option<String> {
    url.parse::<Uri>().ok()?.host().map(str::to_owned)
}

fn explain(error: OriginError) -> Problem {
    match error {
        OriginError::Plain => "plain http shows keys to everybody on the way; allow it with --allow-http HOST".into(),
        error => error.to_string(),
    }
}
