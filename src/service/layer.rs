use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderName;
use tower_layer::Layer;

use super::KeyCommune;
use super::hygiene::Keep;
use super::replay::Limits;
use crate::classify::Classify;
use crate::demand::Inspect;
use crate::pool::KeyPool;
use crate::rewrite::Rewrite;

/// Gives any HTTP client a pool of keys. All configuration lives here; cloning shares the pool.
///
/// ```
/// use key_commune::KeyCommuneLayer;
/// use key_commune::pool::KeyPool;
/// use key_commune::provider::Provider;
/// use std::time::Duration;
///
/// let pool = KeyPool::new(Provider::OPENAI, ["sk-one-0123456789", "sk-two-0123456789"])?;
/// let layer = KeyCommuneLayer::new(pool).max_wait(Duration::from_secs(20));
/// # Ok::<(), key_commune::pool::PoolError>(())
/// ```
#[derive(Clone, Debug)]
pub struct KeyCommuneLayer {
    settings: Arc<Settings>,
}

/// What the layer was told.
#[derive(Clone)]
#[expect(clippy::struct_excessive_bools, reason = "independent switches")]
pub(super) struct Settings {
    pub(super) pool: KeyPool,
    pub(super) classify: Arc<dyn Classify>,
    pub(super) never_sent: fn(&dyn Any) -> bool,
    pub(super) inspect: Option<Arc<dyn Inspect>>,
    pub(super) rewrites: Vec<Arc<dyn Rewrite>>,
    pub(super) keep: Keep,
    pub(super) limits: Limits,
    pub(super) max_wait: Duration,
    pub(super) rebase: bool,
    pub(super) scrub: bool,
    pub(super) annotate: bool,
    pub(super) usage: bool,
    pub(super) heed: bool,
    pub(super) follow_responses: bool,
    pub(super) retry_failures: bool,
}

impl KeyCommuneLayer {
    /// A layer over this pool, with the provider's own way of reading answers.
    #[must_use]
    pub fn new(pool: KeyPool) -> Self {
        let classify = pool.provider().classifier();
        Self {
            settings: Arc::new(Settings {
                pool,
                classify,
                never_sent: |_| false,
                inspect: None,
                rewrites: Vec::new(),
                keep: Keep::default(),
                limits: Limits::default(),
                max_wait: Duration::ZERO,
                rebase: false,
                scrub: false,
                annotate: false,
                usage: false,
                heed: true,
                follow_responses: false,
                retry_failures: false,
            }),
        }
    }

    /// How answers are judged. Default: the provider's dialect.
    #[must_use]
    pub fn classify(self, classify: impl Classify + 'static) -> Self {
        self.with(|settings| settings.classify = Arc::new(classify))
    }

    /// Which errors of the client say that the request was never sent, so that it may be sent with another key, within the
    /// retry budget. Default: none; nobody but the client's own adapter can know.
    #[must_use]
    pub fn never_sent(self, recognise: fn(&dyn Any) -> bool) -> Self {
        self.with(|settings| settings.never_sent = recognise)
    }

    /// How a request's demand is found out, and whether it may be served at all. Default: not at all; any key serves any
    /// request, and nothing is read.
    #[must_use]
    pub fn inspect(self, inspect: impl Inspect + 'static) -> Self {
        self.with(|settings| settings.inspect = Some(Arc::new(inspect)))
    }

    /// How the body is changed for the key that it goes out with. One that is set after another sees what that one has
    /// made. Default: not at all; bodies pass as they are.
    #[must_use]
    pub fn rewrite(self, rewrite: impl Rewrite + 'static) -> Self {
        self.with(|settings| settings.rewrites.push(Arc::new(rewrite)))
    }

    /// Spares a request header that would be removed because it may carry a credential or select an account. The header
    /// of the pool's own credential, and those that frame the message, are not spared.
    ///
    /// A caller's `Accept-Encoding` becomes `identity`, for a compressed answer cannot be read: a refusal is then judged by its
    /// status alone, and nothing is known of usage. Keeping it saves bandwidth where that does not matter; with
    /// [`scrub`](Self::scrub) it is not spared.
    #[must_use]
    #[expect(clippy::needless_pass_by_value, reason = "setters take what they set")]
    pub fn keep(self, name: HeaderName) -> Self {
        self.with(|settings| settings.keep.add(name.as_str()))
    }

    /// How long a request waits for a key when none can serve it; a [`Deadline`](super::Deadline) in the request's
    /// extensions overrides it. Default: not at all. Waiting needs a tokio runtime with time enabled.
    #[must_use]
    pub fn max_wait(self, longest: Duration) -> Self {
        self.with(|settings| settings.max_wait = longest)
    }

    /// Serves requests that name no origin, as a server receives them, by sending them to the pool's. Requests that name
    /// another origin get 421. Default: off; requests for other origins pass untouched, but in a commune they get 421 as well.
    #[must_use]
    pub fn rebase(self) -> Self {
        self.with(|settings| settings.rebase = true)
    }

    /// Masks echoes of the key in answers (I18), and asks the provider not to compress them. Default: off; switch it on
    /// wherever those who get the answers do not own the keys.
    #[must_use]
    pub fn scrub(self) -> Self {
        self.with(|settings| settings.scrub = true)
    }

    /// Puts [`Served`](super::Served) into the extensions of answers too. Default: off.
    #[must_use]
    pub fn annotate(self, on: bool) -> Self {
        self.with(|settings| settings.annotate = on)
    }

    /// Reads the tokens and the cost out of good answers as they pass, and adds them to the statistics of the key, see
    /// [`MemberSnapshot::usage_today`](crate::pool::MemberSnapshot::usage_today). Answers that are compressed are not read,
    /// nor are those that do not end. Default: off; it costs an allocation and the pool's lock, once per answer.
    #[must_use]
    pub fn usage(self, on: bool) -> Self {
        self.with(|settings| settings.usage = on)
    }

    /// Whether to heed what good answers say is [left](crate::hint::left) of a key's limits, less what is under way: a key of
    /// which nothing is left is not asked before there is again, and no request is spent on finding out. Default: yes.
    #[must_use]
    pub fn heed_limits(self, on: bool) -> Self {
        self.with(|settings| settings.heed = on)
    }

    /// Remembers which key gave which response, so that requests that follow one
    /// ([`Demand::previous_response`](crate::demand::Demand::previous_response)) are served with the key that knows it. Read
    /// for that is the beginning of good answers to `POST …/responses`, as they pass; up to
    /// [`max_responses`](crate::pool::Builder::max_responses) are remembered, and none in a commune. Default: off; it costs a
    /// few allocations and a short lock, once per response.
    #[must_use]
    pub fn follow_responses(self, on: bool) -> Self {
        self.with(|settings| settings.follow_responses = on)
    }

    /// Sends a request again, with another key and within the retry budget, after a 5xx that may have been processed.
    /// Only for requests that may be processed twice. Default: off.
    #[must_use]
    pub fn retry_failures(self, on: bool) -> Self {
        self.with(|settings| settings.retry_failures = on)
    }

    /// How much of request bodies is kept so that they can be sent again: at most this many bytes per request. A longer
    /// body is sent once. Default: 1 MiB.
    #[must_use]
    pub fn max_replay(self, bytes: usize) -> Self {
        self.with(|settings| settings.limits = settings.limits.clone().with_per_request(bytes))
    }

    /// How much of request bodies this layer keeps at a time. A body that comes when there is no room is sent once; one
    /// that still has to come, and to be read before a key is chosen, is refused with 503 and [`Refusal::NoRoom`].
    /// Default: 64 MiB, for all layers together that do not set it.
    ///
    /// [`Refusal::NoRoom`]: super::Refusal::NoRoom
    #[must_use]
    pub fn max_replay_memory(self, bytes: usize) -> Self {
        self.with(|settings| settings.limits = settings.limits.clone().with_shared(bytes))
    }

    fn with(mut self, change: impl FnOnce(&mut Settings)) -> Self {
        change(Arc::make_mut(&mut self.settings));
        self
    }
}

impl<S> Layer<S> for KeyCommuneLayer {
    type Service = KeyCommune<S>;

    fn layer(&self, inner: S) -> KeyCommune<S> {
        KeyCommune::new(inner, Arc::clone(&self.settings))
    }
}

impl std::fmt::Debug for Settings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { pool, max_wait, rebase, scrub, .. } = self;
        let mut debug = f.debug_struct("Settings");
        debug.field("pool", pool).field("max_wait", max_wait).field("rebase", rebase).field("scrub", scrub);
        debug.finish_non_exhaustive()
    }
}
