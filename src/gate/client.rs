//! A client's connection: who is at its other end, and what has been read from it.

use std::{
    net::{IpAddr, Ipv4Addr},
    sync::{Arc, atomic::AtomicU64},
    task::{Context, Poll},
};

use bytes::BytesMut;
use pingora::protocols::{SocketDigest, Stream};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::transit::Identity;

/// What a client's bytes come and go through.
pub trait Link: AsyncRead + AsyncWrite + Send + Sync + Unpin {
    /// The socket under it, where it has one of its own.
    fn socket(&self) -> Option<Arc<SocketDigest>>;

    /// Whether a response's body is wanted without chunks, because its end is said in another way.
    fn is_unchunked(&self) -> bool {
        false
    }

    /// Ready when the other end has given the request up. Only where that can be told without reading.
    fn poll_gone(&mut self, _: &mut Context<'_>) -> Poll<()> {
        Poll::Pending
    }
}

impl Link for Stream {
    fn socket(&self) -> Option<Arc<SocketDigest>> {
        self.get_socket_digest()
    }
}

/// Facts of a client's connection that hold for all its requests.
#[derive(Debug)]
pub struct Client {
    /// The socket's peer address or, from a trusted relay, the one that its PROXY protocol header names.
    pub ip: IpAddr,
    /// The TLS version, `1.2` or `1.3`, or what a trusted relay tells; `None` without TLS.
    pub tls: Option<&'static str>,
    /// Whether its requests speak for themselves alone, trusted proxy or not: its relay did not say whose they are.
    pub unnamed: bool,
    /// What its certificate says, where it showed one; its chain is verified.
    pub certificate: Option<Identity>,
    /// Requests under way from its address, where that stands for one client.
    pub requests: Option<Arc<AtomicU64>>,
}

impl Client {
    /// The facts of a socket.
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
            tls: None,
            unnamed: false,
            certificate: None,
            requests: None,
        }
    }
}

/// The connection, as far as it has not been read.
pub struct Rest {
    /// Where it comes from.
    pub stream: Box<dyn Link>,
    /// Bytes read from it and not used yet.
    pub ahead: BytesMut,
}

impl Rest {
    /// Gives a buffer back in which nothing is left.
    pub fn release(&mut self) {
        if self.ahead.is_empty() {
            self.ahead = BytesMut::new();
        }
    }
}
