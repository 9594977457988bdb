//! What may reach the caller of an answer that was got with a key of the pool.

use http::{HeaderMap, Response, StatusCode, header, response};
use http_body::Body;

use super::Landed;
use super::body::ResponseBody;
use super::hygiene;
use super::layer::Settings;
use super::refusal::{Refusal, seconds};
use crate::clock::Timestamp;
use crate::origin::Origin;
use crate::outcome::{Fault, Outcome, Verdict};
use crate::pool::{Exhausted, Lease};

/// Whether the inner client followed a redirect away from the key's origin.
pub(super) fn has_strayed(head: &response::Parts, origin: &Origin) -> bool {
    head.extensions.get::<Landed>().is_some_and(|landed| !origin.is_origin_of(&landed.0))
}

/// Whether an answer tells more about our key than about the request (I14): the caller can do nothing with it.
pub(super) fn speaks_of_key(status: StatusCode, verdict: &Verdict) -> bool {
    let ours = matches!(status.as_u16(), 401..=403) || verdict.outcome == Outcome::Rejected;
    ours && verdict.fault() == Some(Fault::Key)
}

/// Removes what belongs to the connection or to the key's owner, and masks echoes of the key.
pub(super) fn clean(settings: &Settings, head: &mut response::Parts, lease: &Lease) -> Result<(), Refusal> {
    hygiene::response(&mut head.headers);
    if !settings.scrub {
        return Ok(());
    }
    if is_encoded(&head.headers) {
        return Err(Refusal::Encoded);
    }
    for value in head.headers.values_mut() {
        if let Some(masked) = lease.scrubber().value(value) {
            *value = masked;
        }
    }
    Ok(())
}

fn is_encoded(headers: &HeaderMap) -> bool {
    let plain = |value: &http::HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"identity") || value.is_empty();
    !headers.get_all(header::CONTENT_ENCODING).iter().all(plain)
}

/// Replaces what the provider said about one key by what is true of the pool (I14).
pub(super) fn retry_after<R: Body>(response: &mut Response<ResponseBody<R>>, exhausted: &Exhausted, now: Timestamp) {
    let soonest = if exhausted.open { Some(now) } else { exhausted.soonest };
    let Some(soonest) = soonest else { return };
    let headers = response.headers_mut();
    headers.remove("retry-after-ms");
    headers.remove("x-ms-retry-after-ms");
    headers.insert(header::RETRY_AFTER, seconds(soonest - now));
}
