//! The frames that have been read ahead, in their order, and one view of their bytes.
//!
//! A single frame is held as it is. From the second on they are copied into one piece for the view, and handed out
//! again as slices of that piece, so they no longer pin the buffers they came in.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

pub(super) struct Held {
    bound: usize,
    /// The only frame so far.
    single: Bytes,
    /// All frames but `last`, once there are several, and as much of `last` as the view shows.
    joined: BytesMut,
    /// How the joined bytes were cut into frames.
    cuts: Vec<usize>,
    /// The frame that went over the bound; it may be large and is not copied.
    last: Bytes,
}

impl Held {
    pub(super) fn new(bound: usize) -> Self {
        Self { bound, single: Bytes::new(), joined: BytesMut::new(), cuts: Vec::new(), last: Bytes::new() }
    }

    /// Holds one more frame. Frames without bytes are left out: nobody can tell.
    pub(super) fn push(&mut self, data: Bytes) {
        if data.is_empty() {
            return;
        }
        if self.view().is_empty() {
            self.single = data;
            return;
        }
        let first = std::mem::take(&mut self.single);
        if !first.is_empty() {
            self.join(first);
        }
        self.join(data);
    }

    /// The bytes up to the bound.
    pub(super) fn view(&self) -> &[u8] {
        let read = if self.single.is_empty() { &self.joined[..] } else { &self.single[..] };
        read.get(..self.bound).unwrap_or(read)
    }

    pub(super) fn is_full(&self) -> bool {
        self.view().len() >= self.bound
    }

    pub(super) fn into_frames(mut self) -> Frames {
        self.joined.truncate(self.cuts.iter().sum()); // the rest is the beginning of `last`
        Frames { joined: self.joined.freeze(), cuts: self.cuts.into(), last: self.last, single: self.single }
    }

    fn join(&mut self, data: Bytes) {
        let room = self.bound.saturating_sub(self.joined.len());
        match data.get(..room) {
            Some(shown) if data.len() > room => {
                self.joined.extend_from_slice(shown);
                self.last = data;
            }
            _ => {
                self.joined.extend_from_slice(&data);
                self.cuts.push(data.len());
            }
        }
    }
}

/// The held frames on their way out.
#[derive(Default)]
pub(super) struct Frames {
    single: Bytes,
    joined: Bytes,
    cuts: VecDeque<usize>,
    last: Bytes,
}

impl Frames {
    pub(super) fn next(&mut self) -> Option<Bytes> {
        let frame = match self.cuts.pop_front() {
            Some(size) => self.joined.split_to(size),
            None if self.single.is_empty() => std::mem::take(&mut self.last),
            None => std::mem::take(&mut self.single),
        };
        Some(frame).filter(|frame| !frame.is_empty())
    }

    /// How many bytes are still to come.
    pub(super) fn len(&self) -> usize {
        self.single.len() + self.cuts.iter().sum::<usize>() + self.last.len()
    }
}
