//! Which requests are let through at all: [`Rules`] on path, query and body, judged before a key is chosen.
//!
//! A rule holds for what the provider will read, or the request is refused. So what two readers could read differently is
//! refused too: members or parameters that occur twice, names that only some take for the judged one, bodies that are
//! not plain JSON. Rules keep honest callers on the right models and careless ones from expensive ones; what a tool
//! inside a request may spend is not theirs to judge.

mod body;
mod elsewhere;
mod error;
mod query;
mod rule;

use std::sync::Arc;

use http::request::Parts;
use http::uri::PathAndQuery;

use crate::demand::{Demand, Inspect, Inspection};
use crate::guard::guarded;
use body::BodyRules;
pub use error::RuleError;
use rule::{Kind, Reason, Rule};

/// Which requests are let through. All rules must hold; those on path and query are judged first, and the first that
/// fails is the reason of the refusal.
///
/// Patterns are those of the [regex](https://docs.rs/regex) crate, and match anywhere in a value: `^` and `$` tie them down.
///
/// ```
/// use key_commune::rules::Rules;
/// use key_commune::{KeyCommuneLayer, KeyPool, Provider};
///
/// let pool = KeyPool::new(Provider::OPENAI, ["sk-one-0123456789", "sk-two-0123456789"])?;
/// let rules = Rules::new().path("^/v1/chat/")?.body("model", "^gpt-4o(-mini)?$")?;
/// let layer = KeyCommuneLayer::new(pool).inspect(rules);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Rules {
    head: Vec<Rule>,
    body: BodyRules,
    next: Option<Arc<dyn Inspect>>,
}

impl Rules {
    /// No rules yet: everything is let through.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The path must match, as it is sent to the pool's origin: with the origin's own path before it and the query
    /// behind it. A pattern without `^` may match in the query.
    ///
    /// # Errors
    /// When the pattern is none, or too large.
    pub fn path(mut self, pattern: &str) -> Result<Self, RuleError> {
        self.head.push(Rule::new(Kind::Path, "path", pattern)?);
        Ok(self)
    }

    /// This query parameter must be there, once, and its decoded value must match.
    ///
    /// # Errors
    /// When the pattern is none, or too large.
    pub fn query(mut self, name: &str, pattern: &str) -> Result<Self, RuleError> {
        self.head.push(Rule::new(Kind::Query, name, pattern)?);
        Ok(self)
    }

    /// This member of the JSON body must be there, once, and its value must match: a string, number or boolean. Dots
    /// lead into objects, as in `metadata.user_id`.
    ///
    /// A GET, HEAD, DELETE, OPTIONS or TRACE without a body has nothing to judge and is let through; every other request
    /// must have a body, sent plainly as `application/json`.
    ///
    /// A rule on `model` holds for each entry of `models` as well, the fallbacks that `OpenRouter` takes; and other
    /// members that may choose a model (`fallbacks`, `plugins`, `preset`, `route` …) are refused unless
    /// [kept](Self::keep). It holds for a model in the query, and for one in the path, which providers take instead of that in the
    /// body: Azure's `…/deployments/{model}/…`, the older `…/engines/{model}/…`, Gemini's `…/models/{model}:method`. The
    /// body need not name one then. Where another path chooses the model, a rule on the [path](Self::path) judges it.
    ///
    /// # Errors
    /// When the pattern is none, or too large.
    pub fn body(mut self, path: &str, pattern: &str) -> Result<Self, RuleError> {
        self.body.rules.push(Rule::new(Kind::Body, path, pattern)?);
        Ok(self)
    }

    /// Lets this member of the body stand beside a judged `model` although it may choose another one.
    #[must_use]
    pub fn keep(mut self, member: &str) -> Self {
        self.body.kept.push(member.into());
        self
    }

    /// The longest body that is judged; a longer one is refused if there is a rule on bodies. Default: 1 MiB. No more
    /// is judged than the layer keeps of a request, see [`max_replay`](crate::KeyCommuneLayer::max_replay).
    #[must_use]
    pub fn max_body(mut self, bytes: usize) -> Self {
        self.body.longest = bytes;
        self
    }

    /// What finds out the demand of a request that passes. Default: its `model` if a rule judges that, else nothing.
    #[must_use]
    pub fn then(mut self, inspect: impl Inspect + 'static) -> Self {
        self.next = Some(Arc::new(inspect));
        self
    }

    fn judge_head(&self, head: &Parts) -> Result<(), Reason> {
        let path = head.uri.path_and_query().map_or("/", PathAndQuery::as_str);
        self.head.iter().try_for_each(|rule| match rule.kind {
            Kind::Query => rule.judge(&query::find(head.uri.query().unwrap_or_default(), &rule.name)),
            _ => rule.judge_text(&rule.name, path),
        })
    }

    fn judge(&self, head: &Parts, body: Option<&[u8]>) -> Result<Inspection, Reason> {
        self.judge_head(head)?;
        Ok(match body {
            _ if self.body.rules.is_empty() => self.ask(Demand::default(), |next| next.inspect(head, body)),
            None => Inspection::NeedsBody(self.body.longest),
            Some(body) => self.ask(self.body.judge(head, body)?, |next| inspect_whole(next, head, body)),
        })
    }

    fn judge_too_long(&self, head: &Parts) -> Result<Inspection, Reason> {
        self.judge_head(head)?;
        self.body.judge_too_long()?;
        Ok(self.ask(Demand::default(), |next| next.too_long(head)))
    }

    /// What the next inspector finds; nothing if it panics, for the rules have passed.
    fn ask(&self, otherwise: Demand, question: impl FnOnce(&dyn Inspect) -> Inspection) -> Inspection {
        let Some(next) = self.next.as_deref() else { return Inspection::Demand(otherwise) };
        guarded(|| question(next)).unwrap_or_else(|| Inspection::Demand(Demand::default()))
    }
}

impl Inspect for Rules {
    fn inspect(&self, head: &Parts, body: Option<&[u8]>) -> Inspection {
        self.judge(head, body).unwrap_or_else(Inspection::Refuse)
    }

    fn too_long(&self, head: &Parts) -> Inspection {
        self.judge_too_long(head).unwrap_or_else(Inspection::Refuse)
    }

    fn may_refuse(&self) -> bool {
        true
    }
}

/// Asks as the service would that has the whole body by now.
fn inspect_whole(inspect: &dyn Inspect, head: &Parts, body: &[u8]) -> Inspection {
    match inspect.inspect(head, None) {
        Inspection::NeedsBody(bound) if body.len() > bound => inspect.too_long(head),
        Inspection::NeedsBody(_) => inspect.inspect(head, Some(body)),
        found => found,
    }
}
