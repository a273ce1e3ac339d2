//! The proxy itself: the only room that knows pingora.

mod ahead;
mod answer;
mod answered;
mod ask;
mod aws_chunked;
mod body;
mod client;
mod confirm;
mod connections;
mod door;
mod enter;
mod exchange;
mod files;
mod fixed;
mod forward;
mod h2;
mod h2_head;
mod h2_stream;
mod health;
mod held;
mod ids;
mod judge;
mod leftover;
mod life;
mod linger;
mod listening;
mod outgoing;
mod parsed;
mod pool;
mod probe;
mod process;
mod refusal;
mod reload;
mod reply;
mod request;
mod shared;
mod store;
mod successor;
mod tls;
mod upload;

use std::{
    fs::TryLockError,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};

use pingora::{
    listeners::ListenerConfig,
    protocols::l4::stream::L4BufferSettings,
    server::{
        RunArgs, Server,
        configuration::{Opt, ServerConf},
    },
    services::listening::Service,
};

use tokio::net::TcpSocket;

pub use life::HangUps;
use listening::{Last, Listening};
pub use process::{Live, Process};

use crate::{audit::AuditError, config::Config, tls::MaterialError};

/// Header fields that are parsed at most.
const MOST_FIELDS: usize = 256;
const FLUSH_EVERY: Duration = Duration::from_millis(20);
/// How long addresses may be in use after the process that had them let its audit file go.
const LETS_GO: Duration = Duration::from_secs(1);
const LOOK_AT_FILES_EVERY: Duration = Duration::from_secs(1);

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
    #[error("TLS cannot be set up for {address}: {source}")]
    Tls {
        /// The listener.
        address: SocketAddr,
        /// What is wrong.
        source: MaterialError,
    },
    /// TLS to the store cannot be set up.
    #[error(
        "TLS to the store cannot be set up; check the files of store.tls with `sealgate check`"
    )]
    StoreTls,
    /// Signals cannot be taken.
    #[error("signals cannot be waited for: {0}")]
    Signals(std::io::Error),
    /// There is no place where listeners could be taken over.
    #[error("--upgrade takes the listeners over through upgrade_socket, which is not configured")]
    NoUpgradeSocket,
    /// That place cannot be named.
    #[error("upgrade_socket: {0}")]
    UpgradeSocket(std::io::Error),
}

/// How the process starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// It opens its listeners.
    Fresh,
    /// It takes them over from the process that runs, over `upgrade_socket`.
    Upgrade,
}

/// Runs the proxy until a signal ends it: SIGTERM after the requests under way, SIGINT at once, SIGQUIT once another
/// process has taken the listeners over and serves. SIGHUP has the configuration read again; one that came since `hang_ups`
/// are held and before it serves, once it does.
///
/// # Errors
/// It could not start.
pub fn run(config: &Config, start: Start, hang_ups: HangUps) -> Result<(), StartError> {
    let upgrade_socket = absolute(config)?;
    if start == Start::Upgrade && upgrade_socket.is_none() {
        return Err(StartError::NoUpgradeSocket);
    }
    // All that can fail comes before the listeners are asked for: until then another process may be serving.
    // Where another process writes the audit file, it may be about to end, and its addresses are free then, too.
    let follows = start == Start::Fresh && audit_file_is_taken(config);
    // Where it hands over, what is in use may be its own: `Listening` and `admin::reserve` tell.
    free(config, start == Start::Fresh && !follows)?;
    let held = (start == Start::Upgrade).then(|| hold_audit_file(config));
    let live = Arc::new(Live::new(config, start)?);
    drop(held);
    let admin = reserve_admin(config, follows).inspect_err(|_| {
        if start == Start::Fresh {
            // Nothing was served, so the file is as the earlier run left it.
            let _ = live.process.audit.end(true);
        }
    })?;
    let (reloader, trigger) = reload::Reloader::new(config, Arc::clone(&live));
    // Waits here for the listeners of another process.
    let mut server = server(config, upgrade_socket.as_deref(), start == Start::Upgrade);
    let mut service = Service::new("gate".to_owned(), door::Door(Arc::clone(&live)));
    let addresses: Vec<_> = config.listen.iter().map(|l| l.address).collect();
    for address in &addresses {
        // What comes before HTTP, TLS included, is `enter`'s.
        let listener =
            ListenerConfig::tcp(address.to_string()).l4_buffer(L4BufferSettings::unbuffered());
        service.add_listener(listener);
    }
    let mut last = serve_admin(config, admin, &live);
    if start == Start::Fresh {
        if let Err(error) = last() {
            let _ = live.process.audit.end(true);
            return Err(error);
        }
        last = Box::new(|| Ok(()));
    }
    let sockets = Arc::new(OnceLock::new());
    server.add_service(Listening::new(
        service,
        addresses.clone(),
        Arc::clone(&live.process),
        Arc::clone(&sockets),
        last,
    ));
    flush_regularly(&live);
    look_at_certificates(&live);
    reloader.start();
    server.run(RunArgs {
        shutdown_signal: Box::new(life::Signals {
            live: Arc::clone(&live),
            shutdown: config.shutdown,
            upgrade_socket,
            sockets,
            reload: trigger,
            hang_ups: hang_ups.into(),
        }),
    });
    // `life` has ended the audit file.
    Ok(())
}

/// The audit file, where it is one on a disk: opening a named pipe would wait for its other end.
fn audit_file(config: &Config) -> Option<std::fs::File> {
    let path = config.audit.file.as_ref()?;
    std::fs::metadata(path)
        .ok()
        .filter(std::fs::Metadata::is_file)?;
    std::fs::File::open(path).ok()
}

/// Whether another process writes the audit file.
fn audit_file_is_taken(config: &Config) -> bool {
    audit_file(config)
        .is_some_and(|file| matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)))
}

/// Holds the audit file's lock, where the process that hands over does not: that one may itself have taken over a moment
/// ago. With the lock the file would count as one that nobody writes, and be put in order while somebody does.
fn hold_audit_file(config: &Config) -> Option<std::fs::File> {
    let file = audit_file(config)?;
    file.try_lock().ok()?;
    Some(file)
}

fn server(config: &Config, upgrade_socket: Option<&Path>, upgrade: bool) -> Server {
    let mut conf = ServerConf {
        threads: std::thread::available_parallelism().map_or(1, usize::from),
        work_stealing: true,
        // A backstop: `life` ends the process before.
        grace_period_seconds: Some(config.shutdown.drain.as_secs() + 10),
        graceful_shutdown_timeout_seconds: Some(1),
        ..ServerConf::default()
    };
    if let Some(path) = upgrade_socket {
        conf.upgrade_sock = path.display().to_string();
    }
    let options = Opt {
        upgrade,
        ..Opt::default()
    };
    let mut server = Server::new_with_opt_and_conf(Some(options), conf);
    server.bootstrap();
    server
}

/// Where the listeners are handed over, whatever the process' folder is.
fn absolute(config: &Config) -> Result<Option<PathBuf>, StartError> {
    let named = |path: &PathBuf| {
        let path = std::path::absolute(path)?;
        // Too long a name is an error here, and a panic in pingora.
        std::os::unix::net::SocketAddr::from_pathname(&path)?;
        Ok(path)
    };
    let path = config.upgrade_socket.as_ref().map(named);
    path.transpose().map_err(StartError::UpgradeSocket)
}

/// pingora panics where it cannot listen; asked before, the operator gets a sentence. `all`: addresses that are in use count, too.
fn free(config: &Config, all: bool) -> Result<(), StartError> {
    let addresses = config.listen.iter().map(|l| l.address).chain(config.admin);
    for address in addresses {
        if let Err(source) = std::net::TcpListener::bind(address)
            && (all || source.kind() != std::io::ErrorKind::AddrInUse)
        {
            return Err(StartError::Listen { address, source });
        }
    }
    Ok(())
}

/// Takes the admin port's address where there is one; where this process `follows` one that has ended, all addresses must
/// be free, too.
fn reserve_admin(config: &Config, follows: bool) -> Result<Option<TcpSocket>, StartError> {
    // A process that ends may let its audit file go a moment before its sockets.
    let until = Instant::now() + LETS_GO;
    while follows && let Err(error) = free(config, true) {
        if Instant::now() >= until {
            return Err(error);
        }
        std::thread::sleep(FLUSH_EVERY);
    }
    let socket = config.admin.map(|address| {
        let socket = crate::admin::reserve(address);
        socket.map_err(|source| StartError::Listen { address, source })
    });
    socket.transpose()
}

/// Serves the admin port where there is one. Of two processes the one that serves has it.
fn serve_admin(config: &Config, reserved: Option<TcpSocket>, live: &Arc<Live>) -> Last {
    let live = Arc::clone(live);
    let admin = config.admin.zip(reserved);
    Box::new(move || match admin {
        Some((address, socket)) => crate::admin::start(socket, live)
            .map_err(|source| StartError::Listen { address, source }),
        None => Ok(()),
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

/// On a thread of its own: what a file system does that hangs must not hold up the audit.
fn look_at_certificates(live: &Arc<Live>) {
    let weak = Arc::downgrade(live);
    std::thread::spawn(move || {
        while let Some(live) = weak.upgrade() {
            let metrics = &live.process.metrics.transport;
            live.current().entries.refresh(metrics);
            drop(live);
            std::thread::sleep(LOOK_AT_FILES_EVERY);
        }
    });
}
