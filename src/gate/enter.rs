//! From an accepted connection to one that HTTP is spoken on: which listener it came to, the PROXY protocol's header, TLS.

use std::{sync::Arc, time::Duration};

use bytes::{Buf, BytesMut};
use pingora::protocols::Stream;
use pingora_timeout::timeout;

use super::{
    StartError,
    ahead::Ahead,
    client::{Client, Rest},
    connections::Open,
    door::read_some,
    shared::Shared,
    tls::Tls,
};
use crate::{
    audit::Transport,
    config::{Config, Listener, Serve},
    transit::proxy_protocol::{self, Header, ProxyError, Terminated},
};

/// A listener, as a configuration has it.
pub struct Entry {
    /// Its part of the configuration.
    pub listener: Listener,
    tls: Option<Tls>,
}

impl Entry {
    fn new(listener: &Listener) -> Result<Arc<Self>, StartError> {
        let tls = listener
            .tls
            .as_ref()
            .map(|tls| Tls::new(tls, protocols(listener)));
        Ok(Arc::new(Self {
            listener: listener.clone(),
            tls: tls.transpose().map_err(|source| StartError::Tls {
                address: listener.address,
                source,
            })?,
        }))
    }
}

/// All listeners that are open.
pub struct Entries {
    all: Vec<Arc<Entry>>,
}

impl Entries {
    /// Reads the certificates.
    ///
    /// # Errors
    /// They cannot be used.
    pub fn new(config: &Config) -> Result<Self, StartError> {
        let all = config.listen.iter().map(Entry::new);
        Ok(Self {
            all: all.collect::<Result<_, StartError>>()?,
        })
    }

    /// The same addresses as the configuration that takes this one's place has them. What it does not name stays as it is,
    /// and what it adds is nobody's before a restart.
    ///
    /// # Errors
    /// As [`Entries::new`].
    pub fn after(&self, config: &Config) -> Result<Arc<Self>, StartError> {
        let after = |entry: &Arc<Entry>| {
            let before = &entry.listener;
            let now = config.listen.iter().find(|l| l.address == before.address);
            match now.filter(|now| *now != before) {
                Some(now) => Entry::new(now),
                None => Ok(Arc::clone(entry)),
            }
        };
        let all = self.all.iter().map(after);
        Ok(Arc::new(Self {
            all: all.collect::<Result<_, StartError>>()?,
        }))
    }

    /// What they do.
    pub fn listeners(&self) -> Vec<Listener> {
        self.all.iter().map(|e| e.listener.clone()).collect()
    }

    fn tls(&self) -> impl Iterator<Item = &Tls> {
        self.all.iter().filter_map(|entry| entry.tls.as_ref())
    }

    /// Reads certificates again whose files have changed; to be called now and then.
    pub fn refresh(&self, metrics: &Transport) {
        for tls in self.tls() {
            tls.refresh(metrics);
        }
    }

    /// Listeners whose changed certificates cannot be used.
    #[must_use]
    pub fn refused(&self) -> usize {
        self.tls().filter(|tls| tls.is_refused()).count()
    }

    /// When the first certificate expires, in seconds since 1970; none: no listener shows one.
    #[must_use]
    pub fn not_after(&self) -> Option<i64> {
        self.tls().map(Tls::not_after).min()
    }

    /// The listener that a connection came to. None where the configuration has it no more.
    pub fn of(&self, stream: &Stream) -> Option<&Entry> {
        if let [only] = &self.all[..] {
            return Some(only);
        }
        let socket = stream.get_socket_digest()?;
        let local = *socket.local_addr()?.as_inet()?;
        let ip = local.ip().to_canonical();
        let of_port = || {
            let all = self.all.iter().map(AsRef::as_ref);
            all.filter(|e: &&Entry| e.listener.address.port() == local.port())
        };
        let everywhere = |v4: bool| {
            of_port().find(move |e| {
                let address = e.listener.address;
                address.ip().is_unspecified() && address.is_ipv4() == v4
            })
        };
        of_port()
            .find(|e| e.listener.address.ip().to_canonical() == ip)
            .or_else(|| everywhere(ip.is_ipv4()))
            .or_else(|| everywhere(false))
    }
}

/// What a listener offers by ALPN, best first. Health is asked for in HTTP/1 alone.
fn protocols(listener: &Listener) -> Vec<Vec<u8>> {
    let known: &[&[u8]] = match listener.serve {
        Serve::All => &[b"h2", b"http/1.1", b"http/1.0"],
        Serve::Health => &[b"http/1.1", b"http/1.0"],
    };
    known.iter().map(|protocol| protocol.to_vec()).collect()
}

/// A connection on which HTTP is spoken from here on.
pub struct Entered {
    /// Who it is.
    pub client: Client,
    /// Its bytes.
    pub rest: Rest,
    /// What its listener serves.
    pub serve: Serve,
}

/// Takes a connection in, which counts for its peer's address, or for the one that a relay names, as soon as that is known.
/// `None`: it is to be closed.
pub async fn enter(shared: &Shared, stream: Stream, open: &mut Open) -> Option<Entered> {
    tokio::select! {
        biased;
        entered = take_in(shared, stream, open) => entered,
        () = shared.process.gives_up() => None,
    }
}

async fn take_in(shared: &Shared, mut stream: Stream, open: &mut Open) -> Option<Entered> {
    let entry = shared.entries.of(&stream)?;
    let metrics = &shared.process.metrics.transport;
    let within = shared.door.header_timeout;
    let mut client = Client::of(&stream);
    let mut ahead = BytesMut::new();
    let mut told = Terminated::Silent;
    // A trusted proxy stands for many clients.
    let relays = shared.is_trusted(client.ip);
    if !relays {
        client.requests = Some(open.from(client.ip, shared.most_of_one)?);
    }
    if entry.listener.proxy_protocol && relays {
        match proxy_header(&mut stream, &mut ahead, within).await {
            Ok(header) => {
                ahead.advance(header.len);
                if ahead.is_empty() {
                    ahead = BytesMut::new();
                }
                // What a relay does not name is not itself: its own standing is not lent to it.
                client.unnamed = header.source.is_none();
                client.ip = header.source.unwrap_or(client.ip);
                told = header.tls;
                if !client.unnamed && !shared.is_trusted(client.ip) {
                    client.requests = Some(open.from(client.ip, shared.most_of_one)?);
                }
            }
            Err(why) => {
                metrics.proxy_header_refused();
                tracing::debug!(peer = %client.ip, %why, "a connection of a trusted proxy is closed");
                return None;
            }
        }
    }
    let rest = match &entry.tls {
        None => Rest {
            stream: Box::new(stream),
            ahead,
        },
        Some(tls) => {
            let secured = tls
                .accept(Ahead::new(stream, ahead), within, metrics)
                .await?;
            client.tls = Some(secured.version);
            client.certificate = secured.certificate;
            Rest {
                stream: Box::new(secured.stream),
                ahead: BytesMut::new(),
            }
        }
    };
    match told {
        Terminated::Silent => {}
        Terminated::Plain => client.tls = None,
        Terminated::Tls(version) => client.tls = Some(version),
    }
    Some(Entered {
        client,
        rest,
        serve: entry.listener.serve,
    })
}

/// Why there is no header.
#[derive(Debug, thiserror::Error)]
enum NoHeader {
    #[error(transparent)]
    Refused(#[from] ProxyError),
    #[error("the connection ended within the PROXY protocol header")]
    Ended,
    #[error("the PROXY protocol header did not arrive within limits.header_timeout")]
    TimedOut,
}

async fn proxy_header(
    stream: &mut Stream,
    ahead: &mut BytesMut,
    within: Duration,
) -> Result<Header, NoHeader> {
    let whole = async {
        loop {
            if let Some(header) = proxy_protocol::parse(ahead)? {
                return Ok(header);
            }
            match read_some(stream, ahead).await {
                Err(_) | Ok(0) => return Err(NoHeader::Ended),
                Ok(_) => {}
            }
        }
    };
    timeout(within, whole)
        .await
        .unwrap_or(Err(NoHeader::TimedOut))
}
