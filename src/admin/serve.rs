//! The admin port's own thread, runtime and HTTP server.

use std::{
    convert::Infallible,
    io,
    net::{SocketAddr, TcpListener},
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};

use http::Request;
use hyper::{body::Incoming, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};

use super::{Admin, LogLevel};
use crate::gate::Live;

/// How long a new process waits for the port of the one that hands over.
const PATIENCE: Duration = Duration::from_secs(10);
/// Connections at a time at most: probes and scrapers are few.
const MOST_CONNECTIONS: usize = 64;
/// How long a request's head may take.
const HEAD_TIMEOUT: Duration = Duration::from_secs(5);
/// How often it is looked whether the port must be given up.
const LOOK_EVERY: Duration = Duration::from_millis(50);

static LOG_LEVEL: OnceLock<Box<dyn LogLevel>> = OnceLock::new();

/// Says who changes what is logged; once.
pub fn set_log_level(level: Box<dyn LogLevel>) {
    // A second one would be a second log: there is one in a process.
    let _ = LOG_LEVEL.set(level);
}

pub fn log_level() -> Option<&'static dyn LogLevel> {
    LOG_LEVEL.get().map(AsRef::as_ref)
}

/// Serves the admin port on a thread of its own.
///
/// # Errors
/// The address is not to be had.
pub fn start(address: SocketAddr, live: Arc<Live>) -> io::Result<()> {
    let listener = listen(address)?;
    listener.set_nonblocking(true)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    std::thread::Builder::new()
        .name("admin".to_owned())
        .spawn(move || runtime.block_on(serve(listener, live)))?;
    Ok(())
}

/// The port may still be the one's that hands over.
fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match TcpListener::bind(address) {
            Err(e) if e.kind() == io::ErrorKind::AddrInUse && Instant::now() < deadline => {
                std::thread::sleep(LOOK_EVERY);
            }
            result => return result,
        }
    }
}

async fn serve(listener: TcpListener, live: Arc<Live>) {
    let listener = match tokio::net::TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => {
            tracing::error!(%error, "the admin port cannot be served");
            return;
        }
    };
    let admin = Arc::new(Admin { live });
    let slots = Arc::new(tokio::sync::Semaphore::new(MOST_CONNECTIONS));
    while !admin.live.process.is_handed_over() {
        let Ok(Ok((stream, _))) = tokio::time::timeout(LOOK_EVERY, listener.accept()).await else {
            continue;
        };
        let Ok(slot) = Arc::clone(&slots).try_acquire_owned() else {
            continue;
        };
        let admin = Arc::clone(&admin);
        tokio::spawn(async move {
            let service = service_fn(move |request: Request<Incoming>| {
                let uri = request.uri();
                let answer = admin.answer(request.method(), uri.path(), uri.query());
                let response = answer.response();
                async move { Ok::<_, Infallible>(response) }
            });
            let _ = hyper::server::conn::http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEAD_TIMEOUT)
                .serve_connection(TokioIo::new(stream), service)
                .await;
            drop(slot);
        });
    }
}
