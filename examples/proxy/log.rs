//! Log lines on stderr. `RUST_LOG` chooses them; bodies, queries and keys are in none.

use tracing_subscriber::EnvFilter;

use crate::Problem;
use crate::cli::LogFormat;

pub(crate) fn start(format: LogFormat) -> Result<(), Problem> {
    let wanted = std::env::var("RUST_LOG").unwrap_or_default();
    let wanted = if wanted.is_empty() { "info" } else { &wanted };
    let filter = EnvFilter::try_new(wanted).map_err(|error| format!("RUST_LOG: {error}"))?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(false);
    match format {
        LogFormat::Text => builder.init(),
        LogFormat::Json => builder.json().flatten_event(true).init(),
    }
    Ok(())
}
