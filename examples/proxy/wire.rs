//! A caller's connection that must not stand still: neither before it is clear which HTTP it speaks, nor while it does
//! not read what it asked for. hyper watches the rest, a head that trickles in.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use crate::idle::Patience;

/// How HTTP/2 begins.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

pub(crate) struct Wire {
    stream: TcpStream,
    /// How much of the preface has come. `None` once it is whole, or is something else.
    opening: Option<usize>,
    reading: Patience,
    writing: Patience,
}

impl Wire {
    pub(crate) fn new(stream: TcpStream, opening: Duration, idle: Duration) -> Self {
        Self { stream, opening: Some(0), reading: Patience::new(opening), writing: Patience::new(idle) }
    }

    fn note(&mut self, read: &[u8]) {
        let Some(seen) = self.opening else { return };
        let rest = PREFACE.get(seen..).unwrap_or_default();
        let seen = seen + read.len();
        self.opening = (rest.starts_with(read) && seen < PREFACE.len()).then_some(seen);
    }

    /// What a write came to, unless it has been waited for too long.
    fn write<T>(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.writing.rest();
            return written;
        }
        ready!(self.writing.poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for Wire {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        if let Poll::Ready(read) = Pin::new(&mut self.stream).poll_read(cx, buf) {
            self.note(buf.filled().get(before..).unwrap_or_default());
            return Poll::Ready(read);
        }
        if self.opening.is_none() {
            return Poll::Pending;
        }
        ready!(self.reading.poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, data);
        self.write(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, data);
        self.write(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
