//! I18: a member's secret never reaches a caller.
//!
//! What goes out is compared with what the [`oracle`] expects.

mod oracle;
mod passing;
mod properties;
mod values;

use bytes::Bytes;
use key_commune::scrub::{Scrubber, Stream};
use key_commune::secret::Secret;

use self::oracle::{base64, contains, expected, forms};

const PLAIN: &str = "sk-proj-4mKtN8aUeJ5fQ1iB6oVy_jZoN";
const SPECIAL: &str = r#"k"1/\d-e_f+g<h>&i?~%J"#;
const REPEATING: &str = "abcabcabcabc";

fn scrubber(key: &str) -> Scrubber {
    Scrubber::new(&Secret::new(key).unwrap())
}

/// What goes out for a body in these chunks.
fn through<'a>(scrubber: &Scrubber, chunks: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut stream = Stream::new(scrubber.clone());
    let (mut out, mut pushed) = (Vec::new(), 0);
    for chunk in chunks {
        out.extend(stream.push(Bytes::copy_from_slice(chunk)).concat());
        pushed += chunk.len();
        assert_eq!(out.len() + stream.holds(), pushed);
    }
    out.extend(stream.finish());
    assert_eq!((out.len(), stream.holds()), (pushed, 0));
    out
}

#[test]
fn i18_each_form_is_masked_wherever_it_is_cut() {
    for key in [PLAIN, SPECIAL, REPEATING] {
        let scrubber = scrubber(key);
        for form in forms(key) {
            let text = [b"{\"echo\":\" ", form.as_slice(), b" \",\"more\":\"text\"}"].concat();
            let expected = [b"{\"echo\":\" ", vec![b'*'; form.len()].as_slice(), b" \",\"more\":\"text\"}"].concat();
            for cut in 0..=text.len() {
                let (one, other) = text.split_at(cut);
                assert_eq!(through(&scrubber, [one, other]), expected, "{key} cut at {cut}");
            }
            assert_eq!(through(&scrubber, text.chunks(1)), expected, "{key} byte by byte");
        }
    }
}

#[test]
fn i18_three_pieces_of_a_key_are_masked() {
    let (scrubber, text) = (scrubber(PLAIN), format!("<{PLAIN}>"));
    for first in 0..text.len() {
        for second in first..text.len() {
            let chunks = [&text[..first], &text[first..second], &text[second..]].map(str::as_bytes);
            assert_eq!(through(&scrubber, chunks), format!("<{}>", "*".repeat(PLAIN.len())).as_bytes());
        }
    }
}

#[test]
fn i18_the_longest_key_is_masked() {
    let key: String = PLAIN.chars().cycle().take(Secret::MAX_LEN).collect();
    for form in forms(&key) {
        let text = [b"{\"", form.as_slice(), b"\"}"].concat();
        for length in [1000, 5000, 20_000, text.len()] {
            let masked = through(&scrubber(&key), text.chunks(length));
            assert_eq!(masked[2..=form.len()], vec![b'*'; form.len() - 1]);
        }
    }
}

#[test]
fn i18_overlapping_and_adjacent_echoes_are_masked() {
    let scrubber = scrubber(REPEATING);
    for text in ["abcabcabcabcabc", "abcabcabcabcabcabcabcabc", "xabcabcabcababcabcabcabcx", "abcabcabcabcab"] {
        let expected = expected(text.as_bytes(), &forms(REPEATING));
        for cut in 0..text.len() {
            let (one, other) = text.as_bytes().split_at(cut);
            assert_eq!(through(&scrubber, [one, other]), expected, "{text} cut at {cut}");
        }
        assert_eq!(through(&scrubber, text.as_bytes().chunks(1)), expected, "{text}");
    }
}

/// The hexadecimal form of the first key has the key within; the Base64 form of the second begins with the key.
#[test]
fn i18_forms_that_hold_other_forms_are_masked() {
    for key in ["36333333", "Vm0wd2QyUXlVWGxW"] {
        let forms = forms(key);
        for form in &forms {
            let text = [b"<", form.as_slice(), b">"].concat();
            assert_eq!(through(&scrubber(key), [text.as_slice()]), expected(&text, &forms));
            assert_eq!(through(&scrubber(key), text.chunks(1)), expected(&text, &forms));
        }
    }
}

#[test]
fn i18_dialects_of_json_and_percent_encoding_are_masked() {
    let scrubber = scrubber(r#"key/"<a>&'b'+c~(d)"#);
    for form in [
        r#"key/\"\u003ca\u003e\u0026'b'+c~(d)"#,
        r"key/\u0022\u003Ca\u003E\u0026\u0027b\u0027\u002Bc~(d)",
        "key%2F%22%3Ca%3E%26%27b%27%2Bc~%28d%29",
        "key%2F%22%3Ca%3E%26'b'%2Bc~(d)",
        "key%2f%22%3ca%3e%26%27b%27%2bc%7e%28d%29",
    ] {
        assert_eq!(through(&scrubber, [form.as_bytes()]), vec![b'*'; form.len()], "{form}");
    }
}

#[test]
fn i18_an_encoded_authorization_is_masked_but_for_what_is_not_the_key() {
    let encoded = base64(format!("Bearer {PLAIN}").as_bytes());
    let masked = through(&scrubber(PLAIN), [encoded.as_bytes()]);
    let shown = base64(b"Bearer ").len() - 1;
    assert_eq!(masked[..shown], encoded.as_bytes()[..shown]);
    assert!(masked[shown + 1..masked.len() - 1].iter().all(|&byte| byte == b'*'));
}

#[test]
fn i18_a_mask_never_makes_an_echo() {
    for (key, mask) in [("a*******", "#"), ("a*#*#*#*", " "), ("********", "#")] {
        let text = format!("a{key}*******");
        let masked = through(&scrubber(key), [text.as_bytes()]);
        assert!(!contains(&masked, key.as_bytes()), "{key}");
        assert!(masked.starts_with(format!("a{}", mask.repeat(8)).as_bytes()) || key == "********");
    }
}

#[test]
fn i18_a_short_key_does_not_shred_honest_text() {
    let text = r#"{"a":"banana","b":"%61a\u0061"}"#;
    assert_eq!(through(&scrubber("a"), [text.as_bytes()]), text.as_bytes());
    assert_eq!(through(&scrubber("banana"), [text.as_bytes()]), text.as_bytes());
    assert_eq!(through(&scrubber("banana"), [base64(b"banana").as_bytes()]), b"********");
}
