//! What the layer says itself, it says as a response (I21): a status, the provider's JSON error shape, and a [`Refusal`]
//! in the extensions for programs.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use http_body::Body;

use super::body::ResponseBody;
use crate::clock::Timestamp;
use crate::demand::Demand;
use crate::origin::PathError;
use crate::pool::{Denied, Exhausted};
use crate::provider::Provider;
use crate::slot::SlotError;

/// Why the layer answered by itself. Found in the extensions of its answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// 421: the request names another origin than the pool's.
    #[error("the request is for another origin than the one the keys are bound to")]
    WrongOrigin,
    /// 421: the request names no origin, and the layer was not told to supply one.
    #[error("the request has no origin; a layer that serves such requests is made with rebase()")]
    NoOrigin,
    /// 400: two readers could read the path differently.
    #[error("{0}")]
    Path(#[from] PathError),
    /// 400: the layer's inspector does not let the request through, and this is why.
    #[error("{0}")]
    Denied(Box<str>),
    /// 404: no key of the pool serves this model.
    #[error("The model `{0}` does not exist, or no API key serves it")]
    UnknownModel(Box<str>),
    /// 501: a tunnel would outlive the key's lease.
    #[error("CONNECT and Upgrade are not supported")]
    Upgrade,
    /// 429 while keys rest, else 503: no key can serve the request now.
    #[error("no API key is available for this request now")]
    Exhausted {
        /// How long until the first key may be tried again.
        retry_after: Option<Duration>,
    },
    /// 503: the keys that this request could try were refused; others may serve the next one.
    #[error("the provider refused the API keys that were tried for this request")]
    Refused,
    /// 503: the request's body has to be read before a key is chosen, and too many others are.
    #[error("too many request bodies are under way; try again")]
    NoRoom,
    /// 401: callers of a commune must present a key of their own.
    #[error("the request carries no API key; present your own")]
    NoCredential,
    /// 400: what the caller presented cannot be a key.
    #[error(transparent)]
    Credential(#[from] SlotError),
    /// 400: the request was forwarded from a host that is not the provider's, where the rules of the commune want that.
    #[error("the forwarded host is not the provider's")]
    ForwardedHost,
    /// 400: what the caller presented is too short to be a key.
    #[error("Key too short (minimum 16 characters)")]
    KeyTooShort,
    /// 400: what the caller presented is too long to be a key.
    #[error("Key too long (maximum 256 characters)")]
    KeyTooLong,
    /// 429: this caller comes too often.
    #[error("too many requests with this API key")]
    TooOften {
        /// How long until the next one is served.
        retry_after: Duration,
    },
    /// 502: the inner client followed a redirect to another origin with the key, which is now out of use.
    #[error("the HTTP client followed a redirect to another origin")]
    Redirected,
    /// 502: the answer is compressed although the request asked for none, so echoes of the key cannot be masked.
    #[error("the provider compressed its answer although it was asked not to")]
    Encoded,
}

impl Refusal {
    /// The refusal of an exhausted pool.
    pub(super) fn exhausted(exhausted: &Exhausted, now: Timestamp) -> Self {
        if exhausted.open {
            return Self::Refused;
        }
        Self::Exhausted { retry_after: exhausted.soonest.map(|soonest| soonest - now) }
    }

    /// The refusal of a model that nobody serves, by its name as it was given, as far as that can be shown.
    pub(super) fn unknown_model(name: &str) -> Self {
        let shown: String = name.chars().filter(|letter| !letter.is_control()).take(Demand::MAX_LEN).collect();
        Self::UnknownModel(shown.into())
    }

    /// The status that it is sent with.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        match self {
            Self::WrongOrigin | Self::NoOrigin => StatusCode::MISDIRECTED_REQUEST,
            Self::Path(_)
            | Self::Denied(_)
            | Self::ForwardedHost
            | Self::Credential(_)
            | Self::KeyTooShort
            | Self::KeyTooLong => StatusCode::BAD_REQUEST,
            Self::UnknownModel(_) => StatusCode::NOT_FOUND,
            Self::NoCredential => StatusCode::UNAUTHORIZED,
            Self::Upgrade => StatusCode::NOT_IMPLEMENTED,
            Self::TooOften { .. } | Self::Exhausted { retry_after: Some(_) } => StatusCode::TOO_MANY_REQUESTS,
            Self::Exhausted { retry_after: None } | Self::Refused | Self::NoRoom => StatusCode::SERVICE_UNAVAILABLE,
            Self::Redirected | Self::Encoded => StatusCode::BAD_GATEWAY,
        }
    }

    /// The word for it in error bodies.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::WrongOrigin => "wrong_origin",
            Self::NoOrigin => "no_origin",
            Self::Path(_) => "ambiguous_path",
            Self::Denied(_) => "request_not_allowed",
            Self::UnknownModel(_) => "model_not_found",
            Self::Upgrade => "upgrade_not_supported",
            Self::Exhausted { .. } => "no_key_available",
            Self::Refused => "keys_refused",
            Self::NoRoom => "too_many_bodies",
            Self::ForwardedHost => "wrong_forwarded_host",
            Self::NoCredential => "no_api_key",
            Self::Credential(_) | Self::KeyTooShort | Self::KeyTooLong => "invalid_api_key",
            Self::TooOften { .. } => "rate_limit_exceeded",
            Self::Redirected => "redirected",
            Self::Encoded => "encoded_answer",
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Exhausted { retry_after } => *retry_after,
            Self::TooOften { retry_after } => Some(*retry_after),
            Self::Refused | Self::NoRoom => Some(Duration::ZERO),
            _ => None,
        }
    }

    /// The answer, in the provider's shape.
    #[must_use]
    pub(super) fn response<R: Body>(self, provider: &Provider) -> Response<ResponseBody<R>> {
        let body = provider.speaks().error_json(self.status(), self.code(), &self.to_string());
        let mut response = Response::new(ResponseBody::own(Bytes::from(body)));
        *response.status_mut() = self.status();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if self == Self::NoCredential {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(wait) = self.retry_after() {
            headers.insert(header::RETRY_AFTER, seconds(wait));
        }
        response.extensions_mut().insert(self);
        response
    }
}

impl From<Denied> for Refusal {
    fn from(denied: Denied) -> Self {
        match denied {
            Denied::TooShort => Self::KeyTooShort,
            Denied::TooLong => Self::KeyTooLong,
            Denied::Wait(retry_after) => Self::TooOften { retry_after },
        }
    }
}

/// A wait in whole seconds, rounded up, so that who obeys it does not come too early.
pub(super) fn seconds(wait: Duration) -> HeaderValue {
    let whole = wait.as_secs().saturating_add(u64::from(wait.subsec_nanos() > 0));
    HeaderValue::from(whole.max(1))
}

#[cfg(not(key_commune_loom))]
#[cfg(test)]
mod tests {
    use http_body_util::{BodyExt, Full};
    use serde_json::{Value, json};

    use super::*;
    use crate::classify::Dialect;

    async fn answered(refusal: &Refusal, dialect: Dialect) -> (StatusCode, Value, Option<Refusal>) {
        let provider = Provider::OPENAI.dialect(dialect);
        let (head, body) = refusal.clone().response::<Full<Bytes>>(&provider).into_parts();
        assert_eq!(head.headers[header::CONTENT_TYPE], "application/json");
        let body = body.collect().await.unwrap().to_bytes();
        (head.status, serde_json::from_slice(&body).unwrap(), head.extensions.get().cloned())
    }

    #[tokio::test]
    async fn a_model_that_nobody_serves_is_refused_as_the_provider_would() {
        let refusal = Refusal::unknown_model("gpt-9");
        let message = "The model `gpt-9` does not exist, or no API key serves it";
        let openai =
            json!({"message": message, "type": "invalid_request_error", "param": null, "code": "model_not_found"});
        for (dialect, body) in [
            (Dialect::OpenAi, json!({"error": openai})),
            (Dialect::Status, json!({"error": openai})),
            (Dialect::Anthropic, json!({"type": "error", "error": {"type": "not_found_error", "message": message}})),
            (Dialect::Gemini, json!({"error": {"code": 404, "message": message, "status": "NOT_FOUND"}})),
            (Dialect::OpenRouter, json!({"error": {"code": 404, "message": message}})),
        ] {
            let expected = (StatusCode::NOT_FOUND, body, Some(refusal.clone()));
            assert_eq!(answered(&refusal, dialect).await, expected, "{dialect:?}");
        }
    }

    #[test]
    fn i7_a_model_is_named_as_far_as_it_can_be_shown() {
        for (name, shown) in [
            ("a\r\nb\0\u{1b}[31m\u{7f}\u{85}", "ab[31m".to_owned()),
            ("modèle \"1\"", "modèle \"1\"".to_owned()),
            (&"é".repeat(10_000), "é".repeat(Demand::MAX_LEN)),
        ] {
            assert_eq!(Refusal::unknown_model(name), Refusal::UnknownModel(shown.into()));
        }
    }
}
