//! What may reach the caller of an answer that was got with a key of the pool.

use http::{Extensions, HeaderMap, Response, StatusCode, header, response};
use http_body::Body;

use super::Landed;
use super::body::ResponseBody;
use super::follow::Follow;
use super::hygiene;
use super::party;
use super::refusal::{Refusal, seconds};
use crate::clock::Timestamp;
use crate::origin::Origin;
use crate::outcome::{Fault, Outcome, Verdict};
use crate::pool::{Allowed, Exhausted};
use crate::scrub::Scrubber;
use crate::usage::Meter;

/// Whether the inner client followed a redirect away from the key's origin.
pub(super) fn has_strayed(head: &response::Parts, origin: &Origin) -> bool {
    head.extensions.get::<Landed>().is_some_and(|landed| !origin.is_origin_of(&landed.0))
}

/// Whose key an answer was got with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Owner {
    /// The operator's.
    Pool,
    /// The caller's own, in a commune.
    Caller,
    /// Another caller's.
    Another,
}

/// Whether the caller may not have an answer, because it speaks of a key that is not the caller's.
pub(super) fn is_withheld(owner: Owner, status: StatusCode, verdict: &Verdict) -> bool {
    match owner {
        Owner::Pool => speaks_of_key(status, verdict),
        Owner::Caller => false,
        Owner::Another => party::is_refusal(status, verdict) || speaks_of_key(status, verdict),
    }
}

/// Whether an answer tells more about our key than about the request (I14): the caller can do nothing with it. A 429 is
/// something that callers understand, whatever it is for.
fn speaks_of_key(status: StatusCode, verdict: &Verdict) -> bool {
    let ours = match verdict.outcome {
        Outcome::Rejected => true,
        Outcome::QuotaSpent => status != StatusCode::TOO_MANY_REQUESTS,
        _ => matches!(status.as_u16(), 401..=403),
    };
    ours && verdict.fault() == Some(Fault::Key)
}

/// Whether an answer speaks of a rest, so that the pool knows better when to come back.
pub(super) fn speaks_of_rest(verdict: &Verdict) -> bool {
    matches!(verdict.outcome, Outcome::Throttled | Outcome::QuotaSpent)
}

/// Removes what belongs to the connection or to the key's owner, and masks echoes of the key.
pub(super) fn clean(
    allowed: &Allowed,
    head: &mut response::Parts,
    owner: Owner,
    scrubber: Option<&Scrubber>,
) -> Result<(), Refusal> {
    hygiene::response(&mut head.headers);
    if owner == Owner::Another {
        hygiene::only(&mut head.headers, &allowed.answers);
    }
    let Some(scrubber) = scrubber else { return Ok(()) };
    if is_encoded(&head.headers) {
        return Err(Refusal::Encoded);
    }
    scrubber.headers(&mut head.headers);
    keep_known(&mut head.extensions);
    Ok(())
}

/// What clients put beside an answer may hold what the provider has said, unmasked: hyper the reason phrase, which its
/// server would send on.
fn keep_known(extensions: &mut Extensions) {
    let landed = extensions.remove::<Landed>();
    extensions.clear();
    landed.and_then(|landed| extensions.insert(landed));
}

/// What reads the usage out of a good answer.
pub(super) fn meter(head: &response::Parts) -> Option<Meter> {
    is_readable(head).then(|| Meter::new(head.headers.get(header::CONTENT_TYPE))).flatten()
}

/// What reads the id of a response out of a good answer.
pub(super) fn follow(head: &response::Parts) -> Option<Follow> {
    is_readable(head).then(|| Follow::new(head)).flatten()
}

fn is_readable(head: &response::Parts) -> bool {
    head.status.is_success() && !is_encoded(&head.headers)
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
