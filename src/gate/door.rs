//! A client's connection from its first byte to its last.
//!
//! For each request: wait for its head, examine it ([`http1::head`](crate::http1::head)), decide it. What is denied is
//! answered here and goes no further; what is let in is [`forward`]ed, and the connection comes back. In the end:
//! close at once where nothing can be lost, linger where the client may still be sending. A connection that begins as
//! HTTP/2 does is [`h2`]'s.

use std::{cell::RefCell, future::poll_fn, pin::Pin, sync::Arc, task::ready, time::Duration};

use async_trait::async_trait;
use bytes::{Buf, BytesMut};
use pingora::{apps::ServerApp, protocols::Stream, server::ShutdownWatch};
use pingora_timeout::timeout;
use tokio::io::{AsyncRead, AsyncWriteExt, ReadBuf};

use super::{
    client::{Client, Rest},
    enter::{Entered, enter},
    forward::{After, forward},
    h2::{self, Preface},
    health,
    judge::{Arrived, judge},
    linger::Linger,
    parsed::Parsed,
    pool::is_quiet,
    process::{Live, Process},
    refusal,
    request::Ctx,
    shared::Shared,
};
use crate::audit::Lingered;
use crate::config::Serve;
use crate::http1::head::{Framing, Head, HeadError, HeadLimits, examine};

/// What a connection is allowed.
#[derive(Clone, Copy, Debug)]
pub struct DoorLimits {
    /// Size of a head.
    pub head: HeadLimits,
    /// From a head's first byte to its last.
    pub header_timeout: Duration,
    /// Silence between two requests.
    pub idle_timeout: Duration,
    /// How a connection ends whose client may still be sending.
    pub linger: Linger,
    /// How long the store may stay silent before Sealgate sends the 100 itself.
    pub continue_timeout: Duration,
}

/// How reading a head ended.
enum Arrival {
    /// A complete head at the start of the buffer.
    Head(Head),
    /// The start of an HTTP/2 connection.
    Http2,
    /// The client closed, was silent, or broke off: nothing to answer.
    Gone,
    /// The head took too long.
    TimedOut,
    /// The head is refused.
    Refused(HeadError),
}

/// How often an idle connection looks whether the process is ending.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Accepts connections.
pub struct Door(pub Arc<Live>);

#[async_trait]
impl ServerApp for Door {
    async fn process_new(
        self: &Arc<Self>,
        stream: Stream,
        shutdown: &ShutdownWatch,
    ) -> Option<Stream> {
        let live = &self.0;
        let gate = live.current();
        // Whoever opens too many is not answered: it must not cost an answer each.
        let connections = match gate.entries.of(&stream)?.listener.serve {
            Serve::All => &live.process.connections,
            Serve::Health => &live.process.probes,
        };
        let mut open = connections.admit(gate.most)?;
        let entered = enter(&gate, stream, &mut open).await?;
        drop(gate);
        serve(live, entered, shutdown).await;
        None
    }
}

/// Serves one connection.
async fn serve(live: &Arc<Live>, entered: Entered, shutdown: &ShutdownWatch) {
    let (client, mut rest) = (Arc::new(entered.client), entered.rest);
    // Health alone is asked for in HTTP/1.
    let mut first = matches!(entered.serve, Serve::All);
    loop {
        let limits = live.current().door;
        let arrived = arrival(
            &mut rest,
            &limits,
            &live.process,
            std::mem::take(&mut first),
        )
        .await;
        // A request is served by the configuration that is in force when its head is there.
        let gate = &live.current();
        let refused = match arrived {
            Arrival::Head(head) => match Parsed::of(
                &rest.ahead[head.skip..head.skip + head.len],
                &gate.store_authority,
            ) {
                Ok(parsed) => {
                    let ending = *shutdown.borrow() || gate.process.is_draining();
                    let keep = head.http11 && !parsed.closes() && !ending;
                    let done = match entered.serve {
                        Serve::All => request(gate, &client, &mut rest, &head, &parsed, keep).await,
                        Serve::Health => {
                            health::answer(gate, &client, &mut rest, &head, &parsed, keep).await
                        }
                    };
                    match done {
                        After::Keep => {
                            // An idle connection keeps no buffer.
                            rest.release();
                            continue;
                        }
                        // What has come though none was to come would turn the close into a reset.
                        After::Close if !is_quiet(&mut rest.stream) => {
                            return linger(gate, rest).await;
                        }
                        After::Close => {
                            let _ = timeout(limits.idle_timeout, rest.stream.shutdown()).await;
                            return;
                        }
                        After::Linger => return linger(gate, rest).await,
                        After::Abort | After::Untaken => return,
                    }
                }
                Err(error) => Some(error),
            },
            Arrival::Http2 => return h2::serve(live, &client, rest, shutdown).await,
            Arrival::Gone => return,
            Arrival::TimedOut => None,
            Arrival::Refused(error) => Some(error),
        };
        let _ = refusal::refuse_head(gate, &client, &mut rest, refused).await;
        return linger(gate, rest).await;
    }
}

/// Serves one request, whose head stands at the start of `rest.ahead`; `keep`: the connection may be kept.
pub async fn request(
    gate: &Arc<Shared>,
    client: &Arc<Client>,
    rest: &mut Rest,
    head: &Head,
    parsed: &Parsed,
    keep: bool,
) -> After {
    let mut ctx = Ctx::new(gate);
    let arrived = Arrived {
        client,
        framing: head.framing,
        expectation: head.expect,
    };
    let Some(answer) = judge(gate, &parsed.head(), arrived, &mut ctx) else {
        return forward(gate, rest, head, parsed, &mut ctx, keep).await;
    };
    // A body that was announced must never be read as a request: only without one the connection goes on.
    let bodiless = head.framing == Framing::None;
    let keep = keep && bodiless;
    // A client may be slow to take the answer: the head is not kept for so long.
    rest.ahead.advance(head.skip + head.len);
    rest.release();
    match refusal::answer(gate, rest, parsed, &mut ctx, &answer, 0, keep).await {
        Err(_) => After::Untaken,
        Ok(()) if keep => After::Keep,
        Ok(()) if bodiless => After::of(rest, head, parsed),
        Ok(()) => After::Linger,
    }
}

async fn linger(gate: &Shared, rest: Rest) {
    let ended = tokio::select! {
        biased;
        ended = gate.door.linger.close(rest.stream) => ended,
        () = gate.process.gives_up() => Lingered::Time,
    };
    gate.process.metrics.lingered(ended);
}

/// Waits for a head. Bytes beyond it stay in `rest.ahead`, behind the head. `first`: of the connection.
async fn arrival(rest: &mut Rest, limits: &DoorLimits, process: &Process, first: bool) -> Arrival {
    if rest.ahead.is_empty() && !first_bytes(rest, limits.idle_timeout, process).await {
        return Arrival::Gone;
    }
    if let Some(arrived) = look(&rest.ahead, limits, first) {
        return arrived;
    }
    let whole = async {
        loop {
            match read_some(&mut rest.stream, &mut rest.ahead).await {
                Err(_) | Ok(0) => return Arrival::Gone,
                Ok(_) => {}
            }
            if let Some(arrived) = look(&rest.ahead, limits, first) {
                return arrived;
            }
        }
    };
    tokio::select! {
        biased;
        arrived = timeout(limits.header_timeout, whole) => arrived.unwrap_or(Arrival::TimedOut),
        () = process.gives_up() => Arrival::Gone,
    }
}

/// What has arrived; `None` while it is incomplete.
fn look(ahead: &[u8], limits: &DoorLimits, first: bool) -> Option<Arrival> {
    if first {
        match Preface::of(ahead) {
            Preface::Whole => return Some(Arrival::Http2),
            Preface::Part => return None,
            Preface::Other => {}
        }
    }
    match examine(ahead, &limits.head) {
        Ok(Some(head)) => Some(Arrival::Head(head)),
        Ok(None) => None,
        Err(error) => Some(Arrival::Refused(error)),
    }
}

/// Waits for the first bytes of a request; false where none come.
async fn first_bytes(rest: &mut Rest, mut idle: Duration, process: &Process) -> bool {
    loop {
        let slice = idle.min(LOOK_EVERY);
        let first = read_some(&mut rest.stream, &mut rest.ahead);
        match timeout(slice, first).await {
            Ok(read) => return read.is_ok_and(|n| n > 0),
            // The client has had a whole slice to begin another request.
            Err(_) if process.is_draining() => return false,
            Err(_) => idle -= slice,
        }
        if idle.is_zero() {
            return false;
        }
    }
}

/// Reads what is there and appends it to `ahead`.
///
/// Through a buffer that all connections of a thread share, so that one that waits costs none.
pub async fn read_some<L: AsyncRead + Unpin>(
    stream: &mut L,
    ahead: &mut BytesMut,
) -> std::io::Result<usize> {
    thread_local! {
        static SCRATCH: RefCell<Vec<u8>> = RefCell::new(vec![0; 16 * 1024]);
    }
    poll_fn(|cx| {
        SCRATCH.with_borrow_mut(|scratch| {
            let mut buf = ReadBuf::new(scratch);
            ready!(Pin::new(&mut *stream).poll_read(cx, &mut buf))?;
            ahead.extend_from_slice(buf.filled());
            std::task::Poll::Ready(Ok(buf.filled().len()))
        })
    })
    .await
}
