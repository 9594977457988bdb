//! A search for many patterns of eight bytes, in leaps (Wu and Manber, 1994).

use std::ops::Range;

use zeroize::Zeroizing;

use super::MIN_FORM;

/// How many bytes at the end of a window tell how far it may move on.
const BLOCK: usize = 3;
const BLOCK_MASK: u64 = (1 << (8 * BLOCK)) - 1;
/// No pattern holds a block.
const FAR: u8 = (MIN_FORM - BLOCK + 1) as u8;
/// How many bits of a block's hash are told apart.
const BITS: u32 = 13;

/// How far from the end of a pattern a block stands at least, by the block's hash.
pub(super) struct Shifts(Box<Zeroizing<[u8; 1 << BITS]>>);

impl Shifts {
    pub(super) fn new<'a>(patterns: impl Iterator<Item = &'a [u8; MIN_FORM]>) -> Self {
        let mut shifts = Box::new(Zeroizing::new([FAR; 1 << BITS]));
        for pattern in patterns {
            for (block, shift) in pattern.windows(BLOCK).rev().zip(0..) {
                let block = block.iter().fold(0, |block, &byte| block << 8 | u32::from(byte));
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
        while let Some(window) = text.get(start..).and_then(<[u8]>::first_chunk::<MIN_FORM>) {
            let place = hash((u64::from_be_bytes(*window) & BLOCK_MASK) as u32);
            match self.0.get(place).copied().map_or(1, usize::from) {
                0 if is_one(window) => return Some(start),
                0 => start += 1,
                shift => start += shift,
            }
        }
        None
    }
}

fn hash(block: u32) -> usize {
    (block.wrapping_mul(0x9E37_79B1) >> (u32::BITS - BITS)) as usize
}
