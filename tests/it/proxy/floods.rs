//! HTTP/2 frames that cost the sender little (attack 72): the connection ends, the proxy stays small, others are served.

use std::time::Duration;

use tokio::io::AsyncWriteExt;

use super::caller::{Caller, get};
use super::pair;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RESET: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const CONTINUATION: u8 = 9;
const END_HEADERS: u8 = 4;

/// `GET http://a/` by the static table of HPACK.
const HEAD: &[u8] = &[0x82, 0x86, 0x84, 0x41, 1, b'a'];

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u32).to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

fn resets(round: u32) -> Vec<u8> {
    let stream = round * 2 + 1;
    [frame(HEADERS, END_HEADERS | 1, stream, HEAD), frame(RESET, 0, stream, &8_u32.to_be_bytes())].concat()
}

fn continuations(round: u32) -> Vec<u8> {
    let field = [&[0x40, 1, b'x', 100][..], &[b'y'; 100]].concat();
    if round == 0 { frame(HEADERS, 0, 1, HEAD) } else { frame(CONTINUATION, 0, 1, &field) }
}

fn empty_data(round: u32) -> Vec<u8> {
    if round == 0 { frame(HEADERS, END_HEADERS, 1, HEAD) } else { frame(DATA, 0, 1, &[]) }
}

fn pings(_: u32) -> Vec<u8> {
    frame(PING, 0, 0, &[0; 8])
}

fn settings(_: u32) -> Vec<u8> {
    frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 255, 255])
}

#[tokio::test]
async fn floods_of_frames_take_no_memory_and_no_key() {
    let (_provider, proxy) = pair(&[]).await;
    assert_eq!(get(proxy.address, "/v1/models").await.status, 200);
    let before = proxy.resident();
    for flood in [resets, continuations, empty_data, pings, settings] {
        let mut caller = Caller::new(proxy.address).await;
        caller.send([PREFACE, &frame(SETTINGS, 0, 0, &[])].concat()).await;
        let send = async {
            for round in 0..200_000 {
                if caller.0.write_all(&flood(round)).await.is_err() {
                    break;
                }
            }
        };
        // One that the proxy reads no further stands still; that is as good.
        let _ = tokio::time::timeout(Duration::from_secs(3), send).await;
        assert_eq!(get(proxy.address, "/v1/models").await.status, 200);
    }
    let grown = (proxy.resident() - before) / 1024;
    println!("five floods: {grown} MiB more");
    assert!(grown < 50, "{grown} MiB");
}
