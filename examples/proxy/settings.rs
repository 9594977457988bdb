//! What is needed to serve, checked as a whole before anything starts.

use std::net::SocketAddr;
use std::time::Duration;

use key_commune::subnet::Proxies;
use key_commune::{KeyCommuneLayer, KeyPool};
use rustls::ClientConfig;
use tracing::info;

use crate::cli::{Common, Mode, Serve};
use crate::door::Door;
use crate::keeping::Keeping;
use crate::stock::Stock;
use crate::{Problem, failure, keys, row, stock, tls};

pub(crate) struct Settings {
    pub(crate) listen: SocketAddr,
    pub(crate) drain: Duration,
    pub(crate) door: Door,
    pub(crate) pool: KeyPool,
    pub(crate) layer: KeyCommuneLayer,
    pub(crate) tls: ClientConfig,
    pub(crate) timeouts: Timeouts,
    /// Who may say where callers come from, if anybody wants to know.
    pub(crate) proxies: Option<Proxies>,
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
        options.choosing.check(options, mode)?;
        options.limiting.check(options, mode)?;
        let rules = options.content.rules()?;
        let (pool, keeping) = stock::pool(options, mode, row).await?;
        let follows = mode == Mode::Private;
        let routing = options.choosing.routing().previous_responses(follows).max_body(options.content.max_body);
        let finder = options.content.finder(&pool, &routing.tokens(options.limiting.counts_tokens()));
        let mut settings = Self::new(&options.common, pool, options.max_wait, (door, tls, timeouts));
        // What nobody keeps, or limits, need not be counted.
        let counts = keeping.is_some() || options.limiting.counts_tokens();
        let layer = settings.layer.usage(counts).follow_responses(follows).heed_limits(options.choosing.heed_limits);
        settings.layer = options.content.apply(layer, rules, finder);
        let told = keeping.is_some() || mode == Mode::Commune;
        settings.proxies = told.then(|| options.trusted_proxy.iter().copied().collect());
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
        let (listen, drain) = (common.listen, common.drain);
        Self { listen, drain, door, pool, layer, tls, timeouts, proxies: None, keeping: None }
    }
}

/// Says by what keys are chosen.
pub(crate) fn tell(options: &Serve, pool: &KeyPool) {
    info!("strategy: {}", options.choosing);
    if !pool.is_commune() {
        info!("limits: {}", options.limiting);
        info!("keys: {}", Stock::of(pool));
    }
}

/// Callers of a commune present one key, and it is their own.
fn check_door(door: &Door) -> Result<(), Problem> {
    if door.is_open() { Ok(()) } else { Err("--proxy-key-env: callers of a commune present keys of their own".into()) }
}

/// Whoever reaches a proxy without a door spends its keys.
fn check_reach(common: &Common, door: &Door, open: bool) -> Result<(), Problem> {
    if common.listen.ip().is_loopback() || !door.is_open() || open {
        return Ok(());
    }
    Err(format!("{} can be reached from other machines; set --proxy-key-env, or --open for everybody", common.listen))
}
