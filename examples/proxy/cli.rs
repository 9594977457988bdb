//! The options, and what is wrong with them in one line.
#![allow(clippy::doc_markdown, reason = "doc comments here are the text of --help")]

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Args, Parser, Subcommand, ValueEnum};

use key_commune::rate::Rate;
use key_commune::subnet::Network;

use crate::choosing::Choosing;
use crate::content::Content;
use crate::keytool::Keys;
use crate::limiting::Limiting;
use crate::{Problem, vault};

/// A streaming reverse proxy that gives everybody behind it one pool of API keys.
#[derive(Parser)]
#[command(name = "proxy", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Serve a pool of keys in front of a provider
    Serve(Box<Serve>),
    /// Serve three demo keys in front of a fake provider in this process, and print what to try
    Demo(Demo),
    /// See and change the keys of a store, while the proxy uses it or not
    Keys(Keys),
}

#[derive(Args)]
pub(crate) struct Demo {
    #[command(flatten)]
    pub(crate) common: Common,
}

/// What every way of serving takes.
#[derive(Args, Clone)]
pub(crate) struct Common {
    /// Address to listen on; port 0 takes a free one. The bound address is the first line on stdout
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080", value_parser = address)]
    pub(crate) listen: SocketAddr,
    /// How log lines on stderr look. RUST_LOG says which: info (default), proxy=debug (one more per answer), off
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = LogFormat::Text)]
    pub(crate) log_format: LogFormat,
    /// How long answers under way may take to finish after SIGTERM or SIGINT; a second signal exits at once
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = humantime::parse_duration)]
    pub(crate) drain: Duration,
    /// Threads that serve. One costs the least per request; more help only when one core is not enough
    #[arg(long, value_name = "NUMBER", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) threads: u16,
}

#[derive(Args)]
pub(crate) struct Serve {
    /// Base URL of the provider, such as https://api.openai.com. Default: that of --provider. Where it ends like the
    /// path of a request begins (…/v1 and /v1/models), that part is written once
    #[arg(long, value_name = "URL", required_unless_present = "provider")]
    pub(crate) upstream: Option<String>,
    /// Whose keys serve. Default: private if a key is given, else commune
    #[arg(long, value_name = "MODE", value_enum)]
    pub(crate) mode: Option<Mode>,
    /// Whose API it is: where keys go in a request and how refusals read. Default: told by the host of --upstream, else
    /// custom, which speaks as OpenAI does
    #[arg(long, value_name = "NAME")]
    pub(crate) provider: Option<String>,
    #[command(flatten)]
    pub(crate) keys: KeySources,
    #[command(flatten)]
    pub(crate) choosing: Choosing,
    #[command(flatten)]
    pub(crate) limiting: Limiting,
    #[command(flatten)]
    pub(crate) content: Content,
    #[command(flatten)]
    pub(crate) store: vault::Options,
    /// The most keys that share a commune. Beyond it callers are served with their own key. Default: 200
    #[arg(long, help_heading = "Commune", value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) max_keys: Option<u32>,
    /// How often each presented key may come, such as 1/2s or 30/1m; more often: 429. Default: as often as it likes
    #[arg(long, help_heading = "Commune", value_name = "COUNT/DURATION", value_parser = rate)]
    pub(crate) rate_per_caller: Option<Rate>,
    /// How many more answers a caller may get with others' keys than others have got with its own; beyond that its own key
    /// serves it. Default: no limit
    #[arg(long, help_heading = "Commune", value_name = "NUMBER")]
    pub(crate) credit: Option<u64>,
    /// Network of reverse proxies whose X-Forwarded-For is believed, such as 10.0.0.0/8, for the callers' subnets in the
    /// statistics. May be repeated
    #[arg(long, help_heading = "Commune", value_name = "NETWORK")]
    pub(crate) trusted_proxy: Vec<Network>,
    /// Header that carries the key, if it is not the provider's usual one
    #[arg(long, value_name = "NAME")]
    pub(crate) auth_header: Option<String>,
    /// Allow plain http to this host; keys are readable on the way. Loopback is always allowed. May be repeated
    #[arg(long, value_name = "HOST")]
    pub(crate) allow_http: Vec<String>,
    /// How long a connection to the provider may take, name lookup and TLS included
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = span)]
    pub(crate) connect_timeout: Duration,
    /// How long the provider may take to begin its answer once the request is sent; then 504
    #[arg(long, value_name = "DURATION", default_value = "10m", value_parser = span)]
    pub(crate) head_timeout: Duration,
    /// How long a request body, an answer, or a connection between requests may stand still. There is no limit on
    /// the whole
    #[arg(long, value_name = "DURATION", default_value = "5m", value_parser = span)]
    pub(crate) idle_timeout: Duration,
    /// How long a request may wait for a key when none can serve it; then 429 or 503
    #[arg(long, value_name = "DURATION", default_value = "0s", value_parser = humantime::parse_duration)]
    pub(crate) max_wait: Duration,
    /// Environment variable with the key that callers must present, 16 or more characters, as a bearer token or in
    /// x-api-key, api-key or x-goog-api-key
    #[arg(long, value_name = "NAME")]
    pub(crate) proxy_key_env: Option<String>,
    /// Serve everybody who can reach an address beyond this machine, without a proxy key
    #[arg(long)]
    pub(crate) open: bool,
    /// PEM file with the only certificate authorities to trust, instead of the built-in ones
    #[arg(long, value_name = "PEM")]
    pub(crate) ca_file: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) common: Common,
}

/// Where keys come from: any of these, or several.
#[derive(Args)]
pub(crate) struct KeySources {
    /// A key, for trials: other users of this machine can read it in the process list. May be repeated
    #[arg(long = "key", help_heading = "Keys", value_name = "KEY", allow_hyphen_values = true)]
    pub(crate) texts: Vec<String>,
    /// File with a key per line, `KEY [label=NAME] [models=LIST] [weight=NUMBER] [tier=NUMBER] [group=NAME]
    /// [base_url=URL]`; # begins a comment, and a value with blanks is in quotes. LIST is of names, patterns with * and ?, and `others`, with commas
    #[arg(long = "keys-file", help_heading = "Keys", value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
    /// Environment variable with keys, separated by commas
    #[arg(long = "keys-env", help_heading = "Keys", value_name = "NAME")]
    pub(crate) environment: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Mode {
    /// The operator's: callers need none
    Private,
    /// The callers' own: each presents a key, and once that has worked, is served with any key of all callers. Owners of
    /// keys can see what is sent with them
    Commune,
}

#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum LogFormat {
    Text,
    Json,
}

pub(crate) enum Parsed {
    Command(Box<Command>),
    Help(String),
    Wrong(Problem),
}

pub(crate) fn parse() -> Parsed {
    match Cli::try_parse() {
        Ok(cli) => Parsed::Command(Box::new(cli.command)),
        Err(error) if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) => {
            Parsed::Help(error.to_string())
        }
        Err(error) => Parsed::Wrong(problem(&error)),
    }
}

/// The first paragraph of what clap has to say, in one line. What stands where no value belongs may be a key.
fn problem(error: &clap::Error) -> Problem {
    let stray = match error.get(ContextKind::InvalidArg) {
        Some(ContextValue::String(text)) => !text.starts_with("--") && error.kind() == ErrorKind::UnknownArgument,
        _ => error.kind() == ErrorKind::InvalidSubcommand,
    };
    if stray {
        return "there is an argument that belongs to no option (not shown: it may be a key); try --help".into();
    }
    if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        return "say `proxy serve`, `proxy demo`, or `proxy keys` and what to do with them; try --help".into();
    }
    let text = error.to_string();
    let first = text.split("\n\n").next().unwrap_or_default().trim_start_matches("error: ");
    first.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn address(text: &str) -> Result<SocketAddr, &'static str> {
    let numeric = text.strip_prefix("localhost:").map(|port| format!("127.0.0.1:{port}"));
    numeric.as_deref().unwrap_or(text).parse().map_err(|_| "an IP address and a port are needed, as in 127.0.0.1:8080")
}

fn rate(text: &str) -> Result<Rate, Problem> {
    let (count, duration) = text.split_once('/').ok_or("a rate looks like 1/2s")?;
    let count: u32 = count.parse().map_err(|_| "the number before / is no whole number")?;
    if count == 0 {
        return Err("the number before / must be 1 or more".into());
    }
    Ok(Rate::new(span(duration)? / count))
}

fn span(text: &str) -> Result<Duration, Problem> {
    let span = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    if span.is_zero() { Err("it must be longer than 0s".into()) } else { Ok(span) }
}
