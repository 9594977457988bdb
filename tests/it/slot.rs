//! `slot`: one credential out, one credential in (I2).

use http::header::AUTHORIZATION;
use http::request::Parts;
use http::{HeaderName, HeaderValue, Request};
use key_commune::secret::{Secret, SecretError};
use key_commune::slot::{Bearer, Header, Query, Slot, SlotError};
use proptest::prelude::*;

const API_KEY: HeaderName = HeaderName::from_static("x-api-key");

fn head(uri: &str) -> Parts {
    let mut head = Request::new(()).into_parts().0;
    head.uri = uri.parse().unwrap_or_default();
    head
}

fn with(name: &HeaderName, values: &[&[u8]]) -> Parts {
    let mut head = head("/v1/models");
    for value in values {
        head.headers.extend(HeaderValue::from_bytes(value).ok().map(|value| (name.clone(), value)));
    }
    assert_eq!(head.headers.len(), values.len(), "the test asks for values that no header can have");
    head
}

fn slots() -> [Box<dyn Slot>; 3] {
    [Box::new(Bearer), Box::new(Header(API_KEY)), Box::new(Query("key".into()))]
}

#[test]
fn i2_bearer_reads_one_well_formed_token() {
    let table: [&[u8]; 6] =
        [b"Bearer sk-1", b"bearer sk-1", b"BEARER sk-1", b"Bearer   sk-1  ", b" \tBearer\tsk-1\t", b"beArer sk-1"];
    for value in table {
        let mut head = with(&AUTHORIZATION, &[value]);
        assert_eq!(Bearer.take(&mut head).unwrap().unwrap().expose(), "sk-1", "{}", value.escape_ascii());
        assert!(head.headers.is_empty());
    }
    assert_eq!(Bearer.take(&mut head("/")), Ok(None));
}

/// Attack 14: each is refused, and none of it is left.
#[test]
fn i2_bearer_refuses_and_removes_everything_else() {
    let long = [b"Bearer ".as_slice(), &[b'a'; 4097]].concat();
    let table: [(&[&[u8]], SlotError); 24] = [
        (&[b"Bearer a", b"Bearer b"], SlotError::Several),
        (&[b"Bearer a", b"Bearer a"], SlotError::Several),
        (&[b"", b""], SlotError::Several),
        (&[b"Bearer a", b"Basic b", b"c"], SlotError::Several),
        (&[b"Bearer a, Bearer b"], SlotError::Token),
        (&[b"Bearer a,Bearer b"], SlotError::Token),
        (&[b"Bearer a,b"], SlotError::Token),
        (&[b"Bearer ,"], SlotError::Token),
        (&[b"Bearer a b"], SlotError::Token),
        (&[b"Bearer a\tb"], SlotError::Token),
        (&[b"Bearer Bearer a"], SlotError::Token),
        (&[b"Bearer \"a\""], SlotError::Token),
        (&[b"Bearer a\"b"], SlotError::Token),
        (&[b"Bearer"], SlotError::Empty),
        (&[b"Bearer "], SlotError::Empty),
        (&[b"Bearer \xc3\xa9"], SlotError::Token),
        (&[b"Bearer a\xff"], SlotError::Token),
        (&[b"Bearer a\xc2\xa0"], SlotError::Token),
        (&[&long], SlotError::Token),
        (&[b""], SlotError::Empty),
        (&[b"sk-1"], SlotError::Scheme),
        (&[b"Basic eDp5"], SlotError::Scheme),
        (&[b"Bearer=a"], SlotError::Scheme),
        (&[b"Bearersk-1"], SlotError::Scheme),
    ];
    for (values, expected) in table {
        let mut head = with(&AUTHORIZATION, values);
        assert_eq!(Bearer.take(&mut head), Err(expected), "{values:?}");
        assert!(head.headers.is_empty(), "{values:?}");
    }
}

#[test]
fn i2_a_bare_header_reads_one_token() {
    let slot = Header(API_KEY);
    assert_eq!(slot.take(&mut with(&API_KEY, &[b" sk-1 "])).unwrap().unwrap().expose(), "sk-1");
    assert_eq!(slot.take(&mut head("/")), Ok(None));
    let refused: [&[&[u8]]; 6] = [&[b"a", b"b"], &[b"a, b"], &[b"a b"], &[b"'a'\""], &[b""], &[b"Bearer a"]];
    for values in refused {
        let mut head = with(&API_KEY, values);
        assert!(slot.take(&mut head).is_err(), "{values:?}");
        assert!(head.headers.is_empty());
    }
}

/// Attack 11.
#[test]
fn i2_a_query_parameter_is_found_however_it_is_spelt() {
    let key = |text: &str| Ok(Some(text.parse::<Secret>().unwrap()));
    let table = [
        ("/m?key=a", key("a"), "/m"),
        ("/m?KEY=a&x=1", key("a"), "/m?x=1"),
        ("/m?x=1&k%65y=a%2Fb", key("a/b"), "/m?x=1"),
        ("/m?%6b%45%79=a+b", key("a+b"), "/m"),
        ("https://h/m?x&key=a=b", key("a=b"), "https://h/m?x"),
        ("https://h?key=a", key("a"), "https://h/"),
        ("/m?x=1", Ok(None), "/m?x=1"),
        ("/m?", Ok(None), "/m?"),
        ("/m", Ok(None), "/m"),
        ("/m?xkey=a&keyx=b", Ok(None), "/m?xkey=a&keyx=b"),
        ("/m?key=a&key=a", Err(SlotError::Several), "/m"),
        ("/m?KEY=a&x=1&k%65y=b&key=c", Err(SlotError::Several), "/m?x=1"),
        ("/m?key", Err(SlotError::Token), "/m"),
        ("/m?key=", Err(SlotError::Token), "/m"),
        ("/m?key=a%20b", Err(SlotError::Token), "/m"),
        ("/m?key=%00", Err(SlotError::Token), "/m"),
        ("/m?key=%ff", Err(SlotError::Token), "/m"),
        ("/m?key=%C3%A9", Err(SlotError::Token), "/m"),
    ];
    for (sent, taken, left) in table {
        let mut head = head(sent);
        assert_eq!(Query("key".into()).take(&mut head), taken, "{sent}");
        assert_eq!(head.uri.to_string(), left, "{sent}");
    }
}

#[test]
fn i2_a_query_parameter_is_put_once() {
    let slot = Query("api key".into());
    let value = slot.value(&"a&b=c/%\"+".parse().unwrap());
    let table = [
        ("/m", "/m?api%20key=a%26b%3Dc%2F%25%22%2B"),
        ("/m?x=1", "/m?x=1&api%20key=a%26b%3Dc%2F%25%22%2B"),
        ("https://h:8443/m?API%20KEY=1&x&api%20key=2", "https://h:8443/m?x&api%20key=a%26b%3Dc%2F%25%22%2B"),
    ];
    for (before, after) in table {
        let mut head = head(before);
        slot.put(&mut head, &value);
        slot.put(&mut head, &value);
        assert_eq!(head.uri, after);
    }
}

#[test]
fn i2_a_query_that_cannot_hold_the_key_is_not_sent() {
    let mut head = head(&format!("https://h/m?x={}", "a".repeat(65_000)));
    assert_eq!(head.uri.host(), Some("h"));
    let slot = Query("key".into());
    slot.put(&mut head, &slot.value(&Secret::new("/".repeat(4096)).unwrap()));
    assert_eq!(head.uri.host(), None);
}

/// Attack 12.
#[test]
fn i2_putting_leaves_exactly_one_value() {
    for values in [&[][..], &[b"Bearer caller".as_slice()], &[b"a", b"b", b"c"]] {
        let mut head = with(&AUTHORIZATION, values);
        Bearer.put(&mut head, &Bearer.value(&"sk-1".parse().unwrap()));
        assert_eq!(head.headers.get_all(AUTHORIZATION).iter().collect::<Vec<_>>(), ["Bearer sk-1"]);
    }
}

#[test]
fn i3_values_are_sensitive_and_shared_not_copied() {
    for slot in slots() {
        let value = slot.value(&"sk-canary-0123456789".parse().unwrap());
        assert!(value.is_sensitive());
        assert_eq!(format!("{value:?}"), "Sensitive");
        let copy = value.clone();
        assert!(copy.is_sensitive());
        assert_eq!(copy.as_bytes().as_ptr(), value.as_bytes().as_ptr());
        let mut head = head("/m");
        slot.put(&mut head, &value);
        assert!(head.headers.values().all(HeaderValue::is_sensitive));
    }
}

/// Attack 68: a key is 0x21 to 0x7E wherever it comes from, and each such key arrives as it is.
#[test]
fn i2_every_byte_at_every_place_of_a_key() {
    for byte in 0..=u8::MAX {
        for place in [0, 4, 8] {
            let mut text = b"abcdefgh".to_vec();
            text.insert(place, byte);
            let is_visible = (0x21..=0x7e).contains(&byte);
            let secret = String::from_utf8(text.clone()).ok().and_then(|text| Secret::new(text).ok());
            assert_eq!(secret.is_some(), is_visible, "{byte:#x} at {place}");
            check_presented(&text, byte, is_visible);
            if let Some(secret) = secret {
                check_leased(&secret, byte);
            }
        }
    }
}

/// Blanks around a value belong to the header, not to the key; a comma or a quote may hide a second value.
fn check_presented(text: &[u8], byte: u8, is_visible: bool) {
    let expected = if matches!(byte, b' ' | b'\t') { text.trim_ascii() } else { text };
    let is_fine = (is_visible && !matches!(byte, b',' | b'"')) || expected.len() < text.len();
    let Ok(value) = HeaderValue::from_bytes(text) else { return };
    let mut head = head("/");
    head.headers.insert(API_KEY, value);
    let taken = Header(API_KEY).take(&mut head).ok().flatten();
    assert_eq!(taken.is_some(), is_fine, "{byte:#x}");
    assert!(taken.is_none_or(|secret| secret.expose().as_bytes() == expected));
}

fn check_leased(secret: &Secret, byte: u8) {
    for slot in slots() {
        let mut head = head("/m?x=1");
        slot.put(&mut head, &slot.value(secret));
        let is_hidden = matches!(byte, b',' | b'"') && head.uri == "/m?x=1";
        assert_eq!(slot.take(&mut head).ok().flatten().as_ref(), (!is_hidden).then_some(secret), "{slot:?} {byte:#x}");
        assert_eq!(head.uri, "/m?x=1");
    }
}

#[test]
fn i3_errors_tell_nothing_of_what_was_presented() {
    let mut head = with(&AUTHORIZATION, &[b"Bearer sk-canary sk-canary"]);
    let error = Bearer.take(&mut head).unwrap_err();
    assert!(!format!("{error} {error:?}").contains("canary"));
    assert_eq!(Secret::new("a b"), Err(SecretError::Byte { position: 1 }));
}

proptest! {
    #[test]
    fn i2_what_is_put_is_taken(key in "[!#-+\\--~]{1,80}", query in "[a-z0-9=&%+]{0,20}") {
        let secret = Secret::new(key).unwrap();
        for slot in slots() {
            let mut head = head(&format!("https://h/m?{query}"));
            slot.put(&mut head, &slot.value(&secret));
            prop_assert_eq!(slot.take(&mut head), Ok(Some(secret.clone())));
            prop_assert_eq!(slot.take(&mut head), Ok(None));
        }
    }

    #[test]
    fn i2_nothing_of_the_slot_is_left_by_any_header(values in prop::collection::vec("[ -~]{0,20}", 0..4)) {
        let values: Vec<&[u8]> = values.iter().map(String::as_bytes).collect();
        let mut head = with(&AUTHORIZATION, &values);
        let _ = Bearer.take(&mut head);
        prop_assert!(head.headers.is_empty());
    }
}
