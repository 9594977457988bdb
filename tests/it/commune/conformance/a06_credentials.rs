//! A6: who presents which key.

use key_commune::Refusal;
use key_commune::secret::{Pepper, Secret};
use key_commune::slot::SlotError;

use super::super::{CHAT, MODELS};
use super::{commune, send};
use crate::support::{Stepped, key, to};

fn with(name: &str, value: &str) -> http::Request<Stepped> {
    to(CHAT, &[(name, value), super::JSON], Stepped::full("{}"))
}

#[tokio::test]
async fn a06_1_what_follows_bearer_in_any_case_is_the_key() {
    for scheme in ["Bearer ", "bearer ", "BEARER   "] {
        let world = commune(1);
        assert_eq!(send(&world, with("authorization", &format!("{scheme}{}  ", key(9)))).await.status, 200);
        assert_eq!(world.used(0), [9], "trimmed");
    }
}

#[tokio::test]
async fn a06_1_without_a_key_the_answer_is_401() {
    let world = commune(1);
    let got = send(&world, to(CHAT, &[], Stepped::full("{}"))).await;
    assert_eq!((got.status.as_u16(), got.refusal, world.upstream.count()), (401, Some(Refusal::NoCredential), 0));
}

#[tokio::test]
async fn a06_1_an_empty_credential_is_none() {
    for value in ["Bearer ", "bearer", "", " "] {
        let world = commune(1);
        let got = send(&world, with("authorization", value)).await;
        assert_eq!((got.status.as_u16(), got.refusal), (401, Some(Refusal::NoCredential)), "{value:?}");
    }
}

#[tokio::test]
async fn a06_1_i2_another_scheme_is_no_key() {
    for value in [format!("Basic {}", key(0)), key(0)] {
        let world = commune(1);
        let got = send(&world, with("authorization", &value)).await;
        assert_eq!((got.status.as_u16(), got.refusal), (400, Some(Refusal::Credential(SlotError::Scheme))));
        assert_eq!(world.upstream.count(), 0, "it was sent as `Bearer Basic …`");
    }
}

#[tokio::test]
async fn a06_1_i2_keys_are_read_where_client_libraries_put_them() {
    let world = commune(1);
    assert_eq!(send(&world, with("x-api-key", &key(9))).await.status, 200, "it was 401");
    assert_eq!(world.used(0), [9]);
}

#[tokio::test]
async fn a06_2_and_3_i2_i19_what_callers_say_of_their_address_is_neither_believed_nor_kept() {
    let world = commune(1);
    for name in ["x-forwarded-for", "x-real-ip", "forwarded"] {
        let request =
            to(CHAT, &[("authorization", &format!("Bearer {}", key(0))), (name, "1.2.3.4")], Stepped::full("{}"));
        assert_eq!(send(&world, request).await.status, 200);
    }
    let snapshot = serde_json::to_string(&world.pool.snapshot()).unwrap();
    assert!(!snapshot.contains("1.2.3"), "it kept the last subnet of each key");
}

#[tokio::test]
async fn a06_1_a_key_has_one_id_and_another_key_another() {
    let id = |number| Pepper::new([7; 32]).id("openai", &key(number).parse::<Secret>().unwrap());
    assert_eq!((id(1), id(1).to_string().len()), (id(1), 32));
    assert_ne!(id(1), id(2));
    let other = Pepper::new([8; 32]).id("openai", &key(1).parse::<Secret>().unwrap());
    assert_ne!(id(1), other, "I3: unlike a SHA-256 it cannot be looked up without the pepper");
}

#[test]
fn b_encryption_display_forms() {
    let masked = |text: &str| text.parse::<Secret>().unwrap().masked();
    assert_eq!(masked("sk-test1234567890abcdefghijk"), "sk-t..hijk");
    assert_eq!(masked("short"), "..", "I3: it showed `shor..`");
}

#[tokio::test]
async fn a07_2_i17_nothing_is_answered_from_a_cache_or_without_a_key() {
    let world = commune(1);
    let mut request = to(MODELS, &[], Stepped::full(""));
    *request.method_mut() = http::Method::GET;
    assert_eq!(send(&world, request).await.refusal, Some(Refusal::NoCredential));
}
