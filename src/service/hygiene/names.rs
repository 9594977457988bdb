//! Which header names are what. They are short fixed tables, which the compiler turns into comparisons by length: a
//! search by halves takes twenty times as long.

use http::{HeaderName, header};

/// The most usual headers of requests, none of which is in any list below: a look at these saves one at all of those.
static HARMLESS: [HeaderName; 9] = [
    header::ACCEPT,
    header::ACCEPT_ENCODING,
    header::ACCEPT_LANGUAGE,
    header::CACHE_CONTROL,
    header::CONTENT_TYPE,
    header::ORIGIN,
    header::REFERER,
    header::USER_AGENT,
    header::VIA,
];

/// Whether a request may always pass this header on; of others it is not said.
pub(super) fn is_harmless(name: &HeaderName) -> bool {
    HARMLESS.contains(name)
}

/// Meant for the next hop alone, in both directions (RFC 9110, 7.6.1; RFC 9113, 8.2.2). `Trailer` is not among them:
/// without it HTTP/1.1 answers lose their trailers.
const HOP: [&str; 10] = [
    "connection",
    "http2-settings",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authentication-info",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "transfer-encoding",
    "upgrade",
];

/// Frames a message. The inner client frames it anew, from the body that is sent.
const FRAMING: [&str; 3] = ["content-length", "expect", "trailer"];

/// Asks the server to take the request for another: another host, path or method.
const ROUTING: [&str; 15] = [
    "forwarded",
    "host",
    "x-forwarded-host",
    "x-forwarded-server",
    "x-forwarded-uri",
    "x-host",
    "x-http-host-override",
    "x-http-method",
    "x-http-method-override",
    "x-method-override",
    "x-original-host",
    "x-original-uri",
    "x-original-url",
    "x-rewrite-uri",
    "x-rewrite-url",
];

/// Credentials that their last word does not give away.
const CREDENTIALS: [&str; 7] = [
    "cookie2",
    "dpop",
    "sec-websocket-protocol",
    "x-goog-authenticated-user-email",
    "x-goog-authenticated-user-id",
    "x-ms-client-principal",
    "x-ms-client-principal-id",
];

/// Last words of names of credentials.
const CREDENTIAL_WORDS: [&str; 17] = [
    "apikey",
    "assertion",
    "auth",
    "authentication",
    "authorization",
    "bearer",
    "cert",
    "cookie",
    "credential",
    "credentials",
    "jwt",
    "key",
    "passwd",
    "password",
    "pwd",
    "secret",
    "token",
];

/// Choose the account that pays, which makes a good key be refused when it is another's.
const ACCOUNTS: [&str; 11] = [
    "anthropic-organization",
    "anthropic-organization-id",
    "anthropic-workspace-id",
    "openai-organization",
    "openai-project",
    "x-account-id",
    "x-goog-user-project",
    "x-hf-bill-to",
    "x-org-id",
    "x-organization-id",
    "x-project-id",
];

/// What a trailer may not say (RFC 9110, 6.5.1), beyond framing, routing and credentials: how to read the body, how to
/// treat the message, how to store the answer.
const TRAILERS: [&str; 20] = [
    "age",
    "cache-control",
    "content-encoding",
    "content-range",
    "content-type",
    "date",
    "expires",
    "if-match",
    "if-modified-since",
    "if-none-match",
    "if-range",
    "if-unmodified-since",
    "location",
    "max-forwards",
    "pragma",
    "range",
    "retry-after",
    "vary",
    "warning",
    "www-authenticate",
];

/// Set on the caller's machine what belongs to the key's owner.
const COOKIES: [&str; 2] = ["set-cookie", "set-cookie2"];

/// Checksums of the body (RFC 9530, and what came before it).
const DIGESTS: [&str; 5] = ["content-digest", "content-md5", "digest", "repr-digest", "unencoded-digest"];

fn has(table: &[&str], name: &str) -> bool {
    table.contains(&name)
}

/// Whether a request may not pass this header on, whoever asks for it.
pub(super) fn is_never_sent(name: &str) -> bool {
    has(&HOP, name) || has(&FRAMING, name) || has(&ROUTING, name)
}

/// Whether this header holds a credential or chooses an account.
pub(super) fn is_credential(name: &str) -> bool {
    let is_named_so = has(&CREDENTIAL_WORDS, last_word(name)) || name.starts_with("authorization");
    (is_named_so && !is_idempotency_key(name)) || has(&CREDENTIALS, name) || has(&ACCOUNTS, name)
}

fn last_word(name: &str) -> &str {
    let before = name.bytes().rposition(|byte| byte == b'-' || byte == b'_');
    &name[before.map_or(0, |at| at + 1)..]
}

/// Names a request so that it is not run twice; the opposite of a credential, for all its name.
fn is_idempotency_key(name: &str) -> bool {
    matches!(name.strip_prefix("x-").unwrap_or(name), "idempotency-key" | "idempotency_key")
}

/// Whether this header holds only for the body that it came with.
pub(super) fn is_digest(name: &str) -> bool {
    has(&DIGESTS, name)
}

/// Whether an answer may not pass this header on.
pub(super) fn is_never_returned(name: &str) -> bool {
    has(&HOP, name) || has(&COOKIES, name)
}

/// Whether a trailer may not pass, in either direction.
pub(super) fn is_no_trailer(name: &str) -> bool {
    is_never_sent(name) || is_credential(name) || has(&COOKIES, name) || has(&TRAILERS, name)
}

#[cfg(not(key_commune_loom))]
#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_harmless_are_in_no_other_list() {
        assert!(HARMLESS.iter().all(|name| !is_never_sent(name.as_str()) && !is_credential(name.as_str())));
    }

    #[test]
    fn the_tables_are_sorted_in_lower_case_and_without_repeats() {
        let tables: [&[&str]; 9] =
            [&HOP, &FRAMING, &ROUTING, &CREDENTIALS, &CREDENTIAL_WORDS, &ACCOUNTS, &TRAILERS, &COOKIES, &DIGESTS];
        for table in tables {
            assert!(table.is_sorted_by(|one, next| one < next), "{table:?}");
            assert!(table.iter().all(|name| *name == name.to_ascii_lowercase()), "{table:?}");
        }
    }
}
