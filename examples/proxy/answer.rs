//! What the proxy says itself.

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use http_body_util::{Either, Full};
use hyper::body::Incoming;
use key_commune::Provider;
use key_commune::service::ResponseBody;

use crate::idle::Idle;

/// The body of an answer: the provider's, or one of our own.
pub(crate) type Body = Either<Idle<ResponseBody<Incoming>>, Full<Bytes>>;

/// A refusal as a client of the provider expects it.
pub(crate) fn refusal(provider: &Provider, (status, code, message): (StatusCode, &str, &str)) -> Response<Body> {
    json(status, provider.speaks().error_json(status, code, message))
}

pub(crate) fn json(status: StatusCode, text: impl Into<Bytes>) -> Response<Body> {
    let mut response = Response::new(Either::Right(Full::new(text.into())));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
