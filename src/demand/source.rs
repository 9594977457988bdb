//! What may name a session, or stand for its name.

use std::borrow::Cow;

use http::HeaderName;
use http::request::Parts;

use super::place::parameter;
use super::reader::{Raw, unescaped};
use super::said::{Said, id, is_prompt};
use super::{Id, id_of};

/// Something that a request is taken to name its session with.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Source {
    /// A header.
    Header(HeaderName),
    /// `session_id`, `sessionId`, `conversation_id`, `conversationId` or `thread_id` in the body, the first that is a text.
    Id,
    /// `custom_fields.session_id` or `metadata.session_id` of a message in the body, the first that is a text.
    Message,
    /// `metadata.session_id` in the body.
    Metadata,
    /// `prompt_cache_key` in the body, with which `OpenAI` routes for its own cache.
    CacheKey,
    /// `metadata.user_id` in the body, in which some of Anthropic's clients put their session.
    MetadataUser,
    /// `user` in the body.
    User,
    /// A parameter of the query with one of the names of [`Id`](Self::Id).
    Query,
    /// A hash of the model and what it is instructed with, be it a text or a list: `system`, `instructions`,
    /// `system_instruction`, or the first message with the role `system`, else `developer`. All sessions of one agent have
    /// that in common, and so do what providers cache of them.
    Prompt,
    /// The same of the first message with the role `system` alone, and of its first 500 UTF-16 units if it is a text.
    PromptStart,
}

/// The names of [`Source::Id`], in their order.
pub(super) const IDS: [&str; 5] = ["session_id", "sessionId", "conversation_id", "conversationId", "thread_id"];
const PROMPT_START: usize = 500;

impl Source {
    /// Where [`Routing::new`](super::Routing::new) looks: in the headers `x-session-id` and `session_id`, then in the rest of
    /// what is here, in this order, but for [`PromptStart`](Self::PromptStart).
    #[must_use]
    pub fn usual() -> [Self; 10] {
        let [first, second] = ["x-session-id", "session_id"].map(|name| Self::Header(HeaderName::from_static(name)));
        [
            first,
            second,
            Self::Id,
            Self::Message,
            Self::Metadata,
            Self::CacheKey,
            Self::MetadataUser,
            Self::User,
            Self::Query,
            Self::Prompt,
        ]
    }

    /// Whether it is found without the body.
    pub(super) fn is_in_head(&self) -> bool {
        matches!(self, Self::Header(_) | Self::Query)
    }

    pub(super) fn find<'r>(&self, head: &'r Parts, said: &Said<'r>, model: Option<&str>) -> Option<Id> {
        let given = match self {
            Self::Header(name) => head.headers.get(name)?.to_str().ok().map(Cow::Borrowed),
            Self::Query => parameter(head.uri.query()?, &IDS),
            Self::Id => said.ids.into_iter().find_map(id),
            Self::Message => id(said.messages.session),
            Self::Metadata => id(said.metadata.session),
            Self::CacheKey => id(said.cache_key),
            Self::MetadataUser => id(said.metadata.user),
            Self::User => id(said.user),
            Self::Prompt => return prompt(said).map(|prompt| Id::of_prompt(model, prompt)),
            Self::PromptStart => return prompt_start(said.messages.system, model),
        };
        id_of(&given?)
    }
}

fn prompt<'b>(said: &Said<'b>) -> Option<Raw<'b>> {
    let in_messages = [said.messages.system, said.messages.developer];
    said.system.into_iter().chain(in_messages).find(|raw| is_prompt(raw))
}

/// As much of a text as counts, and all of anything else.
fn prompt_start(raw: Raw<'_>, model: Option<&str>) -> Option<Id> {
    let hash = || match unescaped(raw) {
        Some(text) => Id::of_prompt(model, start(&text).as_bytes()),
        None => Id::of_prompt(model, raw),
    };
    is_prompt(raw).then(hash)
}

fn start(text: &str) -> &str {
    let mut units = 0;
    let is_beyond = |&(_, c): &(usize, char)| {
        units += c.len_utf16();
        units > PROMPT_START
    };
    let end = text.char_indices().find(is_beyond).map_or(text.len(), |(end, _)| end);
    text.get(..end).unwrap_or_default()
}
