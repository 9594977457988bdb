//! A Tower layer that gives any HTTP client a pool of API keys.
//!
//! An HTTP API that is paid by the key answers one key too often with 429, one day with 401, and always at the wrong
//! time. [`KeyCommuneLayer`] wraps the client: it takes the credential out of each outgoing request, puts the best key of a
//! [`KeyPool`] in, watches the answer to learn how that key is doing, and moves on to another key when this one is
//! rejected or throttled. Callers never see a failure that another key could have served.
//!
//! ```
//! use bytes::Bytes;
//! use http::{Request, Response};
//! use http_body_util::Full;
//! use key_commune::{KeyCommuneLayer, KeyPool, Provider};
//! use tower::{Layer, Service, ServiceExt, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let https_client = service_fn(|request: Request<key_commune::service::ReplayBody<Full<Bytes>>>| async move {
//! #     assert!(request.headers()["authorization"].to_str().unwrap().starts_with("Bearer sk-"));
//! #     Ok::<_, std::convert::Infallible>(Response::new(Full::<Bytes>::from("{}")))
//! # });
//! let pool = KeyPool::new(Provider::OPENAI, ["sk-one-0123456789", "sk-two-0123456789", "sk-three-0123456789"])?;
//! let mut client = KeyCommuneLayer::new(pool.clone()).layer(https_client);
//!
//! // The request carries no key.
//! let request = Request::get("https://api.openai.com/v1/models").body(Full::<Bytes>::default())?;
//! let answer = client.ready().await?.call(request).await?;
//! println!("{:?}\n{}", answer.body().served(), pool.snapshot());
//! # Ok(())
//! # }
//! ```
//!
//! # Two ways to run a pool
//!
//! | | private pool | [commune](pool::Commune) |
//! |---|---|---|
//! | whose keys | the operator's | the callers' own: each presents one |
//! | the caller's credential | is thrown away | says who it is, and joins the pool once it has proved itself |
//! | a key fails | rests; the request goes on with another | the same, and its owner is on its own until it works again |
//! | no key is left | wait within the deadline, else 429 or 503 | the caller's own key |
//!
//! # The path of a request
//!
//! ```text
//! request ─ origin? ─ strip ─▶ inspect ─▶ demand ─ pool.checkout(demand, tried, now) ─▶ lease
//!         ─ lease.origin ─ rewrite ─ slot.put ─▶ inner.call ─▶ head ─ peek (bounded) ─ classify ─▶ verdict ─ lease.settle ─▶ health
//!         ─ fail over? ─▶ back to checkout with `tried`   |   else commit the answer
//! body ─▶ scrub ─▶ last byte, error or drop ─▶ lease ends
//! ```
//!
//! Nothing flows back. But for a [`keeper`](keeper::Keeper), the crate spawns nothing; it holds no lock across an await.
//!
//! # Where to read on
//!
//! The modules below stand in reading order; each knows only those above it. To use the crate, [`service`] and [`pool`]
//! are enough. To teach it a provider, see [`provider`] and [`classify`]; to choose keys in another way, [`select`]; to
//! find out what a request asks of a key, [`demand`]; to change what is sent with it, [`rewrite`];
//! to change how long a key rests, [`health::Penalties`]; to keep what is known of keys,
//! [`keeper`] and [`store`].
//!
//! # Features
//!
//! None is on by default: the crate is a layer over whatever client there is.
//!
//! | feature | module | what it brings |
//! |---|---|---|
//! | `encryption` | [`store`] | `Encrypted`: secrets sealed by AES-256-GCM before any store sees them |
//! | `hyper-client` | `hyper_client` | an https client to put the layer on: hyper, rustls, the web's public roots |
//! | `reqwest` | `reqwest` | the layer over a `reqwest::Client` |
//! | `reqwest-middleware` | `reqwest_middleware` | the layer as a middleware: `ClientBuilder::with(layer)` |
//! | `rules` | `rules` | which requests are let through, by path, query and body |
//! | `sqlite` | [`store`] | `SqliteStore`: what is known of keys in a database that an operator can query |
//! | `full` | | all of them |

#![cfg_attr(docsrs, feature(doc_cfg))]

mod sync;

mod guard;

pub mod secret;

pub mod clock;

pub mod rate;

pub mod subnet;

pub mod origin;

mod error_body;

pub mod hint;

pub mod outcome;

pub mod health;

pub mod slot;

pub mod demand;

pub mod rewrite;

#[cfg(feature = "rules")]
pub mod rules;

pub mod classify;

pub mod provider;

pub mod scrub;

pub mod select;

pub mod usage;

pub mod record;

pub mod pool;

pub mod preset;

pub mod store;

pub mod keeper;

pub mod service;

#[cfg(feature = "hyper-client")]
pub mod hyper_client;

#[cfg(feature = "reqwest")]
pub mod reqwest;

#[cfg(feature = "reqwest-middleware")]
pub mod reqwest_middleware;

pub use origin::Origin;
pub use pool::{Key, KeyPool};
pub use provider::Provider;
pub use service::{KeyCommune, KeyCommuneLayer, Refusal, Served};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
