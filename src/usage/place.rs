//! The places in an answer that matter, and what stands there.

use super::found::Count;

/// What encloses the present token.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Place {
    /// Nothing.
    #[default]
    Top,
    /// An array of answers.
    List,
    /// The answer, or an event.
    Answer,
    /// An object in the event that holds the answer.
    Wrapped,
    Usage,
    Details,
    Elsewhere,
}

/// A member that matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Member {
    /// An object that does.
    Object(Place),
    Number(Count),
    Model,
}

impl Place {
    /// Whether names and values are looked at here.
    pub(super) fn matters(self) -> bool {
        matches!(self, Self::Answer | Self::Wrapped | Self::Usage | Self::Details)
    }

    /// Inside an object that is the value of this member.
    pub(super) fn object(self, member: Option<Member>) -> Self {
        match (self, member) {
            (Self::Top | Self::List, _) => Self::Answer,
            (_, Some(Member::Object(place))) => place,
            _ => Self::Elsewhere,
        }
    }

    /// Inside an array.
    pub(super) fn array(self) -> Self {
        if self == Self::Top { Self::List } else { Self::Elsewhere }
    }

    /// The member of this name.
    pub(super) fn member(self, name: &[u8]) -> Option<Member> {
        match (self, name) {
            (Self::Answer, b"message" | b"response" | b"x_groq") => Some(Member::Object(Self::Wrapped)),
            (Self::Answer | Self::Wrapped, b"usage" | b"usageMetadata") => Some(Member::Object(Self::Usage)),
            (Self::Answer | Self::Wrapped, b"model" | b"modelVersion") => Some(Member::Model),
            (Self::Usage, b"prompt_tokens_details" | b"input_tokens_details") => Some(Member::Object(Self::Details)),
            (Self::Usage, _) => used(name).map(Member::Number),
            (Self::Details, b"cached_tokens") => Some(Member::Number(Count::Cached)),
            _ => None,
        }
    }
}

fn used(name: &[u8]) -> Option<Count> {
    Some(match name {
        b"prompt_tokens" | b"promptTokenCount" => Count::Prompt,
        b"input_tokens" => Count::Input,
        b"cache_read_input_tokens" => Count::CacheRead,
        b"cache_creation_input_tokens" => Count::CacheWritten,
        b"toolUsePromptTokenCount" => Count::ToolPrompt,
        b"completion_tokens" | b"output_tokens" | b"candidatesTokenCount" => Count::Output,
        b"thoughtsTokenCount" => Count::Thoughts,
        b"cachedContentTokenCount" | b"prompt_cache_hit_tokens" => Count::Cached,
        b"cost" => Count::Cost,
        _ => return None,
    })
}
