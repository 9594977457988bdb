//! Group D: one key is one caller, however it is spelt.

use super::{CHAT, World, key};
use crate::proxy::caller::ask;

/// Lines that present a key to whoever reads them with good will.
fn spellings(key: &str) -> Vec<String> {
    let one = [
        "authorization: Bearer {}",
        "Authorization: bearer {}",
        "AUTHORIZATION: BEARER {}",
        "authorization: bEaReR {}",
        "authorization:Bearer {}",
        "authorization:  Bearer {}",
        "authorization:\tBearer {}",
        "authorization: Bearer  {}",
        "authorization: Bearer\t{}",
        "authorization: Bearer \t {}",
        "authorization: Bearer {} ",
        "authorization: Bearer {}\t",
        "authorization: Bearer \"{}\"",
        "authorization: Bearer '{}",
        "authorization: Bearer {},",
        "authorization: Bearer ,{}",
        "authorization: Bearer {}, Bearer {}",
        "authorization: Bearer Bearer {}",
        "authorization: Token {}",
        "authorization: {}",
        "authorization: Bearer {}\u{a0}",
        "authorization: Bearer \u{feff}{}",
        "authorization: Bearer {} {}",
        "authorization: Basic {}",
        "x-api-key: {}",
        "X-API-KEY:   {}",
        "x-api-key: {}\t",
        "x-api-key: \"{}\"",
        "x-api-key: Bearer {}",
        "api-key: {}",
        "x-goog-api-key: {}",
        "authorization: Bearer {}\r\nx-api-key: {}",
        "authorization: Bearer {}\r\napi-key:  {}\r\nx-goog-api-key: {}",
        "authorization: Bearer {}\r\nauthorization: Bearer {}",
        "x-api-key: {}\r\nx-api-key: {}",
        "authorization: Bearer {}\r\nx-api-key: sk-member-9999-0123456789abcdef",
    ];
    one.iter().map(|line| format!("{}\r\n", line.replace("{}", key))).collect()
}

/// Once its time is taken, no spelling is another caller's: 429 says that it was known, 400 and 401 that it was none.
#[tokio::test]
async fn attack_25_spellings_of_a_key_are_one_caller_or_none() {
    for (members, caller) in [(3, 1), (3, 7)] {
        let world = World::new(members, &["--rate-per-caller", "1/1h"]).await;
        assert_eq!(world.chat(caller).await, 200);
        world.provider.seen();
        for line in spellings(&key(caller)) {
            let status = ask(world.address(), CHAT, &line, "{}").await.status;
            // A quote is a letter of a key like any other: this one is another key, and not a good one.
            let expected: &[u16] = if line.contains('\'') { &[200] } else { &[429, 400, 401] };
            assert!(expected.contains(&status), "{status}: {line:?}");
            let seen = world.provider.seen();
            assert!(seen.is_empty() || line.contains('\''), "{line:?}");
        }
    }
}
