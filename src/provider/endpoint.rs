//! A method and the end of a path.

use http::Method;

/// A call that a provider offers, known by its method and the end of its path.
///
/// The pattern begins with a slash, so it matches whole segments only. One `*` stands for letters, digits, `-`, `_`
/// and `.`: it can hold neither a slash nor a `%`, so nothing slips in beside the name it stands for.
///
/// ```
/// use http::Method;
/// use key_commune::provider::Endpoint;
///
/// let chat = Endpoint::new("POST", "/chat/completions");
/// assert!(chat.matches(&Method::POST, "/v1/chat/completions"));
/// assert!(!chat.matches(&Method::POST, "/v1/chat/completions/abc"));
/// let generate = Endpoint::new("POST", "/models/*:generateContent");
/// assert!(generate.matches(&Method::POST, "/v1beta/models/gemini-2.5-pro:generateContent"));
/// assert!(!generate.matches(&Method::POST, "/v1beta/tunedModels/mine:generateContent"));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Endpoint {
    method: &'static str,
    /// What the path ends with; or, if there is a `*`, what stands before it and behind it.
    path: (&'static str, Option<&'static str>),
}

impl Endpoint {
    /// An endpoint by its method and the end of its path.
    #[must_use]
    pub const fn new(method: &'static str, path: &'static str) -> Self {
        let mut rest = path.as_bytes();
        while let [first, behind @ ..] = rest {
            if *first == b'*' {
                let (before, after) = path.split_at(path.len() - rest.len());
                return Self { method, path: (before, Some(after.split_at(1).1)) };
            }
            rest = behind;
        }
        Self { method, path: (path, None) }
    }

    /// Whether a request with this method and path is such a call. The query is no part of the path.
    #[must_use]
    pub fn matches(&self, method: &Method, path: &str) -> bool {
        method.as_str() == self.method && ends(path, self.path)
    }
}

fn ends(path: &str, (before, after): (&str, Option<&str>)) -> bool {
    let Some(after) = after else { return path.ends_with(before) };
    let split = path.strip_suffix(after).and_then(|rest| rest.rsplit_once('/'));
    split.is_some_and(|(head, name)| before.strip_suffix('/').is_some_and(|end| head.ends_with(end)) && plain(name))
}

fn plain(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
}
