//! A provider in the test's hands: an inner service that plays a script and writes down what it is sent.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use http::{HeaderMap, Method, Request, Response, StatusCode, Uri};
use http_body::Body;
use http_body_util::BodyExt;
use key_commune::service::ReplayBody;
use tower::Service;

use super::stepped::{Stepped, map};

/// What goes wrong in scripts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Oops(pub(crate) &'static str);

impl std::fmt::Display for Oops {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for Oops {}

/// A request as it was sent.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    pub(crate) method: Method,
    pub(crate) uri: Uri,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
    pub(crate) trailers: Option<HeaderMap>,
    /// What its body failed with.
    pub(crate) broken: Option<String>,
    /// Whether its body was read to its end.
    pub(crate) whole: bool,
}

impl Seen {
    /// The key it came with.
    pub(crate) fn key(&self) -> &str {
        let value = self.headers.get("authorization").or(self.headers.get("x-api-key")).expect("a credential");
        let value = value.to_str().unwrap();
        value.strip_prefix("Bearer ").unwrap_or(value)
    }
}

/// A request that is being answered.
pub(crate) struct Call {
    body: ReplayBody<Stepped>,
    /// Counted from 0.
    pub(crate) number: usize,
    log: Arc<Mutex<Vec<Seen>>>,
}

impl Call {
    /// One more frame of the body, into the log; false at its end.
    pub(crate) async fn frame(&mut self) -> bool {
        let frame = self.body.frame().await;
        let log = &mut self.log.lock().unwrap()[self.number];
        match frame {
            None => log.whole = true,
            Some(Err(error)) => log.broken = Some(error.to_string()),
            Some(Ok(frame)) => {
                match frame.into_data() {
                    Ok(data) => log.body.extend_from_slice(&data),
                    Err(frame) => log.trailers = frame.into_trailers().ok(),
                }
                return true;
            }
        }
        false
    }

    /// How many bytes the rest of the body has. Leaves nothing in the log.
    pub(crate) async fn drain(&mut self) -> usize {
        let mut bytes = 0;
        while let Some(Ok(frame)) = self.body.frame().await {
            bytes += frame.data_ref().map_or(0, bytes::Bytes::len);
        }
        bytes
    }

    /// The rest of the body, into the log.
    pub(crate) async fn read(&mut self) -> Seen {
        while !self.body.is_end_stream() && self.frame().await {}
        let log = &mut self.log.lock().unwrap()[self.number];
        log.whole = log.broken.is_none();
        log.clone()
    }
}

pub(crate) type Reply = Result<Response<Stepped>, Oops>;
type Script = dyn Fn(Call) -> Pin<Box<dyn Future<Output = Reply> + Send>> + Send + Sync;

/// The service. Panics when it is called without having been polled ready itself, as a clone has not.
pub(crate) struct Upstream {
    script: Arc<Script>,
    log: Arc<Mutex<Vec<Seen>>>,
    ready: bool,
}

impl Upstream {
    pub(crate) fn new<F>(script: impl Fn(Call) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Reply> + Send + 'static,
    {
        Self { script: Arc::new(move |call| Box::pin(script(call))), log: Arc::default(), ready: false }
    }

    /// Reads each request to its end, then answers it.
    pub(crate) fn answering(answer: impl Fn(&Seen) -> Response<Stepped> + Clone + Send + Sync + 'static) -> Self {
        Self::new(move |mut call| {
            let answer = answer.clone();
            async move { Ok(answer(&call.read().await)) }
        })
    }

    /// Answers by the number of the request.
    pub(crate) fn in_turn(answer: impl Fn(usize) -> Response<Stepped> + Clone + Send + Sync + 'static) -> Self {
        Self::new(move |mut call| {
            let answer = answer.clone();
            async move {
                call.read().await;
                Ok(answer(call.number))
            }
        })
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.log.lock().unwrap().clone()
    }

    pub(crate) fn count(&self) -> usize {
        self.log.lock().unwrap().len()
    }

    pub(crate) fn last(&self) -> Seen {
        self.log.lock().unwrap().last().expect("a request").clone()
    }

    /// How often this key was sent.
    pub(crate) fn uses(&self, key: &str) -> usize {
        self.log.lock().unwrap().iter().filter(|seen| seen.key() == key).count()
    }
}

impl Clone for Upstream {
    fn clone(&self) -> Self {
        Self { script: Arc::clone(&self.script), log: Arc::clone(&self.log), ready: false }
    }
}

impl Service<Request<ReplayBody<Stepped>>> for Upstream {
    type Response = Response<Stepped>;
    type Error = Oops;
    type Future = Pin<Box<dyn Future<Output = Reply> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Oops>> {
        self.ready = true;
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<ReplayBody<Stepped>>) -> Self::Future {
        assert!(std::mem::take(&mut self.ready), "called without having been polled ready");
        let (head, body) = request.into_parts();
        let head = Seen { method: head.method, uri: head.uri, headers: head.headers, ..Seen::default() };
        let mut log = self.log.lock().unwrap();
        let number = log.len();
        log.push(head);
        drop(log);
        (self.script)(Call { body, number, log: Arc::clone(&self.log) })
    }
}

/// An answer with these headers and a body at hand.
pub(crate) fn answer(status: u16, headers: &[(&str, &str)], body: &str) -> Response<Stepped> {
    streamed(status, headers, Stepped::full(body.to_owned()))
}

pub(crate) fn streamed(status: u16, headers: &[(&str, &str)], body: Stepped) -> Response<Stepped> {
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    *response.headers_mut() = map(headers);
    response
}

pub(crate) fn ok() -> Response<Stepped> {
    answer(200, &[("content-type", "application/json")], r#"{"ok":true}"#)
}

/// A 429 that says nothing about when.
pub(crate) fn throttled() -> Response<Stepped> {
    answer(429, &[], "")
}

pub(crate) fn revoked() -> Response<Stepped> {
    answer(401, &[], r#"{"error":{"message":"Incorrect API key provided","code":"invalid_api_key"}}"#)
}

/// An event stream, one frame for each chunk.
pub(crate) fn events(chunks: &[&str]) -> Response<Stepped> {
    let chunks: Vec<_> = chunks.iter().map(|chunk| (*chunk).to_owned()).collect();
    streamed(200, &[("content-type", "text/event-stream; charset=utf-8")], Stepped::chunks(chunks))
}
