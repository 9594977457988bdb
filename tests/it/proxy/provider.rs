//! A provider that remembers what it was asked. The path says how it answers, or a script that looks at all of a request.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::channel::Channel;
use http_body_util::{BodyExt, Either, Full};
use hyper::body::Incoming;
use hyper::ext::ReasonPhrase;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpSocket;
use tokio::sync::{Semaphore, mpsc};
use tokio::time::sleep;

type Body = Either<Full<Bytes>, Channel<Bytes>>;

/// A request that came.
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) line: String,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    pub(super) length: usize,
}

impl Seen {
    /// The value of the only header with this name.
    pub(super) fn only(&self, name: &str) -> &str {
        let values: Vec<_> = self.headers.get_all(name).iter().collect();
        assert_eq!(values.len(), 1, "{name}: {values:?}");
        values[0].to_str().unwrap()
    }
}

/// What a script answers.
pub(super) struct Reply {
    response: Response<String>,
    /// Where it waits until it is let go.
    gate: Option<Arc<Semaphore>>,
    drips: bool,
}

impl Reply {
    /// In JSON.
    pub(super) fn new(status: u16, body: impl Into<String>) -> Self {
        let mut response = Response::new(body.into());
        *response.status_mut() = StatusCode::from_u16(status).unwrap();
        Self { response, gate: None, drips: false }.header("content-type", "application/json")
    }

    pub(super) fn header(mut self, name: &'static str, value: &str) -> Self {
        self.response.headers_mut().insert(name, value.parse().unwrap());
        self
    }

    pub(super) fn waits(mut self, gate: &Arc<Semaphore>) -> Self {
        self.gate = Some(Arc::clone(gate));
        self
    }

    /// Blanks for a body, without end.
    pub(super) fn drips(mut self) -> Self {
        self.drips = true;
        self
    }

    async fn give(self, mut guard: Guard) -> Response<Body> {
        if let Some(gate) = self.gate {
            gate.acquire().await.unwrap().forget();
        }
        let (head, text) = self.response.into_parts();
        if self.drips {
            let mut response = stream(guard, Duration::from_millis(20), " ".into());
            (*response.status_mut(), *response.headers_mut()) = (head.status, head.headers);
            return response;
        }
        guard.0 = None;
        Response::from_parts(head, Either::Left(Full::from(text)))
    }
}

type Script = dyn Fn(&Seen) -> Reply + Send + Sync;

#[derive(Clone)]
struct Desk {
    seen: Arc<Mutex<Vec<Seen>>>,
    gone: mpsc::UnboundedSender<()>,
    script: Option<Arc<Script>>,
}

pub(super) struct Provider {
    pub(super) address: SocketAddr,
    desk: Desk,
    /// Hears of every call that ended before its answer did.
    pub(super) gone: mpsc::UnboundedReceiver<()>,
}

impl Provider {
    pub(super) fn start() -> Self {
        Self::with(None)
    }

    pub(super) fn acting(script: impl Fn(&Seen) -> Reply + Send + Sync + 'static) -> Self {
        Self::with(Some(Arc::new(script)))
    }

    fn with(script: Option<Arc<Script>>) -> Self {
        // `bind` alone makes a queue of 128, and what it drops is tried again after seconds.
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(([127, 0, 0, 1], 0).into()).unwrap();
        let listener = socket.listen(4096).unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, gone) = mpsc::unbounded_channel();
        let desk = Desk { seen: Arc::default(), gone: sender, script };
        let own = desk.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                stream.set_nodelay(true).unwrap();
                let desk = desk.clone();
                let service = service_fn(move |request| {
                    let desk = desk.clone();
                    async move { Ok::<_, Infallible>(desk.answer(request).await) }
                });
                tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
            }
        });
        Self { address, desk: own, gone }
    }

    /// Everything that came since the last time.
    pub(super) fn seen(&self) -> Vec<Seen> {
        std::mem::take(&mut self.desk.seen.lock().unwrap())
    }

    /// The one request that came.
    pub(super) fn only(&self) -> Seen {
        let mut seen = self.seen();
        assert_eq!(seen.len(), 1, "{seen:?}");
        seen.remove(0)
    }
}

/// Tells when it is dropped too early.
struct Guard(Option<mpsc::UnboundedSender<()>>);

impl Drop for Guard {
    fn drop(&mut self) {
        if let Some(gone) = self.0.take() {
            let _ = gone.send(());
        }
    }
}

impl Desk {
    async fn answer(&self, request: Request<Incoming>) -> Response<Body> {
        let mut guard = Guard(Some(self.gone.clone()));
        let (head, body) = request.into_parts();
        let path = head.uri.path().to_owned();
        let line = format!("{} {}", head.method, head.uri);
        let mut seen = Seen { line, headers: head.headers, body: Bytes::new(), length: 0 };
        if !path.ends_with("/early") {
            read(body, &mut seen).await;
        }
        if let Some(script) = &self.script {
            let reply = script(&seen);
            self.seen.lock().unwrap().push(seen);
            return reply.give(guard).await;
        }
        let (key, length) = (seen.headers.get("authorization").cloned(), seen.length);
        self.seen.lock().unwrap().push(seen);
        let key = key.as_ref().and_then(|key| key.to_str().ok()).unwrap_or_default();
        let answer = match path.rsplit('/').next().unwrap_or_default() {
            "never" => std::future::pending().await,
            "stream" => return stream(guard, Duration::from_millis(50), "data: tick\n\n".into()),
            "flood" => return stream(guard, Duration::ZERO, vec![b'x'; 64 * 1024].into()),
            "stall" => return stream(guard, Duration::from_secs(3600), "data: tick\n\n".into()),
            "slow" => {
                sleep(Duration::from_millis(600)).await;
                respond(200, r#"{"slow":true}"#.into())
            }
            "echo" => echo(key),
            _ if key.contains("dead") => respond(401, r#"{"error":{"code":"invalid_api_key"}}"#.into()),
            _ if key.contains("busy") => busy(),
            _ => respond(200, format!(r#"{{"length":{length}}}"#)),
        };
        guard.0 = None;
        answer
    }
}

/// Keeps the beginning, counts the rest.
async fn read(mut body: Incoming, seen: &mut Seen) {
    while let Some(Ok(frame)) = body.frame().await {
        let Ok(data) = frame.into_data() else { continue };
        seen.length += data.len();
        if seen.body.is_empty() {
            seen.body = data;
        } else if seen.body.len() < 4096 {
            seen.body = [&seen.body[..], &data].concat().into();
        }
    }
}

fn respond(status: u16, text: String) -> Response<Body> {
    let mut response = Response::new(Either::Left(Full::from(text)));
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    response.headers_mut().insert("content-type", "application/json".parse().unwrap());
    response
}

/// In the body, and behind the status.
fn echo(key: &str) -> Response<Body> {
    let mut response = respond(200, format!("the key was {key}"));
    response.extensions_mut().insert(ReasonPhrase::try_from(key.to_owned()).unwrap());
    response
}

fn busy() -> Response<Body> {
    let mut response = respond(429, r#"{"error":{"code":"rate_limit_exceeded"}}"#.into());
    response.headers_mut().insert("retry-after", 30.into());
    response
}

/// Never ends by itself; its end is told.
fn stream(guard: Guard, pause: Duration, piece: Bytes) -> Response<Body> {
    let (mut sender, body) = Channel::new(1);
    tokio::spawn(async move {
        let _guard = guard;
        loop {
            if sender.send_data(piece.clone()).await.is_err() {
                return;
            }
            sleep(pause).await;
        }
    });
    let mut response = Response::new(Either::Right(body));
    response.headers_mut().insert("content-type", "text/event-stream".parse().unwrap());
    response
}
