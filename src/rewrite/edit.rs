//! Changes to the members of a JSON object. What is not changed stays as it is written, byte for byte and in its order.
//!
//! It is read as [`Routing`](crate::demand::Routing) reads it: to its end, and names unescaped. What is no JSON object, or
//! goes too deep, is not changed.

use bufjson::lexical::Token;
use bytes::Bytes;

use crate::demand::{Raw, Reader};

/// What becomes of a member.
pub(super) enum Edit {
    Keep,
    Drop,
    /// Its value becomes this one.
    Replace(Vec<u8>),
}

/// The object with its members edited; `None` if that changes nothing.
pub(super) fn edited<'b>(body: &'b [u8], mut edit: impl FnMut(&str, Raw<'b>) -> Edit) -> Option<Bytes> {
    let mut text = Vec::with_capacity(body.len());
    let mut is_changed = false;
    members(body, |name, value, member| {
        let edit = edit(name, value);
        is_changed |= !matches!(edit, Edit::Keep);
        write(&mut text, member, value, &edit);
    })?;
    text.extend_from_slice(if text.is_empty() { b"{}" } else { b"}" });
    is_changed.then(|| text.into())
}

/// The value of the last member with this name, which is the one that counts.
pub(super) fn last<'b>(body: &'b [u8], wanted: &str) -> Option<Raw<'b>> {
    let mut found = None;
    members(body, |name, value, _| {
        if name == wanted {
            found = Some(value);
        }
    })?;
    found
}

/// Tells of each member of an object its name, its value, and the whole as it is written; `None` is no object.
fn members<'b>(body: &'b [u8], mut tell: impl FnMut(&str, Raw<'b>, Raw<'b>)) -> Option<()> {
    let mut reader = Reader::new(body);
    reader.object(|reader, name| {
        let start = reader.start();
        let value = reader.value()?;
        tell(name, value, body.get(start..reader.end())?);
        Some(())
    })?;
    (reader.next()? == Token::Eof).then_some(())
}

fn write(text: &mut Vec<u8>, member: Raw<'_>, value: Raw<'_>, edit: &Edit) {
    let (name, new) = match edit {
        Edit::Drop => return,
        Edit::Keep => (member, &[][..]),
        Edit::Replace(new) => (member.strip_suffix(value).unwrap_or_default(), &new[..]),
    };
    text.push(if text.is_empty() { b'{' } else { b',' });
    text.extend_from_slice(name);
    text.extend_from_slice(new);
}
