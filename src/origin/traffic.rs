//! Watches what goes over one connection, so that a slow or silent client can be told from a busy one.
//!
//! The hot path only adds to counters; a tick every few seconds judges them. No timer is set or reset per request.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::limits::HttpLimits;
use crate::base::Mono;

/// The counters of one connection.
#[derive(Debug, Default)]
pub(super) struct Traffic {
    read_bytes: AtomicU64,
    written_bytes: AtomicU64,
    /// The last write found no room.
    blocked: AtomicBool,
    /// The last flush found no room: TLS takes a little more than the socket does, and then only flushing shows it.
    unflushed: AtomicBool,
    requests: AtomicU64,
    /// `read_bytes` when the last request was handed to the service; beyond it lies the beginning of another one.
    /// A beginning that came in the same read as that request is not seen; such a connection falls to the idle limit.
    dispatched_at: AtomicU64,
    /// The client speaks HTTP/2, where frames other than requests come at any time.
    http2: AtomicBool,
}

impl Traffic {
    /// The client does not take what it is sent.
    fn is_blocked(&self) -> bool {
        self.blocked.load(Relaxed) || self.unflushed.load(Relaxed)
    }

    /// A request is complete.
    pub(super) fn dispatched(&self, http2: bool) {
        self.requests.fetch_add(1, Relaxed);
        self.dispatched_at.store(self.read_bytes.load(Relaxed), Relaxed);
        if http2 {
            self.http2.store(true, Relaxed);
        }
    }
}

/// Why a connection is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cut {
    /// The header of a request did not end in time.
    SlowHeader,
    /// The client takes next to nothing of what it is sent.
    WriteStall,
    /// Nothing goes either way.
    Idle,
}

/// Judges one connection from tick to tick.
#[derive(Debug)]
pub(super) struct Judge {
    traffic: Arc<Traffic>,
    requests: u64,
    /// Since when the present header is being waited for, if one has begun.
    header_since: Option<Mono>,
    /// Since when writes have been blocked, and what had been written then.
    blocked: Option<(Mono, u64)>,
    /// Bytes both ways, and since when they have been so many.
    moved: (u64, Mono),
}

impl Judge {
    /// The first header is waited for from the beginning.
    pub(super) fn new(traffic: Arc<Traffic>, now: Mono) -> Judge {
        Judge { traffic, requests: 0, header_since: Some(now), blocked: None, moved: (0, now) }
    }

    /// Looks at the counters and says whether the connection is to be cut.
    pub(super) fn judge(&mut self, limits: &HttpLimits, now: Mono) -> Option<Cut> {
        let overdue = |since: Mono, limit: Duration| now.since(since) >= limit;
        let written = self.traffic.written_bytes.load(Relaxed);
        let read = self.traffic.read_bytes.load(Relaxed);

        if self.header_since(read, now).is_some_and(|since| overdue(since, limits.header_timeout)) {
            return Some(Cut::SlowHeader);
        }
        if !self.traffic.is_blocked() {
            self.blocked = None;
        } else if let Some((since, before)) = self.blocked {
            if written.saturating_sub(before) >= limits.min_write_bytes {
                self.blocked = Some((now, written));
            } else if overdue(since, limits.write_stall) {
                return Some(Cut::WriteStall);
            }
        } else {
            self.blocked = Some((now, written));
        }
        let moved = read.saturating_add(written);
        if moved != self.moved.0 {
            self.moved = (moved, now);
        }
        (self.blocked.is_none() && overdue(self.moved.1, limits.idle_timeout)).then_some(Cut::Idle)
    }

    /// A request that is being answered is not a header that is waited for: nothing is read while writes are blocked.
    fn header_since(&mut self, read: u64, now: Mono) -> Option<Mono> {
        let requests = self.traffic.requests.load(Relaxed);
        let first = requests == 0;
        let begun = !self.traffic.http2.load(Relaxed) && read > self.traffic.dispatched_at.load(Relaxed);
        if !first && (!begun || self.traffic.is_blocked()) {
            self.header_since = None;
        } else if requests != self.requests || self.header_since.is_none() {
            self.header_since = Some(now);
        }
        self.requests = requests;
        self.header_since
    }
}

/// A connection that counts.
#[derive(Debug)]
pub(super) struct Counted<S> {
    stream: S,
    traffic: Arc<Traffic>,
}

impl<S> Counted<S> {
    pub(super) fn new(stream: S, traffic: Arc<Traffic>) -> Counted<S> {
        Counted { stream, traffic }
    }

    fn wrote(&self, result: &Poll<io::Result<usize>>) {
        self.traffic.blocked.store(result.is_pending(), Relaxed);
        if let Poll::Ready(Ok(bytes)) = result {
            self.traffic.written_bytes.fetch_add(*bytes as u64, Relaxed);
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Counted<S> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let result = Pin::new(&mut self.stream).poll_read(context, buffer);
        self.traffic.read_bytes.fetch_add(buffer.filled().len().saturating_sub(before) as u64, Relaxed);
        result
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Counted<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.wrote(&result);
        result
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, context: &mut Context<'_>, slices: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.wrote(&result);
        result
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let result = Pin::new(&mut self.stream).poll_flush(context);
        self.traffic.unflushed.store(result.is_pending(), Relaxed);
        result
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn second(count: u64) -> Mono {
        Mono(count * 1_000_000_000)
    }

    fn watched() -> (Arc<Traffic>, Judge, HttpLimits) {
        let traffic = Arc::new(Traffic::default());
        (Arc::clone(&traffic), Judge::new(traffic, second(0)), HttpLimits::default())
    }

    #[test]
    fn a_header_trickled_byte_by_byte_is_cut_at_its_deadline() {
        let (traffic, mut judge, limits) = watched();
        for now in 1..10 {
            traffic.read_bytes.fetch_add(1, Relaxed);
            assert_eq!(judge.judge(&limits, second(now)), None);
        }
        assert_eq!(judge.judge(&limits, second(10)), Some(Cut::SlowHeader));
    }

    #[test]
    fn a_second_header_has_its_own_deadline_and_idling_before_it_is_free() {
        let (traffic, mut judge, limits) = watched();
        traffic.read_bytes.fetch_add(100, Relaxed);
        traffic.dispatched(false);
        assert_eq!(judge.judge(&limits, second(50)), None);
        traffic.read_bytes.fetch_add(1, Relaxed);
        assert_eq!(judge.judge(&limits, second(60)), None);
        assert_eq!(judge.judge(&limits, second(69)), None);
        assert_eq!(judge.judge(&limits, second(70)), Some(Cut::SlowHeader));
    }

    #[test]
    fn a_client_that_takes_nothing_is_cut_and_a_slow_one_is_not() {
        let (traffic, mut judge, limits) = watched();
        traffic.dispatched(false);
        traffic.blocked.store(true, Relaxed);
        for now in 1..200 {
            traffic.written_bytes.fetch_add(500, Relaxed);
            assert_eq!(judge.judge(&limits, second(now)), None, "{now}");
        }
        for now in 200..229 {
            traffic.written_bytes.fetch_add(1, Relaxed);
            assert_eq!(judge.judge(&limits, second(now)), None, "{now}");
        }
        assert_eq!(judge.judge(&limits, second(240)), Some(Cut::WriteStall));
    }

    #[test]
    fn a_silent_connection_is_cut_in_the_end() {
        let (traffic, mut judge, limits) = watched();
        traffic.read_bytes.fetch_add(100, Relaxed);
        traffic.dispatched(true);
        traffic.read_bytes.fetch_add(9, Relaxed);
        assert_eq!(judge.judge(&limits, second(5)), None);
        assert_eq!(judge.judge(&limits, second(79)), None);
        assert_eq!(judge.judge(&limits, second(80)), Some(Cut::Idle));
    }
}
