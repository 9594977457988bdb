//! Secrets sealed before any store sees them.

mod header;
mod key_file;
mod reseal;
mod ring;
mod seal;

use std::sync::Arc;

use bytes::Bytes;
use zeroize::Zeroizing;

use self::header::Header;
use self::seal::{Closed, Subject, open, seal};
use super::{Doing, ErrorKind, Loaded, Store, StoreError, Watch};
use crate::record::{Change, Kept, Record};
use crate::secret::{Pepper, Secret};

pub use reseal::Resealed;
pub use ring::{KeyRing, MasterKey, MasterKeyError, RingId};

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
    ring: Arc<KeyRing>,
    pepper: Pepper,
}

impl<S: Store> Encrypted<S> {
    /// Opens a store, or seals one that is empty.
    ///
    /// # Errors
    /// When the master key that sealed it is not in the ring, which is named; when it holds records in clear, or records
    /// and no header. Nothing is changed then.
    pub async fn open(inner: S, ring: KeyRing) -> Result<Self, StoreError> {
        if inner.header().await?.is_none() {
            found(&inner, &ring).await?;
        }
        let sealed = inner.header().await?.ok_or_else(|| StoreError::new(ErrorKind::Damaged, "its header is gone"))?;
        let pepper = Header::open(&ring, &sealed)?.pepper();
        Ok(Self { inner, ring: Arc::new(ring), pepper })
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

    /// Seals the header that `change` makes of the present one, unless it makes none. Answers whether it did.
    async fn change_header(&self, change: impl Fn(&Header) -> Option<Header> + Send) -> Result<bool, StoreError> {
        loop {
            let present = self.inner.header().await?;
            let sealed = present.clone().ok_or_else(|| StoreError::new(ErrorKind::Damaged, "its header is gone"))?;
            let Some(header) = change(&Header::open(&self.ring, &sealed)?) else { return Ok(false) };
            if self.inner.replace_header(present, header.seal(self.ring.newest())?).await? {
                return Ok(true);
            }
        }
    }
}

/// Seals an empty store. If somebody else does at the same moment, theirs stands.
async fn found(inner: &impl Store, ring: &KeyRing) -> Result<(), StoreError> {
    let loaded = inner.load().await?;
    let live = loaded.changes.iter().filter(|change| change.record().is_some()).count();
    let live = live + loaded.unreadable.len() + loaded.nameless;
    if live > 0 {
        let what = format_args!("it holds {live} keys and does not say which one").to_string();
        return Err(StoreError::new(ErrorKind::WrongKey, what));
    }
    inner.replace_header(None, Header::new(ring.newest()).seal(ring.newest())?).await.map(drop)
}

impl<S: Store> Store for Encrypted<S> {
    fn load(&self) -> Doing<'_, Loaded> {
        Box::pin(async { Ok(opened(&self.ring, self.inner.load().await?)) })
    }

    fn write(&self, mut changes: Vec<Change>) -> Doing<'_, ()> {
        Box::pin(async move {
            changes.iter_mut().try_for_each(|change| close(&self.ring, change))?;
            self.inner.write(changes).await
        })
    }

    fn flush(&self) -> Doing<'_, ()> {
        self.inner.flush()
    }

    fn header(&self) -> Doing<'_, Option<Bytes>> {
        Box::pin(async {
            let sealed = self.inner.header().await?;
            let opened = sealed.map(|sealed| Header::open(&self.ring, &sealed)).transpose()?;
            Ok(opened.and_then(|header| header.guest().cloned()))
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
    ring: Arc<KeyRing>,
}

impl Watch for Opening {
    fn next(&mut self) -> Doing<'_, Loaded> {
        Box::pin(async { Ok(opened(&self.ring, self.inner.next().await?)) })
    }
}

fn opened(ring: &KeyRing, loaded: Loaded) -> Loaded {
    let mut readable = Loaded { changes: Vec::with_capacity(loaded.changes.len()), ..loaded };
    for mut change in loaded.changes {
        match unseal(ring, &mut change) {
            Ok(()) => readable.changes.push(change),
            Err(_) => readable.unreadable.push(change.id()),
        }
    }
    readable
}

fn unseal(ring: &KeyRing, change: &mut Change) -> Result<(), Closed> {
    let Change::Put(record) = change else { return Ok(()) };
    let sealed = record.secret.sealed().ok_or(Closed::Form)?;
    let text = open(ring, Subject::Secret(record), sealed)?;
    record.secret = Kept::Plain(secret(text)?);
    Ok(())
}

fn secret(mut text: Zeroizing<Vec<u8>>) -> Result<Secret, Closed> {
    let text = String::from_utf8(std::mem::take(&mut *text));
    text.ok().and_then(|text| Secret::new(text).ok()).ok_or(Closed::Form)
}

fn close(ring: &KeyRing, change: &mut Change) -> Result<(), StoreError> {
    let Change::Put(record) = change else { return Ok(()) };
    record.secret = Kept::Sealed(sealed(ring, record)?);
    Ok(())
}

fn sealed(ring: &KeyRing, record: &Record) -> Result<Bytes, StoreError> {
    let secret = record.secret.plain();
    let secret = secret.ok_or_else(|| StoreError::new(ErrorKind::WrongKey, "a record is sealed already"))?;
    seal(ring.newest(), Subject::Secret(record), secret.expose().as_bytes())
}
