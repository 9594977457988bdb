//! The proxy of `examples/proxy`, as a process of its own, between callers and a provider of this test.
//!
//! Numbers of attacks are those of the list that the design was made against.
#![allow(clippy::print_stdout, reason = "what is measured is of interest beyond its bound")]

mod caller;
mod commune;
#[cfg(all(feature = "hyper-client", feature = "reqwest", feature = "reqwest-middleware"))]
mod connections;
mod credentials;
mod failures;
mod floods;
mod framing;
mod hostile;
mod keytool;
mod leaving;
mod load;
mod models;
mod program;
mod provider;
mod routing;
mod sdk;
mod starting;
mod streams;
mod targets;

use program::Proxy;
use provider::Provider;

/// The key of most pools here.
const KEY: &str = "sk-pool-0123456789abcdefghij";

/// A provider, and a proxy with one key in front of it.
async fn pair(options: &[&str]) -> (Provider, Proxy) {
    let provider = Provider::start();
    let proxy = Proxy::serve(&provider, &[&["--key", KEY], options].concat()).await;
    (provider, proxy)
}
