//! The connections to one provider. Over HTTP/1.1 a request has one to itself, the one that came back last; over HTTP/2
//! all share one.
//!
//! hyper-util's client does the same for three times the work: it clones, boxes and races for each request what is of use
//! only when no connection is at hand.

use std::future::ready;
use std::mem;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http::uri::PathAndQuery;
use http::{HeaderValue, Request, Response, Uri, header};
use hyper::body::Incoming;
use hyper::client::conn::TrySendError;
use key_commune::service::ReplayBody;
use tokio::sync::Notify;

use crate::connect::{Connect, Connected, Own, Shared, Upload};
use crate::failure::Failure;

pub(crate) type Outgoing = Request<ReplayBody<Upload>>;

/// An answer's head to come.
pub(crate) type Head = Pin<Box<dyn Future<Output = Result<Response<Incoming>, Failure>> + Send>>;

pub(crate) struct Connections {
    connect: Connect,
    origin: Uri,
    host: HeaderValue,
    open: Mutex<Open>,
    /// A connection has come free.
    freed: Notify,
}

#[derive(Default)]
struct Open {
    /// Unused ones; who needs one takes the last.
    idle: Vec<Own>,
    /// How many of them, the first ones, nobody has needed since the last sweep.
    unneeded: usize,
    shared: Option<Shared>,
    /// Nobody has needed the shared one since the last sweep.
    unshared: bool,
}

impl Connections {
    /// To where this URI leads. Its path and its query, in which there may be a key, are not kept.
    pub(crate) fn new(connect: Connect, uri: &Uri) -> Self {
        let host = uri.authority().and_then(|authority| HeaderValue::from_str(authority.as_str()).ok());
        let host = host.unwrap_or(HeaderValue::from_static(""));
        let mut parts = uri.clone().into_parts();
        parts.path_and_query = Some(PathAndQuery::from_static("/"));
        let origin = Uri::from_parts(parts).unwrap_or_default();
        Self { connect, origin, host, open: Mutex::default(), freed: Notify::new() }
    }

    /// Sends a request over the connection that is at hand, or else over the one that is there first.
    pub(crate) fn send(self: Arc<Self>, request: Outgoing) -> Head {
        match self.take() {
            Some(connection) => self.send_over(connection, request, true),
            None => Box::pin(async move {
                let (connection, is_used) = self.wait().await?;
                self.send_over(connection, request, is_used).await
            }),
        }
    }

    /// The request is on its way before the future is made: that keeps it small.
    fn send_over(self: Arc<Self>, connection: Connected, mut request: Outgoing, is_used: bool) -> Head {
        let uri = request.uri().clone();
        match connection {
            Connected::Own(mut own) => {
                request.headers_mut().insert(header::HOST, self.host.clone());
                *request.uri_mut() = uri.path_and_query().cloned().map_or_else(Uri::default, Uri::from);
                let sending = own.try_send_request(request);
                Box::pin(async move {
                    match sending.await {
                        Ok(answer) => {
                            self.give_back(own);
                            Ok(answer)
                        }
                        Err(error) => self.send_again(error, uri, is_used).await,
                    }
                })
            }
            Connected::Shared(mut shared) => {
                request.headers_mut().remove(header::HOST);
                let sending = shared.try_send_request(request);
                Box::pin(async move {
                    match sending.await {
                        Ok(answer) => Ok(answer),
                        Err(error) => self.send_again(error, uri, is_used).await,
                    }
                })
            }
        }
    }

    /// A connection that was used before may have been closed meanwhile: then the request, of which nothing was sent, goes
    /// over another.
    fn send_again(self: Arc<Self>, mut error: TrySendError<Outgoing>, uri: Uri, is_used: bool) -> Head {
        match error.take_message().filter(|_| is_used) {
            Some(mut request) => {
                *request.uri_mut() = uri;
                self.send(request)
            }
            None => Box::pin(ready(Err(error.into_error().into()))),
        }
    }

    /// A new connection, or one that comes free before it stands, and whether it was used before.
    async fn wait(self: &Arc<Self>) -> Result<(Connected, bool), Failure> {
        let this = Arc::clone(self);
        let mut connecting = Box::pin(async move { this.connect.to(this.origin.clone()).await });
        loop {
            tokio::select! {
                biased;
                () = self.freed.notified() => if let Some(connection) = self.take() {
                    let this = Arc::clone(self);
                    tokio::spawn(async move { connecting.await.map(|connection| this.add(connection)) });
                    return Ok((connection, true));
                },
                connected = &mut connecting => return Ok((self.share(connected?), false)),
            }
        }
    }

    fn take(&self) -> Option<Connected> {
        let mut open = self.open();
        open.shared.take_if(|shared| shared.is_closed());
        if let Some(shared) = open.shared.clone() {
            open.unshared = false;
            return Some(Connected::Shared(shared));
        }
        let own = std::iter::from_fn(|| open.idle.pop()).find(Own::is_ready);
        open.unneeded = open.unneeded.min(open.idle.len());
        own.map(Connected::Own)
    }

    /// A connection is free again once the answer has come to its end.
    fn give_back(self: &Arc<Self>, mut own: Own) {
        if own.is_ready() {
            self.add(Connected::Own(own));
        } else if !own.is_closed() {
            let this = Arc::clone(self);
            tokio::spawn(async move { own.ready().await.map(|()| this.add(Connected::Own(own))) });
        }
    }

    fn add(&self, connection: Connected) {
        if let Connected::Own(own) = self.share(connection) {
            self.open().idle.push(own);
            self.freed.notify_one();
        }
    }

    /// Lets others use a new connection too, if it can be shared.
    fn share(&self, connection: Connected) -> Connected {
        if let Connected::Shared(shared) = &connection {
            let mut open = self.open();
            open.shared.get_or_insert_with(|| shared.clone());
            open.unshared = false;
            self.freed.notify_waiters();
        }
        connection
    }

    /// Closes what nobody has needed since the last sweep.
    pub(crate) fn sweep(&self) {
        let mut open = self.open();
        let Open { idle, unneeded, shared, unshared } = &mut *open;
        let unneeded_ones: Vec<_> = idle.drain(..(*unneeded).min(idle.len())).collect();
        *unneeded = idle.len();
        let unshared_one = shared.take_if(|_| mem::replace(unshared, true));
        drop(open);
        drop((unneeded_ones, unshared_one));
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
