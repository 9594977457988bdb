//! The proxy with everything it needs to be tried: a fake provider, and a good, a revoked and a throttled key.

use std::net::SocketAddr;

use key_commune::pool::{Key, KeyPool};
use key_commune::provider::Provider;

use crate::cli::Demo;
use crate::settings::Settings;
use crate::{Problem, fake, server};

pub(crate) async fn run(options: Demo) -> Result<(), Problem> {
    let provider = fake::start().await.map_err(|error| format!("the fake provider: {error}"))?;
    let pool = pool(provider)?;
    server::run(Settings::local(&options.common, pool)?, move |proxy| print!("{}", greeting(proxy, provider))).await
}

fn pool(provider: SocketAddr) -> Result<KeyPool, Problem> {
    let key = |text: &str, label| Key::new(text).map(|key| key.label(label)).map_err(|error| error.to_string());
    let keys = [key(fake::GOOD, "good")?, key(fake::REVOKED, "revoked")?, key(fake::THROTTLED, "throttled")?];
    let row = Provider::custom(format!("http://{provider}"));
    KeyPool::builder(row).keys(keys).build().map_err(|error| error.to_string())
}

fn greeting(proxy: SocketAddr, provider: SocketAddr) -> String {
    format!(
        r#"A fake provider answers on http://{provider}: it takes one of the three keys, has revoked one, and throttles one.
Callers need no key and see no refusal:

  curl http://{proxy}/v1/models
  curl http://{proxy}/v1/chat/completions -d '{{"model":"demo-1","messages":[]}}'
  curl -N http://{proxy}/v1/chat/completions -d '{{"model":"demo-1","messages":[],"stream":true}}'
  curl http://{proxy}/health

RUST_LOG=proxy=debug shows which key served each of them. Ctrl-C ends it.
"#
    )
}
