//! The places of a request's head that tell of its model and its session, and whether its body may.

use std::borrow::Cow;

use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::request::Parts;
use http::{HeaderMap, HeaderName, Method};
use percent_encoding::percent_decode_str;

/// Methods whose requests have no body that means anything (RFC 9110, 9.3).
const WITHOUT_BODY: [Method; 6] =
    [Method::GET, Method::HEAD, Method::DELETE, Method::OPTIONS, Method::TRACE, Method::CONNECT];

/// Whether a request can have a body that is read as JSON in UTF-8. One that does not say what it is counts as such.
pub(crate) fn may_have_json(head: &Parts) -> bool {
    let all =
        |name: HeaderName, fits: fn(&str) -> bool| values(&head.headers, &name).all(|value| value.is_some_and(fits));
    may_have_body(head) && all(CONTENT_TYPE, is_json) && all(CONTENT_ENCODING, is_plain)
}

/// Whether a request can have a body that means anything.
pub(super) fn may_have_body(head: &Parts) -> bool {
    !WITHOUT_BODY.contains(&head.method)
}

fn values<'h>(headers: &'h HeaderMap, name: &HeaderName) -> impl Iterator<Item = Option<&'h str>> {
    headers.get_all(name).iter().map(|value| value.to_str().ok())
}

fn is_json(content_type: &str) -> bool {
    let mut parts = content_type.split(';').map(str::trim);
    let kind = parts.next().unwrap_or_default();
    let is_json = kind.eq_ignore_ascii_case("application/json") || ends_with(kind, "+json");
    is_json && parts.all(is_utf_8)
}

/// Whether a parameter of the type says nothing else.
fn is_utf_8(parameter: &str) -> bool {
    let (name, value) = parameter.split_once('=').unwrap_or_default();
    !name.trim().eq_ignore_ascii_case("charset") || value.trim().trim_matches('"').eq_ignore_ascii_case("utf-8")
}

fn is_plain(coding: &str) -> bool {
    coding.trim().eq_ignore_ascii_case("identity")
}

fn ends_with(text: &str, end: &str) -> bool {
    let start = text.len().saturating_sub(end.len());
    text.get(start..).is_some_and(|tail| tail.eq_ignore_ascii_case(end))
}

/// The model of `…/deployments/{model}/…` or, as it was once, `…/engines/{model}/…`, or of `…/models/{model}:method` at the
/// end. Azure does not mind the case of a path.
pub(crate) fn model_in_path(path: &str) -> Option<Cow<'_, str>> {
    let model = below(path, "deployments").or_else(|| below(path, "engines")).or_else(|| object_of_method(path));
    percent_decode_str(model.filter(|model| !model.is_empty())?).decode_utf8().ok()
}

fn below<'p>(path: &'p str, folder: &str) -> Option<&'p str> {
    let mut segments = path.split('/').skip_while(|segment| !segment.eq_ignore_ascii_case(folder)).skip(1);
    let name = segments.next()?;
    segments.next().map(|_| name)
}

fn object_of_method(path: &str) -> Option<&str> {
    let mut from_end = path.rsplit('/');
    let (model, _) = from_end.next()?.rsplit_once(':')?;
    (from_end.next()? == "models").then_some(model)
}

/// The response of `…/responses/{id}`, and of what lies below it.
pub(super) fn response_in_path(path: &str) -> Option<Cow<'_, str>> {
    let id = path.split_once("/responses/")?.1.split('/').next()?;
    percent_decode_str(id).decode_utf8().ok()
}

/// The decoded value of the first of these parameters that is there, once.
pub(super) fn parameter<'q>(query: &'q str, names: &[&str]) -> Option<Cow<'q, str>> {
    names.iter().find_map(|name| {
        let mut ours = query.split('&').filter(|pair| is_called(pair, name));
        let (pair, None) = (ours.next()?, ours.next()) else { return None };
        percent_decode_str(pair.split_once('=')?.1).decode_utf8().ok()
    })
}

fn is_called(pair: &str, name: &str) -> bool {
    percent_decode_str(pair.split('=').next().unwrap_or_default()).eq(name.bytes())
}
