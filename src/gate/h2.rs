//! HTTP/2 (RFC 9113): a connection, from its preface to its last stream.
//!
//! Each stream becomes a [`Link`](super::client::Link) that speaks HTTP/1 ([`h2_stream`](super::h2_stream)), and its
//! request goes the way of all requests. Here are the bounds of a connection: how many streams, how much memory, how
//! many that are given up, and how it ends.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use ::h2::{
    Reason, RecvStream,
    server::{Builder, Connection, SendResponse},
};
use bytes::{Buf, Bytes};
use http::Request;
use pingora::server::ShutdownWatch;
use pingora_timeout::timeout;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::Semaphore,
    task::JoinSet,
    time::{Instant, sleep_until},
};

use super::{
    client::{Client, Rest},
    door::DoorLimits,
    h2_stream::{self, Connected, Ended, SEND_BUFFER},
    process::Live,
};

/// What a client sends first (RFC 9113 section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Streams of a connection at a time.
const MOST_STREAMS: u32 = 128;
/// Bytes that a client may send on a stream before they are read.
const STREAM_WINDOW: u32 = 256 * 1024;
/// The same for all streams of a connection together.
const CONNECTION_WINDOW: u32 = 2 * 1024 * 1024;
/// Streams that a client may give up at once, and then in a second, before it is sent away (CVE-2023-44487).
const RESETS_AT_ONCE: f64 = 256.0;
const RESETS_A_SECOND: f64 = 32.0;
/// Given-up streams whose requests nobody has looked at.
const MOST_PENDING_RESETS: usize = 64;
/// Streams that were reset because of what the client sent on them, in a connection's life.
const MOST_ERRORS: usize = 1024;
/// Streams that were answered early: frames that are under way are thrown away in silence for so long.
const MOST_ANSWERED_EARLY: usize = 512;
const ANSWERED_EARLY: Duration = Duration::from_secs(3);
/// Streams that wait for their request's end after the response: their windows are half of the connection's.
const MOST_LINGERING: usize = 4;
/// How long a client has to end a connection that was told to end.
const GOODBYE: Duration = Duration::from_secs(5);

/// What the first bytes of a connection are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preface {
    /// HTTP/2.
    Whole,
    /// HTTP/2 as far as they go.
    Part,
    /// Something else.
    Other,
}

impl Preface {
    /// Of a connection that began with `ahead`.
    pub fn of(ahead: &[u8]) -> Self {
        if ahead.starts_with(PREFACE) {
            Self::Whole
        } else if PREFACE.starts_with(ahead) {
            Self::Part
        } else {
            Self::Other
        }
    }
}

/// Serves a connection that speaks HTTP/2, from its preface on.
pub async fn serve(live: &Arc<Live>, client: &Arc<Client>, rest: Rest, shutdown: &ShutdownWatch) {
    let limits = live.current().door;
    let handshake = builder(&limits).handshake::<_, Bytes>(Io(rest));
    let Ok(Ok(mut connection)) = timeout(limits.header_timeout, handshake).await else {
        return;
    };
    let mut streams = JoinSet::new();
    let on = Connected {
        live: Arc::clone(live),
        client: Arc::clone(client),
        lingers: Arc::new(Semaphore::new(MOST_LINGERING)),
    };
    let ends = told_to_end(live.process.drains(), shutdown.clone());
    let ended = run(&on, &mut connection, &mut streams, ends).await;
    if let End::Abuse = ended {
        connection.abrupt_shutdown(Reason::ENHANCE_YOUR_CALM);
        let sent = std::future::poll_fn(|cx| connection.poll_closed(cx));
        let _ = timeout(GOODBYE, sent).await;
    }
    drop(connection);
    // What is still under way sees that its client has gone, and writes its line.
    while streams.join_next().await.is_some() {}
}

/// How a connection came to its end.
enum End {
    /// In one of the usual ways.
    Usual,
    /// The client gives up more than can be meant.
    Abuse,
}

async fn run(
    on: &Connected,
    connection: &mut Connection<Io, Bytes>,
    streams: &mut JoinSet<Ended>,
    ends: impl Future<Output = ()>,
) -> End {
    let mut resets = Resets::new();
    let mut ending = false;
    let mut quiet = Instant::now();
    let mut ends = std::pin::pin!(ends);
    loop {
        let full = streams.len() >= MOST_STREAMS as usize;
        let idle = streams.is_empty();
        let patience = if ending {
            GOODBYE
        } else {
            on.live.current().door.idle_timeout
        };
        tokio::select! {
            biased;
            Some(ended) = streams.join_next(), if !idle => {
                quiet = Instant::now();
                if matches!(ended, Ok(Ended::GivenUp)) && !resets.allow() {
                    return End::Abuse;
                }
            }
            accepted = accept(connection, full) => match accepted {
                Some(Ok((request, respond))) => {
                    streams.spawn(h2_stream::serve(request, respond, on.clone()));
                }
                Some(Err(_)) | None => return End::Usual,
            },
            () = &mut ends, if !ending => {
                ending = true;
                quiet = Instant::now();
                connection.graceful_shutdown();
            }
            () = sleep_until(quiet + patience), if idle => {
                if ending {
                    return End::Usual;
                }
                ending = true;
                quiet = Instant::now();
                connection.graceful_shutdown();
            }
        }
    }
}

/// Moves the connection; the next request, unless there are enough of them.
async fn accept(
    connection: &mut Connection<Io, Bytes>,
    full: bool,
) -> Option<Result<(Request<RecvStream>, SendResponse<Bytes>), ::h2::Error>> {
    if !full {
        return connection.accept().await;
    }
    // Streams that were given up make room in the protocol before their tasks have ended.
    match std::future::poll_fn(|cx| connection.poll_closed(cx)).await {
        Ok(()) => None,
        Err(error) => Some(Err(error)),
    }
}

/// Waits until connections are to end.
async fn told_to_end(mut drains: tokio::sync::watch::Receiver<bool>, mut shutdown: ShutdownWatch) {
    tokio::select! {
        _ = drains.wait_for(|told| *told) => {}
        _ = shutdown.wait_for(|told| *told) => {}
    }
}

fn builder(limits: &DoorLimits) -> Builder {
    // HPACK counts 32 bytes for a field; up to twice the limit is read, so that S3's error can be answered.
    let list = (limits.head.bytes + 32 * limits.head.fields).saturating_mul(2);
    let mut builder = Builder::new();
    builder
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_concurrent_streams(MOST_STREAMS)
        .max_header_list_size(u32::try_from(list).unwrap_or(u32::MAX))
        .max_send_buffer_size(SEND_BUFFER)
        .max_pending_accept_reset_streams(MOST_PENDING_RESETS)
        .max_local_error_reset_streams(Some(MOST_ERRORS))
        .max_concurrent_reset_streams(MOST_ANSWERED_EARLY)
        .reset_stream_duration(ANSWERED_EARLY);
    builder
}

/// How many streams the client may still give up.
struct Resets {
    left: f64,
    at: Instant,
}

impl Resets {
    fn new() -> Self {
        Self {
            left: RESETS_AT_ONCE,
            at: Instant::now(),
        }
    }

    /// Counts one; false where it is one too many.
    fn allow(&mut self) -> bool {
        let now = Instant::now();
        let earned = (now - self.at).as_secs_f64() * RESETS_A_SECOND;
        self.at = now;
        self.left = (self.left + earned).min(RESETS_AT_ONCE) - 1.0;
        self.left >= 0.0
    }
}

/// A connection with what was read ahead of it.
struct Io(Rest);

impl AsyncRead for Io {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let rest = &mut self.0;
        if rest.ahead.is_empty() {
            return Pin::new(&mut rest.stream).poll_read(cx, buf);
        }
        let n = rest.ahead.len().min(buf.remaining());
        buf.put_slice(&rest.ahead[..n]);
        rest.ahead.advance(n);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Io {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.0.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_preface_is_told_from_a_request() {
        assert_eq!(Preface::of(PREFACE), Preface::Whole);
        assert_eq!(Preface::of(&[PREFACE, b"\0\0"].concat()), Preface::Whole);
        for n in 1..PREFACE.len() {
            assert_eq!(Preface::of(&PREFACE[..n]), Preface::Part, "{n}");
        }
        for other in ["PUT / HTTP/1.1", "PRI * HTTP/1.1", "GET", "\r\n"] {
            assert_eq!(Preface::of(other.as_bytes()), Preface::Other, "{other}");
        }
    }

    #[test]
    fn giving_up_is_bounded() {
        let mut resets = Resets::new();
        let allowed = (0..1000).filter(|_| resets.allow()).count();
        assert!((256..300).contains(&allowed), "{allowed}");
    }
}
