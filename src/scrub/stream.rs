//! Scrubs a body that comes in pieces.
//!
//! It remembers of the past only the bytes that it holds back, and how many of these an echo covers already that began
//! before them. A chunk that nothing is held back for is searched where it lies, and handed on as it came if it has no
//! echo. Else the held bytes are settled first, with no more of the chunk beside them than the longest form can need.

use std::fmt;

use bytes::Bytes;
use zeroize::Zeroizing;

use super::Scrubber;

/// Masks the echoes in one body.
///
/// ```
/// use bytes::Bytes;
/// use key_commune::secret::Secret;
/// use key_commune::scrub::{Scrubber, Stream};
///
/// let secret: Secret = "sk-0123456789".parse()?;
/// let mut stream = Stream::new(Scrubber::new(&secret));
///
/// let mut body = Vec::new();
/// for chunk in ["your key sk-0123", "456789 is wrong; try sk-", "012"] {
///     body.extend(stream.push(Bytes::from(chunk)).concat());
/// }
/// assert_eq!(stream.holds(), 6);
/// body.extend(stream.finish());
/// assert_eq!(body, b"your key ************* is wrong; try sk-012");
/// # Ok::<(), key_commune::secret::SecretError>(())
/// ```
pub struct Stream {
    scrubber: Scrubber,
    /// What may begin a form, unmasked.
    held: Zeroizing<Vec<u8>>,
    /// How many of the next bytes belong to an echo that began before them.
    covered: usize,
    echoed: bool,
}

impl Stream {
    /// Starts on a body.
    #[must_use]
    pub fn new(scrubber: Scrubber) -> Self {
        Self { scrubber, held: Zeroizing::default(), covered: 0, echoed: false }
    }

    /// Takes the next bytes of the body, and gives what can go on now, in order; either piece may be empty.
    ///
    /// A chunk without an echo comes back as it is, but for a tail that may begin one.
    #[must_use = "what is dropped here is missing in the body"]
    pub fn push(&mut self, chunk: Bytes) -> [Bytes; 2] {
        if self.held.is_empty() {
            [self.pass(chunk), Bytes::new()]
        } else if chunk.len() < self.scrubber.0.longest {
            self.hold(&chunk);
            [self.release(self.held.len(), true), Bytes::new()]
        } else {
            [self.settle(&chunk), self.pass(chunk)]
        }
    }

    /// Gives what is held back: the body has ended, or only trailers follow.
    #[must_use = "what is dropped here is missing in the body"]
    pub fn finish(&mut self) -> Bytes {
        self.release(self.held.len(), false)
    }

    /// How many bytes are held back.
    #[must_use]
    pub fn holds(&self) -> usize {
        self.held.len()
    }

    /// Whether the body has echoed the key so far.
    #[must_use]
    pub fn echoed(&self) -> bool {
        self.echoed
    }

    /// Hands on a chunk before which nothing is held, but for its open end.
    fn pass(&mut self, mut chunk: Bytes) -> Bytes {
        let mut found = self.scrubber.0.scan(&chunk, chunk.len(), true);
        found.echoes.prepend(self.covered);
        self.covered = found.echoes.end().saturating_sub(found.settled);
        self.echoed |= !found.echoes.is_empty();
        self.hold(chunk.get(found.settled..).unwrap_or_default());
        chunk.truncate(found.settled);
        self.scrubber.mask(chunk, &found.echoes)
    }

    /// Hands on all that is held; `next` is long enough to tell what becomes of it.
    fn settle(&mut self, next: &[u8]) -> Bytes {
        let held = self.held.len();
        self.hold(next.get(..self.scrubber.0.longest - 1).unwrap_or(next));
        let settled = self.release(held, true);
        self.held.clear();
        settled
    }

    /// Hands on those of the held bytes that are before `starts`, but for an open end if there is `more` to come.
    fn release(&mut self, starts: usize, more: bool) -> Bytes {
        let mut found = self.scrubber.0.scan(&self.held, starts, more);
        found.echoes.prepend(self.covered);
        self.covered = found.echoes.end().saturating_sub(found.settled);
        self.echoed |= !found.echoes.is_empty();
        let settled = self.held.drain(..found.settled).collect();
        self.scrubber.mask(settled, &found.echoes)
    }

    /// Holds bytes back, in a buffer that never grows: one that did would leave copies behind.
    fn hold(&mut self, bytes: &[u8]) {
        if self.held.capacity() == 0 && !bytes.is_empty() {
            self.held.reserve_exact(2 * self.scrubber.0.longest);
        }
        self.held.extend_from_slice(bytes);
    }
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stream").field("holds", &self.held.len()).finish_non_exhaustive()
    }
}
