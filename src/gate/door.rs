//! A client's connection from its first byte to its last.
//!
//! For each request: wait for its head, examine it ([`http1::head`](crate::http1::head)), hand one request's view of
//! the connection ([`Conn`]) to pingora, take the connection back. In the end: close at once where nothing can be
//! lost, linger where the client may still be sending.

use std::{cell::RefCell, future::poll_fn, pin::Pin, sync::Arc, task::ready, time::Duration};

use bytes::BytesMut;
use pingora::{
    apps::HttpServerApp,
    protocols::{Stream, http::ServerSession},
    proxy::HttpProxy,
    server::ShutdownWatch,
};
use tokio::{
    io::{AsyncRead, AsyncWriteExt, ReadBuf},
    time::{Instant, timeout_at},
};

use super::{
    conn::{Client, Conn, Rest},
    linger::Linger,
    phases::Gate,
    refusal,
    shared::Shared,
    store::StoreConnector,
};
use crate::http1::head::{Head, HeadError, HeadLimits, examine};

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
    mut shutdown: ShutdownWatch,
) {
    let client = Arc::new(Client::of(&stream));
    let limits = gate.door;
    let mut rest = Rest {
        stream,
        ahead: BytesMut::new(),
    };
    loop {
        let head = match arrival(&mut rest, &limits, &mut shutdown).await {
            Arrival::Head(head) => head,
            Arrival::Gone => return,
            Arrival::TimedOut => {
                refusal::refuse_head(&gate, &client, &mut rest, None).await;
                linger(&gate, rest).await;
                return;
            }
            Arrival::Refused(error) => {
                refusal::refuse_head(&gate, &client, &mut rest, Some(error)).await;
                linger(&gate, rest).await;
                return;
            }
        };
        let conn = Conn::new(
            rest.stream,
            rest.ahead,
            &head,
            &client,
            limits.continue_timeout,
        );
        let shared = conn.shared();
        let mut session = ServerSession::new_http1(Box::new(conn));
        session.set_keepalive((!*shutdown.borrow()).then_some(0));
        session.set_abort_on_close(false);
        session.set_read_timeout(Some(limits.idle_timeout));
        session.set_write_timeout(Some(limits.idle_timeout));

        let reused = proxy.process_new_http(session, &shutdown).await;
        let keep = reused.is_some();
        // Dropping what pingora returned puts the connection back into `shared`.
        drop(reused);
        let Some(back) = shared.take() else { return };
        rest = back;
        if !keep {
            if shared.body_done() && rest.ahead.is_empty() {
                let _ = rest.stream.shutdown().await;
            } else {
                linger(&gate, rest).await;
            }
            return;
        }
        if rest.ahead.is_empty() {
            // An idle connection keeps no buffer.
            rest.ahead = BytesMut::new();
        }
    }
}

async fn linger(gate: &Shared, rest: Rest) {
    let ended = gate.door.linger.close(rest.stream).await;
    gate.metrics.lingered(ended);
}

/// Waits for a head. Bytes beyond it stay in `rest.ahead`, behind the head.
async fn arrival(rest: &mut Rest, limits: &DoorLimits, shutdown: &mut ShutdownWatch) -> Arrival {
    let mut deadline = Instant::now() + limits.idle_timeout;
    let mut begun = !rest.ahead.is_empty();
    if begun {
        deadline = Instant::now() + limits.header_timeout;
    }
    loop {
        if begun {
            match examine(&rest.ahead, &limits.head) {
                Ok(Some(head)) => return Arrival::Head(head),
                Ok(None) => {}
                Err(error) => return Arrival::Refused(error),
            }
        }
        let read = timeout_at(deadline, read_some(&mut rest.stream, &mut rest.ahead));
        let read = if begun {
            read.await
        } else {
            tokio::select! {
                read = read => read,
                () = shutting_down(shutdown) => return Arrival::Gone,
            }
        };
        match read {
            Err(_) if begun => return Arrival::TimedOut,
            Err(_) | Ok(Err(_) | Ok(0)) => return Arrival::Gone,
            Ok(Ok(_)) if !begun => {
                begun = true;
                deadline = Instant::now() + limits.header_timeout;
            }
            Ok(Ok(_)) => {}
        }
    }
}

async fn shutting_down(shutdown: &mut ShutdownWatch) {
    while !*shutdown.borrow_and_update() {
        if shutdown.changed().await.is_err() {
            // The server is gone; so is the reason to wait.
            return;
        }
    }
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
