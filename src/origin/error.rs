//! Why a text is no origin, and why a path is not sent. No message repeats what it was given: that may hold a password.

/// Why a text cannot be an [`Origin`](super::Origin).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OriginError {
    /// It does not parse as a URL.
    #[error("the base URL is not a valid URL")]
    Url,
    /// It has no scheme, or one that is neither `https` nor `http`.
    #[error("the base URL must begin with https:// or http://")]
    Scheme,
    /// It holds a user name or a password.
    #[error("the base URL must not hold a user name or a password")]
    Userinfo,
    /// Its host is neither a host name in ASCII nor an IP address in its usual form.
    #[error("the host of the base URL is neither a host name nor an IP address")]
    Host,
    /// Its port is not a number from 1 to 65535.
    #[error("the port of the base URL must be a number from 1 to 65535")]
    Port,
    /// It has a query.
    #[error("the base URL must not have a query")]
    Query,
    /// It has a fragment.
    #[error("the base URL must not have a fragment")]
    Fragment,
    /// It would send keys unencrypted to another machine.
    #[error("plain http to another machine shows the keys to everybody on the way; allow it by name or use https")]
    Plain,
    /// Its path can be read in more than one way.
    #[error("the path of the base URL is ambiguous")]
    Path(#[source] PathError),
}

/// Why a path is not sent: what it means depends on who reads it, or it leads out of the base path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PathError {
    /// It does not begin with `/`, as in `*` or an empty path.
    #[error("the path does not begin with a slash")]
    NotRooted,
    /// It begins with `//`, which many readers take for a host.
    #[error("the path begins with more than one slash")]
    DoubleSlash,
    /// It holds a blank, a control byte or a byte outside ASCII, raw or (for control bytes) percent-encoded.
    #[error("the path holds a blank, a control byte or a non-ASCII byte")]
    Byte,
    /// It holds a percent sign without two hexadecimal digits, or encodes something that is not UTF-8.
    #[error("the percent-encoding of the path is broken")]
    Encoding,
    /// It holds a backslash, or a slash or backslash in percent-encoding.
    #[error("the path holds a backslash or a percent-encoded slash")]
    Separator,
    /// It holds `.` or `..` as a segment, raw or percent-encoded.
    #[error("the path holds a dot segment")]
    DotSegment,
    /// It holds `#`.
    #[error("the path holds a fragment")]
    Fragment,
    /// The URI is not one that the origin covers.
    #[error("the URI lies outside the origin")]
    Outside,
    /// Path and query together are longer than the `http` crate can hold.
    #[error("the path is too long")]
    TooLong,
}
