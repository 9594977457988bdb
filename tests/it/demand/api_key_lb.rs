//! What api-key-lb takes for a session, row by row, and what of that is not followed.

use key_commune::demand::{Demand, Id, Routing};

use super::sessions::{IN_BODY, reversed};
use super::{IDS, ask, chat, post, session};

fn found(body: &str) -> Option<Id> {
    session(&Routing::api_key_lb(), body)
}

fn prompted(prompt: &str) -> Option<Id> {
    found(&format!(r#"{{"model":"m","messages":[{{"role":"system","content":"{prompt}"}}]}}"#))
}

#[test]
fn the_same_id_under_any_of_the_five_names_is_the_same_session() {
    for name in IDS {
        assert_eq!(found(&format!(r#"{{"messages":[],"{name}":"id"}}"#)), Some(Id::of("id")), "{name}");
        let unnamed = format!(r#"{{"messages":[{{"{name}":"id","metadata":{{"{}":"id"}}}}]}}"#, name.to_uppercase());
        assert_eq!(found(&unnamed), None, "{name}");
    }
}

#[test]
fn the_first_that_is_a_text_counts() {
    for start in 0..=IDS.len() {
        let body = reversed(&IN_BODY[start..=IDS.len()]);
        assert_eq!(found(&body), Some(Id::of(IN_BODY[start].1)), "{body}");
    }
    assert_eq!(found(r#"{"session_id":5,"sessionId":"","thread_id":"t"}"#), Some(Id::of("t")));
    assert_eq!(found(r#"{"session_id":12345}"#), None);
}

#[test]
fn without_a_name_the_model_and_the_first_500_units_of_the_system_message_count() {
    let start = "x".repeat(500);
    assert_eq!(prompted(&format!("{start}a")), prompted(&format!("{start}b")));
    assert_ne!(prompted(&format!("{}a", &start[1..])), prompted(&format!("{}b", &start[1..])));
    // Two units each, and as it is unescaped.
    let wide = "😀".repeat(250);
    assert_eq!(prompted(&format!("{wide}a")), prompted(&format!("{wide}b")));
    assert_eq!(prompted(&format!("{}a", "\\u0078".repeat(500))), prompted(&start));
    assert_eq!(prompted(&format!("x{wide}")), prompted(&format!("x{}", &wide[4..])), "no half of a character");
    let with = |model: &str| found(&format!(r#"{{{model}"messages":[{{"role":"system","content":"p"}}]}}"#));
    assert_ne!(with(r#""model":"m","#), with(r#""model":"n","#));
    assert_ne!(with(r#""model":"m","#), with(""));
    assert!(with("").is_some());
}

#[test]
fn nothing_else_is_looked_at() {
    let body = r#"{"model":"m","system":"s","instructions":"i","user":"u","metadata":{"user_id":"v","session_id":"w"},
        "prompt_cache_key":"c","previous_response_id":"r","messages":[{"role":"developer","content":"d"}]}"#;
    assert_eq!(chat(&Routing::api_key_lb(), body), Demand::default());
    let request = post("/models/m:x?session_id=q").header("x-session-id", "h").body(body.as_bytes()).unwrap();
    assert_eq!(ask(&Routing::api_key_lb(), request).0, Demand::default());
    for body in ["not JSON", "", "null", "[]", "7"] {
        assert_eq!(chat(&Routing::api_key_lb(), body), Demand::default(), "{body}");
    }
}

/// There it ends the process, or makes one session of all.
#[test]
fn i7_not_followed_is_what_fails_collides_or_grows() {
    for value in ["123", "{}", "true", "[\"x\"]"] {
        assert_eq!(found(&format!(r#"{{"messages":[{{"metadata":{{"session_id":{value}}}}}]}}"#)), None, "{value}");
    }
    let list = |text: &str| {
        found(&format!(r#"{{"messages":[{{"role":"system","content":[{{"type":"text","text":"{text}"}}]}}]}}"#))
    };
    assert!(list("a").is_some());
    assert_ne!(list("a"), list("b"));
    assert_eq!(found(&format!(r#"{{"session_id":"{}"}}"#, "x".repeat(Demand::MAX_LEN + 1))), None);
}
