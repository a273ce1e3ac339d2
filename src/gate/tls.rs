//! A listener's TLS: its handshakes, and its certificates, which are read again when their files change.

use std::{
    io,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwap;
use pingora_timeout::timeout;
use rustls::ProtocolVersion;
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use super::{ahead::Ahead, client::Link};
use crate::{
    audit::{Handshake, Reload, Transport},
    config::{ListenerTls, Stamp, stamp},
    tls::{MaterialError, Server, identity::identity, server},
    transit::Identity,
};

/// One listener's.
pub struct Tls {
    source: ListenerTls,
    protocols: Vec<Vec<u8>>,
    current: ArcSwap<Server>,
    stamps: Mutex<Vec<Stamp>>,
    /// Whether the files as they are now cannot be used.
    refused: AtomicBool,
}

/// A connection that has been set up.
pub struct Secured {
    /// What the client's bytes come and go through.
    pub stream: TlsStream<Ahead>,
    /// `1.2` or `1.3`.
    pub version: &'static str,
    /// What the client's certificate says, where it showed one; its chain is verified.
    pub certificate: Option<Identity>,
}

impl Tls {
    /// Reads the files that `source` names; `protocols` are offered by ALPN.
    ///
    /// # Errors
    /// One cannot be used.
    pub fn new(source: &ListenerTls, protocols: Vec<Vec<u8>>) -> Result<Self, MaterialError> {
        // Before the files are read: what changes meanwhile is seen at the next look.
        let stamps = stamps(source);
        Ok(Self {
            current: ArcSwap::from_pointee(server(source, protocols.clone())?),
            stamps: Mutex::new(stamps),
            refused: AtomicBool::new(false),
            source: source.clone(),
            protocols,
        })
    }

    /// Reads the files again where one has changed; connections that are open stay as they are. What cannot be used
    /// leaves the old in force, until the next change.
    pub fn refresh(&self, metrics: &Transport) {
        let mut seen = self.stamps.lock().unwrap_or_else(PoisonError::into_inner);
        let now = stamps(&self.source);
        if *seen == now {
            return;
        }
        *seen = now;
        let cert = self.source.cert.display();
        let read = server(&self.source, self.protocols.clone());
        self.refused.store(read.is_err(), Ordering::Release);
        match read {
            Ok(server) => {
                self.current.store(Arc::new(server));
                metrics.certificates_reloaded(Reload::Applied);
                tracing::info!(%cert, "certificates read again; new connections get them");
            }
            Err(error) => {
                metrics.certificates_reloaded(Reload::Refused);
                tracing::error!(%cert, %error, "changed certificates cannot be used; the old ones stay in force");
            }
        }
    }

    /// Whether the files as they are now cannot be used, so that older certificates are shown.
    #[must_use]
    pub fn is_refused(&self) -> bool {
        self.refused.load(Ordering::Acquire)
    }

    /// When the first of the certificates that it shows expires, in seconds since 1970.
    #[must_use]
    pub fn not_after(&self) -> i64 {
        self.current.load().not_after
    }

    /// Shakes hands. `None`: there is no connection, and that is counted.
    pub async fn accept(
        &self,
        stream: Ahead,
        within: Duration,
        metrics: &Transport,
    ) -> Option<Secured> {
        let acceptor = TlsAcceptor::from(Arc::clone(&self.current.load().config));
        let (result, why) = match timeout(within, acceptor.accept(stream)).await {
            Ok(Ok(stream)) => match secured(stream) {
                Ok(secured) => {
                    metrics.handshake(Some(secured.version), Handshake::Done);
                    return Some(secured);
                }
                Err(why) => (Handshake::Certificate, why),
            },
            Ok(Err(error)) => (kind(&error), error.to_string()),
            Err(_) => (
                Handshake::Timeout,
                "limits.header_timeout is over".to_owned(),
            ),
        };
        metrics.handshake(None, result);
        tracing::debug!(result = result.as_str(), %why, "a TLS handshake failed");
        None
    }
}

fn secured(stream: TlsStream<Ahead>) -> Result<Secured, String> {
    let connection = stream.get_ref().1;
    let version = match connection.protocol_version() {
        Some(ProtocolVersion::TLSv1_3) => "1.3",
        _ => "1.2",
    };
    let leaf = connection.peer_certificates().and_then(<[_]>::first);
    let certificate = leaf.map(|leaf| identity(leaf)).transpose()?;
    Ok(Secured {
        stream,
        version,
        certificate,
    })
}

fn kind(error: &io::Error) -> Handshake {
    let inner = error
        .get_ref()
        .and_then(|e| e.downcast_ref::<rustls::Error>());
    match inner {
        Some(rustls::Error::InvalidCertificate(_) | rustls::Error::NoCertificatesPresented) => {
            Handshake::Certificate
        }
        Some(_) => Handshake::Failed,
        None => Handshake::Gone,
    }
}

fn stamps(source: &ListenerTls) -> Vec<Stamp> {
    source.files().map(stamp).collect()
}

impl Link for TlsStream<Ahead> {
    fn socket(&self) -> Option<Arc<pingora::protocols::SocketDigest>> {
        self.get_ref().0.socket()
    }
}
