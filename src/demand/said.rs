//! What the body of a request says about model and session, found in one pass and without keeping anything.
//!
//! It is read as `JSON.parse`, Python's `json` and `serde_json` read it: to its end, names unescaped, and of members with
//! one name the last, whatever stood in those before. So the provider reads what was read here (attack 60); whoever wants
//! to forbid models must refuse what others may read in another way, as `rules` do. A body that is not JSON, or deeper than
//! 128 levels, says nothing (attack 59).

use std::borrow::Cow;

use bufjson::lexical::Token;

use super::Demand;
use super::reader::{Raw, Reader, short};

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Said<'b> {
    pub(super) model: Raw<'b>,
    /// Whether there is more than one.
    has_models: bool,
    pub(super) previous_response: Raw<'b>,
    /// In the order in which they count.
    pub(super) ids: [Raw<'b>; 5],
    pub(super) cache_key: Raw<'b>,
    pub(super) user: Raw<'b>,
    pub(super) metadata: Metadata<'b>,
    /// The instructions of Anthropic, `OpenAI`'s Responses and Gemini, in both of its spellings.
    pub(super) system: [Raw<'b>; 4],
    pub(super) messages: Messages<'b>,
    /// How many tokens the answer may have, under the names of `OpenAI` and Anthropic, and under Gemini's.
    lengths: [Raw<'b>; 3],
    gemini_length: Raw<'b>,
}

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Metadata<'b> {
    pub(super) session: Raw<'b>,
    pub(super) user: Raw<'b>,
}

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Messages<'b> {
    /// The first session that a message names.
    pub(super) session: Raw<'b>,
    /// What the first message with this role says that says anything.
    pub(super) system: Raw<'b>,
    pub(super) developer: Raw<'b>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Message<'b> {
    role: Raw<'b>,
    content: Raw<'b>,
    custom: Metadata<'b>,
    metadata: Metadata<'b>,
}

impl<'b> Said<'b> {
    pub(super) fn read(body: &'b [u8]) -> Self {
        Reader::new(body).said().unwrap_or_default()
    }

    /// The same of a body that must name one model, or be empty and stand for `others`; else why it does not.
    pub(super) fn with_model(body: &'b [u8]) -> Result<Self, &'static str> {
        if body.is_empty() {
            return Ok(Self { model: br#""others""#, ..Self::default() });
        }
        let said = Reader::new(body).said().ok_or("it is not JSON")?;
        match id(said.model) {
            _ if said.model.is_empty() => Err("missing field `model`"),
            _ if said.has_models => Err("duplicate field `model`"),
            Some(_) => Ok(said),
            None => Err("`model` is no name"),
        }
    }

    /// How many tokens the answer may have; 0 if nothing is said about that.
    pub(super) fn answer_tokens(&self) -> u64 {
        self.lengths.into_iter().chain([self.gemini_length]).filter_map(count).max().unwrap_or_default()
    }

    fn keep(&mut self, name: &str, value: Raw<'b>) {
        let [session, session_camel, conversation, conversation_camel, thread] = &mut self.ids;
        let [system, instructions, gemini, gemini_camel] = &mut self.system;
        let [max, max_completion, max_output] = &mut self.lengths;
        let known = match name {
            "model" => {
                self.has_models = !self.model.is_empty();
                &mut self.model
            }
            "previous_response_id" => &mut self.previous_response,
            "session_id" => session,
            "sessionId" => session_camel,
            "conversation_id" => conversation,
            "conversationId" => conversation_camel,
            "thread_id" => thread,
            "prompt_cache_key" => &mut self.cache_key,
            "user" => &mut self.user,
            "system" => system,
            "instructions" => instructions,
            "system_instruction" => gemini,
            "systemInstruction" => gemini_camel,
            "max_tokens" => max,
            "max_completion_tokens" => max_completion,
            "max_output_tokens" => max_output,
            _ => return,
        };
        *known = value;
    }
}

impl<'b> Messages<'b> {
    fn add(&mut self, message: &Message<'b>) {
        let sessions = [self.session, message.custom.session, message.metadata.session];
        self.session = sessions.into_iter().find(|session| id(session).is_some()).unwrap_or_default();
        let same = match short(message.role).as_deref() {
            Some("system") => &mut self.system,
            Some("developer") => &mut self.developer,
            _ => return,
        };
        if same.is_empty() && is_prompt(message.content) {
            *same = message.content;
        }
    }
}

impl<'b> Reader<'b> {
    fn said(&mut self) -> Option<Said<'b>> {
        let mut said = Said::default();
        self.object(|reader, name| {
            match name {
                "metadata" => said.metadata = reader.metadata()?,
                "messages" => said.messages = reader.messages()?,
                "generationConfig" | "generation_config" => said.gemini_length = reader.max_output()?,
                _ => said.keep(name, reader.value()?),
            }
            Some(())
        })?;
        (self.next()? == Token::Eof).then_some(said)
    }

    fn metadata(&mut self) -> Option<Metadata<'b>> {
        let mut metadata = Metadata::default();
        self.object(|reader, name| {
            let value = reader.value()?;
            match name {
                "session_id" => metadata.session = value,
                "user_id" => metadata.user = value,
                _ => (),
            }
            Some(())
        })?;
        Some(metadata)
    }

    /// Of Gemini's settings.
    fn max_output(&mut self) -> Option<Raw<'b>> {
        let mut found = Raw::default();
        self.object(|reader, name| {
            let value = reader.value()?;
            if matches!(name, "maxOutputTokens" | "max_output_tokens") {
                found = value;
            }
            Some(())
        })?;
        Some(found)
    }

    fn messages(&mut self) -> Option<Messages<'b>> {
        let mut messages = Messages::default();
        let opened = self.next()?;
        if opened != Token::ArrBegin {
            return self.pass(opened).map(|()| messages);
        }
        loop {
            match self.next()? {
                Token::ArrEnd => return Some(messages),
                Token::ObjBegin => messages.add(&self.message()?),
                other => self.pass(other)?,
            }
        }
    }

    fn message(&mut self) -> Option<Message<'b>> {
        let mut message = Message::default();
        self.members(|reader, name| {
            match name {
                "role" => message.role = reader.value()?,
                "content" => message.content = reader.value()?,
                "custom_fields" => message.custom = reader.metadata()?,
                "metadata" => message.metadata = reader.metadata()?,
                _ => drop(reader.value()?),
            }
            Some(())
        })?;
        Some(message)
    }
}

/// Whether a value can be an instruction: a string, an array or an object, and not an empty one.
pub(super) fn is_prompt(raw: Raw<'_>) -> bool {
    raw.len() > 2 && matches!(raw.first(), Some(b'"' | b'[' | b'{'))
}

/// A string that can be the name of a model or a session.
pub(super) fn id(raw: Raw<'_>) -> Option<Cow<'_, str>> {
    short(raw).filter(|text| Demand::is_name(text))
}

/// A number, as whole as it can be.
fn count(raw: Raw<'_>) -> Option<u64> {
    let number: f64 = str::from_utf8(raw).ok()?.parse().ok()?;
    Some(number as u64)
}
