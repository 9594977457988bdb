use std::fmt;

/// Why a store did not do what it was asked to. Says where and what, never a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{kind}: {what}")]
pub struct StoreError {
    kind: ErrorKind,
    what: String,
}

impl StoreError {
    /// An error of this kind; `what` names the place and the cause, and must not hold a secret.
    #[must_use]
    pub fn new(kind: ErrorKind, what: impl fmt::Display) -> Self {
        Self { kind, what: what.to_string() }
    }

    /// What kind of error it is.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }
}

/// What can be done about an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// It cannot be reached, or was closed; later it may work.
    Unavailable,
    /// There is no room.
    Full,
    /// Another process holds it.
    Locked,
    /// It may be read but not written.
    ReadOnly,
    /// What it holds is damaged. Nothing was changed.
    Damaged,
    /// It is sealed by a master key that is missing or another one. Nothing was changed.
    WrongKey,
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Unavailable => "the store cannot be reached",
            Self::Full => "the store is full",
            Self::Locked => "the store is locked",
            Self::ReadOnly => "the store is read-only",
            Self::Damaged => "the store is damaged",
            Self::WrongKey => "the store is sealed by another master key",
        })
    }
}
