//! What both kinds of bodies need: frames of `Bytes`, clean trailers, and size hints that grow by what is held.

use bytes::{Buf, Bytes};
use http_body::{Frame, SizeHint};

use super::hygiene;

/// The same frame with its data as `Bytes`: a refcount if it was `Bytes` before, else a copy.
pub(crate) fn in_bytes<D: Buf>(frame: Frame<D>) -> Frame<Bytes> {
    frame.map_data(|mut data| data.copy_to_bytes(data.remaining()))
}

/// The same frame; trailers pass by the same rules as headers (I2).
pub(crate) fn clean(frame: Frame<Bytes>) -> Frame<Bytes> {
    match frame.into_trailers() {
        Ok(mut trailers) => {
            hygiene::trailers(&mut trailers);
            Frame::trailers(trailers)
        }
        Err(frame) => frame,
    }
}

/// The hint of a body that has `ahead` bytes before those that `rest` speaks of.
///
/// Saturates where `SizeHint`'s own `Add` would overflow: the number may be a stranger's `Content-Length`.
pub(crate) fn longer(rest: SizeHint, ahead: usize) -> SizeHint {
    let ahead = ahead as u64;
    let mut hint = SizeHint::new();
    if let Some(upper) = rest.upper() {
        hint.set_upper(upper.saturating_add(ahead));
    }
    hint.set_lower(rest.lower().saturating_add(ahead));
    hint
}

#[cfg(not(key_commune_loom))]
#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hint_grows_by_what_is_ahead_and_never_overflows() {
        assert_eq!(longer(SizeHint::with_exact(3), 4).exact(), Some(7));
        assert_eq!(longer(SizeHint::with_exact(u64::MAX), 4).exact(), Some(u64::MAX));
        let open = longer(SizeHint::new(), 4);
        assert_eq!((open.lower(), open.upper()), (4, None));
    }

    #[test]
    fn bytes_are_not_copied() {
        let data = Bytes::from(vec![7; 64]);
        let same = in_bytes(Frame::data(data.clone())).into_data().unwrap();
        assert_eq!(same.as_ptr(), data.as_ptr());
    }
}
