//! A caller that writes bytes, so that it can write what no client would.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(60);

pub(super) struct Caller(pub(super) TcpStream);

impl Caller {
    pub(super) async fn new(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self(stream)
    }

    pub(super) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.0.write_all(bytes.as_ref()).await.unwrap();
    }

    /// What comes until `end` of it has come, or until the connection ends.
    pub(super) async fn read_until(&mut self, end: &str) -> String {
        let mut text = Vec::new();
        let read = async {
            while !String::from_utf8_lossy(&text).contains(end) {
                if self.0.read_buf(&mut text).await.unwrap_or(0) == 0 {
                    break;
                }
            }
        };
        timeout(PATIENCE, read).await.unwrap_or_else(|_| panic!("{end:?} does not come"));
        String::from_utf8_lossy(&text).into_owned()
    }

    /// Everything until the connection ends.
    pub(super) async fn read(&mut self) -> String {
        let mut text = Vec::new();
        // A connection that is reset has said what it had to say.
        let _ = timeout(PATIENCE, self.0.read_to_end(&mut text)).await.expect("the connection does not end");
        String::from_utf8_lossy(&text).into_owned()
    }
}

/// An answer.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) head: String,
    pub(super) body: String,
}

impl Answer {
    fn read(text: &str) -> Self {
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((text, ""));
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
        Self { status, head: head.to_ascii_lowercase(), body: body.into() }
    }

    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("{self:?}"))
    }

    /// The word for an error in `OpenAI`'s shape.
    pub(super) fn code(&self) -> String {
        self.json()["error"]["code"].as_str().unwrap_or_default().into()
    }
}

/// Sends these bytes and reads until the end.
pub(super) async fn raw(address: SocketAddr, bytes: impl AsRef<[u8]>) -> Answer {
    let mut caller = Caller::new(address).await;
    // A server may answer, and hang up, before it has read everything.
    let _ = caller.0.write_all(bytes.as_ref()).await;
    Answer::read(&caller.read().await)
}

/// One request on a connection of its own. `headers` are whole lines.
pub(super) async fn ask(address: SocketAddr, line: &str, headers: &str, body: &str) -> Answer {
    let length = if body.is_empty() { String::new() } else { format!("content-length: {}\r\n", body.len()) };
    let text = format!("{line} HTTP/1.1\r\nhost: proxy\r\nconnection: close\r\n{length}{headers}\r\n{body}");
    raw(address, text).await
}

pub(super) async fn get(address: SocketAddr, path: &str) -> Answer {
    ask(address, &format!("GET {path}"), "", "").await
}
