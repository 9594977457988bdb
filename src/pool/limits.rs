//! What a key, or the whole pool, may be asked for.

/// What a key, or the whole pool, may be asked for: at once, and in a span of time.
///
/// By default nothing is limited. Limits add up: a request passes all of them, or none of it is counted. 0 admits nobody; to
/// lift a limit, leave it out.
///
/// ```
/// use key_commune::pool::Limits;
///
/// // A key of OpenAI's: 500 requests and 200,000 tokens a minute, and no more than 8 answers being written at a time.
/// let limits = Limits::default().per_minute(500).tokens_per_minute(200_000).concurrent(8);
/// assert_ne!(limits, Limits::default());
/// ```
///
/// # How much that is
///
/// Requests per second and per minute are paced evenly: 60 per minute are one per second, and not 60 in the first second.
/// Then no second and no minute holds more than its limit, wherever it begins, so it does not matter how the provider counts. Who
/// comes late by less than 1/256 of the span makes up for it, and the spans are taken so much longer: 99.6 % of the limit
/// can be used. Tell it with [`burst`](Self::burst) if the provider admits more at once.
///
/// Requests per day and tokens per minute are not paced, for this would hold up a request that the provider would serve. A
/// day's requests may come at any time of the day; tokens are taken out of a bucket that holds a minute's worth
/// and fills evenly, which is how providers count them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    pub(super) concurrent: Option<u32>,
    pub(super) concurrent_per_model: Option<u32>,
    pub(super) per_second: Option<u32>,
    pub(super) per_minute: Option<u32>,
    pub(super) per_day: Option<u32>,
    pub(super) tokens_per_minute: Option<u64>,
    pub(super) burst: Option<u32>,
}

impl Limits {
    /// How many requests may be under way at a time, from being sent to the last byte of the answer.
    #[must_use]
    pub const fn concurrent(mut self, requests: u32) -> Self {
        self.concurrent = Some(requests);
        self
    }

    /// How many requests for the same model may be under way at a time.
    #[must_use]
    pub const fn concurrent_per_model(mut self, requests: u32) -> Self {
        self.concurrent_per_model = Some(requests);
        self
    }

    /// How many requests may come in a second.
    #[must_use]
    pub const fn per_second(mut self, requests: u32) -> Self {
        self.per_second = Some(requests);
        self
    }

    /// How many requests may come in a minute.
    #[must_use]
    pub const fn per_minute(mut self, requests: u32) -> Self {
        self.per_minute = Some(requests);
        self
    }

    /// How many requests may come from midnight to midnight, UTC.
    #[must_use]
    pub const fn per_day(mut self, requests: u32) -> Self {
        self.per_day = Some(requests);
        self
    }

    /// How many tokens may be used in a minute, after a minute in which none were.
    ///
    /// A request takes as many as it is estimated to use, and settles the difference when its answer has told. One that needs
    /// more than the limit waits until all of it is there.
    #[must_use]
    pub const fn tokens_per_minute(mut self, tokens: u64) -> Self {
        self.tokens_per_minute = Some(tokens);
        self
    }

    /// How many requests may come at once beyond the even pace, after as many have failed to come.
    ///
    /// A second or a minute then holds up to so many requests more than its limit: for providers that count by a token
    /// bucket of that size. Never more come at once than the limit of the span. 0 holds everybody to the pace
    /// exactly, and what comes late is lost. Default: see [above](Self#how-much-that-is).
    #[must_use]
    pub const fn burst(mut self, requests: u32) -> Self {
        self.burst = Some(requests);
        self
    }
}
