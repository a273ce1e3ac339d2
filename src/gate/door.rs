//! A client's connection from its first byte to its last.
//!
//! For each request: wait for its head, examine it ([`http1::head`](crate::http1::head)), decide it. What is denied is
//! answered here and goes no further. What is let in goes to pingora as one request's view of the connection
//! ([`Conn`]), and the connection comes back. In the end: close at once where nothing can be lost, linger where the
//! client may still be sending.

use std::{cell::RefCell, future::poll_fn, pin::Pin, sync::Arc, task::ready, time::Duration};

use bytes::{Buf, BytesMut};
use pingora::{
    apps::HttpServerApp,
    protocols::{Stream, http::ServerSession},
    proxy::HttpProxy,
    server::ShutdownWatch,
};
use pingora_timeout::timeout;
use tokio::io::{AsyncRead, AsyncWriteExt, ReadBuf};

use super::{
    conn::{Client, Conn, Rest},
    judge::{Arrived, judge},
    linger::Linger,
    parsed::Parsed,
    phases::Gate,
    refusal,
    request::Ctx,
    shared::Shared,
    store::StoreConnector,
};
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
    /// The client closed, was silent, or broke off: nothing to answer.
    Gone,
    /// The head took too long.
    TimedOut,
    /// The head is refused.
    Refused(HeadError),
}

/// Serves one connection.
pub async fn serve(
    proxy: Arc<HttpProxy<Gate, StoreConnector>>,
    gate: Arc<Shared>,
    stream: Stream,
    shutdown: ShutdownWatch,
) {
    let client = Arc::new(Client::of(&stream));
    let limits = gate.door;
    let mut rest = Rest {
        stream,
        ahead: BytesMut::new(),
    };
    loop {
        let head = match arrival(&mut rest, &limits).await {
            Arrival::Head(head) => head,
            Arrival::Gone => return,
            Arrival::TimedOut => {
                refusal::refuse_head(&gate, &client, &mut rest, None).await;
                return linger(&gate, rest).await;
            }
            Arrival::Refused(error) => {
                refusal::refuse_head(&gate, &client, &mut rest, Some(error)).await;
                return linger(&gate, rest).await;
            }
        };
        let parsed = match Parsed::of(&rest.ahead[head.skip..head.skip + head.len]) {
            Ok(parsed) => parsed,
            Err(error) => {
                refusal::refuse_head(&gate, &client, &mut rest, Some(error)).await;
                return linger(&gate, rest).await;
            }
        };
        let mut ctx = Box::new(Ctx::new(&gate));
        let arrived = Arrived {
            client: &client,
            framing: head.framing,
            expectation: head.expect,
        };
        if let Some(answer) = judge(&gate, &parsed.head(), arrived, &mut ctx) {
            // A body that was announced must never be read as a request: only without one the connection goes on.
            let keep = head.http11
                && head.framing == Framing::None
                && !parsed.closes()
                && !*shutdown.borrow();
            let sent = refusal::answer(&gate, &mut rest, &parsed, &mut ctx, &answer, keep).await;
            drop(ctx);
            rest.ahead.advance(head.skip + head.len);
            match (sent, keep) {
                (Err(_), _) => return,
                (Ok(()), true) => {}
                (Ok(()), false) if head.framing == Framing::None && rest.ahead.is_empty() => {
                    let _ = rest.stream.shutdown().await;
                    return;
                }
                (Ok(()), false) => return linger(&gate, rest).await,
            }
        } else {
            drop(parsed);
            let conn = Conn::new(
                rest.stream,
                rest.ahead,
                &head,
                Some(ctx),
                limits.continue_timeout,
            );
            match forward(&proxy, &gate, conn, &shutdown).await {
                Some(back) => rest = back,
                None => return,
            }
        }
        if rest.ahead.is_empty() {
            // An idle connection keeps no buffer.
            rest.ahead = BytesMut::new();
        }
    }
}

/// Has pingora serve one request. `Some`: the connection goes on.
async fn forward(
    proxy: &Arc<HttpProxy<Gate, StoreConnector>>,
    gate: &Shared,
    conn: Conn,
    shutdown: &ShutdownWatch,
) -> Option<Rest> {
    let shared = conn.shared();
    let mut session = ServerSession::new_http1(Box::new(conn));
    session.set_abort_on_close(false);
    session.set_read_timeout(Some(gate.door.idle_timeout));
    session.set_write_timeout(Some(gate.door.idle_timeout));
    let reused = proxy.process_new_http(session, shutdown).await;
    let keep = reused.is_some();
    // Dropping what pingora returned puts the connection back into `shared`.
    drop(reused);
    let mut rest = shared.take()?;
    if keep {
        return Some(rest);
    }
    if shared.body_done() && rest.ahead.is_empty() {
        let _ = rest.stream.shutdown().await;
    } else {
        linger(gate, rest).await;
    }
    None
}

async fn linger(gate: &Shared, rest: Rest) {
    let ended = gate.door.linger.close(rest.stream).await;
    gate.metrics.lingered(ended);
}

/// Waits for a head. Bytes beyond it stay in `rest.ahead`, behind the head.
async fn arrival(rest: &mut Rest, limits: &DoorLimits) -> Arrival {
    if rest.ahead.is_empty() {
        let first = read_some(&mut rest.stream, &mut rest.ahead);
        match timeout(limits.idle_timeout, first).await {
            Err(_) | Ok(Err(_) | Ok(0)) => return Arrival::Gone,
            Ok(Ok(_)) => {}
        }
    }
    match examine(&rest.ahead, &limits.head) {
        Ok(Some(head)) => return Arrival::Head(head),
        Ok(None) => {}
        Err(error) => return Arrival::Refused(error),
    }
    let whole = async {
        loop {
            match read_some(&mut rest.stream, &mut rest.ahead).await {
                Err(_) | Ok(0) => return Arrival::Gone,
                Ok(_) => {}
            }
            match examine(&rest.ahead, &limits.head) {
                Ok(Some(head)) => return Arrival::Head(head),
                Ok(None) => {}
                Err(error) => return Arrival::Refused(error),
            }
        }
    };
    timeout(limits.header_timeout, whole)
        .await
        .unwrap_or(Arrival::TimedOut)
}

/// Reads what is there and appends it to `ahead`.
///
/// Through a buffer that all connections of a thread share, so that one that waits costs none.
async fn read_some(stream: &mut Stream, ahead: &mut BytesMut) -> std::io::Result<usize> {
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
