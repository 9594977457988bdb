//! The first event of a server-sent event stream: where a provider that has already answered 200 puts its refusal.
//!
//! Comments and pings come before it and mean nothing (`: OPENROUTER PROCESSING`, Anthropic's `event: ping`). Format:
//! <https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation>. A lone CR as line
//! end, which that page allows, is not known from any provider and not understood here.

use std::borrow::Cow;

/// One event.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Event<'a> {
    /// Its `event:` line.
    pub(crate) name: &'a [u8],
    /// Its `data:` lines, joined.
    pub(crate) data: Cow<'a, [u8]>,
}

impl Event<'_> {
    fn speaks(&self) -> bool {
        self.name != b"ping" && !self.data.is_empty()
    }
}

/// The first event of `stream` that is neither comment nor ping. An event that is cut off counts with what is there.
pub(crate) fn first(stream: &[u8]) -> Option<Event<'_>> {
    let stream = stream.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(stream);
    let mut event = Event::default();
    for line in stream.split(|byte| *byte == b'\n') {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        match field(line) {
            _ if line.is_empty() && event.speaks() => return Some(event),
            _ if line.is_empty() => event = Event::default(),
            Some((b"event", name)) => event.name = name,
            Some((b"data", data)) => push(&mut event.data, data),
            _ => {}
        }
    }
    Some(event).filter(Event::speaks)
}

fn field(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let colon = line.iter().position(|byte| *byte == b':')?;
    let (name, value) = line.split_at_checked(colon)?;
    let value = value.strip_prefix(b":").unwrap_or(value);
    Some((name, value.strip_prefix(b" ").unwrap_or(value)))
}

fn push<'a>(data: &mut Cow<'a, [u8]>, line: &'a [u8]) {
    if data.is_empty() {
        *data = Cow::Borrowed(line);
    } else {
        let data = data.to_mut();
        data.push(b'\n');
        data.extend_from_slice(line);
    }
}

#[cfg(not(key_commune_loom))]
#[cfg(test)]
mod tests {
    use super::*;

    fn shown(stream: &str) -> Option<(String, String)> {
        let event = first(stream.as_bytes())?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Some((text(event.name), text(&event.data)))
    }

    #[test]
    fn finds_the_first_event_that_speaks() {
        let table = [
            ("", None),
            (": OPENROUTER PROCESSING\n\n", None),
            ("event: ping\ndata: {\"type\": \"ping\"}\n\n", None),
            ("data: 1\n\ndata: 2\n\n", Some(("", "1"))),
            ("data:1\r\n\r\ndata: 2\r\n\r\n", Some(("", "1"))),
            ("\u{feff}data: a\ndata: b\n\n", Some(("", "a\nb"))),
            (": hi\n\nevent: ping\ndata: {}\n\nevent: error\ndata: x\n\n", Some(("error", "x"))),
            ("id: 7\nretry: 10\n\nevent: error\ndata: {\"cut", Some(("error", "{\"cut"))),
            ("event: error\n\ndata: later\n\n", Some(("", "later"))),
        ];
        for (stream, event) in table {
            let event = event.map(|(name, data)| (name.to_owned(), data.to_owned()));
            assert_eq!(shown(stream), event, "{stream:?}");
        }
    }
}
