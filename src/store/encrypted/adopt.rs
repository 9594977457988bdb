use zeroize::Zeroizing;

use super::header::Header;
use super::reseal::anew;
use super::ring::KeyRing;
use super::{Encrypted, found};
use crate::record::Change;
use crate::secret::Pepper;
use crate::store::{ErrorKind, Store, StoreError};

impl<S: Store> Encrypted<S> {
    /// Opens a store that holds secrets in clear, and seals them. Their ids stay: `pepper` is what they were made with.
    /// Begins where it left off when it was interrupted. Nobody else may write meanwhile.
    ///
    /// Whatever was in clear may still be read where it was: in copies of the store, and on the disk that it lies on.
    ///
    /// ```
    /// use key_commune::record::Record;
    /// use key_commune::secret::{Pepper, Secret};
    /// use key_commune::store::{Encrypted, KeyRing, MasterKey, MemoryStore, Store};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let clear = MemoryStore::default();
    /// let secret: Secret = "sk-test-0123456789abcdef".parse()?;
    /// let record = Record::new(Pepper::new([7; 32]).id("openai", &secret), "openai", secret);
    /// clear.write(vec![record.into()]).await?;
    ///
    /// let master: MasterKey = "8f0c".repeat(16).parse()?;
    /// let sealed = Encrypted::adopt(clear, KeyRing::new(&master), [7; 32]).await?;
    /// assert!(sealed.into_inner().load().await?.changes[0].record().unwrap().secret.plain().is_none());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`open`](Self::open), but for the records in clear; and when the id of one was made with another pepper. Nothing is
    /// changed then.
    pub async fn adopt(inner: S, ring: KeyRing, pepper: [u8; 32]) -> Result<Self, StoreError> {
        let pepper = Zeroizing::new(pepper);
        let mut loaded = inner.load().await?;
        let clear: Vec<_> = loaded.changes.extract_if(.., is_clear).collect();
        check(&clear, &Pepper::new(*pepper))?;
        if inner.header().await?.is_none() {
            found(&inner, &loaded, Header::new(ring.newest(), pepper)).await?;
        }
        let store = Self::open(inner, ring).await?;
        check(&clear, &store.pepper)?;
        for batch in clear.chunks(Self::BATCH) {
            store.write(batch.iter().cloned().map(anew).collect()).await?;
        }
        store.flush().await.map(|()| store)
    }
}

fn is_clear(change: &mut Change) -> bool {
    change.record().is_some_and(|record| record.secret.plain().is_some())
}

/// Whoever puts a secret into a store by hand does not know the pepper.
fn check(clear: &[Change], pepper: &Pepper) -> Result<(), StoreError> {
    let records = || clear.iter().filter_map(Change::record);
    let is_own = |id, provider: &str, secret| pepper.id(provider, secret) == id;
    let foreign = records()
        .find(|record| !record.secret.plain().is_some_and(|secret| is_own(record.id, &record.provider, secret)));
    let what = |id| format!("the name of the key {id} was made with another pepper");
    foreign.map_or(Ok(()), |record| Err(StoreError::new(ErrorKind::WrongKey, what(record.id))))
}
