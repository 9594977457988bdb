//! How many members were used for the first time in the present window of time, and in the one before.

use crate::sync::{AtomicU64, Ordering};

#[derive(Debug)]
pub(crate) struct Used(AtomicU64);

impl Used {
    pub(super) fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    /// A member is used for the first time in `window`.
    pub(crate) fn note(&self, window: u32) {
        let update = |packed| Some(Counts::from(packed).at(window).one_more().packed());
        let _ = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, update);
    }

    /// How many members were used in `window` or the one before, whichever was more.
    pub(crate) fn most(&self, window: u32) -> u32 {
        let counts = Counts::from(self.0.load(Ordering::Relaxed)).at(window);
        counts.before.max(counts.present)
    }
}

/// The counts of two windows in one word: 20 bits of the window's number, 22 of each count.
#[derive(Clone, Copy)]
struct Counts {
    window: u32,
    before: u32,
    present: u32,
}

impl Counts {
    const COUNT: u64 = (1 << 22) - 1;
    const WINDOW: u32 = (1 << 20) - 1;

    fn from(packed: u64) -> Self {
        let window = (packed >> 44) as u32;
        Self { window, before: (packed >> 22 & Self::COUNT) as u32, present: (packed & Self::COUNT) as u32 }
    }

    fn packed(self) -> u64 {
        u64::from(self.window) << 44 | u64::from(self.before) << 22 | u64::from(self.present)
    }

    fn at(self, window: u32) -> Self {
        let window = window & Self::WINDOW;
        match window.wrapping_sub(self.window) & Self::WINDOW {
            0 => self,
            1 => Self { window, before: self.present, present: 0 },
            _ => Self { window, before: 0, present: 0 },
        }
    }

    fn one_more(self) -> Self {
        Self { present: (self.present + 1).min(Self::COUNT as u32), ..self }
    }
}
