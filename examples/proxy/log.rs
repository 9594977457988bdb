//! Log lines on stderr. `RUST_LOG` chooses them; bodies, queries and keys are in none.

use http::{Method, Request, Response};
use http_body_util::Either;
use hyper::body::Incoming;
use tokio::time::Instant;
use tracing::debug;
use tracing_subscriber::EnvFilter;

use crate::Problem;
use crate::answer::Body;
use crate::cli::LogFormat;

pub(crate) fn start(format: LogFormat) -> Result<(), Problem> {
    let wanted = std::env::var("RUST_LOG").unwrap_or_default();
    let wanted = if wanted.is_empty() { "info" } else { &wanted };
    let filter = EnvFilter::try_new(wanted).map_err(|error| format!("RUST_LOG: {error}"))?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(false);
    // To say that nobody reads, or that a disk is full, it would write there too, and panic.
    let builder = builder.log_internal_errors(false);
    match format {
        LogFormat::Text => builder.init(),
        LogFormat::Json => builder.json().flatten_event(true).init(),
    }
    Ok(())
}

/// What the log says of a request.
pub(crate) struct Told {
    method: Method,
    path: String,
    start: Instant,
}

impl Told {
    pub(crate) fn new(request: &Request<Incoming>) -> Self {
        Self { method: request.method().clone(), path: request.uri().path().to_owned(), start: Instant::now() }
    }

    pub(crate) fn log(&self, answer: &Response<Body>) {
        let served = match answer.body() {
            Either::Left(body) => body.get_ref().served().copied(),
            Either::Right(_) => None,
        };
        let (key, attempts) = served.map_or((None, 0), |served| (Some(served.key.to_string()), served.attempts));
        let (status, elapsed) = (answer.status().as_u16(), self.start.elapsed());
        debug!(method = %self.method, path = self.path, status, key, attempts, ?elapsed, "answered");
    }
}
