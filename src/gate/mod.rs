//! The proxy itself: the only room that knows pingora.

mod answer;
mod body;
mod conn;
mod door;
mod ids;
mod judge;
mod linger;
mod parsed;
mod phases;
mod refusal;
mod request;
mod shared;
mod store;

use std::{
    net::SocketAddr,
    path::PathBuf,
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use async_trait::async_trait;
use pingora::{
    apps::HttpServerOptions,
    connectors::ConnectorOptions,
    listeners::{ListenerConfig, tls::TlsSettings},
    protocols::l4::stream::L4BufferSettings,
    proxy::ProxyServiceBuilder,
    server::{
        RunArgs, Server, ShutdownSignal, ShutdownSignalWatch, ShutdownWatch,
        configuration::ServerConf,
    },
    services::listening::Service,
};

pub use shared::Shared;

use crate::{
    admin::Admin,
    audit::{AuditError, AuditSink, Metrics},
    config::{Config, PlainHttp, TlsVersion},
    decide::Keeper,
    http1::head::HeadLimits,
};

/// pingora parses at most this many header fields, and this many bytes of head.
const MOST_FIELDS: usize = 256;
const MOST_HEAD_BYTES: u64 = (1 << 20) - 1;
/// Response heads and small bodies leave in one send up to this size, in bytes.
const WRITE_BUFFER: usize = 8 * 1024;
/// Idle connections to the store that are kept at most.
const STORE_CONNECTIONS_KEPT: usize = 256;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Shorter than the idle timeout of common stores, so that a kept connection is rarely closed under a request.
const STORE_IDLE_TIMEOUT: Duration = Duration::from_secs(25);
const FLUSH_EVERY: Duration = Duration::from_millis(20);
/// What "no timeout" is to those who want a number.
const FOREVER: Duration = Duration::from_hours(365 * 24);

/// Why the proxy did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The audit file.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// The metrics cannot be registered.
    #[error("the metrics cannot be registered: {0}")]
    Metrics(#[from] prometheus::Error),
    /// An address is not to be had.
    #[error(
        "cannot listen on {address}: {source}; stop what listens there, or choose another address"
    )]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        source: std::io::Error,
    },
    /// TLS cannot be set up.
    #[error("TLS cannot be set up with {}: {message}; both files must be PEM and fit together", path.display())]
    Tls {
        /// The certificate.
        path: PathBuf,
        /// What is wrong.
        message: String,
    },
    /// What this version cannot do.
    #[error("{0}")]
    NotAvailable(&'static str),
}

/// Runs the proxy until a signal ends it: SIGTERM after the requests under way, SIGINT at once.
///
/// # Errors
/// It could not start.
pub fn run(config: &Config) -> Result<(), StartError> {
    let shared = Arc::new(shared(config)?);
    free(config)?;
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let conf = ServerConf {
        threads,
        work_stealing: true,
        max_retries: 2,
        // A backstop; the drain itself is awaited before.
        grace_period_seconds: Some(0),
        graceful_shutdown_timeout_seconds: Some(1),
        ..ServerConf::default()
    };
    let mut server = Server::new_with_opt_and_conf(None, conf);
    server.bootstrap();

    let connector = store::StoreConnector::new(address(config), connector_options(config));
    let mut options = HttpServerOptions::default();
    // Has pingora give us the bare connection: see `door`.
    options.force_custom = true;
    let gate = Arc::clone(&shared);
    let mut service =
        ProxyServiceBuilder::new(&server.configuration, phases::Gate(Arc::clone(&shared)))
            .name("gate")
            .server_options(options)
            .custom(
                connector,
                Arc::new(move |proxy, stream, shutdown: &ShutdownWatch| {
                    let (gate, shutdown) = (Arc::clone(&gate), shutdown.clone());
                    Box::pin(async move {
                        door::serve(proxy, gate, stream, shutdown).await;
                        None
                    })
                }),
            )
            .build();
    for listener in &config.listen {
        let mut endpoint = ListenerConfig::tcp(listener.address.to_string())
            .l4_buffer(L4BufferSettings::new(0, WRITE_BUFFER));
        if let Some(tls) = &listener.tls {
            endpoint = endpoint.tls(tls_settings(tls)?);
        }
        service.add_listener(endpoint);
    }
    server.add_service(service);
    if let Some(address) = config.admin {
        let mut admin = Service::new("admin".to_owned(), Admin::new(Arc::clone(&shared)));
        // A runtime of its own, so that it answers under load.
        admin.threads = Some(1);
        admin.add_tcp(&address.to_string());
        server.add_service(admin);
    }
    flush_regularly(&shared);
    tracing::info!(
        listen = ?config.listen.iter().map(|l| l.address.to_string()).collect::<Vec<_>>(),
        store = config.store.endpoint.authority(),
        rules = config.rules.len(),
        "serving"
    );
    server.run(RunArgs {
        shutdown_signal: Box::new(Drain {
            shared: Arc::clone(&shared),
            within: config.drain,
        }),
    });
    shared.audit.end()?;
    tracing::info!("ended");
    Ok(())
}

fn shared(config: &Config) -> Result<Shared, StartError> {
    let limits = &config.limits;
    let capped = |n: u64, most: u64| usize::try_from(n.min(most)).unwrap_or(usize::MAX);
    Ok(Shared {
        door: door::DoorLimits {
            head: HeadLimits {
                bytes: capped(limits.header_bytes, MOST_HEAD_BYTES),
                fields: capped(limits.header_count, MOST_FIELDS as u64),
            },
            header_timeout: limits.header_timeout.unwrap_or(FOREVER),
            idle_timeout: limits.idle_timeout.unwrap_or(FOREVER),
            linger: linger::Linger {
                bytes: limits.linger.bytes,
                time: limits.linger.time,
            },
            continue_timeout: config.continue_timeout,
        },
        keeper: Keeper::new(config),
        audit: AuditSink::open(&config.audit)?,
        when_blocked: config.audit.when_blocked,
        metrics: Metrics::new()?,
        ids: ids::Ids::default(),
        peer: address(config).peer(),
        store_takes_keys: config.store.endpoint.tls || config.store.endpoint.is_loopback(),
        base_domains: base_domains(config),
        hosts: config.hosts.clone(),
        held: body::Pool::default(),
        trusted_proxies: config.trusted_proxies.clone(),
        sse_c_over_http: config.sse_c_over_http == PlainHttp::Allow,
        denial: config.denial,
        xml_bytes: capped(limits.xml_bytes, u64::MAX),
        form_bytes: capped(limits.form_bytes, u64::MAX),
        active: 0.into(),
        draining: false.into(),
    })
}

/// The store's own name is one: a host below it would name a bucket there, so it must name one here.
fn base_domains(config: &Config) -> Vec<String> {
    let mut domains = config.base_domains.clone();
    let host = &config.store.endpoint.host;
    if host.parse::<std::net::IpAddr>().is_err() && !domains.contains(host) {
        domains.push(host.clone());
    }
    domains
}

/// pingora panics where it cannot listen; asked before, the operator gets a sentence.
fn free(config: &Config) -> Result<(), StartError> {
    let addresses = config.listen.iter().map(|l| l.address).chain(config.admin);
    for address in addresses {
        std::net::TcpListener::bind(address)
            .map_err(|source| StartError::Listen { address, source })?;
    }
    Ok(())
}

fn address(config: &Config) -> store::StoreAddress {
    let store = &config.store;
    store::StoreAddress {
        host: store.endpoint.host.clone(),
        port: store.endpoint.port,
        tls: store.endpoint.tls,
        server_name: store
            .tls
            .server_name
            .clone()
            .unwrap_or_else(|| store.endpoint.host.clone()),
        connect_timeout: CONNECT_TIMEOUT,
        response_timeout: store.response_timeout,
        idle_timeout: STORE_IDLE_TIMEOUT,
    }
}

fn connector_options(config: &Config) -> ConnectorOptions {
    let text = |path: &PathBuf| path.display().to_string();
    let mut options = ConnectorOptions::new(STORE_CONNECTIONS_KEPT);
    options.ca_file = config.store.tls.ca.as_ref().map(text);
    options.cert_key_file = config
        .store
        .tls
        .client
        .as_ref()
        .map(|(cert, key)| (text(cert), text(key)));
    options
}

fn tls_settings(tls: &crate::config::ListenerTls) -> Result<TlsSettings, StartError> {
    if tls.min_version == TlsVersion::V1_3 {
        return Err(StartError::NotAvailable(
            "listen.tls.min_version \"1.3\" is not available in this version: demand it with a policy on s3:TlsVersion (tls: \"1.3\" in the short form)",
        ));
    }
    let (cert, key) = (
        tls.cert.display().to_string(),
        tls.key.display().to_string(),
    );
    TlsSettings::intermediate(&cert, &key).map_err(|e| StartError::Tls {
        path: tls.cert.clone(),
        message: e.to_string(),
    })
}

/// Lines of reads wait for company where there are many; not longer than this.
fn flush_regularly(shared: &Arc<Shared>) {
    let weak = Arc::downgrade(shared);
    std::thread::spawn(move || {
        while let Some(shared) = weak.upgrade() {
            // What fails is counted, and refuses requests where the configuration says so.
            let _ = shared.audit.flush();
            drop(shared);
            std::thread::sleep(FLUSH_EVERY);
        }
    });
}

/// Waits for a signal, then for the requests under way.
struct Drain {
    shared: Arc<Shared>,
    within: Duration,
}

#[async_trait]
impl ShutdownSignalWatch for Drain {
    async fn recv(&self) -> ShutdownSignal {
        use tokio::signal::unix::{SignalKind, signal};
        // A file that may not grow (RLIMIT_FSIZE) is an error of write, as a full disk is, and not the end of the process.
        let _may_not_grow = signal(SignalKind::from_raw(libc::SIGXFSZ));
        let (Ok(mut terminate), Ok(mut interrupt)) = (
            signal(SignalKind::terminate()),
            signal(SignalKind::interrupt()),
        ) else {
            tracing::error!("signals cannot be waited for; the process ends");
            return ShutdownSignal::FastShutdown;
        };
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => return ShutdownSignal::FastShutdown,
        }
        self.shared.draining.store(true, Ordering::Release);
        tracing::info!(within = ?self.within, "ending: requests under way may finish");
        let deadline = Instant::now() + self.within;
        while self.shared.active.load(Ordering::Acquire) > 0 && Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        ShutdownSignal::FastShutdown
    }
}
