/// A pattern that is none, or that is too large to be matched cheaply. Fits on one line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("Invalid regex pattern: {pattern} ({why})")]
pub struct RuleError {
    pattern: Box<str>,
    why: Box<str>,
}

impl RuleError {
    pub(super) fn new(pattern: &str, error: &regex::Error) -> Self {
        // A syntax error draws an arrow below the pattern first, and says what is wrong last.
        let text = error.to_string();
        let why = text.lines().last().unwrap_or_default().trim_start_matches("error: ");
        Self { pattern: super::rule::printable(pattern).into(), why: why.into() }
    }
}
