//! Secrets sealed before any store sees them.

mod adopt;
mod header;
mod key_file;
mod live_ring;
mod master_key;
mod records;
mod reseal;
mod ring;
mod seal;

use std::sync::Arc;

use bytes::Bytes;

use self::header::Header;
use self::live_ring::LiveRing;
use self::records::{all_closed, opened};
use self::reseal::anew;
use self::seal::sealed_by;
use super::{Doing, ErrorKind, Loaded, Store, StoreError, Watch};
use crate::record::Change;
use crate::secret::Pepper;

pub use master_key::{MasterKey, MasterKeyError};
pub use reseal::Resealed;
pub use ring::{KeyRing, RingId};

/// Any store, with the secrets of its records sealed by AES-256-GCM.
///
/// Its header holds the pepper of the key ids, sealed too: a wrong master key shows before anything else is read. What
/// does not open is never used (I3): a record that was altered, was moved from another key, is bound to another origin or is
/// in clear is [unreadable](Loaded::unreadable).
///
/// ```
/// use key_commune::record::Record;
/// use key_commune::secret::Secret;
/// use key_commune::store::{Encrypted, KeyRing, MasterKey, MemoryStore, Store};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let master: MasterKey = "8f0c".repeat(16).parse()?;
/// let memory = MemoryStore::default();
/// let store = Encrypted::open(memory.clone(), KeyRing::new(&master)).await?;
///
/// let secret: Secret = "sk-test-0123456789abcdef".parse()?;
/// let record = Record::new(store.pepper().id("openai", &secret), "openai", secret);
/// store.write(vec![record.clone().into()]).await?;
/// assert_eq!(store.load().await?.changes, [record.into()]);
/// assert!(memory.load().await?.changes[0].record().unwrap().secret.plain().is_none());
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Encrypted<S> {
    inner: S,
    ring: Arc<LiveRing>,
    pepper: Pepper,
}

impl<S: Store> Encrypted<S> {
    /// Opens a store, or seals one that is empty.
    ///
    /// # Errors
    /// When a master key that it is sealed by is neither in the ring nor found by its source; it is named. When it holds
    /// records in clear, which [`adopt`](Self::adopt) is for, or records and no header. Nothing is changed then.
    pub async fn open(inner: S, ring: KeyRing) -> Result<Self, StoreError> {
        if inner.header().await?.is_none() {
            let key = ring.newest();
            found(&inner, &inner.load().await?, Header::new(key, Header::first_pepper(key))).await?;
        }
        let ring = Arc::new(LiveRing::new(ring));
        let header = Header::open(&ring, &sealed_header(&inner).await?)?;
        ring.following(header.key());
        Ok(Self { inner, ring, pepper: header.pepper() })
    }

    /// What the ids of this store's keys are made with. It stays when the master key changes.
    #[must_use]
    pub fn pepper(&self) -> Pepper {
        self.pepper.clone()
    }

    /// The store inside.
    #[must_use]
    pub fn into_inner(self) -> S {
        self.inner
    }

    /// The ring, as of the header that the store has now.
    async fn ring(&self) -> Result<Arc<KeyRing>, StoreError> {
        let sealed = sealed_header(&self.inner).await?;
        let ring = self.ring.get();
        if sealed_by(&sealed) == Some(ring.newest().id) {
            return Ok(ring);
        }
        Ok(self.ring.following(Header::open(&self.ring, &sealed)?.key()))
    }

    /// Seals the header that `change` makes of the present one, unless it makes none. Answers whether it did.
    async fn change_header(&self, change: impl Fn(&Header) -> Option<Header> + Send) -> Result<bool, StoreError> {
        loop {
            let present = sealed_header(&self.inner).await?;
            let Some(header) = change(&Header::open(&self.ring, &present)?) else { return Ok(false) };
            if self.inner.replace_header(Some(present), header.seal()?).await? {
                return Ok(true);
            }
        }
    }
}

async fn sealed_header(inner: &impl Store) -> Result<Bytes, StoreError> {
    inner.header().await?.ok_or_else(|| StoreError::new(ErrorKind::Damaged, "its header is gone"))
}

/// Gives a store its first header, unless it holds keys that another one must have stood for. If somebody else does so at
/// the same moment, theirs stands.
async fn found(inner: &impl Store, loaded: &Loaded, header: Header) -> Result<(), StoreError> {
    match loaded.keys() {
        0 => inner.replace_header(None, header.seal()?).await.map(drop),
        keys => {
            let what = format!("it holds {keys} keys and does not say which one");
            Err(StoreError::new(ErrorKind::WrongKey, what))
        }
    }
}

impl<S: Store> Store for Encrypted<S> {
    fn load(&self) -> Doing<'_, Loaded> {
        Box::pin(async { Ok(opened(&self.ring, self.inner.load().await?).await) })
    }

    /// Looks at the header before and after: who changes the master key between the two has not seen these changes, so
    /// they are sealed anew.
    fn write(&self, mut changes: Vec<Change>) -> Doing<'_, ()> {
        Box::pin(async move {
            let mut ring = self.ring().await?;
            loop {
                self.inner.write(all_closed(&ring, &changes).await?).await?;
                let present = self.ring().await?;
                if present.newest().id == ring.newest().id {
                    return Ok(());
                }
                (ring, changes) = (present, changes.into_iter().map(anew).collect());
            }
        })
    }

    fn flush(&self) -> Doing<'_, ()> {
        self.inner.flush()
    }

    fn header(&self) -> Doing<'_, Option<Bytes>> {
        Box::pin(async {
            let header = Header::open(&self.ring, &sealed_header(&self.inner).await?)?;
            Ok(header.guest().cloned())
        })
    }

    fn replace_header(&self, expected: Option<Bytes>, header: Bytes) -> Doing<'_, bool> {
        Box::pin(
            self.change_header(move |present| (present.guest() == expected.as_ref()).then(|| present.hosting(&header))),
        )
    }

    fn watch(&self) -> Option<Box<dyn Watch>> {
        let inner = self.inner.watch()?;
        Some(Box::new(Opening { inner, ring: Arc::clone(&self.ring) }))
    }
}

struct Opening {
    inner: Box<dyn Watch>,
    ring: Arc<LiveRing>,
}

impl Watch for Opening {
    fn next(&mut self) -> Doing<'_, Loaded> {
        Box::pin(async { Ok(opened(&self.ring, self.inner.next().await?).await) })
    }
}
