//! One request's view of a client's connection.
//!
//! [`Conn`] stands between the socket and pingora's HTTP/1 session and gives it exactly one request: the head that
//! [`Door`](super::door) examined, then the body as that head frames it, then nothing. So bytes of a following
//! request can never be taken for this one's body, nor the other way round. It also keeps the promises of the
//! handshake that need a look at the bytes (RFC 9110 section 10.1.1): one `100 Continue` at most, none unasked for,
//! and ours where the store stays silent.

use std::{
    future::Future,
    io,
    net::{IpAddr, Ipv4Addr},
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU8, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use async_trait::async_trait;
use bytes::{Buf, BytesMut};
use pingora::protocols::{
    GetProxyDigest, GetSocketDigest, GetTimingDigest, Peek, Shutdown, SocketDigest, Ssl, Stream,
    TimingDigest, UniqueID, UniqueIDType, raw_connect::ProxyDigest, tls::SslDigest,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::Sleep,
};

use super::request::Ctx;
use crate::http1::{
    chunked::ChunkedScanner,
    head::{Expectation, Framing, Head},
};

const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// Who sent the `100 Continue` of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Continue {
    /// Nobody (yet).
    None = 0,
    /// The store's was relayed.
    Store = 1,
    /// Sealgate's own, the store having been silent.
    Timeout = 2,
}

/// Facts of a client's connection that hold for all its requests.
#[derive(Debug)]
pub struct Client {
    /// The socket's peer address.
    pub ip: IpAddr,
    /// The TLS version, `1.2` or `1.3`; `None` without TLS.
    pub tls: Option<&'static str>,
}

impl Client {
    /// The facts of `stream`.
    pub fn of(stream: &Stream) -> Self {
        let socket = stream.get_socket_digest();
        let ip = socket
            .as_ref()
            .and_then(|s| s.peer_addr())
            .and_then(|a| a.as_inet())
            // A Unix socket's peer is on this machine.
            .map_or(IpAddr::V4(Ipv4Addr::LOCALHOST), |a| a.ip().to_canonical());
        Self {
            ip,
            tls: stream.get_ssl_digest().map(|d| {
                // No other versions are spoken.
                if d.version.ends_with('3') {
                    "1.3"
                } else {
                    "1.2"
                }
            }),
        }
    }
}

/// What a connection's owner and the phases of its request share.
#[derive(Debug, Default)]
pub struct Shared {
    /// Set once the response is complete: whatever is left of the body is nobody's any more.
    answered: AtomicBool,
    /// Whether the body was delivered to its end.
    body_done: AtomicBool,
    continued: AtomicU8,
    rest: Mutex<Option<Rest>>,
}

/// The connection as a finished request leaves it.
#[derive(Debug)]
pub struct Rest {
    /// The socket.
    pub stream: Stream,
    /// Bytes read beyond the request.
    pub ahead: BytesMut,
}

impl Shared {
    /// Says that the response is complete.
    pub fn answered(&self) {
        self.answered.store(true, Ordering::Release);
    }

    /// Whether the request's body was read to its end.
    pub fn body_done(&self) -> bool {
        self.body_done.load(Ordering::Acquire)
    }

    /// Who sent the 100.
    pub fn continued(&self) -> Continue {
        match self.continued.load(Ordering::Acquire) {
            1 => Continue::Store,
            2 => Continue::Timeout,
            _ => Continue::None,
        }
    }

    /// Takes the connection back once pingora has let go of it.
    pub fn take(&self) -> Option<Rest> {
        self.rest
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }
}

/// Where the body is.
#[derive(Debug)]
enum Body {
    Length(u64),
    Chunked(Box<ChunkedScanner>),
    Done,
}

/// See the module.
pub struct Conn {
    /// `None` only after the drop has handed it back.
    stream: Option<Stream>,
    /// Bytes read from the socket and not delivered yet: the rest of the head, then what came with it.
    ahead: BytesMut,
    /// The state of the request, until pingora's phases take it over.
    admitted: Mutex<Option<Box<Ctx>>>,
    head_left: usize,
    body: Body,
    shared: Arc<Shared>,
    /// The client waits for a 100 and has not got one.
    waiting: bool,
    /// Runs while `waiting`.
    patience: Option<Pin<Box<Sleep>>>,
    /// Bytes of our own 100 that are still to be written; then it is flushed.
    own_continue: Option<usize>,
    final_started: bool,
    eof: bool,
}

impl Conn {
    /// A view on `stream` for the request whose head stands at the start of `ahead`.
    ///
    /// `patience`: how long the store may stay silent before Sealgate sends the 100 itself.
    pub fn new(
        stream: Stream,
        mut ahead: BytesMut,
        head: &Head,
        admitted: Option<Box<Ctx>>,
        patience: Duration,
    ) -> Self {
        ahead.advance(head.skip);
        let body = match head.framing {
            Framing::None => Body::Done,
            Framing::Length(n) => Body::Length(n),
            Framing::Chunked => Body::Chunked(Box::default()),
        };
        let waiting =
            head.expect == Expectation::Continue && !matches!(body, Body::Done) && head.http11;
        let shared = Arc::new(Shared::default());
        shared
            .body_done
            .store(matches!(body, Body::Done), Ordering::Release);
        Self {
            stream: Some(stream),
            admitted: Mutex::new(admitted),
            head_left: head.len,
            ahead,
            body,
            shared,
            waiting,
            patience: waiting.then(|| Box::pin(tokio::time::sleep(patience))),
            own_continue: None,
            final_started: false,
            eof: false,
        }
    }

    /// What the owner keeps.
    pub fn shared(&self) -> Arc<Shared> {
        Arc::clone(&self.shared)
    }

    /// Hands over the state of the request; once.
    pub fn admitted(&self) -> Option<Box<Ctx>> {
        self.admitted
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }

    fn stream(&self) -> io::Result<&Stream> {
        self.stream.as_ref().ok_or_else(gone)
    }

    fn stream_mut(&mut self) -> io::Result<Pin<&mut Stream>> {
        self.stream.as_mut().map(Pin::new).ok_or_else(gone)
    }

    /// Sends our own 100 when the store has been silent for long enough.
    fn poll_own_continue(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.waiting && !self.final_started {
            let Some(patience) = self.patience.as_mut() else {
                return Poll::Ready(Ok(()));
            };
            if patience.as_mut().poll(cx).is_pending() {
                return Poll::Ready(Ok(()));
            }
            self.waiting = false;
            self.patience = None;
            self.own_continue = Some(0);
            self.shared
                .continued
                .store(Continue::Timeout as u8, Ordering::Release);
        }
        while let Some(sent) = self.own_continue {
            if sent < CONTINUE.len() {
                let n = ready!(self.stream_mut()?.poll_write(cx, &CONTINUE[sent..]))?;
                self.own_continue = Some(sent + n);
            } else {
                ready!(self.stream_mut()?.poll_flush(cx))?;
                self.own_continue = None;
            }
        }
        Poll::Ready(Ok(()))
    }

    /// The most that may be read at once without passing the end of the message.
    fn body_limit(&self, room: usize) -> usize {
        match &self.body {
            Body::Length(left) => room.min(usize::try_from(*left).unwrap_or(usize::MAX)),
            Body::Chunked(_) => room,
            Body::Done => 0,
        }
    }

    /// Accounts for `bytes` of body; returns how many belong to it.
    fn account(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = match &mut self.body {
            Body::Length(left) => {
                *left -= bytes.len() as u64;
                if *left == 0 {
                    self.body = Body::Done;
                }
                bytes.len()
            }
            Body::Chunked(scanner) => {
                let taken = scanner
                    .scan(bytes)
                    .map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e))?;
                if scanner.is_done() {
                    self.body = Body::Done;
                }
                taken
            }
            Body::Done => 0,
        };
        if matches!(self.body, Body::Done) {
            self.shared.body_done.store(true, Ordering::Release);
        }
        Ok(taken)
    }

    fn poll_body(&mut self, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if !self.ahead.is_empty() {
            let n = self.body_limit(out.remaining().min(self.ahead.len()));
            let piece = self.ahead.split_to(n);
            let taken = self.account(&piece)?;
            out.put_slice(&piece[..taken]);
            if taken < n {
                self.ahead.extend_from_slice(&piece[taken..]);
            }
            return Poll::Ready(Ok(()));
        }
        let start = out.filled().len();
        let limit = self.body_limit(out.remaining());
        if limit == out.remaining() {
            ready!(self.stream_mut()?.poll_read(cx, out))?;
        } else {
            let mut part = ReadBuf::new(out.initialize_unfilled_to(limit));
            ready!(self.stream_mut()?.poll_read(cx, &mut part))?;
            let n = part.filled().len();
            out.advance(n);
        }
        let taken = self.account(&out.filled()[start..])?;
        self.ahead.extend_from_slice(&out.filled()[start + taken..]);
        out.set_filled(start + taken);
        Poll::Ready(Ok(()))
    }

    /// The message has been delivered: only the client's going away is still news.
    fn poll_after(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.eof {
            return Poll::Ready(Ok(()));
        }
        if !self.ahead.is_empty() {
            // The next request is here already; it is not looked at before this one is answered.
            return Poll::Pending;
        }
        let mut bytes = [0; 512];
        let mut probe = ReadBuf::new(&mut bytes);
        ready!(self.stream_mut()?.poll_read(cx, &mut probe))?;
        if probe.filled().is_empty() {
            self.eof = true;
            return Poll::Ready(Ok(()));
        }
        self.ahead.extend_from_slice(probe.filled());
        Poll::Pending
    }

    /// Whether `buf`, the start of a write, is an interim response that must not reach the client.
    fn is_unwanted_interim(&mut self, buf: &[u8]) -> bool {
        let interim = buf.starts_with(b"HTTP/1.1 1") || buf.starts_with(b"HTTP/1.0 1");
        if !interim {
            self.final_started = true;
            self.waiting = false;
            return false;
        }
        if self.waiting && buf.starts_with(b"HTTP/1.1 100 ") {
            self.waiting = false;
            self.patience = None;
            self.shared
                .continued
                .store(Continue::Store as u8, Ordering::Release);
            return false;
        }
        true
    }
}

impl std::fmt::Debug for Conn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Conn")
            .field("body", &self.body)
            .finish_non_exhaustive()
    }
}

fn gone() -> io::Error {
    io::Error::new(
        io::ErrorKind::NotConnected,
        "the connection was handed back",
    )
}

impl AsyncRead for Conn {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.head_left > 0 {
            let n = this.head_left.min(out.remaining());
            out.put_slice(&this.ahead[..n]);
            this.ahead.advance(n);
            this.head_left -= n;
            return Poll::Ready(Ok(()));
        }
        if matches!(this.body, Body::Done) {
            return this.poll_after(cx);
        }
        if this.shared.answered.load(Ordering::Acquire) {
            // Ends pingora's wait for a body that nobody will take; the door lingers instead.
            return Poll::Ready(Err(io::Error::new(
                io::ErrorKind::ConnectionAborted,
                "answered before the body was read",
            )));
        }
        if this.patience.is_some() || this.own_continue.is_some() {
            ready!(this.poll_own_continue(cx))?;
        }
        this.poll_body(cx, out)
    }
}

impl AsyncWrite for Conn {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.own_continue.is_some() {
            ready!(this.poll_own_continue(cx))?;
        }
        // Each interim response is written by itself, so a write begins with a head until the final one has begun.
        if !this.final_started && this.is_unwanted_interim(buf) {
            return Poll::Ready(Ok(buf.len()));
        }
        this.stream_mut()?.poll_write(cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().stream_mut()?.poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().stream_mut()?.poll_shutdown(cx)
    }
}

impl Drop for Conn {
    fn drop(&mut self) {
        if let Some(stream) = self.stream.take() {
            let ahead = std::mem::take(&mut self.ahead);
            *self
                .shared
                .rest
                .lock()
                .unwrap_or_else(PoisonError::into_inner) = Some(Rest { stream, ahead });
        }
    }
}

#[async_trait]
impl Shutdown for Conn {
    async fn shutdown(&mut self) {
        // The door closes connections: it may have to linger on them first.
    }
}

impl UniqueID for Conn {
    fn id(&self) -> UniqueIDType {
        self.stream().map_or(0, |s| s.id())
    }
}

impl Ssl for Conn {
    fn get_ssl_digest(&self) -> Option<Arc<SslDigest>> {
        self.stream().ok()?.get_ssl_digest()
    }
}

impl GetTimingDigest for Conn {
    fn get_timing_digest(&self) -> Vec<Option<TimingDigest>> {
        // Asked for at every request, used nowhere here.
        Vec::new()
    }
}

impl GetProxyDigest for Conn {
    fn get_proxy_digest(&self) -> Option<Arc<ProxyDigest>> {
        self.stream().ok()?.get_proxy_digest()
    }
}

impl GetSocketDigest for Conn {
    fn get_socket_digest(&self) -> Option<Arc<SocketDigest>> {
        self.stream().ok()?.get_socket_digest()
    }
}

impl Peek for Conn {}

#[cfg(test)]
#[path = "conn_tests.rs"]
mod tests;
