//! Connections to the store.
//!
//! [`StoreConnector`] opens them (pingora keeps and reuses them), [`StoreStream`] holds the head of a request back for
//! a moment, so that it leaves together with the first bytes of its body: one system call and one packet fewer.

use std::{
    cell::RefCell,
    io,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use async_trait::async_trait;
use pingora::{
    Error, ErrorType, OrErr, Result,
    connectors::{
        ConnectorOptions, TransportConnector,
        http::custom::{Connection, Connector},
    },
    protocols::{
        ALPN, GetProxyDigest, GetSocketDigest, GetTimingDigest, Peek, Shutdown, SocketDigest, Ssl,
        Stream, TimingDigest, UniqueID, UniqueIDType,
        raw_connect::ProxyDigest,
        tls::{CustomALPN, SslDigest},
    },
    upstreams::peer::{HttpPeer, Peer},
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Where the store is, and how it is reached.
#[derive(Clone, Debug)]
pub struct StoreAddress {
    /// Host name or address.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// Whether TLS is spoken.
    pub tls: bool,
    /// The name that the store's certificate must bear, and that SNI sends.
    pub server_name: String,
    /// How long a connection may take to be established, TLS included.
    pub connect_timeout: Duration,
    /// The store's silence that ends a request.
    pub response_timeout: Duration,
    /// How long an idle connection is kept.
    pub idle_timeout: Duration,
}

impl StoreAddress {
    /// What pingora is told: the key under which connections are kept, and the timeouts.
    ///
    /// The address in it is not used to connect; [`StoreConnector`] resolves the name anew for each connection.
    #[must_use]
    pub fn peer(&self) -> HttpPeer {
        let mut peer = self.at(SocketAddr::from(([127, 0, 0, 1], self.port)));
        // Has pingora ask our connector.
        peer.options.alpn = ALPN::Custom(CustomALPN::new(b"sealgate".to_vec()));
        peer
    }

    fn at(&self, address: SocketAddr) -> HttpPeer {
        let mut peer = HttpPeer::new(address, self.tls, self.server_name.clone());
        peer.options.connection_timeout = Some(self.connect_timeout);
        peer.options.total_connection_timeout = Some(self.connect_timeout);
        peer.options.read_timeout = Some(self.response_timeout);
        peer.options.write_timeout = Some(self.response_timeout);
        peer.options.idle_timeout = Some(self.idle_timeout);
        peer.options.alpn = ALPN::H1;
        peer
    }
}

/// Opens connections to the one store.
pub struct StoreConnector {
    address: StoreAddress,
    transport: TransportConnector,
}

impl StoreConnector {
    /// A connector; `options` name the CA bundle and the client certificate, if any.
    #[must_use]
    pub fn new(address: StoreAddress, options: ConnectorOptions) -> Self {
        Self {
            address,
            transport: TransportConnector::new(Some(options)),
        }
    }

    async fn resolve(&self) -> Result<Vec<SocketAddr>> {
        let target = (self.address.host.as_str(), self.address.port);
        let addresses: Vec<_> = tokio::net::lookup_host(target)
            .await
            .or_err_with(ErrorType::ConnectError, || {
                format!("looking up {}", self.address.host)
            })?
            .collect();
        if addresses.is_empty() {
            return Error::e_explain(
                ErrorType::ConnectError,
                format!("{} has no address", self.address.host),
            );
        }
        Ok(addresses)
    }
}

#[async_trait]
impl Connector for StoreConnector {
    type Session = ();

    async fn get_http_session<P: Peer + Send + Sync + 'static>(
        &self,
        _peer: &P,
    ) -> Result<(Connection<()>, bool)> {
        let mut last = None;
        for address in self.resolve().await? {
            match self.transport.new_stream(&self.address.at(address)).await {
                Ok(stream) => {
                    let stream: Stream = Box::new(StoreStream::new(stream));
                    return Ok((Connection::Stream(stream), false));
                }
                Err(e) => last = Some(e),
            }
        }
        Err(last.unwrap_or_else(|| Error::explain(ErrorType::ConnectError, "no address")))
    }

    async fn reused_http_session<P: Peer + Send + Sync + 'static>(&self, _peer: &P) -> Option<()> {
        // Kept connections are HTTP/1 ones, which pingora looks for itself.
        None
    }

    async fn release_http_session<P: Peer + Send + Sync + 'static>(
        &self,
        _session: (),
        _peer: &P,
        _idle_timeout: Option<Duration>,
    ) {
    }
}

/// How far the current request's head has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum HeadState {
    /// A new request may begin.
    Fresh,
    /// Held back; `bool`: the response was asked for once already.
    Held(bool),
    /// On its way: writes pass through.
    Sent,
}

/// See the module.
#[derive(Debug)]
pub struct StoreStream {
    inner: Stream,
    held: Vec<u8>,
    /// Bytes of `held` that are written.
    written: usize,
    state: HeadState,
    /// Bytes of the response that were read beyond what was asked for, from `taken` on.
    ahead: Vec<u8>,
    taken: usize,
}

/// A body's first piece is copied behind its head up to this size; a larger one is sent by itself.
const COPY_LIMIT: usize = 16 * 1024;
/// Reads that ask for less than this read so much at once.
const READ_AHEAD: usize = 16 * 1024;

impl StoreStream {
    fn new(inner: Stream) -> Self {
        Self {
            inner,
            held: Vec::new(),
            written: 0,
            state: HeadState::Fresh,
            ahead: Vec::new(),
            taken: 0,
        }
    }

    /// pingora asks for a head with little room; with more, a small body comes along in the same system call.
    fn poll_ahead(&mut self, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        thread_local! {
            static SCRATCH: RefCell<Vec<u8>> = RefCell::new(vec![0; READ_AHEAD]);
        }
        SCRATCH.with_borrow_mut(|scratch| {
            let mut more = ReadBuf::new(scratch);
            ready!(Pin::new(&mut self.inner).poll_read(cx, &mut more))?;
            let (now, later) = more
                .filled()
                .split_at(more.filled().len().min(out.remaining()));
            out.put_slice(now);
            self.ahead.clear();
            self.taken = 0;
            self.ahead.extend_from_slice(later);
            Poll::Ready(Ok(()))
        })
    }

    /// Writes what is held to its end.
    fn poll_release(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.state = HeadState::Sent;
        while self.written < self.held.len() {
            let n = ready!(Pin::new(&mut self.inner).poll_write(cx, &self.held[self.written..]))?;
            if n == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.written += n;
        }
        self.held.clear();
        self.written = 0;
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for StoreStream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.state == HeadState::Held(false) {
            // The body's first bytes may be about to be written: once round the scheduler for them.
            this.state = HeadState::Held(true);
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        if !this.held.is_empty() {
            ready!(this.poll_release(cx))?;
            ready!(Pin::new(&mut this.inner).poll_flush(cx))?;
        }
        if this.taken < this.ahead.len() {
            let left = &this.ahead[this.taken..];
            let n = left.len().min(out.remaining());
            out.put_slice(&left[..n]);
            this.taken += n;
            return Poll::Ready(Ok(()));
        }
        let before = out.filled().len();
        if out.remaining() < READ_AHEAD {
            ready!(this.poll_ahead(cx, out))?;
        } else {
            ready!(Pin::new(&mut this.inner).poll_read(cx, out))?;
        }
        if out.filled().len() > before {
            this.state = HeadState::Fresh;
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for StoreStream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        match this.state {
            HeadState::Fresh => {
                this.held.extend_from_slice(buf);
                this.state = HeadState::Held(false);
                Poll::Ready(Ok(buf.len()))
            }
            HeadState::Held(_) if buf.len() <= COPY_LIMIT => {
                this.held.extend_from_slice(buf);
                this.state = HeadState::Sent;
                Poll::Ready(Ok(buf.len()))
            }
            HeadState::Held(_) | HeadState::Sent => {
                ready!(this.poll_release(cx))?;
                Pin::new(&mut this.inner).poll_write(cx, buf)
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        // pingora flushes a head by itself, before anything of the body is there.
        if matches!(this.state, HeadState::Held(_)) && !bodiless(&this.held) {
            return Poll::Ready(Ok(()));
        }
        if !this.held.is_empty() {
            ready!(this.poll_release(cx))?;
        }
        Pin::new(&mut this.inner).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !this.held.is_empty() {
            ready!(this.poll_release(cx))?;
        }
        Pin::new(&mut this.inner).poll_shutdown(cx)
    }
}

/// Whether a head begins a request that has no body as a rule.
fn bodiless(head: &[u8]) -> bool {
    head.starts_with(b"GET ") || head.starts_with(b"HEAD ") || head.starts_with(b"DELETE ")
}

#[async_trait]
impl Shutdown for StoreStream {
    async fn shutdown(&mut self) {
        self.inner.as_mut().shutdown().await;
    }
}

impl UniqueID for StoreStream {
    fn id(&self) -> UniqueIDType {
        self.inner.id()
    }
}

impl Ssl for StoreStream {
    fn get_ssl_digest(&self) -> Option<Arc<SslDigest>> {
        self.inner.get_ssl_digest()
    }
}

impl GetTimingDigest for StoreStream {
    fn get_timing_digest(&self) -> Vec<Option<TimingDigest>> {
        self.inner.get_timing_digest()
    }
}

impl GetProxyDigest for StoreStream {
    fn get_proxy_digest(&self) -> Option<Arc<ProxyDigest>> {
        self.inner.get_proxy_digest()
    }
}

impl GetSocketDigest for StoreStream {
    fn get_socket_digest(&self) -> Option<Arc<SocketDigest>> {
        self.inner.get_socket_digest()
    }
}

impl Peek for StoreStream {}
