//! Fresh identities without end: a caller that makes up a new key for every request.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::{World, number, ok, rejected};
use crate::proxy::caller::Caller;

const CONNECTIONS: usize = 8;
const EACH: usize = 2_500;

/// So many requests on one connection, each with a key of its own; how many were let through.
async fn flood(address: SocketAddr, connection: usize) -> usize {
    let mut caller = Caller::new(address).await;
    let mut refused = 0;
    for round in 0..EACH {
        let key = format!("sk-member-9000-{connection:08}-{round:08}");
        let text = format!(
            "POST /v1/chat/completions HTTP/1.1\r\nhost: p\r\ncontent-length: 2\r\nauthorization: Bearer {key}\r\n\r\n{{}}"
        );
        caller.0.write_all(text.as_bytes()).await.unwrap();
        let answer = caller.read_until("}}").await;
        refused += usize::from(answer.starts_with("HTTP/1.1 401"));
    }
    refused
}

#[tokio::test]
async fn twenty_thousand_fresh_identities_cost_nothing_and_harm_nobody() {
    let world = World::new(3, &["--rate-per-caller", "1/2s"]).await;
    world.answers(|seen| if number(seen) < 100 { ok() } else { rejected() });
    // The table of strangers is taken once.
    assert_eq!(world.chat(9_000).await, 401);
    let before = world.proxy.resident();
    let start = Instant::now();
    let mut floods: JoinSet<usize> = (0..CONNECTIONS).map(|number| flood(world.address(), number)).collect();
    let (mut through, mut honest) = (0, 0);
    while !floods.is_empty() {
        // A member at its pace, and somebody new each time.
        for caller in [honest % 3, 10 + honest] {
            assert_eq!(world.chat(caller).await, 200, "caller {caller}");
        }
        honest += 1;
        let pause = sleep(Duration::from_millis(700));
        tokio::pin!(pause);
        loop {
            tokio::select! {
                flooded = floods.join_next(), if !floods.is_empty() => through += flooded.unwrap().unwrap(),
                () = &mut pause => break,
            }
        }
        world.used();
    }
    let grown = world.proxy.resident().saturating_sub(before);
    let made = CONNECTIONS * EACH;
    println!("{made} identities in {:?}: {grown} KiB more, {} honest calls", start.elapsed(), 2 * honest);
    assert!(through > made * 99 / 100, "{through}: strangers are no trouble to each other");
    assert!(grown < 4 * 1024, "{grown} KiB");
}
