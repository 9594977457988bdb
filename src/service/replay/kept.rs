//! The part of a streamed body that has been kept, and how far the present attempt has read it.
//!
//! Large chunks are kept by refcount, small ones are copied into blocks of our own. A chunk is a slice of its reader's
//! buffer and keeps all of that buffer alive, however small the slice: a caller that sends byte by byte could make
//! a megabyte of kept chunks pin gigabytes (hyper's smallest read buffer is 8 KiB). `Bytes` cannot tell what it
//! pins, so the rest is not exact: hyper's HTTP/1 buffer grows to 408 KiB and shrinks only after two reads in a row that
//! fill less than about a third of it, so a caller who times its writes can make large chunks pin some six times
//! their length; a server that sets `max_buf_size` to 64 KiB brings that under three. What is copied is exact: a block
//! is paid for when it is made, filled or not (I10).

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http_body::Frame;

use super::budget::{Limits, Reservation};

/// Chunks from this size on are kept by refcount. The usual HTTP/2 frame is just as large.
const LARGE: usize = 16 << 10;
/// Blocks for copies grow from the one to the other with what they hold.
const FIRST_BLOCK: usize = 1 << 10;
const LAST_BLOCK: usize = 16 << 10;

pub(super) struct Kept {
    chunks: Vec<Bytes>,
    /// The last small chunks. The present attempt has read all of them, or none.
    block: BytesMut,
    trailers: Option<HeaderMap>,
    /// How many of `chunks` the present attempt has read.
    next: usize,
    trailers_due: bool,
    /// How many bytes of data are kept, and how many of them the present attempt has read.
    bytes: usize,
    read: usize,
    cap: usize,
    room: Reservation,
    short: bool,
}

impl Kept {
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            chunks: Vec::new(),
            block: BytesMut::new(),
            trailers: None,
            next: 0,
            trailers_due: false,
            bytes: 0,
            read: 0,
            cap: limits.per_request(),
            room: limits.reservation(),
            short: false,
        }
    }

    /// Keeps a frame that the present attempt sends right now. False if there is no room for it: then what is
    /// kept has a gap and must be thrown away.
    pub(super) fn keep(&mut self, frame: &Frame<Bytes>) -> bool {
        let stored = self.store(frame);
        (self.next, self.read, self.trailers_due) = (self.chunks.len(), self.bytes, false);
        stored
    }

    /// Keeps a frame that is read ahead, all of it or nothing: the present attempt has it, and all before it, still to read.
    pub(super) fn store(&mut self, frame: &Frame<Bytes>) -> bool {
        let size = size_of_frame(frame);
        if size > self.cap.saturating_sub(self.bytes) {
            return false;
        }
        let stored = match (frame.data_ref(), frame.trailers_ref()) {
            (Some(data), _) if size < LARGE => self.copy(data),
            (Some(data), _) => self.share(data),
            (None, trailers) => self.hold(size, trailers),
        };
        self.bytes += frame.data_ref().filter(|_| stored).map_or(0, Bytes::len);
        stored
    }

    /// The next frame that is kept and that the present attempt has not read.
    pub(super) fn next(&mut self) -> Option<Frame<Bytes>> {
        if self.next == self.chunks.len() && self.read < self.bytes {
            self.close_block();
        }
        if let Some(chunk) = self.chunks.get(self.next) {
            self.next += 1;
            self.read += chunk.len();
            return Some(Frame::data(chunk.clone()));
        }
        let due = std::mem::take(&mut self.trailers_due);
        self.trailers.clone().filter(|_| due).map(Frame::trailers)
    }

    /// Starts another attempt at the first byte.
    pub(super) fn rewind(&mut self) {
        (self.next, self.read) = (0, 0);
        self.trailers_due = self.trailers.is_some();
    }

    /// Whether the present attempt has read everything that is kept.
    pub(super) fn is_spent(&self) -> bool {
        self.read == self.bytes && !self.trailers_due
    }

    /// How many kept bytes of data the present attempt has still to read.
    pub(super) fn unread(&self) -> usize {
        self.bytes - self.read
    }

    /// Whether a frame was lost because the process keeps as much as it may.
    pub(super) fn is_short(&self) -> bool {
        self.short
    }

    /// All data that is kept, in one piece, as long as none of it has been read: copied once if it came in several.
    pub(super) fn all(&mut self) -> Option<Bytes> {
        if self.read > 0 {
            return None;
        }
        self.close_block();
        if self.chunks.len() > 1 {
            self.chunks = vec![self.chunks.concat().into()];
        }
        Some(self.chunks.first().cloned().unwrap_or_default())
    }

    fn share(&mut self, data: &Bytes) -> bool {
        let granted = self.grow(data.len());
        if granted {
            self.close_block();
            self.chunks.push(data.clone());
        }
        granted
    }

    fn copy(&mut self, data: &[u8]) -> bool {
        let free = self.block.capacity() - self.block.len();
        let (here, beyond) = data.split_at(free.min(data.len()));
        let next = self.size_of_block(self.bytes + here.len(), beyond.len());
        if next > 0 && !self.grow(next) {
            return false;
        }
        self.block.extend_from_slice(here);
        if next > 0 {
            self.close_block();
            self.block = BytesMut::with_capacity(next);
            self.block.extend_from_slice(beyond);
        }
        true
    }

    /// How large the next block is, to begin with so much data. Never larger than what may still come, so blocks never
    /// cost more than the request's bound.
    fn size_of_block(&self, so_far: usize, data: usize) -> usize {
        if data == 0 { 0 } else { so_far.clamp(FIRST_BLOCK, LAST_BLOCK).min(self.cap - so_far).max(data) }
    }

    /// Makes what the block holds a chunk; what is free of it stays in use.
    fn close_block(&mut self) {
        if !self.block.is_empty() {
            self.chunks.push(self.block.split().freeze());
        }
    }

    fn grow(&mut self, bytes: usize) -> bool {
        let granted = self.room.grow(bytes);
        self.short |= !granted;
        granted
    }

    fn hold(&mut self, size: usize, trailers: Option<&HeaderMap>) -> bool {
        let granted = self.grow(size);
        self.trailers = trailers.filter(|_| granted).cloned();
        self.trailers_due = self.trailers.is_some();
        granted
    }
}

/// What it costs to keep a frame; trailers are bounded by what they hold and a guess of what the map needs.
fn size_of_frame(frame: &Frame<Bytes>) -> usize {
    const PER_FIELD: usize = 128;
    let trailers =
        |map: &HeaderMap| map.iter().map(|(name, value)| name.as_str().len() + value.len() + PER_FIELD).sum();
    frame.data_ref().map(Bytes::len).or_else(|| frame.trailers_ref().map(trailers)).unwrap_or_default()
}
