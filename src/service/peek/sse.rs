//! Finds the first event of a server-sent event stream that says something, in bytes that come in pieces.
//!
//! Comments, events without data and pings say nothing: providers send them while a request still waits for its turn,
//! and it may yet be refused. Lines end with LF, CR or CRLF, and a mark of byte order may stand first.

use std::ops::Range;

use memchr::memchr2;
use serde::Deserialize;

const MARK: &[u8] = b"\xEF\xBB\xBF";
/// No ping is longer; longer data is not parsed.
const LONGEST_PING: usize = 64;

/// How far the stream has been read. Each byte is looked at once.
#[derive(Default)]
pub(super) struct Scan {
    /// Where the present line begins.
    line: usize,
    /// Where to look for its end.
    at: usize,
    /// The line before ended with CR: an LF that comes next belongs to it.
    after_cr: bool,
    event: Event,
    /// Where the bytes begin that have not been passed over.
    from: Option<usize>,
    found: Option<Range<usize>>,
}

/// What is known of the event that is being read.
#[derive(Default)]
struct Event {
    begin: Option<usize>,
    says: bool,
    ping: bool,
}

impl Scan {
    /// Goes on with a stream of which `bytes` is all that has come, from its beginning. True once the event is found.
    pub(super) fn read(&mut self, bytes: &[u8]) -> bool {
        self.skip_mark(bytes);
        while self.found.is_none() {
            self.skip_second_half(bytes);
            let rest = bytes.get(self.at..).unwrap_or_default();
            let Some(length) = memchr2(b'\n', b'\r', rest) else {
                self.at = bytes.len();
                break;
            };
            self.end_line(bytes, self.at + length);
        }
        self.found.is_some()
    }

    /// Where the event is, or as much of it as has come.
    pub(super) fn event(&self) -> Range<usize> {
        self.found.clone().unwrap_or(self.from.unwrap_or(self.line)..self.at)
    }

    fn skip_mark(&mut self, bytes: &[u8]) {
        if self.line == 0 && bytes.starts_with(MARK) {
            self.line = MARK.len();
            self.at = self.at.max(self.line);
        }
    }

    /// The LF of a CRLF may come in the next piece.
    fn skip_second_half(&mut self, bytes: &[u8]) {
        let Some(next) = bytes.get(self.at) else { return };
        if self.after_cr && *next == b'\n' {
            self.at += 1;
            self.line = self.at;
        }
        self.after_cr = false;
    }

    fn end_line(&mut self, bytes: &[u8], end: usize) {
        let line = bytes.get(self.line..end).unwrap_or_default();
        match line {
            [] => self.end_event(),
            [b':', ..] => {}
            field => self.field(field),
        }
        self.after_cr = bytes.get(end) == Some(&b'\r');
        self.at = end + 1;
        self.line = self.at;
    }

    fn field(&mut self, line: &[u8]) {
        self.event.begin.get_or_insert(self.line);
        self.from.get_or_insert(self.line);
        let (name, value) = split_field(line);
        match name {
            b"event" => self.event.ping |= value == b"ping",
            b"data" => {
                self.event.says |= !value.is_empty();
                self.event.ping |= is_ping(value);
            }
            _ => {}
        }
    }

    fn end_event(&mut self) {
        let event = std::mem::take(&mut self.event);
        match event.begin {
            Some(begin) if event.says && !event.ping => self.found = Some(begin..self.line),
            begin if event.ping && self.from == begin => self.from = None,
            _ => {}
        }
    }
}

fn split_field(line: &[u8]) -> (&[u8], &[u8]) {
    let colon = memchr::memchr(b':', line).unwrap_or(line.len());
    let (name, value) = line.split_at(colon);
    let value = value.strip_prefix(b":").unwrap_or(value);
    (name, value.strip_prefix(b" ").unwrap_or(value))
}

/// Whether data is `{"type":"ping"}` and nothing else: whatever says more may be an error.
fn is_ping(data: &[u8]) -> bool {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Typed<'a> {
        #[serde(borrow, rename = "type")]
        name: &'a str,
    }
    data.len() <= LONGEST_PING && serde_json::from_slice::<Typed<'_>>(data).is_ok_and(|typed| typed.name == "ping")
}
