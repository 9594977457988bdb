//! Values of headers and trailers.

use http::{HeaderMap, HeaderValue};

use super::oracle::forms;
use super::{PLAIN, SPECIAL, scrubber};

#[test]
fn i18_each_form_is_masked_in_a_value() {
    for key in [PLAIN, SPECIAL] {
        for form in forms(key) {
            let value = HeaderValue::from_bytes(&[b"a=", form.as_slice(), b"; b"].concat()).unwrap();
            let masked = scrubber(key).value(&value).unwrap();
            assert_eq!(masked.as_bytes(), [b"a=", vec![b'*'; form.len()].as_slice(), b"; b"].concat());
        }
    }
}

#[test]
fn i18_a_value_keeps_its_other_bytes_and_its_flag() {
    let mut value = HeaderValue::from_bytes(format!("é {PLAIN}{PLAIN}\t{PLAIN} sk-proj-4").as_bytes()).unwrap();
    for sensitive in [false, true] {
        value.set_sensitive(sensitive);
        let masked = scrubber(PLAIN).value(&value).unwrap();
        let mask = "*".repeat(PLAIN.len());
        assert_eq!(masked.as_bytes(), format!("é {mask}{mask}\t{mask} sk-proj-4").as_bytes());
        assert_eq!(masked.is_sensitive(), sensitive);
    }
}

#[test]
fn i18_a_key_within_what_might_have_been_a_longer_form_is_masked() {
    let key = r#"01234567"89"#;
    let value = HeaderValue::from_static(r#"01234567\"01234567"89"#);
    assert_eq!(scrubber(key).value(&value).unwrap(), r#"01234567\"***********"#);
}

#[test]
fn i18_clean_values_are_left_alone() {
    for text in ["", "s", "text/event-stream", "sk-proj-4mKtN8aUeJ5fQ1iB6oVy_jZo"] {
        assert_eq!(scrubber(PLAIN).value(&HeaderValue::from_static(text)), None);
    }
}

#[test]
fn i18_every_value_of_a_map_is_masked() {
    let mut headers = HeaderMap::new();
    for value in ["text", PLAIN, "more"] {
        headers.append("x-echo", HeaderValue::from_str(value).unwrap());
    }
    assert!(scrubber(PLAIN).headers(&mut headers));
    assert!(!scrubber(PLAIN).headers(&mut headers));
    let values: Vec<_> = headers.get_all("x-echo").into_iter().collect();
    assert_eq!(values, ["text", &"*".repeat(PLAIN.len()), "more"]);
}
