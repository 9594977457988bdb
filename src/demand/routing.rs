//! What a request is routed by, found where clients put it.

use std::borrow::Cow;

use http::HeaderName;
use http::header::CONTENT_LENGTH;
use http::request::Parts;

use super::place::{may_have_body, may_have_json, model_in_path, parameter, response_in_path};
use super::said::{Said, id};
use super::source::Source;
use super::{Demand, Inspect, Inspection};

/// Finds the model, the session and the preceding response of a request, wherever clients name them:
///
/// | | in this order |
/// |---|---|
/// | model | the path, `…/deployments/{model}/…`, `…/engines/{model}/…` or `…/models/{model}:method`; `model` in the body; `?model=` |
/// | session | the [sources](Self::sessions), in their order |
/// | preceding response | the path, `…/responses/{id}` and below; `previous_response_id` in the body |
///
/// The path comes before the body, for where it names the model no provider minds what the body says. What is no text, is
/// empty or longer than [`Demand::MAX_LEN`] counts as not there.
///
/// The body is asked for only if the head does not tell all, and only where it can be JSON: the first attempt waits for
/// it then. For the preceding response alone it is asked for only where the path ends in `/responses`. Of members with one
/// name the last counts, as providers read it; a body that is longer than [`max_body`](Self::max_body), encoded, or not
/// JSON says nothing. Nothing is refused, but by [`key_cycle`](Self::key_cycle): that is what `rules` are for. A
/// [`Demand`] in the request's extensions counts instead of all this.
///
/// ```
/// use http::Request;
/// use key_commune::demand::{Id, Inspect, Inspection, Routing};
///
/// let head = Request::post("https://api.openai.com/v1/chat/completions").body(()).unwrap().into_parts().0;
/// let body = br#"{"model":"gpt-4o","messages":[],"user":"ada"}"#;
/// let Inspection::Demand(demand) = Routing::new().inspect(&head, Some(body)) else { unreachable!() };
/// assert_eq!((demand.model_name(), demand.session_id()), (Some("gpt-4o"), Some(Id::of("ada"))));
/// ```
#[derive(Clone, Debug)]
pub struct Routing {
    models: Find,
    sessions: Vec<Source>,
    previous_responses: bool,
    tokens: bool,
    max_body: usize,
}

/// Where models are looked for, or must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Find {
    Nowhere,
    Anywhere,
    InBody,
}

/// The most tokens that a request is taken to have, and as many again its answer: a stranger tells how many.
const MOST_TOKENS: u64 = 1 << 20;
/// In English, about.
const BYTES_PER_TOKEN: u64 = 4;

impl Default for Routing {
    fn default() -> Self {
        Self::new()
    }
}

impl Routing {
    /// Looks for everything, and for sessions in the [usual](Source::usual) places.
    #[must_use]
    pub fn new() -> Self {
        let sessions = Source::usual().to_vec();
        Self { models: Find::Anywhere, sessions, previous_responses: true, tokens: false, max_body: 1 << 20 }
    }

    /// Looks for sessions as api-key-lb does, and for nothing else.
    ///
    /// Not followed: any name but a text, with which it fails, is passed over; lists that instruct are told apart; and a
    /// text that is longer than [`Demand::MAX_LEN`] names nothing (I7).
    #[must_use]
    pub fn api_key_lb() -> Self {
        let sessions = vec![Source::Id, Source::Message, Source::PromptStart];
        Self { models: Find::Nowhere, sessions, previous_responses: false, ..Self::new() }
    }

    /// Looks for models as `KeyCycleProxy` does, in the body and nowhere else, and for nothing else. What is no JSON object
    /// with a text `model` is refused, and an empty body asks for the model `others`.
    ///
    /// So is, other than there, a body that is longer than [`max_body`](Self::max_body), and a model that is longer
    /// than [`Demand::MAX_LEN`] or has no name at all (I7). A method that takes no body asks for any key.
    #[must_use]
    pub fn key_cycle() -> Self {
        Self { models: Find::InBody, sessions: Vec::new(), previous_responses: false, ..Self::new() }
    }

    /// Whether to look for models. Default: yes.
    #[must_use]
    pub fn models(mut self, look: bool) -> Self {
        self.models = if look { Find::Anywhere } else { Find::Nowhere };
        self
    }

    /// Where to look for sessions: the first source that names one counts. With none, sessions are not looked for.
    #[must_use]
    pub fn sessions(mut self, sources: impl IntoIterator<Item = Source>) -> Self {
        self.sessions = sources.into_iter().collect();
        self
    }

    /// Looks for sessions in this header before anything else.
    #[must_use]
    pub fn header(mut self, name: HeaderName) -> Self {
        self.sessions.insert(0, Source::Header(name));
        self
    }

    /// Whether to look for responses that requests follow. Default: yes.
    #[must_use]
    pub fn previous_responses(mut self, look: bool) -> Self {
        self.previous_responses = look;
        self
    }

    /// Whether to estimate how many [tokens](Demand::tokens) a request needs, where keys are
    /// [limited](crate::pool::Limits::tokens_per_minute) in them: a quarter of the bytes of its JSON body, and what that allows the
    /// answer (`max_tokens`, `max_completion_tokens`, `max_output_tokens`, Gemini's `maxOutputTokens`; the largest, if there are
    /// several), at most 1,048,576 each. A picture in a body counts for too much, a file that it only names for nothing:
    /// what an answer says that it [used](crate::KeyCommuneLayer::usage) settles it. Default: no.
    #[must_use]
    pub fn tokens(mut self, estimate: bool) -> Self {
        self.tokens = estimate;
        self
    }

    /// The longest body that is looked at. Default: 1 MiB. No more is looked at than the layer keeps of a request, see
    /// [`max_replay`](crate::KeyCommuneLayer::max_replay).
    #[must_use]
    pub fn max_body(mut self, bytes: usize) -> Self {
        self.max_body = bytes;
        self
    }

    /// Whether there is anything that only the body can tell.
    fn needs_body(&self, head: &Parts) -> bool {
        let model = || self.models == Find::Anywhere && model_in_path(head.uri.path()).is_none();
        let response = || self.previous_responses && head.uri.path().ends_with("/responses");
        let asks = || self.tokens || response() || self.needs_body_for_session(head) || model();
        if self.may_refuse() { may_have_body(head) } else { may_have_json(head) && asks() }
    }

    /// Whether a source in the body comes before any in the head that names a session.
    fn needs_body_for_session(&self, head: &Parts) -> bool {
        let nothing = Said::default();
        let names = |source: &&Source| !source.is_in_head() || source.find(head, &nothing, None).is_some();
        self.sessions.iter().find(names).is_some_and(|source| !source.is_in_head())
    }

    fn demand(&self, head: &Parts, said: &Said<'_>, length: impl FnOnce() -> u64) -> Demand {
        let model = self.model(head, said);
        let session = self.sessions.iter().find_map(|source| source.find(head, said, model.as_deref()));
        let previous = || response_in_path(head.uri.path()).or_else(|| id(said.previous_response));
        let mut demand = Demand::default();
        if let Some(name) = model.filter(|_| self.models != Find::Nowhere) {
            demand = demand.model(&name);
        }
        if let Some(id) = self.previous_responses.then(previous).flatten() {
            demand = demand.previous_response(&id);
        }
        if self.tokens && may_have_json(head) {
            let asked = (length() / BYTES_PER_TOKEN).min(MOST_TOKENS);
            demand = demand.tokens(asked + said.answer_tokens().min(MOST_TOKENS));
        }
        demand.session = session;
        demand
    }

    /// The model, whether or not it is looked for: a prompt is told apart by it.
    fn model<'r>(&self, head: &'r Parts, said: &Said<'r>) -> Option<Cow<'r, str>> {
        let in_query = || parameter(head.uri.query()?, &["model"]);
        match self.models {
            Find::InBody => id(said.model),
            _ => model_in_path(head.uri.path()).or_else(|| id(said.model)).or_else(in_query),
        }
    }

    fn judge(&self, head: &Parts, body: &[u8]) -> Inspection {
        match Said::with_model(body) {
            Ok(said) => Inspection::Demand(self.demand(head, &said, || body.len() as u64)),
            Err(reason) => invalid(reason),
        }
    }
}

fn invalid(reason: &str) -> Inspection {
    Inspection::Refuse(format!("Invalid JSON payload: {reason}").into())
}

/// How long a body is that has not been read, as far as its sender says.
fn announced(head: &Parts) -> u64 {
    let value = head.headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    value.and_then(|text| text.parse().ok()).unwrap_or_default()
}

impl Inspect for Routing {
    fn inspect(&self, head: &Parts, body: Option<&[u8]>) -> Inspection {
        match body {
            None if self.needs_body(head) => Inspection::NeedsBody(self.max_body),
            None => self.too_long(head),
            Some(body) if self.may_refuse() => self.judge(head, body),
            Some(body) => Inspection::Demand(self.demand(head, &Said::read(body), || body.len() as u64)),
        }
    }

    fn too_long(&self, head: &Parts) -> Inspection {
        if self.may_refuse() && may_have_body(head) {
            return invalid("it is too long, or did not arrive whole");
        }
        Inspection::Demand(self.demand(head, &Said::default(), || announced(head)))
    }

    fn may_refuse(&self) -> bool {
        self.models == Find::InBody
    }
}
