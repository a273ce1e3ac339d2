//! Connections to the store: opened by pingora's connector, kept between requests in a [`Pool`](super::pool::Pool).

use std::{io, net::SocketAddr, time::Duration};

use pingora::{
    connectors::{ConnectorOptions, TransportConnector},
    protocols::{ALPN, Stream},
    upstreams::peer::HttpPeer,
};

use super::pool::Pool;

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
    /// How long an idle connection is kept.
    pub idle_timeout: Duration,
}

impl StoreAddress {
    fn at(&self, address: SocketAddr) -> HttpPeer {
        let mut peer = HttpPeer::new(address, self.tls, self.server_name.clone());
        peer.options.connection_timeout = Some(self.connect_timeout);
        peer.options.total_connection_timeout = Some(self.connect_timeout);
        peer.options.alpn = ALPN::H1;
        peer
    }
}

/// Why there is no connection to the store.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// Its name cannot be looked up.
    #[error("{host} cannot be looked up: {source}; check store.endpoint and the name server")]
    Name {
        /// The name.
        host: String,
        /// What the system says.
        source: io::Error,
    },
    /// Its name has no address.
    #[error("{0} has no address; check store.endpoint")]
    NoAddress(String),
    /// It does not accept the connection, or TLS fails.
    #[error("{0}")]
    Refused(Box<pingora::Error>),
}

/// The one store.
pub struct Store {
    address: StoreAddress,
    connector: TransportConnector,
    pool: Pool<Stream>,
}

impl Store {
    /// Keeps at most `kept` idle connections; `options` name the CA bundle and the client certificate, if any.
    #[must_use]
    pub fn new(address: StoreAddress, kept: usize, options: ConnectorOptions) -> Self {
        Self {
            pool: Pool::new(kept, address.idle_timeout),
            connector: TransportConnector::new(Some(options)),
            address,
        }
    }

    /// Whether SSE-C keys may be sent to it is decided by this among others.
    #[must_use]
    pub fn address(&self) -> &StoreAddress {
        &self.address
    }

    /// An idle connection that is still open.
    pub fn kept(&self) -> Option<Stream> {
        self.pool.take()
    }

    /// Keeps a connection whose last response was read to its end.
    pub fn keep(&self, stream: Stream) {
        self.pool.put(stream);
    }

    /// Closes connections that were idle for too long; to be called now and then.
    pub fn reap(&self) {
        self.pool.reap();
    }

    /// A new connection. The name is looked up each time: the store may move.
    ///
    /// # Errors
    /// No address accepts it.
    pub async fn connect(&self) -> Result<Stream, ConnectError> {
        let host = &self.address.host;
        let addresses = tokio::net::lookup_host((host.as_str(), self.address.port))
            .await
            .map_err(|source| ConnectError::Name {
                host: host.clone(),
                source,
            })?;
        let mut last = ConnectError::NoAddress(host.clone());
        for address in addresses {
            match self.connector.new_stream(&self.address.at(address)).await {
                Ok(stream) => return Ok(stream),
                Err(e) => last = ConnectError::Refused(e),
            }
        }
        Err(last)
    }
}
