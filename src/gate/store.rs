//! Connections to the store: opened by pingora's connector, kept between requests in a [`Pool`](super::pool::Pool).

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use pingora::{
    connectors::{ConnectorOptions, TransportConnector},
    protocols::{ALPN, Stream},
    upstreams::peer::HttpPeer,
};
use pingora_timeout::timeout;

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
    /// How long a connection to one address may take to be established, TLS included, and how long its name's look-up.
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

/// How requests came by their connections to the store.
#[derive(Debug, Default)]
pub struct Uses {
    opened: AtomicU64,
    reused: AtomicU64,
    failed: AtomicU64,
}

impl Uses {
    /// Opened, used again, tried in vain.
    #[must_use]
    pub fn counts(&self) -> [u64; 3] {
        [&self.opened, &self.reused, &self.failed].map(|n| n.load(Ordering::Relaxed))
    }
}

/// The one store.
pub struct Store {
    uses: Arc<Uses>,
    address: StoreAddress,
    connector: TransportConnector,
    pool: Pool<Stream>,
}

impl Store {
    /// Keeps at most `kept` idle connections; `options` name the CA bundle and the client certificate, if any; `uses` counts.
    #[must_use]
    pub fn new(
        address: StoreAddress,
        kept: usize,
        options: ConnectorOptions,
        uses: Arc<Uses>,
    ) -> Self {
        Self {
            uses,
            pool: Pool::new(kept, address.idle_timeout),
            connector: TransportConnector::new(Some(options)),
            address,
        }
    }

    /// An idle connection that is still open.
    pub fn kept(&self) -> Option<Stream> {
        let kept = self.pool.take();
        if kept.is_some() {
            self.uses.reused.fetch_add(1, Ordering::Relaxed);
        }
        kept
    }

    /// Idle connections.
    #[must_use]
    pub fn idle(&self) -> usize {
        self.pool.len()
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
        let result = self.try_connect().await;
        let count = match result {
            Ok(_) => &self.uses.opened,
            Err(_) => &self.uses.failed,
        };
        count.fetch_add(1, Ordering::Relaxed);
        result
    }

    async fn try_connect(&self) -> Result<Stream, ConnectError> {
        let host = &self.address.host;
        let lookup = tokio::net::lookup_host((host.as_str(), self.address.port));
        let addresses = timeout(self.address.connect_timeout, lookup)
            .await
            .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
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
