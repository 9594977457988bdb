//! The page that a browser finds at `/` of a commune.

use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, header};
use http_body_util::{Either, Full};
use key_commune::Provider;

use crate::answer::Body;

/// Nothing is loaded, framed or run.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'";

/// Whether a browser asks for the page; a client of the API has the path for itself.
pub(crate) fn is_asked_for(head: &Parts) -> bool {
    let wants_html = head.headers.get_all(header::ACCEPT).iter().any(names_html);
    head.uri.path() == "/" && matches!(head.method, Method::GET | Method::HEAD) && wants_html
}

fn names_html(value: &HeaderValue) -> bool {
    let kinds = value.to_str().unwrap_or_default().split(',');
    kinds.map(|kind| kind.split(';').next().unwrap_or_default().trim()).any(|kind| kind == "text/html")
}

pub(crate) fn page(provider: &Provider, active: usize) -> Response<Body> {
    let keys = if active == 1 { "1 key shares".into() } else { format!("{active} keys share") };
    let (name, base) = (provider.name(), escaped(provider.base_url().unwrap_or_default()));
    let mut response = Response::new(Either::Right(Full::from(format!(
        include_str!("index.html"),
        keys = keys,
        name = name,
        base = base
    ))));
    *response.headers_mut() = headers();
    response
}

fn headers() -> HeaderMap {
    [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::CACHE_CONTROL, "no-store"),
        (header::VARY, "accept"),
    ]
    .map(|(name, value): (HeaderName, _)| (name, HeaderValue::from_static(value)))
    .into_iter()
    .collect()
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
