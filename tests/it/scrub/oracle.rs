//! What should go out, worked out in the plainest way: no chunks, no search, and encoders other than the crate's.

use std::collections::BTreeSet;

use key_commune::scrub::MIN_FORM;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

/// The forms of `key`, made in the plainest way.
pub(super) fn forms(key: &str) -> Vec<Vec<u8>> {
    let bytes = key.as_bytes();
    let every = |format: &dyn Fn(u8) -> String| bytes.iter().map(|&byte| format(byte)).collect::<String>();
    let quoted = serde_json::to_string(key).unwrap();
    let json = &quoted[1..quoted.len() - 1];
    let mut texts = BTreeSet::from([
        key.to_owned(),
        utf8_percent_encode(key, NON_ALPHANUMERIC).to_string(),
        every(&|byte| if byte.is_ascii_alphanumeric() { char::from(byte).into() } else { format!("%{byte:02x}") }),
        every(&|byte| format!("%{byte:02x}")),
        every(&|byte| format!("%{byte:02X}")),
        every(&|byte| format!("{byte:02x}")),
        every(&|byte| format!("{byte:02X}")),
        every(&|byte| format!("\\u{byte:04x}")),
        every(&|byte| format!("\\u{byte:04X}")),
        json.to_owned(),
        json.replace('/', "\\/"),
    ]);
    for offset in 0..3 {
        let standard = base64_of_key_alone(bytes, offset);
        texts.insert(standard.replace('+', "-").replace('/', "_"));
        texts.insert(standard);
    }
    texts.into_iter().map(String::into_bytes).filter(|form| form.len() >= MIN_FORM).collect()
}

/// The characters that stay the same whatever stands around the key.
fn base64_of_key_alone(key: &[u8], offset: usize) -> String {
    let among = |byte: u8| base64(&[&vec![byte; offset], key, &[byte; 3]].concat());
    let (one, other) = (among(0x00), among(0xff));
    let same = one.chars().zip(other.chars()).map(|(one, other)| (one == other).then_some(one));
    same.skip_while(Option::is_none).map_while(|same| same).collect()
}

/// Base64 without padding.
pub(super) fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let bits: Vec<u8> = bytes.iter().flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1)).collect();
    let value = |six: &[u8]| (0..6).fold(0, |value, bit| 2 * value + usize::from(six.get(bit) == Some(&1)));
    bits.chunks(6).map(|six| char::from(DIGITS[value(six)])).collect()
}

/// The text with every byte masked that belongs to an occurrence of a form.
pub(super) fn expected(text: &[u8], forms: &[Vec<u8>]) -> Vec<u8> {
    let mut masked = text.to_vec();
    for form in forms {
        for start in 0..text.len() {
            if text[start..].starts_with(form) {
                masked[start..start + form.len()].fill(b'*');
            }
        }
    }
    masked
}

pub(super) fn contains(text: &[u8], form: &[u8]) -> bool {
    memchr::memmem::find(text, form).is_some()
}
