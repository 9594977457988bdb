//! What is needed to serve, checked as a whole before anything starts.

use std::net::SocketAddr;
use std::time::Duration;

use key_commune::rules::Rules;
use key_commune::subnet::Proxies;
use key_commune::{KeyCommuneLayer, KeyPool};
use rustls::ClientConfig;

use crate::cli::{Common, Mode, Serve};
use crate::door::Door;
use crate::keeping::Keeping;
use crate::{Problem, failure, keys, row, stock, tls};

pub(crate) struct Settings {
    pub(crate) listen: SocketAddr,
    pub(crate) drain: Duration,
    pub(crate) door: Door,
    pub(crate) pool: KeyPool,
    pub(crate) layer: KeyCommuneLayer,
    pub(crate) tls: ClientConfig,
    pub(crate) timeouts: Timeouts,
    pub(crate) proxies: Proxies,
    /// What keeps the pool in a store, if anything does.
    pub(crate) keeping: Option<Keeping>,
}

#[derive(Clone, Copy)]
pub(crate) struct Timeouts {
    pub(crate) connect: Duration,
    pub(crate) head: Duration,
    pub(crate) idle: Duration,
}

impl Settings {
    /// The store comes last: who is started wrongly makes none.
    pub(crate) async fn read(options: &Serve) -> Result<Self, Problem> {
        let row = row::read(options)?;
        let door = Door::read(options.proxy_key_env.as_deref())?;
        let usual = if keys::are_given(&options.keys) { Mode::Private } else { Mode::Commune };
        let mode = options.mode.unwrap_or(usual);
        match mode {
            Mode::Private => check_reach(&options.common, &door, options.open)?,
            Mode::Commune => check_door(&door)?,
        }
        let tls = tls::config(options.ca_file.as_deref())?;
        let timeouts =
            Timeouts { connect: options.connect_timeout, head: options.head_timeout, idle: options.idle_timeout };
        let rules = rules(options.allow_model.as_deref())?;
        let (pool, keeping) = stock::pool(options, mode, row).await?;
        let mut settings = Self::new(&options.common, pool, options.max_wait, (door, tls, timeouts));
        if let Some(rules) = rules {
            settings.layer = settings.layer.inspect(rules);
        }
        // What nobody keeps need not be counted.
        settings.layer = settings.layer.usage(keeping.is_some());
        settings.proxies = options.trusted_proxy.iter().copied().collect();
        settings.keeping = keeping;
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
        let proxies = Proxies::default();
        Self { listen: common.listen, drain: common.drain, door, pool, layer, tls, timeouts, proxies, keeping: None }
    }
}

/// Callers of a commune present one key, and it is their own.
fn check_door(door: &Door) -> Result<(), Problem> {
    if door.is_open() { Ok(()) } else { Err("--proxy-key-env: callers of a commune present keys of their own".into()) }
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
