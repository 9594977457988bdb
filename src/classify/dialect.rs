//! The languages in which providers refuse: read by a classifier, and spoken by us when we refuse ourselves.

use std::sync::Arc;

use http::StatusCode;
use serde_json::{Value, json};

use super::{Anthropic, ByStatus, Classify, Gemini, OpenAi, OpenRouter};

/// How a provider tells of an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Dialect {
    /// By status alone.
    Status,
    /// `OpenAI`'s, the most imitated.
    OpenAi,
    /// Anthropic's.
    Anthropic,
    /// Google's.
    Gemini,
    /// `OpenRouter`'s.
    OpenRouter,
}

impl Dialect {
    /// Who understands it.
    #[must_use]
    pub fn classifier(self) -> Arc<dyn Classify> {
        match self {
            Self::Status => Arc::new(ByStatus),
            Self::OpenAi => Arc::new(OpenAi),
            Self::Anthropic => Arc::new(Anthropic),
            Self::Gemini => Arc::new(Gemini),
            Self::OpenRouter => Arc::new(OpenRouter),
        }
    }

    /// A refusal of our own as a client of the provider expects it: a JSON text for the body of a `status` answer.
    ///
    /// Where the provider has its own word for the kind of error, the status picks it. Only `OpenAI`'s shape, which
    /// [`Status`](Self::Status) borrows, has a place for `code`.
    ///
    /// ```
    /// use http::StatusCode;
    /// use key_commune::classify::Dialect;
    ///
    /// let body = Dialect::Anthropic.error_json(StatusCode::TOO_MANY_REQUESTS, "all_keys_resting", "all keys rest");
    /// assert_eq!(body, r#"{"error":{"message":"all keys rest","type":"rate_limit_error"},"type":"error"}"#);
    /// ```
    #[must_use]
    pub fn error_json(self, status: StatusCode, code: &str, message: &str) -> String {
        self.shape(status, code, message).to_string()
    }

    fn shape(self, status: StatusCode, code: &str, message: &str) -> Value {
        let number = status.as_u16();
        match self {
            Self::Status | Self::OpenAi => {
                json!({"error": {"message": message, "type": openai(number), "param": null, "code": code}})
            }
            Self::Anthropic => json!({"type": "error", "error": {"type": anthropic(number), "message": message}}),
            Self::Gemini => json!({"error": {"code": number, "message": message, "status": google(number)}}),
            Self::OpenRouter => json!({"error": {"code": number, "message": message}}),
        }
    }
}

/// <https://platform.openai.com/docs/guides/error-codes>
fn openai(status: u16) -> &'static str {
    match status {
        401 => "authentication_error",
        429 => "rate_limit_error",
        503 => "service_unavailable_error",
        500.. => "server_error",
        _ => "invalid_request_error",
    }
}

/// <https://docs.claude.com/en/api/errors>
fn anthropic(status: u16) -> &'static str {
    match status {
        401 => "authentication_error",
        402 => "billing_error",
        403 => "permission_error",
        404 => "not_found_error",
        413 => "request_too_large",
        429 => "rate_limit_error",
        503 | 529 => "overloaded_error",
        504 => "timeout_error",
        500.. => "api_error",
        _ => "invalid_request_error",
    }
}

/// <https://github.com/googleapis/googleapis/blob/master/google/rpc/code.proto>
fn google(status: u16) -> &'static str {
    match status {
        401 => "UNAUTHENTICATED",
        403 => "PERMISSION_DENIED",
        404 => "NOT_FOUND",
        409 => "ABORTED",
        429 => "RESOURCE_EXHAUSTED",
        501 => "UNIMPLEMENTED",
        502 | 503 => "UNAVAILABLE",
        504 => "DEADLINE_EXCEEDED",
        500.. => "INTERNAL",
        _ => "INVALID_ARGUMENT",
    }
}
