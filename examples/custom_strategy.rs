//! A strategy of your own: a big account takes three of four requests, and its share moves on while it rests. No network.
//!
//! ```sh
//! cargo run --example custom_strategy
//! ```
#![allow(clippy::print_stdout, reason = "an example shows what happens")]

use std::convert::Infallible;
use std::error::Error;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use key_commune::clock::Timestamp;
use key_commune::demand::Demand;
use key_commune::pool::Key;
use key_commune::secret::Pepper;
use key_commune::select::{Candidates, Place, Select};
use key_commune::service::ReplayBody;
use key_commune::{KeyCommuneLayer, KeyPool, Provider};
use tower::{Layer, Service, ServiceExt, service_fn};

type Body = Full<Bytes>;

/// Goes through a list of places in which a key stands as often as it shall be used.
struct Shares {
    order: Vec<Place>,
    turn: AtomicUsize,
}

impl Select for Shares {
    fn select(&self, candidates: &dyn Candidates, _: &Demand) -> Option<Place> {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let wanted = self.order.get(turn % self.order.len().max(1))?;
        // The place itself, or the next one that may be used now.
        candidates.at_or_after(*wanted)
    }
}

async fn provider(_: Request<ReplayBody<Body>>) -> Result<Response<Body>, Infallible> {
    Ok(Response::new(Body::from("{}")))
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let now = || Timestamp::from_unix(Duration::from_secs(1_700_000_000));
    let pool = KeyPool::builder(Provider::OPENAI)
        .clock(now)
        .pepper(Pepper::new([7; 32]))
        .select(Shares { order: vec![0, 0, 0, 1], turn: AtomicUsize::new(0) })
        .key(Key::new("sk-big-account-0123456789")?.label("three of four"))
        .key(Key::new("sk-small-account-0123456789")?.label("one of four"))
        .build()?;
    let mut client = KeyCommuneLayer::new(pool.clone()).layer(service_fn(provider));

    let mut ask = async |times: usize| -> Result<(), Box<dyn Error>> {
        for _ in 0..times {
            let request = Request::get("https://api.openai.com/v1/models").body(Body::default())?;
            client.ready().await?.call(request).await?;
        }
        Ok(())
    };

    ask(8).await?;
    println!("after 8 requests\n{}", pool.snapshot());

    let big = pool.snapshot().members.first().map(|member| member.id).ok_or("no keys")?;
    pool.block(big, now() + Duration::from_secs(60));
    ask(8).await?;
    println!("after 8 more, while the big account rests\n{}", pool.snapshot());
    Ok(())
}
