//! What can go wrong below the layer, and how the caller is told: never with a URL or a key in it.

use std::any::Any;
use std::error::Error;

use http::StatusCode;
use key_commune::service::BoxError;

use crate::idle::BodyError;

/// Why there is no answer of the provider.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error("the provider did not begin to answer in time")]
    Late,
    #[error("the provider cannot be reached")]
    Connect(#[source] BoxError),
    #[error("the provider cannot be talked to")]
    Http(#[from] hyper::Error),
}

impl Failure {
    /// Status, code and message of the answer that tells of it.
    pub(crate) fn told(&self) -> (StatusCode, &'static str, &'static str) {
        match self {
            Self::Late => (StatusCode::GATEWAY_TIMEOUT, "upstream_timeout", "the provider took too long to answer"),
            Self::Connect(_) => (StatusCode::BAD_GATEWAY, "upstream_unreachable", "the provider cannot be reached"),
            Self::Http(error) if is_stalled(error) => {
                (StatusCode::REQUEST_TIMEOUT, "upload_stalled", "the request's body stood still for too long")
            }
            Self::Http(_) => {
                (StatusCode::BAD_GATEWAY, "upstream_failed", "the connection to the provider broke before its answer")
            }
        }
    }
}

/// Whether no byte of the request has left this machine, so that it may be sent again.
pub(crate) fn was_never_sent(error: &dyn Any) -> bool {
    matches!(error.downcast_ref(), Some(Failure::Connect(_)))
}

fn is_stalled(error: &(dyn Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        if matches!(error.downcast_ref(), Some(BodyError::Idle(_))) {
            return true;
        }
        next = error.source();
    }
    false
}
