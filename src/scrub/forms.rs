//! The forms in which a key travels.
//!
//! Each encoder appends what it makes of the key to a buffer. [`all`] keeps the forms that are long enough and differ,
//! in buffers that are made to measure and wiped when dropped: a buffer that grew would leave copies behind.

use zeroize::Zeroizing;

use super::MIN_FORM;

/// One form of a key.
pub(super) type Form = Zeroizing<Vec<u8>>;

/// The most bytes that a form has for each byte of the key: `\u00XX`.
const MOST: usize = 6;

/// The most words of a public beginning.
const MOST_WORDS: usize = 3;

const LOWER: &[u8; 16] = b"0123456789abcdef";
const UPPER: &[u8; 16] = b"0123456789ABCDEF";

/// What Go and Rails escape in JSON on top of the necessary, so that it can stand in HTML.
const HTML: &[u8] = b"<>&";
/// What .NET escapes in JSON.
const DOTNET: &[u8] = b"\"&'+<>`";

/// Every form of `key` that is worth a search, each once.
pub(super) fn all(key: &[u8]) -> Vec<Form> {
    let mut forms = Forms { draft: Zeroizing::new(Vec::with_capacity(MOST * key.len())), kept: Vec::new() };
    forms.add(|out| out.extend_from_slice(key));
    for digits in [LOWER, UPPER] {
        forms.add(|out| key.iter().for_each(|&byte| out.extend(hex(byte, digits))));
        forms.add(|out| key.iter().for_each(|&byte| unicode(byte, digits, out)));
        for keeps in [nothing, alphanumeric, unreserved, component, form] {
            forms.add(|out| percent(key, keeps, digits, out));
        }
        for escaped in [b"".as_slice(), b"/", HTML, DOTNET] {
            forms.add(|out| json(key, escaped, digits, out));
        }
    }
    for last_two in [*b"+/", *b"-_"] {
        for offset in 0..3 {
            forms.add(|out| out.extend(base64(key, offset, last_two)));
        }
    }
    forms.kept
}

/// Every [`MIN_FORM`] bytes in a row of `key` that are not public.
pub(super) fn parts(key: &[u8]) -> impl Iterator<Item = Form> {
    key.windows(MIN_FORM).skip(public(key)).map(|part| Zeroizing::new(part.to_vec()))
}

/// How many bytes a key begins with that its provider's keys all begin with: short words as in `sk-ant-api03-`.
fn public(key: &[u8]) -> usize {
    let is_word = |word: &[u8]| word.iter().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    let mut length = 0;
    for word in key.split_inclusive(|byte| b"-_".contains(byte)).take(MOST_WORDS) {
        match word.split_last() {
            Some((b'-' | b'_', word)) if word.len() < MIN_FORM && is_word(word) => length += word.len() + 1,
            _ => break,
        }
    }
    length
}

struct Forms {
    draft: Form,
    kept: Vec<Form>,
}

impl Forms {
    fn add(&mut self, encode: impl FnOnce(&mut Vec<u8>)) {
        self.draft.clear();
        encode(&mut self.draft);
        if self.draft.len() >= MIN_FORM && !self.kept.contains(&self.draft) {
            self.kept.push(Zeroizing::new(self.draft.to_vec()));
        }
    }
}

fn hex(byte: u8, digits: &[u8; 16]) -> [u8; 2] {
    [byte >> 4, byte & 15].map(|nibble| digits.get(usize::from(nibble)).copied().unwrap_or_default())
}

fn unicode(byte: u8, digits: &[u8; 16], out: &mut Vec<u8>) {
    out.extend_from_slice(b"\\u00");
    out.extend(hex(byte, digits));
}

fn percent(key: &[u8], keeps: fn(u8) -> bool, digits: &[u8; 16], out: &mut Vec<u8>) {
    for &byte in key {
        if keeps(byte) {
            out.push(byte);
        } else {
            out.push(b'%');
            out.extend(hex(byte, digits));
        }
    }
}

fn nothing(_: u8) -> bool {
    false
}

fn alphanumeric(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
}

/// RFC 3986, section 2.3.
fn unreserved(byte: u8) -> bool {
    alphanumeric(byte) || b"-._~".contains(&byte)
}

/// ECMAScript's `encodeURIComponent`.
fn component(byte: u8) -> bool {
    unreserved(byte) || b"!'()*".contains(&byte)
}

/// `application/x-www-form-urlencoded`.
fn form(byte: u8) -> bool {
    alphanumeric(byte) || b"*-._".contains(&byte)
}

/// Escapes what JSON wants escaped, and the bytes in `escaped`: a slash as `\/`, others by their number.
fn json(key: &[u8], escaped: &[u8], digits: &[u8; 16], out: &mut Vec<u8>) {
    for &byte in key {
        match (byte, escaped.contains(&byte)) {
            (b'/', true) | (b'"' | b'\\', false) => out.extend([b'\\', byte]),
            (_, true) => unicode(byte, digits, out),
            (_, false) => out.push(byte),
        }
    }
}

/// The characters that `key` alone decides, if `offset` bytes stand before it in its group of three.
fn base64(key: &[u8], offset: usize, last_two: [u8; 2]) -> impl Iterator<Item = u8> {
    let first = (8 * offset).div_ceil(6);
    let end = 8 * (offset + key.len()) / 6;
    (first..end).map(move |place| {
        let bit = 6 * place - 8 * offset;
        let byte = |index| key.get(index).copied().unwrap_or_default();
        let pair = u16::from_be_bytes([byte(bit / 8), byte(bit / 8 + 1)]);
        digit64((pair >> (10 - bit % 8)) as u8 & 63, last_two)
    })
}

fn digit64(value: u8, [plus, slash]: [u8; 2]) -> u8 {
    match value {
        0..=25 => b'A' + value,
        26..=51 => b'a' + (value - 26),
        52..=61 => b'0' + (value - 52),
        62 => plus,
        _ => slash,
    }
}

#[cfg(not(key_commune_loom))]
#[cfg(test)]
mod tests {
    use super::*;

    fn has(key: &str, form: &str) -> bool {
        all(key.as_bytes()).iter().any(|found| found.as_slice() == form.as_bytes())
    }

    #[test]
    fn forms_are_what_encoders_make() {
        let key = r#"k-"\/<+~*9"#;
        for form in [
            key,
            "6b2d225c2f3c2b7e2a39",
            "6B2D225C2F3C2B7E2A39",
            "%6b%2d%22%5c%2f%3c%2b%7e%2a%39",
            "k%2D%22%5C%2F%3C%2B%7E%2A9",
            "k-%22%5C%2F%3C%2B~%2A9",
            "k-%22%5C%2F%3C%2B~*9",
            "k-%22%5c%2f%3c%2b%7e*9",
            r#"k-\"\\/<+~*9"#,
            r#"k-\"\\\/<+~*9"#,
            r#"k-\"\\/\u003c+~*9"#,
            r"k-\u0022\\/\u003C\u002B~*9",
            r"\u006b\u002d\u0022\u005c\u002f\u003c\u002b\u007e\u002a\u0039",
            "ay0iXC88K34qO",
            "stIlwvPCt+Kj",
            "rLSJcLzwrfio5",
            "stIlwvPCt-Kj",
        ] {
            assert!(has(key, form), "{form}");
        }
    }

    #[test]
    fn parts_begin_where_the_secret_does() {
        for (key, length) in
            [("sk-proj-AbCdEfGh", 8), ("sk-ant-api03-AbCdEfGh", 13), ("AIzaSyD-abcdefgh", 0), ("gsk_AbCdEfGh", 4)]
        {
            assert_eq!(public(key.as_bytes()), length, "{key}");
            let parts: Vec<_> = parts(key.as_bytes()).collect();
            assert_eq!(parts.last().unwrap().as_slice(), &key.as_bytes()[key.len() - MIN_FORM..]);
            assert_eq!(parts.len(), key.len() - MIN_FORM + 1 - length);
        }
    }

    #[test]
    fn forms_are_long_enough_and_differ() {
        for key in ["a", "abc", "aaaaaaaaaaaa", "sk-proj-0123456789", "????>>>>"] {
            let forms = all(key.as_bytes());
            assert!(forms.iter().all(|form| form.len() >= MIN_FORM && form.len() <= MOST * key.len()));
            assert!(forms.iter().enumerate().all(|(index, form)| !forms[..index].contains(form)), "{key}");
        }
    }
}
