//! The pool with its keys: those of the store, and those that the options bring.

use std::collections::HashMap;
use std::fmt;

use key_commune::Origin;
use key_commune::pool::{Builder, Commune, Key, KeyPool, Limits, MemberSnapshot};
use key_commune::provider::Provider;
use key_commune::record::Traits;
use key_commune::secret::Pepper;
use tracing::{info, warn};

use crate::Problem;
use crate::cli::{Mode, Serve};
use crate::entry::Entry;
use crate::keeping::Keeping;
use crate::keys;
use crate::said::Said;
use crate::vault::{Opened, Safe};

const NONE: &str = "there is no key; give some with --keys-file, --keys-env or --key, add some with `proxy keys import`, or --mode commune";

pub(crate) async fn pool(options: &Serve, mode: Mode, row: Provider) -> Result<(KeyPool, Option<Keeping>), Problem> {
    let entries = keys::read(&options.keys, &options.allow_http)?;
    let safe = options.store.safe()?;
    let must_bring = mode == Mode::Private && safe.as_ref().is_none_or(|safe| !safe.path.exists());
    if must_bring && entries.is_empty() {
        return Err(NONE.into());
    }
    let builder = builder(options, mode, row);
    let (pool, keeping) = match safe {
        Some(safe) => kept(&safe, builder, entries).await?,
        None => (build(builder.keys(entries.into_iter().map(Key::from)))?, None),
    };
    if mode == Mode::Private && pool.snapshot().members.is_empty() {
        return Err(keeping
            .as_ref()
            .and_then(Keeping::left_over)
            .map_or(NONE.into(), |left| format!("{left}; {NONE}")));
    }
    keeping.iter().for_each(Keeping::tell);
    Ok((pool, keeping))
}

async fn kept(safe: &Safe, builder: Builder, entries: Vec<Entry>) -> Result<(KeyPool, Option<Keeping>), Problem> {
    let Opened { vault, made } = safe.open().await?;
    if let Some(made) = made {
        info!("{made}");
    }
    let pepper = vault.pepper();
    let pool = build(builder.pepper(pepper.clone()))?;
    let keeping = Keeping::open(&pool, vault).await?;
    let mut new = new(&pool, &pepper, entries)?;
    if keeping.left_out() > 0 && !new.is_empty() {
        warn!("{} given keys are not in use: there are more in the store than the pool takes", new.len());
        new.clear();
    }
    pool.extend(new).map_err(|error| error.to_string())?;
    Ok((pool, Some(keeping)))
}

/// Those that the store does not have. What the store knows of the others stands, so it must know where they go, and
/// whoever has said something else in a file hears of it.
fn new(pool: &KeyPool, pepper: &Pepper, entries: Vec<Entry>) -> Result<Vec<Key>, Problem> {
    if entries.is_empty() {
        return Ok(Vec::new());
    }
    let (name, members) = (pool.provider().name(), pool.snapshot().members);
    let known: HashMap<_, _> = members.iter().map(|member| (member.id, member)).collect();
    let (mut new, mut ignored) = (Vec::new(), 0);
    for entry in entries {
        match known.get(&pepper.id(name, &entry.secret)) {
            None => new.push(entry.into()),
            Some(member) => {
                check(member, &entry.said)?;
                ignored += usize::from(says_otherwise(member, &entry.said));
            }
        }
    }
    if ignored > 0 {
        warn!(
            "{ignored} given keys have another label or other traits in the store, which stand; `proxy keys set` changes them"
        );
    }
    Ok(new)
}

fn says_otherwise(member: &MemberSnapshot, said: &Said) -> bool {
    let renamed = said.label.is_some() && said.label != member.label;
    renamed || (said.traits != Traits::default() && said.traits != member.traits)
}

fn check(member: &MemberSnapshot, said: &Said) -> Result<(), Problem> {
    if member.origin == said.origin.as_ref().map(Origin::to_string) {
        return Ok(());
    }
    Err(format!("the key {} has another base URL in the store; `proxy keys set` changes it", member.key))
}

fn build(builder: Builder) -> Result<KeyPool, Problem> {
    builder.build().map_err(|error| error.to_string())
}

fn builder(options: &Serve, mode: Mode, row: Provider) -> Builder {
    let builder = options.choosing.builder(row);
    match mode {
        Mode::Private => {
            // A preset has limits of its own, unless others are given.
            let each = Some(options.limiting.each()).filter(|each| *each != Limits::default());
            each.into_iter().fold(builder, Builder::limits).pool_limits(options.limiting.all())
        }
        Mode::Commune if options.choosing.rules_callers() => builder.max_keys(seats(options)),
        Mode::Commune => builder.commune(commune(options)).max_keys(seats(options)),
    }
}

fn seats(options: &Serve) -> usize {
    options.max_keys.unwrap_or(200) as usize
}

fn commune(options: &Serve) -> Commune {
    let burst = options.limiting.burst.unwrap_or(1);
    let mut rules = Commune::default();
    if let Some(rate) = options.rate_per_caller {
        rules = rules.rate(rate.burst(burst));
    }
    options.credit.map_or(rules.clone(), |credit| rules.credit(credit))
}

/// How many keys there are, and what is special about them.
pub(crate) struct Stock {
    keys: usize,
    special: Vec<(usize, &'static str)>,
}

impl Stock {
    pub(crate) fn of(pool: &KeyPool) -> Self {
        let members = pool.snapshot().members;
        let count = |is: fn(&MemberSnapshot) -> bool| members.iter().filter(|member| is(member)).count();
        let special = vec![
            (count(|member| member.traits.models.is_some()), "for some models only"),
            (count(|member| member.traits.weight.get() > 1), "with a weight"),
            (count(|member| member.traits.tier > 0), "behind the first tier"),
            (count(|member| member.traits.group.is_some()), "in a group"),
            (count(|member| member.origin.is_some()), "with a base URL of their own"),
        ];
        Self { keys: members.len(), special }
    }
}

impl fmt::Display for Stock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.keys)?;
        let mut special = self.special.iter().filter(|(count, _)| *count > 0);
        special.try_for_each(|(count, what)| write!(f, ", {count} {what}"))
    }
}
