//! Errors that a provider sends after an event stream has begun (I8): too late for another key, in time for the pool.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use memchr::memmem;

use crate::classify::{Answer, Classify};
use crate::clock::Timestamp;
use crate::guard::guarded;
use crate::outcome::{Outcome, Verdict};

/// The longest event that is looked at; what is longer is no error.
const LONGEST: usize = 16 << 10;

/// Looks at the events of a stream as they pass.
pub(super) struct Watch {
    classify: Arc<dyn Classify>,
    /// The beginning of an event whose end has not come.
    begun: Vec<u8>,
    /// The event under way is longer than [`LONGEST`].
    skipping: bool,
}

impl Watch {
    /// For an answer that is an event stream.
    pub(super) fn new(headers: &HeaderMap, classify: &Arc<dyn Classify>) -> Option<Self> {
        let kind = headers.get(header::CONTENT_TYPE)?.as_bytes();
        let stream = kind.get(..EVENTS.len())?.eq_ignore_ascii_case(EVENTS.as_bytes());
        stream.then(|| Self { classify: Arc::clone(classify), begun: Vec::new(), skipping: false })
    }

    /// What an error among the events that end in this chunk says about the key.
    pub(super) fn see(&mut self, chunk: &Bytes, now: Timestamp) -> Option<Verdict> {
        let mut verdict = None;
        let mut rest = &chunk[..];
        while let Some(end) = self.end_of_line(rest).or_else(|| end_of_event(rest)) {
            let (event, behind) = rest.split_at(end);
            verdict = verdict.or(self.event(event, now));
            self.begun.clear();
            self.skipping = false;
            rest = behind;
        }
        self.begin(rest);
        verdict
    }

    /// Behind the empty line, if it began with the bytes before these.
    fn end_of_line(&self, bytes: &[u8]) -> Option<usize> {
        match (&self.begun[..], bytes) {
            ([.., b'\n'] | [.., b'\n', b'\r'], [b'\n', ..]) => Some(1),
            ([.., b'\n'], [b'\r', b'\n', ..]) => Some(2),
            _ => None,
        }
    }

    /// An event has ended with these bytes.
    fn event(&mut self, end: &[u8], now: Timestamp) -> Option<Verdict> {
        if self.begun.is_empty() {
            return self.judge(end, now);
        }
        self.begin(end);
        if self.skipping { None } else { self.judge(&self.begun, now) }
    }

    fn begin(&mut self, bytes: &[u8]) {
        self.skipping |= self.begun.len() + bytes.len() > LONGEST;
        if self.skipping {
            self.begun.clear();
        } else {
            self.begun.extend_from_slice(bytes);
        }
    }

    fn judge(&self, event: &[u8], now: Timestamp) -> Option<Verdict> {
        // Nearly all events are good: the word tells them from the others at the speed of memory.
        memmem::find(event, b"error")?;
        let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, HeaderValue::from_static(EVENTS))]);
        let answer = Answer { status: StatusCode::OK, headers: &headers, body: event, now };
        let verdict = guarded(|| self.classify.answer(&answer))?;
        (verdict.outcome != Outcome::Accepted).then_some(verdict)
    }
}

const EVENTS: &str = "text/event-stream";

/// Behind the first empty line.
fn end_of_event(bytes: &[u8]) -> Option<usize> {
    let after = |line: &[u8]| memmem::find(bytes, line).map(|at| at + line.len());
    match (after(b"\n\n"), after(b"\n\r\n")) {
        (Some(plain), Some(windows)) => Some(plain.min(windows)),
        (plain, windows) => plain.or(windows),
    }
}

#[cfg(all(test, not(key_commune_loom)))]
mod tests {
    use super::*;
    use crate::classify::OpenAi;

    const STREAM: &[u8] = b"data: {\"choices\":[{\"delta\":{\"content\":\"an error is \\\"error\\\"\"}}]}\n\ndata: \
        {\"error\":{\"message\":\"Rate limit reached\",\"type\":\"tokens\",\"code\":\"rate_limit_exceeded\"}}\n\ndata: [DONE]\n\n";

    fn watch() -> Option<Watch> {
        let headers = HeaderMap::from_iter([(
            header::CONTENT_TYPE,
            HeaderValue::from_static("text/event-stream; charset=utf-8"),
        )]);
        let classify: Arc<dyn Classify> = Arc::new(OpenAi);
        Watch::new(&headers, &classify)
    }

    #[test]
    fn finds_a_late_error_wherever_the_stream_is_cut() {
        for cut in 0..STREAM.len() {
            let (one, two) = STREAM.split_at(cut);
            let mut watch = watch().unwrap();
            let seen = [one, two].map(|part| watch.see(&Bytes::copy_from_slice(part), Timestamp::ZERO));
            let outcomes: Vec<_> = seen.iter().flatten().map(|verdict| verdict.outcome).collect();
            assert_eq!(outcomes, [Outcome::Throttled], "cut at {cut}");
        }
    }

    #[test]
    fn keeps_no_more_than_one_bounded_event() {
        let mut watch = watch().unwrap();
        for _ in 0..1_000 {
            assert_eq!(watch.see(&Bytes::from_static(&[b'x'; 1_024]), Timestamp::ZERO), None);
            assert!(watch.begun.len() <= LONGEST);
        }
        assert!(watch.see(&Bytes::from_static(b"\n\n"), Timestamp::ZERO).is_none());
        assert!(watch.see(&Bytes::from_static(STREAM), Timestamp::ZERO).is_some(), "goes on with the next event");
    }
}
