//! A search for many patterns of eight bytes, in leaps (Wu and Manber, 1994).

use std::ops::Range;

use zeroize::Zeroizing;

use super::MIN_FORM;

/// How many bytes at the end of a window tell how far it may move on.
const BLOCK: usize = 3;
/// No pattern holds a block.
const FAR: u8 = (MIN_FORM - BLOCK + 1) as u8;
/// How many bits of a block's hash are told apart.
const BITS: u32 = 13;

/// How far from the end of a pattern a block stands at least, by the block's hash.
pub(super) struct Shifts(Zeroizing<Vec<u8>>);

impl Shifts {
    pub(super) fn new<'a>(patterns: impl Iterator<Item = &'a [u8; MIN_FORM]>) -> Self {
        let mut shifts = Zeroizing::new(vec![FAR; 1 << BITS]);
        for pattern in patterns {
            for (block, shift) in pattern.windows(BLOCK).rev().zip(0..) {
                if let Some(least) = shifts.get_mut(hash(block)) {
                    *least = shift.min(*least);
                }
            }
        }
        Self(shifts)
    }

    /// Where the first pattern in this range of a text begins; `is_one` says whether eight bytes are one.
    pub(super) fn find(&self, text: &[u8], range: Range<usize>, is_one: impl Fn(&[u8]) -> bool) -> Option<usize> {
        let text = text.get(..range.end)?;
        let mut start = range.start;
        while let Some(window) = text.get(start..start + MIN_FORM) {
            match self.shift(window) {
                0 if is_one(window) => return Some(start),
                0 => start += 1,
                shift => start += shift,
            }
        }
        None
    }

    fn shift(&self, window: &[u8]) -> usize {
        let block = window.get(MIN_FORM - BLOCK..).unwrap_or_default();
        self.0.get(hash(block)).copied().map_or(1, usize::from)
    }
}

fn hash(block: &[u8]) -> usize {
    let bytes = block.iter().fold(0_u32, |bytes, &byte| bytes << 8 | u32::from(byte));
    (bytes.wrapping_mul(0x9E37_79B1) >> (u32::BITS - BITS)) as usize
}
