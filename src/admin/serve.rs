//! The admin port's own thread, runtime and HTTP server.

use std::{
    collections::VecDeque,
    convert::Infallible,
    io,
    net::SocketAddr,
    pin::pin,
    sync::{Arc, OnceLock},
    time::Duration,
};

use http::Request;
use hyper::{body::Incoming, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpSocket, TcpStream},
    task::AbortHandle,
};

use super::{Admin, LogLevel};
use crate::gate::Live;

/// Connections at a time at most: probes and scrapers are few.
const MOST_CONNECTIONS: usize = 64;
/// How long a request's head may take.
const HEAD_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a connection lasts at most, and what its last answer may take beyond that.
const LIFE: Duration = Duration::from_secs(10);
const GOODBYE: Duration = Duration::from_secs(1);
/// The pause after a connection could not be taken.
const AFTER_ERROR: Duration = Duration::from_millis(200);
/// Connections that wait to be taken.
const BACKLOG: u32 = 128;
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

/// Takes the address, on which nobody is served yet. While a process hands over, both have it; nobody else's can be had.
///
/// # Errors
/// The address is not to be had.
pub fn reserve(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()
    } else {
        TcpSocket::new_v6()
    }?;
    socket.set_reuseaddr(true)?;
    // The kernel shares it with processes of the same user that say so, too, and with no other.
    socket.set_reuseport(true)?;
    socket.bind(address)?;
    Ok(socket)
}

/// Serves the admin port on a thread of its own.
///
/// # Errors
/// It cannot listen.
pub fn start(socket: TcpSocket, live: Arc<Live>) -> io::Result<()> {
    let (tell, told) = std::sync::mpsc::sync_channel(1);
    std::thread::Builder::new()
        .name("admin".to_owned())
        .spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build();
            let listener = runtime.and_then(|runtime| {
                let listener = runtime.block_on(async { socket.listen(BACKLOG) })?;
                Ok((runtime, listener))
            });
            match listener {
                Ok((runtime, listener)) => {
                    let _ = tell.send(Ok(()));
                    runtime.block_on(serve(listener, live));
                }
                Err(error) => {
                    let _ = tell.send(Err(error));
                }
            }
        })?;
    told.recv()
        .unwrap_or_else(|_| Err(io::Error::other("the thread of the admin port has ended")))
}

async fn serve(listener: TcpListener, live: Arc<Live>) {
    let admin = Arc::new(Admin { live });
    let mut open: VecDeque<AbortHandle> = VecDeque::new();
    while !admin.live.process.is_handed_over() {
        let stream = match tokio::time::timeout(LOOK_EVERY, listener.accept()).await {
            Ok(Ok((stream, _))) => stream,
            Ok(Err(error)) => {
                tracing::debug!(%error, "the admin port cannot take a connection");
                // Out of file descriptors the next try would fail at once as well.
                tokio::time::sleep(AFTER_ERROR).await;
                continue;
            }
            Err(_) => continue,
        };
        open.retain(|connection| !connection.is_finished());
        if open.len() >= MOST_CONNECTIONS
            && let Some(oldest) = open.pop_front()
        {
            // Whoever has been here longest makes room: what is asked here is answered in a moment.
            oldest.abort();
        }
        let connection = tokio::spawn(connection(stream, Arc::clone(&admin)));
        open.push_back(connection.abort_handle());
    }
}

/// Serves a connection for a while.
async fn connection(stream: TcpStream, admin: Arc<Admin>) {
    let service = service_fn(move |request: Request<Incoming>| {
        let uri = request.uri();
        let answer = admin.answer(request.method(), uri.path(), uri.query());
        let response = answer.response();
        async move { Ok::<_, Infallible>(response) }
    });
    let mut connection = pin!(
        hyper::server::conn::http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIMEOUT)
            .serve_connection(TokioIo::new(stream), service)
    );
    if tokio::time::timeout(LIFE, connection.as_mut())
        .await
        .is_err()
    {
        connection.as_mut().graceful_shutdown();
        let _ = tokio::time::timeout(GOODBYE, connection).await;
    }
}
