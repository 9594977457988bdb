//! Hooks that an application brings may panic. A panic there is that hook's answer lost, not the request, and not a lease.

use std::panic::{AssertUnwindSafe, catch_unwind};

/// What `hook` answers, or `None` if it panics. Nothing that a hook can leave half done is used afterwards.
#[inline]
pub(crate) fn guarded<T>(hook: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(hook)).ok()
}
