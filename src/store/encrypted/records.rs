//! Records on their way into a store and out of it.

use bytes::Bytes;
use tokio::task::yield_now;
use zeroize::Zeroizing;

use super::live_ring::LiveRing;
use super::ring::{KeyRing, RingId};
use super::seal::{Closed, Subject, open, seal, sealed_by};
use crate::record::{Change, Kept, Record};
use crate::secret::Secret;
use crate::store::{ErrorKind, Loaded, StoreError};

/// How many secrets are opened or sealed before somebody else has the thread.
const AT_ONCE: usize = 128;

pub(super) async fn opened(ring: &LiveRing, loaded: Loaded) -> Loaded {
    let ring = ring.knowing(loaded.changes.iter().filter_map(sealer));
    let mut readable = Loaded { changes: Vec::with_capacity(loaded.changes.len()), ..loaded };
    for (index, mut change) in loaded.changes.into_iter().enumerate() {
        if index % AT_ONCE == AT_ONCE - 1 {
            yield_now().await;
        }
        match unseal(&ring, &mut change) {
            Ok(()) => readable.changes.push(change),
            Err(_) => readable.unreadable.push(change.id()),
        }
    }
    readable
}

/// The key that has sealed it, if any has.
pub(super) fn sealer(change: &Change) -> Option<RingId> {
    change.record()?.secret.sealed().and_then(|sealed| sealed_by(sealed))
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

pub(super) async fn all_closed(ring: &KeyRing, changes: &[Change]) -> Result<Vec<Change>, StoreError> {
    let mut sealed = Vec::with_capacity(changes.len());
    for some in changes.chunks(AT_ONCE) {
        some.iter().try_for_each(|change| closed(ring, change).map(|change| sealed.push(change)))?;
        yield_now().await;
    }
    Ok(sealed)
}

fn closed(ring: &KeyRing, change: &Change) -> Result<Change, StoreError> {
    let Change::Put(record) = change else { return Ok(change.clone()) };
    let secret = Kept::Sealed(sealed(ring, record)?);
    Ok(Record { secret, ..Record::clone(record) }.into())
}

fn sealed(ring: &KeyRing, record: &Record) -> Result<Bytes, StoreError> {
    let secret = record.secret.plain();
    let secret = secret.ok_or_else(|| StoreError::new(ErrorKind::WrongKey, "a record is sealed already"))?;
    seal(ring.newest(), Subject::Secret(record), secret.expose().as_bytes())
}
