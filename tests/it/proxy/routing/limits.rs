//! No key, nor all of them together, is asked for more than the options say. Time is told by order and counts alone.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

use super::super::provider::Reply;
use super::super::{Provider, Proxy};
use super::{chat, post, serve, served};

/// After which time to come again, of an answer that says so.
async fn refused(proxy: &Proxy, body: &str) -> u64 {
    let answer = post(proxy, "/v1/chat/completions", body).await;
    assert_eq!((answer.status, &*answer.code()), (429, "no_key_available"), "{answer:?}");
    let after = answer.head.lines().find_map(|line| line.strip_prefix("retry-after: "));
    after.unwrap_or_else(|| panic!("{answer:?}")).parse().unwrap()
}

#[tokio::test]
async fn what_is_beyond_a_limit_in_time_is_refused_with_the_time_to_come_back() {
    let day = 86_400;
    for (options, admitted, longest) in [
        (&["--rpm-per-key", "1"][..], "a", 61),
        (&["--rpm-per-key", "3", "--burst", "2"], "aa", 20),
        (&["--rps-per-key", "1000000", "--rpd-per-key", "2"], "aa", day),
        (&["--rpm", "1"], "a", 61),
        (&["--rps", "1000000", "--rpm", "3", "--burst", "3"], "aaa", 20),
    ] {
        let provider = Provider::start();
        let proxy = serve(&provider, 1, options).await;
        for _ in 0..admitted.len() {
            assert_eq!(chat(&proxy, "{}").await, 200, "{options:?}");
        }
        let after = refused(&proxy, "{}").await;
        assert!((1..=longest).contains(&after), "{options:?}: {after}");
        assert_eq!(served(&provider), admitted, "{options:?}");
    }
}

#[tokio::test]
async fn a_limit_by_key_is_each_keys_own_and_one_for_all_is_not() {
    let provider = Provider::start();
    let mut proxy = serve(&provider, 3, &["--rpm-per-key", "1", "--rpm", "30", "--burst", "30"]).await;
    for _ in 0..3 {
        assert_eq!(chat(&proxy, "{}").await, 200);
    }
    refused(&proxy, "{}").await;
    let mut keys: Vec<_> = served(&provider).chars().collect();
    keys.sort_unstable();
    assert_eq!(keys, ['a', 'b', 'c']);
    let line = proxy.says("limits: ").await;
    let says = "limits: each key: 1 requests/min; all keys together: 30 requests/min; 30 at once after a pause\n";
    assert!(line.ends_with(says), "{line}");

    let proxy = serve(&provider, 3, &["--rpm", "2", "--burst", "2"]).await;
    for _ in 0..2 {
        assert_eq!(chat(&proxy, "{}").await, 200);
    }
    refused(&proxy, "{}").await;
}

#[tokio::test]
async fn what_may_wait_is_served_in_its_time() {
    let provider = Provider::start();
    let proxy = serve(&provider, 1, &["--rps-per-key", "10", "--max-wait", "30s"]).await;
    let chats = (0..6).map(|_| chat(&proxy, "{}"));
    assert_eq!(futures_util::future::join_all(chats).await, [200; 6]);
    assert_eq!(served(&provider), "aaaaaa");
    // Whoever may not wait long enough need not wait at all.
    let proxy = serve(&provider, 1, &["--rpm-per-key", "1", "--max-wait", "1s"]).await;
    assert_eq!(chat(&proxy, "{}").await, 200);
    assert!(refused(&proxy, "{}").await > 1);
}

#[tokio::test]
async fn tokens_count_by_what_answers_have_used() {
    let body = r#"{"model":"m","max_tokens":900}"#;
    for (used, second) in [(10, 200), (990, 429)] {
        let said = format!(r#"{{"usage":{{"prompt_tokens":{},"completion_tokens":5}}}}"#, used - 5);
        let provider = Provider::acting(move |_| Reply::new(200, said.clone()));
        for option in ["--tpm-per-key", "--tpm"] {
            let proxy = serve(&provider, 1, &[option, "1000"]).await;
            assert_eq!(chat(&proxy, body).await, 200);
            assert_eq!(chat(&proxy, body).await, second, "{option}, {used} used");
        }
    }
}

#[tokio::test]
async fn what_an_answer_says_is_left_is_heeded_unless_that_is_switched_off() {
    for (options, second) in [(&[][..], 429), (&["--heed-limits", "false"], 200)] {
        let left = |_: &_| Reply::new(200, "{}").header("x-ratelimit-remaining-requests", "0");
        let provider = Provider::acting(move |seen| left(seen).header("x-ratelimit-reset-requests", "50s"));
        let openai = [&["--provider", "openai"], options].concat();
        let proxy = serve(&provider, 1, &openai).await;
        assert_eq!((chat(&proxy, "{}").await, chat(&proxy, "{}").await), (200, second), "{options:?}");
    }
}

/// A provider that lets go of requests one by one.
fn holding() -> (Provider, Arc<Semaphore>) {
    let gate = Arc::new(Semaphore::new(0));
    let own = Arc::clone(&gate);
    (Provider::acting(move |_| Reply::new(200, "{}").waits(&own)), gate)
}

/// A request that has come to the provider.
async fn held(provider: &Provider, proxy: &Arc<Proxy>, model: &str) -> (String, JoinHandle<u16>) {
    let (proxy, body) = (Arc::clone(proxy), format!(r#"{{"model":"{model}"}}"#));
    let asked = tokio::spawn(async move { chat(&proxy, &body).await });
    let arrived = async {
        loop {
            let keys = served(provider);
            if !keys.is_empty() {
                return keys;
            }
            tokio::task::yield_now().await;
        }
    };
    (tokio::time::timeout(Duration::from_secs(30), arrived).await.expect("it does not arrive"), asked)
}

#[tokio::test]
async fn a_key_serves_so_many_at_a_time() {
    for (options, turns) in [
        (&["--max-concurrent-per-key", "1"][..], [("m", "a"), ("m", "b")]),
        (&["--max-concurrent-per-model", "1"], [("m", "a"), ("m", "b")]),
        (&["--max-concurrent-per-model", "1"], [("m", "a"), ("n", "a")]),
        (&["--max-concurrent", "2"], [("m", "a"), ("m", "a")]),
    ] {
        let (provider, gate) = holding();
        let options = [&["--strategy", "fill-first"], options].concat();
        let proxy = Arc::new(serve(&provider, 2, &options).await);
        let mut asked = Vec::new();
        for (model, key) in turns {
            let (by, request) = held(&provider, &proxy, model).await;
            assert_eq!(by, key, "{options:?}, {turns:?}");
            asked.push(request);
        }
        if turns != [("m", "a"), ("n", "a")] {
            let answer = post(&proxy, "/v1/chat/completions", r#"{"model":"m"}"#).await;
            assert_eq!(&*answer.code(), "no_key_available", "{options:?}: {answer:?}");
        }
        gate.add_permits(3);
        for request in asked {
            assert_eq!(request.await.unwrap(), 200);
        }
        assert_eq!(chat(&proxy, r#"{"model":"m"}"#).await, 200, "there is room again");
    }
}

#[tokio::test]
async fn who_waits_for_room_comes_in_when_there_is_some() {
    let (provider, gate) = holding();
    let proxy = Arc::new(serve(&provider, 1, &["--max-concurrent-per-key", "1", "--max-wait", "60s"]).await);
    let (_, first) = held(&provider, &proxy, "m").await;
    let second = tokio::spawn({
        let proxy = Arc::clone(&proxy);
        async move { chat(&proxy, "{}").await }
    });
    gate.add_permits(2);
    assert_eq!((first.await.unwrap(), second.await.unwrap()), (200, 200));
}
