//! What an answer says about itself: the tokens and the cost of the request, and the model that served it.
//!
//! Providers tell it in a few members of the answer, at its beginning, in its middle or at its end, beside texts and
//! pictures of any length. A [`Meter`] looks at the answer as it passes and keeps none of it: a tokenizer that goes on
//! where the last chunk ended ([`bufjson`]) says where names and values are, and only those are looked at that stand at
//! the places below. `serde_json` would want the whole text, and nothing shorter does: the last event of `OpenAI`'s
//! Responses repeats the instructions and all that was said before it comes to the tokens, and Mistral tells them first.
//!
//! | who | where | what |
//! |---|---|---|
//! | [`OpenAI`, chat], and whoever speaks like it | `usage`; when streaming, of the last event, if the request asks for it | `prompt_tokens`, `completion_tokens`, `prompt_tokens_details.cached_tokens` |
//! | [`OpenAI`, Responses] | `usage`; when streaming, `response.usage` of `response.completed` | `input_tokens`, `output_tokens`, `input_tokens_details.cached_tokens` |
//! | [Anthropic] | `usage`; when streaming, `message.usage` of `message_start`, then `usage` of each `message_delta` | `input_tokens`, beside it `cache_read_input_tokens` and `cache_creation_input_tokens`; `output_tokens` |
//! | [Gemini] | `usageMetadata`, of each event or of each object of an array | `promptTokenCount`, beside it `toolUsePromptTokenCount`; `candidatesTokenCount`, beside it `thoughtsTokenCount`; `cachedContentTokenCount` |
//! | [OpenRouter] | as `OpenAI` | also `cost`, in dollars |
//! | Groq | as `OpenAI`; when streaming, `x_groq.usage` too | as `OpenAI` |
//! | `DeepSeek` | as `OpenAI` | also `prompt_cache_hit_tokens` |
//!
//! The model is `model` or `modelVersion`, beside `usage`.
//!
//! One rule fits them all: every object (the answer, an event, an element of an array) that tells of usage is read, and of
//! each member the last value counts. Gemini and Anthropic count on from event to event: "The token counts shown in the
//! usage field of the `message_delta` event are cumulative". The others tell once. What is null, negative or of another
//! type counts as not said, and an object that breaks off says nothing. Names count as they are written: an escape makes
//! another one.
//!
//! [`OpenAI`, chat]: https://platform.openai.com/docs/api-reference/chat/object
//! [`OpenAI`, Responses]: https://platform.openai.com/docs/api-reference/responses/object
//! [Anthropic]: https://docs.anthropic.com/en/docs/build-with-claude/streaming
//! [Gemini]: https://ai.google.dev/api/generate-content#UsageMetadata
//! [OpenRouter]: https://openrouter.ai/docs/use-cases/usage-accounting

mod cost;
mod events;
mod found;
mod model;
mod place;
mod scan;
mod tokens;

use bytes::Bytes;
use http::HeaderValue;

pub use cost::Cost;
pub use model::Model;

pub(crate) use events::{Events, Texts};
use scan::Scan;
pub(crate) use tokens::Tokens;

/// What one request has used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Usage {
    /// The model that served it, as the provider calls it.
    pub model: Option<Model>,
    /// All tokens of the request, whether they were cached or not.
    pub input: u64,
    /// All tokens of the answer, those of its thoughts included.
    pub output: u64,
    /// The part of the input that was read from a cache.
    pub cached: u64,
    /// What the provider says that it costs.
    pub cost: Option<Cost>,
}

/// Looks at one answer as it passes. A few hundred bytes, whatever passes.
///
/// ```
/// use bytes::Bytes;
/// use http::HeaderValue;
/// use key_commune::usage::Meter;
///
/// let mut meter = Meter::new(Some(&HeaderValue::from_static("application/json"))).unwrap();
/// meter.feed(&Bytes::from(r#"{"model":"gpt-4o","choices":[],"usage":{"prompt_to"#));
/// meter.feed(&Bytes::from(r#"kens":9,"completion_tokens":12,"total_tokens":21}}"#));
/// let usage = meter.finish().unwrap();
/// assert_eq!((usage.model.unwrap().as_str(), usage.input, usage.output), ("gpt-4o", 9, 12));
/// ```
#[derive(Debug)]
pub struct Meter {
    /// If the answer is an event stream.
    events: Option<Events>,
    scan: Scan,
}

impl Meter {
    /// For an answer of this type; `None` unless that is JSON or an event stream.
    #[must_use]
    pub fn new(content_type: Option<&HeaderValue>) -> Option<Self> {
        let essence = content_type?.to_str().ok()?.split(';').next()?.trim().to_ascii_lowercase();
        let events = match essence.as_str() {
            "text/event-stream" => Some(Events::default()),
            "application/json" => None,
            other if other.ends_with("+json") => None,
            _ => return None,
        };
        Some(Self { events, scan: Scan::default() })
    }

    /// The next bytes of the answer. Nothing is kept of them.
    pub fn feed(&mut self, chunk: &Bytes) {
        match &mut self.events {
            Some(events) => events.feed(chunk, &mut self.scan),
            None => self.scan.read(chunk),
        }
    }

    /// What the answer has said, if anything.
    #[must_use]
    pub fn finish(self) -> Option<Usage> {
        self.scan.found().usage()
    }
}
