//! The proxy itself: the only room that knows pingora.

mod answer;
mod ask;
mod body;
mod client;
mod confirm;
mod door;
mod exchange;
mod forward;
mod ids;
mod judge;
mod linger;
mod outgoing;
mod parsed;
mod pool;
mod probe;
mod process;
mod refusal;
mod reply;
mod request;
mod shared;
mod store;
mod upload;

use std::{
    net::SocketAddr,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use pingora::{
    listeners::{ListenerConfig, tls::TlsSettings},
    protocols::l4::stream::L4BufferSettings,
    server::{RunArgs, Server, ShutdownSignal, ShutdownSignalWatch, configuration::ServerConf},
    services::listening::Service,
};

pub use process::{Live, Process};

use crate::{
    admin::Admin,
    audit::AuditError,
    config::{Config, TlsVersion},
};

/// Header fields that are parsed at most.
const MOST_FIELDS: usize = 256;
const FLUSH_EVERY: Duration = Duration::from_millis(20);

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
    let live = Arc::new(Live::new(config)?);
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

    let mut service = Service::new("gate".to_owned(), door::Door(Arc::clone(&live)));
    for listener in &config.listen {
        let mut endpoint = ListenerConfig::tcp(listener.address.to_string())
            .l4_buffer(L4BufferSettings::unbuffered());
        if let Some(tls) = &listener.tls {
            endpoint = endpoint.tls(tls_settings(tls)?);
        }
        service.add_listener(endpoint);
    }
    server.add_service(service);
    if let Some(address) = config.admin {
        let mut admin = Service::new("admin".to_owned(), Admin::new(Arc::clone(&live)));
        // A runtime of its own, so that it answers under load.
        admin.threads = Some(1);
        admin.add_tcp(&address.to_string());
        server.add_service(admin);
    }
    flush_regularly(&live);
    tracing::info!(
        listen = ?config.listen.iter().map(|l| l.address.to_string()).collect::<Vec<_>>(),
        store = config.store.endpoint.authority(),
        rules = config.rules.len(),
        "serving"
    );
    server.run(RunArgs {
        shutdown_signal: Box::new(Drain {
            process: Arc::clone(&live.process),
            within: config.drain,
        }),
    });
    live.process.audit.end()?;
    tracing::info!("ended");
    Ok(())
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
fn flush_regularly(live: &Arc<Live>) {
    let weak = Arc::downgrade(live);
    std::thread::spawn(move || {
        while let Some(live) = weak.upgrade() {
            // What fails is counted, and refuses requests where the configuration says so.
            let _ = live.process.audit.flush();
            live.current().store.reap();
            drop(live);
            std::thread::sleep(FLUSH_EVERY);
        }
    });
}

/// Waits for a signal, then for the requests under way.
struct Drain {
    process: Arc<Process>,
    within: Duration,
}

#[async_trait]
impl ShutdownSignalWatch for Drain {
    async fn recv(&self) -> ShutdownSignal {
        use tokio::signal::unix::{SignalKind, signal};
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
        self.process.drain();
        tracing::info!(within = ?self.within, "ending: requests under way may finish");
        let deadline = Instant::now() + self.within;
        while self.process.active() > 0 && Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        ShutdownSignal::FastShutdown
    }
}
