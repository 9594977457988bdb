use std::future::poll_fn;
use std::task::Poll;

use crate::guard::guarded;
use crate::store::{Doing, ErrorKind, StoreError};

/// What a store does, or an error if it panics: it is somebody's own, and its keeper must outlive that.
pub(super) async fn calm<'a, T>(act: impl FnOnce() -> Doing<'a, T>) -> Result<T, StoreError> {
    let panicked = || StoreError::new(ErrorKind::Unavailable, "it panicked");
    let mut doing = guarded(act).ok_or_else(panicked)?;
    poll_fn(|cx| guarded(|| doing.as_mut().poll(cx)).unwrap_or_else(|| Poll::Ready(Err(panicked())))).await
}
