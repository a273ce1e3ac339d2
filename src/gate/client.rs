//! A client's connection: who is at its other end, and what has been read from it.

use std::net::{IpAddr, Ipv4Addr};

use bytes::BytesMut;
use pingora::protocols::Stream;

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

/// The connection, as far as it has not been read.
#[derive(Debug)]
pub struct Rest {
    /// The socket.
    pub stream: Stream,
    /// Bytes read from it and not used yet.
    pub ahead: BytesMut,
}
