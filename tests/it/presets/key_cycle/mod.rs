//! `KeyCycleProxy`, row by row of `reference/key-cycle-proxy.md`, A4 to A6, on the preset. Where its code and its README
//! disagree, the README counts.
//!
//! | row | test, or difference |
//! |---|---|
//! | A4.1 to A4.4, A4.6 to A4.8, A4.10, A4.11 | `a4_selection` |
//! | A4.5 | `a4_selection`: 404 in the provider's shape, where there it was a 500 |
//! | A4.9 | `a4_selection`: answers are measured, not probes without a key |
//! | A5.1 | I1: joined without doubling, its query kept, `..` refused |
//! | A5.2, A5.8 | `a5_upstream` |
//! | A5.3, A5.4, A5.5 | I2: one credential, the pool's; no `Host`, nothing hop-by-hop |
//! | A5.6 | I1: a URL with a user name is no origin |
//! | A5.7 | I1: redirects go to the caller |
//! | A5.9, A5.10 | I21: the client's, as are its errors |
//! | A6.1 | I9: no repeat on the same key |
//! | A6.2 | `a6_retries`; I4: 400 and 418 are the caller's; I9: 502 may have been processed |
//! | A6.3 | I23: once with each key |
//! | A6.4 | Node's: I23, each key once, and none after the caller has gone |
//! | A6.5 | I14: the provider's own last answer |

mod a4_selection;
mod a5_upstream;
mod a6_retries;

use http::Request;
use key_commune::demand::Routing;
use key_commune::pool::{Builder, Key, KeyPool};
use key_commune::provider::Provider;
use key_commune::{KeyCommune, KeyCommuneLayer, preset};
use tower::Layer;

use super::{chat, sent};
use crate::support::{Got, Stepped, Upstream, fetch, key, ok, tokio_clock};

/// Keys with these lists of models.
fn builder(models: &[&str]) -> Builder {
    let key = |(number, models): (usize, &&str)| Key::new(key(number)).unwrap().models(models.parse().unwrap());
    preset::key_cycle(Provider::OPENAI).keys(models.iter().enumerate().map(key)).clock(tokio_clock())
}

fn pool(models: &[&str]) -> KeyPool {
    builder(models).build().unwrap()
}

fn client(pool: &KeyPool, upstream: &Upstream) -> KeyCommune<Upstream> {
    KeyCommuneLayer::new(pool.clone()).inspect(Routing::key_cycle()).layer(upstream.clone())
}

/// Sends a request to where all is well, and with which keys it went.
async fn serve(pool: &KeyPool, request: Request<Stepped>) -> (Got, Vec<usize>) {
    let upstream = Upstream::answering(|_| ok());
    (fetch(&client(pool, &upstream), request).await, sent(&upstream))
}

/// With which keys so many chats with a model go.
async fn keys_for(pool: &KeyPool, model: &str, count: usize) -> Vec<usize> {
    let mut found = Vec::new();
    for _ in 0..count {
        let (got, sent) = serve(pool, chat(model)).await;
        assert_eq!(got.status, 200);
        found.extend(sent);
    }
    found
}
