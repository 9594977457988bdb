//! What is in requests: which of them are let through, what of them is changed, and what they are routed by.
#![allow(clippy::doc_markdown, reason = "doc comments here are the text of --help")]

use clap::Args;
use http::request::Parts;
use key_commune::demand::{Demand, Inspect, Inspection, Routing};
use key_commune::rewrite::{DropFields, StripPrefix};
use key_commune::rules::{RuleError, Rules};
use key_commune::{KeyCommuneLayer, KeyPool};

use crate::Problem;

const HEADING: &str = "What is let through, and changed";

#[derive(Args)]
pub(crate) struct Content {
    /// Refuse requests whose model does not match this pattern, such as '^gpt-4o-mini$', with 400; without ^ and $ it
    /// matches anywhere. Judged are the path, if it names a model, and the JSON body of every request that has or must have
    /// one; any other body is refused
    #[arg(long, help_heading = HEADING, value_name = "REGEX", allow_hyphen_values = true)]
    allow_model: Option<String>,
    /// Refuse requests whose path, as it is sent to the provider and with the query behind it, does not match, such as
    /// '^/v1/chat/'. All patterns that are given must match. May be repeated
    #[arg(long, help_heading = HEADING, value_name = "REGEX", allow_hyphen_values = true)]
    allow_path: Vec<String>,
    /// Refuse requests without this parameter in the query, once, or with a value that does not match. May be repeated
    #[arg(long, help_heading = HEADING, value_name = "NAME=REGEX", value_parser = rule)]
    allow_query: Vec<(String, String)>,
    /// Refuse requests without this member in the JSON body, or with a value that does not match, such as
    /// 'metadata.team=^(red|blue)$'; judged as for --allow-model. May be repeated
    #[arg(long, help_heading = HEADING, value_name = "FIELD=REGEX", value_parser = rule)]
    allow_field: Vec<(String, String)>,
    /// Let this member stand beside a judged model although it may choose another one: fallbacks, plugins, preset, route …
    /// May be repeated
    #[arg(long, help_heading = HEADING, value_name = "FIELD")]
    keep_field: Vec<String>,
    /// Take this off the front of the model, so that openai/gpt-4o is sent as gpt-4o, and so known to keys with models=. Rules
    /// judge it as it comes. May be repeated
    #[arg(long, help_heading = HEADING, value_name = "PREFIX/", value_parser = prefix)]
    strip_prefix: Vec<String>,
    /// Leave this member of the JSON body out, for providers that refuse it. May be repeated
    #[arg(long, help_heading = HEADING, value_name = "FIELD", value_parser = field)]
    drop_field: Vec<String>,
    /// How much of a body is read before its request is sent, so that it can be judged, routed, changed, and sent again with
    /// another key. A longer one is refused if rules judge bodies; else it goes once, as it is, with any key, whatever
    /// models= says. All requests together hold at most 64 MiB
    #[arg(long, help_heading = HEADING, value_name = "BYTES", default_value_t = 1 << 20)]
    pub(crate) max_body: usize,
}

impl Content {
    /// The rules, if there are any.
    pub(crate) fn rules(&self) -> Result<Option<Rules>, Problem> {
        if !self.keep_field.is_empty() && !self.judges_model() {
            return Err("--keep-field spares what stands beside a judged model; give --allow-model".into());
        }
        let mut rules = Rules::new().max_body(self.max_body);
        let told = |flag: &'static str| move |error: RuleError| format!("{flag}: {error}");
        for pattern in &self.allow_path {
            rules = rules.path(pattern).map_err(told("--allow-path"))?;
        }
        for (name, pattern) in &self.allow_query {
            rules = rules.query(name, pattern).map_err(told("--allow-query"))?;
        }
        for (name, pattern) in &self.allow_field {
            rules = rules.body(name, pattern).map_err(told("--allow-field"))?;
        }
        if let Some(pattern) = &self.allow_model {
            rules = rules.body("model", pattern).map_err(told("--allow-model"))?;
        }
        let rules = self.keep_field.iter().fold(rules, |rules, name| rules.keep(name));
        let judges = self.allow_model.is_some() || !self.allow_path.is_empty();
        Ok((judges || !self.allow_query.is_empty() || !self.allow_field.is_empty()).then_some(rules))
    }

    fn judges_model(&self) -> bool {
        self.allow_model.is_some() || self.allow_field.iter().any(|(name, _)| name == "model")
    }

    /// A layer that judges, routes and changes requests so.
    pub(crate) fn apply(&self, layer: KeyCommuneLayer, rules: Option<Rules>, finder: Finder) -> KeyCommuneLayer {
        let layer = layer.max_replay(self.max_body);
        let layer = match rules {
            Some(rules) => layer.inspect(rules.then(finder)),
            None => layer.inspect(finder),
        };
        let strip = |layer: KeyCommuneLayer, prefix: &String| layer.rewrite(StripPrefix::new(prefix.clone()));
        let layer = self.strip_prefix.iter().fold(layer, strip);
        if self.drop_field.is_empty() { layer } else { layer.rewrite(DropFields::new(self.drop_field.clone())) }
    }

    /// Finds out what the pool can make use of, and what a routing that refuses has to know.
    pub(crate) fn finder(&self, pool: &KeyPool, routing: &Routing) -> Finder {
        let looking = |look| if routing.may_refuse() { routing.clone() } else { routing.clone().models(look) };
        let (by_model, usual) = (looking(true), looking(false));
        Finder { pool: pool.clone(), usual, by_model, prefixes: self.strip_prefix.clone() }
    }
}

/// Finds out what requests ask for, as far as that makes a difference: models only while a key of the pool, of
/// which there may be others in a moment, serves some of them.
pub(crate) struct Finder {
    pool: KeyPool,
    usual: Routing,
    by_model: Routing,
    /// What is not part of a model's name.
    prefixes: Vec<String>,
}

impl Finder {
    fn routing(&self) -> &Routing {
        if self.pool.tells_models_apart() { &self.by_model } else { &self.usual }
    }

    /// The same as it will be sent.
    fn stripped(&self, found: Inspection) -> Inspection {
        match found {
            Inspection::Demand(demand) => Inspection::Demand(self.prefixes.iter().fold(demand, strip)),
            found => found,
        }
    }
}

fn strip(demand: Demand, prefix: &String) -> Demand {
    let bare = |model: &str| Some(model.strip_prefix(&**prefix)?.strip_prefix('/')?.to_owned());
    match demand.model_name().and_then(bare).filter(|bare| !bare.is_empty()) {
        Some(bare) => demand.model(&bare),
        None => demand,
    }
}

impl Inspect for Finder {
    fn inspect(&self, head: &Parts, body: Option<&[u8]>) -> Inspection {
        self.stripped(self.routing().inspect(head, body))
    }

    fn too_long(&self, head: &Parts) -> Inspection {
        self.stripped(self.routing().too_long(head))
    }

    fn may_refuse(&self) -> bool {
        self.routing().may_refuse()
    }
}

fn rule(text: &str) -> Result<(String, String), &'static str> {
    match text.split_once('=') {
        Some((name, pattern)) if !name.is_empty() => Ok((name.to_owned(), pattern.to_owned())),
        _ => Err("a name, = and a pattern are needed, as in stream=^true$"),
    }
}

/// With or without its slash.
fn prefix(text: &str) -> Result<String, &'static str> {
    let bare = text.strip_suffix('/').unwrap_or(text);
    if bare.is_empty() { Err("what stands before the slash is needed, as in openai/") } else { Ok(bare.to_owned()) }
}

fn field(text: &str) -> Result<String, &'static str> {
    if text.is_empty() { Err("the name of a member is needed") } else { Ok(text.to_owned()) }
}
