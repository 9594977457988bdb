//! Rules on the body: that it is what it looks like, and that what it asks for is allowed.

use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::request::Parts;
use http::{HeaderName, Method};

use super::rule::{Kind, Reason, Rule};
use super::{elsewhere, query};
use crate::demand::Demand;
use crate::demand::json::{Found, Look};

const MODEL: &str = "model";
/// The models to fall back to: judged as `model` is.
const MODELS: &str = "models";
/// What else may choose a model, at `OpenRouter` and at gateways.
const CHOOSERS: [&str; 6] =
    ["fallbacks", "context_window_fallbacks", "content_policy_fallbacks", "plugins", "preset", "route"];
/// What JSON may be declared as: only in UTF-8 does it read as it was judged.
const CHARSETS: [&str; 3] = ["", "charset=utf-8", "charset=\"utf-8\""];

#[derive(Clone, Debug)]
pub(super) struct BodyRules {
    pub(super) rules: Vec<Rule>,
    pub(super) kept: Vec<Box<str>>,
    pub(super) longest: usize,
}

impl Default for BodyRules {
    fn default() -> Self {
        Self { rules: Vec::new(), kept: Vec::new(), longest: 1 << 20 }
    }
}

impl BodyRules {
    /// What a request that keeps the rules asks for.
    pub(super) fn judge(&self, head: &Parts, body: &[u8]) -> Result<Demand, Reason> {
        let Some(first) = self.rules.first().filter(|_| !body.is_empty() || takes_body(&head.method)) else {
            return Ok(Demand::default());
        };
        if body.is_empty() {
            return Err(first.missing());
        }
        check_headers(head)?;
        let look = Look::new(body, &self.paths()).map_err(|error| error.to_string())?;
        let named = elsewhere::in_path(head.uri.path());
        self.rules.iter().try_for_each(|rule| self.judge_rule(rule, &look, head, &named))?;
        Ok(self.demand(&look, &named))
    }

    /// A body that has not been read whole may hold anything.
    pub(super) fn judge_too_long(&self) -> Result<(), Reason> {
        if self.rules.is_empty() {
            return Ok(());
        }
        Err("the request body is too long to be judged, or did not arrive whole".into())
    }

    fn paths(&self) -> Vec<&str> {
        let judged = self.rules.iter().map(|rule| &*rule.name);
        let beside = [MODELS].into_iter().chain(CHOOSERS).filter(|_| self.judges_model());
        judged.chain(beside).collect()
    }

    fn judge_rule(&self, rule: &Rule, look: &Look<'_>, head: &Parts, named: &Found<'_>) -> Result<(), Reason> {
        let found = look.at(&rule.name);
        if *rule.name != *MODEL {
            return rule.judge(found);
        }
        rule.judge_if_named(Kind::Path, named)?;
        rule.judge_if_named(Kind::Query, &query::find(head.uri.query().unwrap_or_default(), MODEL))?;
        // Where the path names the model, the body need not.
        if *named == Found::Missing || *found != Found::Missing {
            rule.judge(found)?;
        }
        self.judge_model(rule, found, look)
    }

    /// What a rule on `model` means for the rest of the body.
    fn judge_model(&self, rule: &Rule, found: &Found<'_>, look: &Look<'_>) -> Result<(), Reason> {
        if matches!(found, Found::Text(model) if model.len() > Demand::MAX_LEN) {
            return Err(rule.refuse(MODEL, "is too long"));
        }
        match look.at(MODELS) {
            Found::Missing => (),
            Found::Texts(models) => models.iter().try_for_each(|model| rule.judge_text(MODELS, model))?,
            Found::Ambiguous => return Err(rule.ambiguous(MODELS)),
            _ => return Err(rule.refuse(MODELS, "must be a short array of strings")),
        }
        let chooser = CHOOSERS.iter().find(|name| !self.is_kept(name) && *look.at(name) != Found::Missing);
        chooser.map_or(Ok(()), |name| Err(rule.refuse(name, "may choose another model and is not allowed")))
    }

    fn judges_model(&self) -> bool {
        self.rules.iter().any(|rule| *rule.name == *MODEL)
    }

    /// A rule on the model tells what is asked for, too.
    fn demand(&self, look: &Look<'_>, named: &Found<'_>) -> Demand {
        match (named, look.at(MODEL)) {
            (Found::Text(model), _) | (_, Found::Text(model)) if self.judges_model() => Demand::default().model(model),
            _ => Demand::default(),
        }
    }

    fn is_kept(&self, name: &str) -> bool {
        self.kept.iter().any(|kept| **kept == *name)
    }
}

fn takes_body(method: &Method) -> bool {
    ![Method::GET, Method::HEAD, Method::DELETE, Method::OPTIONS, Method::TRACE].contains(method)
}

/// The provider must read the body as it is judged: as JSON, in UTF-8, and not as what comes out of a decoder.
fn check_headers(head: &Parts) -> Result<(), Reason> {
    if !values(head, &CONTENT_ENCODING).all(|coding| coding.trim().eq_ignore_ascii_case("identity")) {
        return Err("the request body must not be encoded".into());
    }
    let mut types = values(head, &CONTENT_TYPE);
    match (types.next(), types.next()) {
        (Some(only), None) if is_json(&only) => Ok(()),
        _ => Err("the request body must be declared as application/json, in UTF-8".into()),
    }
}

fn values<'h>(head: &'h Parts, name: &HeaderName) -> impl Iterator<Item = String> + use<'h> {
    head.headers.get_all(name).iter().map(|value| String::from_utf8_lossy(value.as_bytes()).to_ascii_lowercase())
}

fn is_json(content_type: &str) -> bool {
    let (essence, parameter) = content_type.split_once(';').unwrap_or((content_type, ""));
    let essence = essence.trim();
    let is_json = essence == "application/json" || (essence.starts_with("application/") && essence.ends_with("+json"));
    is_json && CHARSETS.contains(&parameter.trim())
}
