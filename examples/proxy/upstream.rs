//! The client below the layer: hyper's connections, over rustls, with a limit on connecting and one on waiting for an
//! answer's head. It follows no redirects and reads no proxy from the environment.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http::uri::{Authority, Scheme};
use http::{Request, Response, Uri};
use hyper::body::Incoming;
use key_commune::service::ReplayBody;
use pin_project_lite::pin_project;
use rustls::ClientConfig;
use tokio::time::{Sleep, sleep};
use tower::Service;

use crate::connect::{Connect, Upload};
use crate::connections::{Connections, Head};
use crate::failure::Failure;
use crate::idle::Progress;
use crate::settings::Timeouts;

/// How often unused connections are looked for: one is kept for at least this long, and at most twice as long.
const SWEEP: Duration = Duration::from_secs(30);

/// The connections to each authority. Cloned for each request, whose upload it knows.
#[derive(Clone)]
pub(crate) struct Upstream {
    shared: Arc<Shared>,
    upload: Option<Progress>,
}

struct Shared {
    connect: Connect,
    head: Duration,
    secure: Origins,
    plain: Origins,
}

type Origins = Mutex<HashMap<Box<str>, Arc<Connections>>>;

impl Upstream {
    pub(crate) fn new(tls: ClientConfig, timeouts: Timeouts) -> Self {
        let connect = Connect::new(tls, timeouts.connect);
        let (secure, plain) = Default::default();
        let shared = Arc::new(Shared { connect, head: timeouts.head, secure, plain });
        tokio::spawn(sweep(Arc::downgrade(&shared)));
        Self { shared, upload: None }
    }

    /// Waits for the answer to the next request no less long than this upload moves.
    pub(crate) fn follow(&mut self, upload: Progress) {
        self.upload = Some(upload);
    }
}

impl Shared {
    fn connections(&self, uri: &Uri) -> Arc<Connections> {
        let origins = if uri.scheme() == Some(&Scheme::HTTPS) { &self.secure } else { &self.plain };
        let authority = uri.authority().map_or("", Authority::as_str);
        let mut origins = locked(origins);
        if let Some(connections) = origins.get(authority) {
            return Arc::clone(connections);
        }
        let connections = Arc::new(Connections::new(self.connect.clone(), uri));
        origins.insert(authority.into(), Arc::clone(&connections));
        connections
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn sweep(shared: Weak<Shared>) {
    loop {
        sleep(SWEEP).await;
        let Some(shared) = shared.upgrade() else { return };
        for origins in [&shared.secure, &shared.plain] {
            locked(origins).values().for_each(|connections| connections.sweep());
        }
    }
}

impl Service<Request<ReplayBody<Upload>>> for Upstream {
    type Response = Response<Incoming>;
    type Error = Failure;
    type Future = Answer;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<ReplayBody<Upload>>) -> Answer {
        let limit = self.shared.head;
        let head = self.shared.connections(request.uri()).send(request);
        Answer { head, sleep: sleep(limit), upload: self.upload.clone(), limit }
    }
}

pin_project! {
    /// The answer's head, or the end of patience: counted from the start, or from when the upload last moved.
    pub(crate) struct Answer {
        head: Head,
        #[pin]
        sleep: Sleep,
        upload: Option<Progress>,
        limit: Duration,
    }
}

impl Future for Answer {
    type Output = Result<Response<Incoming>, Failure>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        if let Poll::Ready(answer) = this.head.as_mut().poll(cx) {
            return Poll::Ready(answer);
        }
        loop {
            ready!(this.sleep.as_mut().poll(cx));
            match this.upload.as_ref().map(|upload| upload.last() + *this.limit) {
                Some(due) if due > this.sleep.deadline() => this.sleep.as_mut().reset(due),
                _ => return Poll::Ready(Err(Failure::Late)),
            }
        }
    }
}
