//! The table.

use std::borrow::Cow;

use http::HeaderName;

use super::{Endpoint, Placement, Provider};
use crate::classify::Dialect;

/// Calls that leave nothing behind. `/responses`, files, threads and batches stay out: they store, and name what is
/// stored.
const CHAT: &[Endpoint] = &[
    Endpoint::new("POST", "/chat/completions"),
    Endpoint::new("POST", "/completions"),
    Endpoint::new("POST", "/embeddings"),
];

/// What a server that nobody here knows may offer of the usual calls. `/v1` keeps `/threads/…/messages` out.
const CUSTOM_CALLS: &[Endpoint] = &[
    Endpoint::new("POST", "/chat/completions"),
    Endpoint::new("POST", "/completions"),
    Endpoint::new("POST", "/embeddings"),
    Endpoint::new("POST", "/v1/messages"),
    Endpoint::new("POST", "/v1/responses"),
];

const OPENROUTER_CALLS: &[Endpoint] = &[
    Endpoint::new("POST", "/chat/completions"),
    Endpoint::new("POST", "/completions"),
    Endpoint::new("POST", "/embeddings"),
    Endpoint::new("POST", "/messages"),
];

const MESSAGES: &[Endpoint] = &[Endpoint::new("POST", "/v1/messages")];

const MESSAGES_AND_COUNT: &[Endpoint] =
    &[Endpoint::new("POST", "/v1/messages"), Endpoint::new("POST", "/v1/messages/count_tokens")];

/// Under `models/` only: `tunedModels/` belong to the project that tuned them.
const GENERATE: &[Endpoint] = &[
    Endpoint::new("POST", "/models/*:generateContent"),
    Endpoint::new("POST", "/models/*:streamGenerateContent"),
    Endpoint::new("POST", "/models/*:embedContent"),
    Endpoint::new("POST", "/models/*:batchEmbedContents"),
];

/// What describes a body or chooses its form, and `via`, by which a proxy knows that it goes in circles. No cookies,
/// account selectors, beta switches or tracking.
const ASKED: &[&str] =
    &["accept", "accept-encoding", "accept-language", "content-encoding", "content-type", "user-agent", "via"];

/// `anthropic-beta` stays out: some of its values open the files and containers of the key's owner.
const ASKED_ANTHROPIC: &[&str] = &[
    "accept",
    "accept-encoding",
    "accept-language",
    "anthropic-version",
    "content-encoding",
    "content-type",
    "user-agent",
    "via",
];

/// What describes a body. No rate limits, request ids, organisation names or cookies of the key's owner.
const ANSWERED: &[&str] = &[
    "cache-control",
    "content-encoding",
    "content-language",
    "content-length",
    "content-type",
    "date",
    "retry-after",
    "vary",
];

/// Query parameters in which keys are seen though they belong into a header.
const QUERIES: &[&str] = &["api_key", "api-key", "access_token"];

impl Provider {
    /// <https://platform.openai.com/docs/api-reference/authentication>; regional hosts:
    /// <https://platform.openai.com/docs/guides/your-data>
    pub const OPENAI: Self =
        Self::openai_shaped("openai", "https://api.openai.com", &["api.openai.com", ".api.openai.com"]);

    /// <https://docs.claude.com/en/api/overview>
    pub const ANTHROPIC: Self = Self {
        name: "anthropic",
        base: Some(Cow::Borrowed("https://api.anthropic.com")),
        hosts: &["api.anthropic.com"],
        placement: Placement::Header(HeaderName::from_static("x-api-key")),
        dialect: Dialect::Anthropic,
        queries: QUERIES,
        proof: MESSAGES,
        shared: MESSAGES_AND_COUNT,
        request_headers: ASKED_ANTHROPIC,
        response_headers: ANSWERED,
        plain: false,
    };

    /// <https://ai.google.dev/api>. A key in `?key=` ends up in logs and error texts, so it goes into the header.
    pub const GEMINI: Self = Self {
        name: "gemini",
        base: Some(Cow::Borrowed("https://generativelanguage.googleapis.com")),
        hosts: &["generativelanguage.googleapis.com"],
        placement: Placement::Header(HeaderName::from_static("x-goog-api-key")),
        dialect: Dialect::Gemini,
        queries: &["key", "api_key", "access_token", "oauth_token"],
        proof: GENERATE,
        shared: GENERATE,
        request_headers: ASKED,
        response_headers: ANSWERED,
        plain: false,
    };

    /// <https://openrouter.ai/docs/api_reference/overview>
    pub const OPENROUTER: Self = Self {
        name: "openrouter",
        base: Some(Cow::Borrowed("https://openrouter.ai/api/v1")),
        hosts: &["openrouter.ai"],
        placement: Placement::Bearer,
        dialect: Dialect::OpenRouter,
        queries: QUERIES,
        proof: OPENROUTER_CALLS,
        shared: OPENROUTER_CALLS,
        request_headers: ASKED,
        response_headers: ANSWERED,
        plain: false,
    };

    /// <https://console.groq.com/docs/openai>
    pub const GROQ: Self = Self::openai_shaped("groq", "https://api.groq.com/openai", &["api.groq.com"]);

    /// <https://docs.mistral.ai/api/>
    pub const MISTRAL: Self = Self::openai_shaped("mistral", "https://api.mistral.ai", &["api.mistral.ai"]);

    /// <https://api-docs.deepseek.com/>
    pub const DEEPSEEK: Self = Self::openai_shaped("deepseek", "https://api.deepseek.com", &["api.deepseek.com"]);

    /// <https://docs.x.ai/docs/api-reference>
    pub const XAI: Self = Self::openai_shaped("xai", "https://api.x.ai", &["api.x.ai", ".api.x.ai"]);

    /// <https://docs.together.ai/docs/openai-api-compatibility>
    pub const TOGETHER: Self =
        Self::openai_shaped("together", "https://api.together.xyz", &["api.together.xyz", "api.together.ai"]);

    /// <https://learn.microsoft.com/en-us/azure/ai-foundry/openai/reference>. Every resource has its own host, so this
    /// row needs [`base`](Self::base).
    pub const AZURE_OPENAI: Self = Self {
        name: "azure-openai",
        base: None,
        hosts: &[".openai.azure.com"],
        placement: Placement::Header(HeaderName::from_static("api-key")),
        dialect: Dialect::OpenAi,
        queries: &["api-key", "api_key", "subscription-key", "access_token"],
        proof: CHAT,
        shared: CHAT,
        request_headers: ASKED,
        response_headers: ANSWERED,
        plain: false,
    };

    /// A server that speaks as `OpenAI` does. It needs [`base`](Self::base); [`custom`](Self::custom) asks for it.
    pub const CUSTOM: Self = Self {
        name: "custom",
        base: None,
        hosts: &[],
        placement: Placement::Bearer,
        dialect: Dialect::OpenAi,
        queries: QUERIES,
        proof: CUSTOM_CALLS,
        shared: CUSTOM_CALLS,
        request_headers: ASKED,
        response_headers: ANSWERED,
        plain: false,
    };

    /// Every row.
    pub(super) const fn all() -> [Self; 11] {
        [
            Self::OPENAI,
            Self::ANTHROPIC,
            Self::GEMINI,
            Self::OPENROUTER,
            Self::GROQ,
            Self::MISTRAL,
            Self::DEEPSEEK,
            Self::XAI,
            Self::TOGETHER,
            Self::AZURE_OPENAI,
            Self::CUSTOM,
        ]
    }

    const fn openai_shaped(name: &'static str, base: &'static str, hosts: &'static [&'static str]) -> Self {
        Self {
            name,
            base: Some(Cow::Borrowed(base)),
            hosts,
            placement: Placement::Bearer,
            dialect: Dialect::OpenAi,
            queries: QUERIES,
            proof: CHAT,
            shared: CHAT,
            request_headers: ASKED,
            response_headers: ANSWERED,
            plain: false,
        }
    }
}
