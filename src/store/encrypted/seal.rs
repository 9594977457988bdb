//! The sealed form: format (1 byte), ring id (4), nonce (12), text, tag (16). Nothing of it is optional, and nothing
//! separates its parts.
//!
//! Every subject has a key of its own, made of the master key, so that no two subjects share a nonce, however many seals
//! there are. What it belongs to is authenticated with it, each part with its length: sealed bytes do not open in
//! another row, nor in their own with another origin.

use aes_gcm::aead::KeyInit;
use aes_gcm::{AeadInOut, Aes256Gcm};
use bytes::Bytes;
use rand::TryRng;
use rand::rngs::SysRng;
use zeroize::Zeroizing;

use super::ring::{KeyRing, RingId, RingKey};
use crate::origin::Origin;
use crate::record::Record;
use crate::store::{ErrorKind, StoreError};

const FORMAT: u8 = 1;
const HEAD: usize = 1 + 4 + 12;
const TAG: usize = 16;

/// What is sealed.
#[derive(Clone, Copy, Debug)]
pub(super) enum Subject<'a> {
    Secret(&'a Record),
    Header,
}

/// Why sealed bytes do not open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Closed {
    #[error("what is sealed has another form")]
    Form,
    #[error("the master key {0} is missing")]
    Missing(RingId),
    #[error("what the master key {0} has sealed was altered, or belongs elsewhere")]
    Altered(RingId),
}

impl Subject<'_> {
    fn cipher(self, key: &RingKey) -> Aes256Gcm {
        let key = match self {
            Self::Secret(record) => key.derive(b"seal/1", &record.id.bits().to_be_bytes()),
            Self::Header => key.derive(b"header/1", b""),
        };
        Aes256Gcm::new((&*key).into())
    }

    fn associated(self, ring: RingId) -> Vec<u8> {
        let mut data = [b"key-commune".as_slice(), &[FORMAT], &ring.0].concat();
        if let Self::Secret(record) = self {
            let origin = record.origin.as_ref().map(Origin::to_string).unwrap_or_default();
            data.extend(record.id.bits().to_be_bytes());
            for part in [record.provider.as_bytes(), origin.as_bytes()] {
                data.extend((part.len() as u64).to_be_bytes());
                data.extend(part);
            }
        }
        data
    }
}

/// Seals a text with a nonce drawn by lot.
pub(super) fn seal(key: &RingKey, subject: Subject<'_>, text: &[u8]) -> Result<Bytes, StoreError> {
    let mut nonce = [0; 12];
    SysRng.try_fill_bytes(&mut nonce).map_err(|error| StoreError::new(ErrorKind::Unavailable, error))?;
    let mut sealed = Vec::with_capacity(HEAD + text.len() + TAG);
    sealed.push(FORMAT);
    sealed.extend(key.id.0);
    sealed.extend(nonce);
    sealed.extend(text);
    let (_, body) = sealed.split_at_mut(HEAD);
    let tag = subject.cipher(key).encrypt_inout_detached(&nonce.into(), &subject.associated(key.id), body.into());
    let tag = tag.map_err(|_| StoreError::new(ErrorKind::Full, "too long a text to seal"))?;
    sealed.extend(tag);
    Ok(sealed.into())
}

/// What was sealed, if nothing about it or around it has changed.
pub(super) fn open(ring: &KeyRing, subject: Subject<'_>, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, Closed> {
    let (id, nonce, body, tag) = parts(sealed).ok_or(Closed::Form)?;
    let key = ring.find(id).ok_or(Closed::Missing(id))?;
    let mut text = Zeroizing::new(body.to_vec());
    let (buffer, data) = (text.as_mut_slice().into(), subject.associated(id));
    let opened = subject.cipher(key).decrypt_inout_detached(&nonce.into(), &data, buffer, &tag.into());
    opened.map(|()| text).map_err(|_| Closed::Altered(id))
}

/// The master key that has sealed it, if it has the form.
pub(super) fn sealed_by(sealed: &[u8]) -> Option<RingId> {
    parts(sealed).map(|(id, ..)| id)
}

type Parts<'a> = (RingId, [u8; 12], &'a [u8], [u8; TAG]);

fn parts(sealed: &[u8]) -> Option<Parts<'_>> {
    let (&[FORMAT], rest) = sealed.split_first_chunk()? else { return None };
    let (&id, rest) = rest.split_first_chunk()?;
    let (&nonce, rest) = rest.split_first_chunk()?;
    let (body, &tag) = rest.split_last_chunk()?;
    (!body.is_empty()).then_some((RingId(id), nonce, body, tag))
}
