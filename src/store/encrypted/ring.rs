use std::fmt;
use std::sync::Arc;

use hkdf::Hkdf;
use sha2::Sha256;
use zeroize::Zeroizing;

use super::master_key::MasterKey;

/// The name of a master key, made out of it: safe to print, the same wherever the key is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RingId(pub(super) [u8; 4]);

impl fmt::Display for RingId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", u32::from_be_bytes(self.0))
    }
}

impl fmt::Debug for RingId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RingId({self})")
    }
}

/// Master keys: the newest seals, and any of them opens.
///
/// To change the master key while several processes share a store, let each of them have the new key, or
/// [find](Self::source) it; then seal the store anew by it ([`Encrypted::reseal`](super::Encrypted::reseal)); then take the
/// old key away.
#[derive(Clone)]
pub struct KeyRing {
    newest: RingKey,
    /// They have sealed, and never do again.
    older: Vec<RingKey>,
    /// The source has them, and no header is sealed by them yet.
    coming: Vec<RingKey>,
    source: Option<Source>,
}

type Source = Arc<dyn Fn(RingId) -> Option<MasterKey> + Send + Sync>;

impl KeyRing {
    /// A ring with one key.
    #[must_use]
    pub fn new(newest: &MasterKey) -> Self {
        Self { newest: RingKey::new(newest), older: Vec::new(), coming: Vec::new(), source: None }
    }

    /// The same, with a key that used to seal.
    #[must_use]
    pub fn older(mut self, key: &MasterKey) -> Self {
        self.older.push(RingKey::new(key));
        self
    }

    /// The same, with a place to look for keys that are not in it: a file, say, that is replaced when the master key
    /// changes. It is asked when something is sealed by another key, for a few keys at a time, and blocks whoever asks.
    /// Once the store's header is sealed by what it finds, that key is the newest. So it must not find keys that were given up.
    ///
    /// ```
    /// use key_commune::store::{Encrypted, KeyRing, MasterKey, MemoryStore};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let master = MasterKey::new(std::array::from_fn(|at| at as u8))?;
    /// let ring = KeyRing::new(&master).source(|_| MasterKey::read("data/master.key").ok());
    /// let store = Encrypted::open(MemoryStore::default(), ring).await?;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn source(mut self, source: impl Fn(RingId) -> Option<MasterKey> + Send + Sync + 'static) -> Self {
        self.source = Some(Arc::new(source));
        self
    }

    /// The names of the keys, the newest first.
    pub fn ids(&self) -> impl Iterator<Item = RingId> + '_ {
        self.keys().map(|key| key.id)
    }

    pub(super) fn newest(&self) -> &RingKey {
        &self.newest
    }

    pub(super) fn find(&self, id: RingId) -> Option<&RingKey> {
        self.keys().find(|key| key.id == id)
    }

    /// Asks the source, which may answer with another key than it was asked for.
    pub(super) fn ask(&self, id: RingId) -> Option<RingKey> {
        let found = self.source.as_ref()?(id)?;
        Some(RingKey::new(&found)).filter(|key| key.id == id)
    }

    /// The same, with a key that the source has found.
    pub(super) fn expecting(&self, key: &RingKey) -> Self {
        let mut ring = self.clone();
        if ring.find(key.id).is_none() {
            ring.coming.push(key.clone());
        }
        ring
    }

    /// The same after the header was sealed by this key. What was the newest once does not become it again: that header
    /// was put back by somebody.
    pub(super) fn following(&self, id: RingId) -> Self {
        let mut ring = self.clone();
        if let Some(at) = ring.coming.iter().position(|key| key.id == id) {
            let newest = ring.coming.swap_remove(at);
            ring.older.push(std::mem::replace(&mut ring.newest, newest));
        }
        ring
    }

    fn keys(&self) -> impl Iterator<Item = &RingKey> {
        std::iter::once(&self.newest).chain(&self.older).chain(&self.coming)
    }
}

impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.ids()).finish()
    }
}

/// A master key, ready to make keys for single purposes.
#[derive(Clone)]
pub(super) struct RingKey {
    pub(super) id: RingId,
    hkdf: Hkdf<Sha256>,
}

impl RingKey {
    pub(super) fn new(master: &MasterKey) -> Self {
        let hkdf = Hkdf::new(Some(b"key-commune"), &*master.0);
        let mut id = [0; 4];
        // Only lengths above 8,160 bytes are refused.
        let _ = hkdf.expand(b"ring/1", &mut id);
        Self { id: RingId(id), hkdf }
    }

    /// The key for one purpose, and for one subject of it.
    pub(super) fn derive(&self, purpose: &[u8], subject: &[u8]) -> Zeroizing<[u8; 32]> {
        let mut key = Zeroizing::new([0; 32]);
        let _ = self.hkdf.expand_multi_info(&[purpose, b"\0", subject], &mut *key);
        key
    }
}
