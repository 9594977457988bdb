//! Listens, accepts, and leaves in good order.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::sleep;
use tracing::{debug, info, warn};

use crate::Problem;
use crate::census::Census;
use crate::connect::BUFFER;
use crate::keeping::Keeping;
use crate::plane::Plane;
use crate::settings::Settings;
use crate::wire::Wire;

/// How long a request's head may take, and a connection stay without a request, unless `--idle-timeout` is shorter.
const HEAD: Duration = Duration::from_secs(60);

/// Connections that wait to be accepted. The system has a limit of its own.
const QUEUE: u32 = 4096;

/// Requests at once on one HTTP/2 connection.
const STREAMS: u32 = 250;

/// Streams that a caller may open and reset before they are looked at; more end the connection.
const RESETS: usize = 20;

/// Serves until a signal says otherwise. `started` is told the address.
pub(crate) async fn run(mut settings: Settings, started: impl FnOnce(SocketAddr)) -> Result<(), Problem> {
    let mut signals = Signals::new()?;
    let (wanted, drain, idle) = (settings.listen, settings.drain, settings.timeouts.idle);
    let (listener, address) = listen(wanted).map_err(|error| format!("--listen {wanted}: {error}"))?;
    println!("listening on http://{address}");
    started(address);
    let keeping = settings.keeping.take();
    let plane = Plane::new(settings, Census::new(keeping.as_ref().map(Keeping::behind).unwrap_or_default()));
    let server = Server { plane, builder: builder(HEAD.min(idle)), open: GracefulShutdown::new(), idle };
    tokio::select! {
        () = server.accept(listener) => {}
        () = signals.next() => {}
        () = watch(keeping.as_ref()) => {}
    }
    info!(connections = server.open.count(), "stopping");
    tokio::select! {
        () = server.open.shutdown() => {}
        () = sleep(drain) => warn!("answers under way were cut off: they took longer than --drain"),
        () = signals.next() => warn!("answers under way were cut off: a second signal came"),
    }
    if let Some(keeping) = keeping {
        keeping.close().await;
    }
    Ok(())
}

async fn watch(keeping: Option<&Keeping>) {
    match keeping {
        Some(keeping) => keeping.watch().await,
        None => std::future::pending().await,
    }
}

/// `TcpListener::bind` makes a queue of 128; a crowd that does not fit into it tries again a second later.
fn listen(address: SocketAddr) -> io::Result<(TcpListener, SocketAddr)> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // A restart need not wait for the last connections of the process before; elsewhere it would share the port.
    socket.set_reuseaddr(cfg!(unix))?;
    socket.bind(address)?;
    let listener = socket.listen(QUEUE)?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}

struct Server {
    plane: Plane,
    builder: Builder<TokioExecutor>,
    open: GracefulShutdown,
    idle: Duration,
}

impl Server {
    /// Takes connections for ever. Dropped, it has closed the listener.
    async fn accept(&self, listener: TcpListener) {
        loop {
            match listener.accept().await {
                Ok((stream, peer)) => self.take(stream, peer.ip()),
                Err(error) => {
                    // Out of descriptors, most likely; some come back when connections end.
                    warn!(%error, "cannot accept");
                    sleep(Duration::from_millis(50)).await;
                }
            }
        }
    }

    fn take(&self, stream: TcpStream, peer: IpAddr) {
        // Fails only on a connection that is gone already.
        let _ = stream.set_nodelay(true);
        let io = TokioIo::new(Wire::new(stream, HEAD.min(self.idle), self.idle));
        let connection = self.builder.serve_connection(io, self.plane.seat(peer)).into_owned();
        let connection = self.open.watch(connection);
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                debug!(error = &*error as &dyn std::error::Error, "a connection broke");
            }
        });
    }
}

fn builder(head: Duration) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(head).max_buf_size(BUFFER);
    let mut http2 = builder.http2();
    http2.timer(TokioTimer::new()).max_concurrent_streams(STREAMS).max_pending_accept_reset_streams(RESETS);
    http2.max_local_error_reset_streams(1024).max_header_list_size(BUFFER as u32).max_send_buf_size(BUFFER);
    http2.keep_alive_interval(HEAD).keep_alive_timeout(HEAD);
    builder
}

/// The signals that ask a process to leave.
struct Signals {
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
    #[cfg(unix)]
    interrupt: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn new() -> Result<Self, Problem> {
        use tokio::signal::unix::{SignalKind, signal};
        let listen = |kind| signal(kind).map_err(|error| format!("signals: {error}"));
        Ok(Self { terminate: listen(SignalKind::terminate())?, interrupt: listen(SignalKind::interrupt())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

#[cfg(not(unix))]
impl Signals {
    #[expect(clippy::unnecessary_wraps, reason = "it can fail elsewhere")]
    fn new() -> Result<Self, Problem> {
        Ok(Self {})
    }

    async fn next(&mut self) {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending().await
        }
    }
}
