//! What is needed to serve, checked as a whole before anything starts.

use std::net::SocketAddr;
use std::time::Duration;

use key_commune::rules::Rules;
use key_commune::{KeyCommuneLayer, KeyPool};
use rustls::ClientConfig;

use crate::cli::{Common, Serve};
use crate::door::Door;
use crate::{Problem, failure, keys, row, tls};

pub(crate) struct Settings {
    pub(crate) listen: SocketAddr,
    pub(crate) drain: Duration,
    pub(crate) door: Door,
    pub(crate) pool: KeyPool,
    pub(crate) layer: KeyCommuneLayer,
    pub(crate) tls: ClientConfig,
    pub(crate) timeouts: Timeouts,
}

#[derive(Clone, Copy)]
pub(crate) struct Timeouts {
    pub(crate) connect: Duration,
    pub(crate) head: Duration,
    pub(crate) idle: Duration,
}

impl Settings {
    pub(crate) fn read(options: &Serve) -> Result<Self, Problem> {
        let row = row::read(options)?;
        let door = Door::read(options.proxy_key_env.as_deref())?;
        check_reach(&options.common, &door, options.open)?;
        let tls = tls::config(options.ca_file.as_deref())?;
        let keys = keys::read(&options.keys, &options.allow_http)?;
        let pool = KeyPool::builder(row).keys(keys).build().map_err(|error| error.to_string())?;
        let timeouts =
            Timeouts { connect: options.connect_timeout, head: options.head_timeout, idle: options.idle_timeout };
        let rules = rules(options.allow_model.as_deref())?;
        let mut settings = Self::new(&options.common, pool, options.max_wait, (door, tls, timeouts));
        if let Some(rules) = rules {
            settings.layer = settings.layer.inspect(rules);
        }
        Ok(settings)
    }

    /// The settings of a pool that everybody on this machine may use.
    pub(crate) fn local(common: &Common, pool: KeyPool) -> Result<Self, Problem> {
        let door = Door::read(None)?;
        check_reach(common, &door, false)?;
        let span = Duration::from_secs;
        let timeouts = Timeouts { connect: span(5), head: span(600), idle: span(300) };
        Ok(Self::new(common, pool, Duration::ZERO, (door, tls::config(None)?, timeouts)))
    }

    fn new(common: &Common, pool: KeyPool, max_wait: Duration, rest: (Door, ClientConfig, Timeouts)) -> Self {
        let (door, tls, timeouts) = rest;
        let layer = KeyCommuneLayer::new(pool.clone()).rebase().scrub().max_wait(max_wait);
        let layer = layer.never_sent(failure::was_never_sent);
        Self { listen: common.listen, drain: common.drain, door, pool, layer, tls, timeouts }
    }
}

fn rules(model: Option<&str>) -> Result<Option<Rules>, Problem> {
    let rules = model.map(|pattern| Rules::new().body("model", pattern)).transpose();
    rules.map_err(|error| format!("--allow-model: {error}"))
}

/// Whoever reaches a proxy without a door spends its keys.
fn check_reach(common: &Common, door: &Door, open: bool) -> Result<(), Problem> {
    if common.listen.ip().is_loopback() || !door.is_open() || open {
        return Ok(());
    }
    Err(format!("{} can be reached from other machines; set --proxy-key-env, or --open for everybody", common.listen))
}
