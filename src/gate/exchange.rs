//! One request on its way to the store, and its response on the way back.
//!
//! Both directions move at once, each through one buffer of a bounded size: what is read from one side is written to
//! the other before more is read. Nothing is spawned and nothing is queued, so a small request costs a read and a
//! write on either side. The promises of the handshake that need a look at the bytes are kept here
//! (RFC 9110 section 10.1.1): one `100 Continue` at most, none unasked for, and ours where the store stays silent.

use std::{
    future::{Future, poll_fn},
    io,
    pin::Pin,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use bytes::{Buf, BufMut, BytesMut};
use pingora::protocols::Stream;
use tokio::io::AsyncWrite;
use tokio_util::io::poll_read_buf;

use super::{
    client::Rest,
    parsed::Parsed,
    refusal::unrecorded,
    reply::{self, Reply},
    request::{Ctx, Seen},
    shared::Shared,
    upload::{Asked, Refused, Upload},
};
use crate::{
    audit::Continue,
    http1::{
        chunked::ChunkedScanner,
        response::{Framing, ResponseHead, examine},
    },
    s3::RequestHead,
};

/// The interim response that invites a body.
pub const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";
/// Bytes that are read at once of a body, and held at most in either direction.
const PIECE: usize = 64 * 1024;
/// Bytes that are read at once while a response's head is awaited: small bodies come along with it.
const HEAD_PIECE: usize = 16 * 1024;
/// Bytes of a store's response head at most.
const MOST_HEAD: usize = 64 * 1024;
/// Interim (1xx) responses of a store to one request at most.
const MOST_INTERIM: u8 = 16;

/// What ends an exchange before its end.
#[derive(Debug)]
pub enum Fault {
    /// The store broke off, or what it says is no HTTP/1; with what is known of it.
    Store(String),
    /// The store did not move in time.
    StoreSilent,
    /// The client has gone.
    Client,
    /// The client did not move in time.
    ClientSilent,
    /// The request's body is refused.
    Refused(Refused),
    /// The audit line could not be written.
    Unrecorded,
}

/// An exchange that failed.
#[derive(Debug)]
pub struct Failed {
    /// Why.
    pub fault: Fault,
    /// Whether the client has got something of the final response.
    pub begun: bool,
    /// Whether the store has said anything.
    pub heard: bool,
}

/// What remains of a completed exchange.
#[derive(Clone, Copy, Debug)]
pub struct Outcome {
    /// Whether the client's connection can serve another request.
    pub keep_client: bool,
    /// Whether the store's can.
    pub keep_store: bool,
}

/// What an exchange is about.
pub struct Request<'a> {
    /// What all requests share.
    pub shared: &'a Shared,
    /// The state of this one.
    pub ctx: &'a mut Ctx,
    /// Its head.
    pub parsed: &'a Parsed,
    /// Whether it came as HTTP/1.1.
    pub http11: bool,
    /// Whether the client waits for a 100.
    pub waiting: bool,
    /// Whether the connection may be kept for another one.
    pub keep: bool,
}

/// What is to come of the response.
enum Answer {
    Head,
    /// Its head is there and nobody has looked at it.
    Came(ResponseHead),
    Length(u64),
    Chunked(Box<ChunkedScanner>),
    Close,
    Done,
}

/// See the module.
pub struct Exchange<'a> {
    request: Request<'a>,
    head: RequestHead<'a>,
    client: &'a mut Rest,
    store: &'a mut Stream,
    upload: &'a mut Upload,
    /// To the store.
    up: BytesMut,
    up_unflushed: bool,
    /// The store takes no more; what it says may still be heard.
    up_broken: bool,
    /// From the store, as long as its head is incomplete.
    heard: BytesMut,
    /// To the client.
    down: BytesMut,
    down_unflushed: bool,
    answer: Answer,
    /// The client has got something of the final response.
    begun: bool,
    keep_client: bool,
    keep_store: bool,
    interim: u8,
    started: Instant,
    moved: Instant,
    timer: Option<Pin<Box<dyn Future<Output = ()> + Send + Sync>>>,
}

impl<'a> Exchange<'a> {
    /// Of a request that goes to the store as `up`, and then as `upload` has it.
    pub fn new(
        request: Request<'a>,
        client: &'a mut Rest,
        store: &'a mut Stream,
        upload: &'a mut Upload,
        up: BytesMut,
    ) -> Self {
        let now = Instant::now();
        Self {
            head: request.parsed.head(),
            request,
            client,
            store,
            upload,
            up,
            up_unflushed: false,
            up_broken: false,
            heard: BytesMut::new(),
            down: BytesMut::new(),
            down_unflushed: false,
            answer: Answer::Head,
            begun: false,
            keep_client: false,
            keep_store: false,
            interim: 0,
            started: now,
            moved: now,
            timer: None,
        }
    }

    /// Moves it all.
    ///
    /// # Errors
    /// What broke it off; the store's connection is of no further use then.
    pub async fn run(mut self) -> Result<Outcome, Failed> {
        match self.run_through().await {
            Ok(()) => Ok(Outcome {
                keep_client: self.keep_client && self.upload.is_done(),
                keep_store: self.keep_store
                    && self.upload.is_done()
                    && self.up.is_empty()
                    && !self.up_broken,
            }),
            Err(fault) => Err(Failed {
                fault,
                begun: self.begun,
                heard: self.interim > 0
                    || !self.heard.is_empty()
                    || !matches!(self.answer, Answer::Head),
            }),
        }
    }

    async fn run_through(&mut self) -> Result<(), Fault> {
        if !self.client.ahead.is_empty() {
            self.take_ahead()?;
        }
        let head = self.response().await?;
        self.begin(&head)?;
        self.wait(|this| this.is_finished()).await
    }

    /// Waits for the head of the final response.
    async fn response(&mut self) -> Result<ResponseHead, Fault> {
        self.wait(|this| matches!(this.answer, Answer::Came(_)))
            .await?;
        match self.answer {
            Answer::Came(head) => Ok(head),
            _ => Err(Fault::Store("no response".to_owned())),
        }
    }

    fn is_finished(&self) -> bool {
        matches!(self.answer, Answer::Done) && self.down.is_empty() && !self.down_unflushed
    }

    /// Moves both directions until `enough`.
    async fn wait(&mut self, enough: impl Fn(&Self) -> bool) -> Result<(), Fault> {
        poll_fn(|cx| {
            let mut any = false;
            loop {
                let moved = self.poll_up(cx)? | self.poll_down(cx)?;
                if enough(self) {
                    return Poll::Ready(Ok(()));
                }
                any |= moved;
                if moved {
                    continue;
                }
                if std::mem::take(&mut any) {
                    self.moved = Instant::now();
                }
                let next = self.next_check();
                let timer = self
                    .timer
                    .get_or_insert_with(|| Box::pin(pingora_timeout::sleep(next)));
                if timer.as_mut().poll(cx).is_pending() {
                    return Poll::Pending;
                }
                self.timer = None;
                self.check_time()?;
            }
        })
        .await
    }

    /// Moves what can be moved to the store; whether something did.
    fn poll_up(&mut self, cx: &mut Context<'_>) -> Result<bool, Fault> {
        let mut moved = false;
        if matches!(self.answer, Answer::Done) {
            return Ok(false);
        }
        while !self.up_broken {
            if !self.up.is_empty() {
                match Pin::new(&mut *self.store).poll_write(cx, &self.up) {
                    Poll::Ready(Ok(n)) if n > 0 => {
                        self.up.advance(n);
                        self.up_unflushed = true;
                    }
                    // It may have answered and closed: what it said comes first.
                    Poll::Ready(_) => self.up_broken = true,
                    Poll::Pending => break,
                }
            } else if self.up_unflushed {
                match Pin::new(&mut *self.store).poll_flush(cx) {
                    Poll::Ready(Ok(())) => self.up_unflushed = false,
                    Poll::Ready(Err(_)) => self.up_broken = true,
                    Poll::Pending => break,
                }
            } else if self.upload.is_done() || !self.poll_client(cx)? {
                break;
            }
            moved = true;
        }
        Ok(moved)
    }

    /// Reads a piece of the request's body; whether there was one.
    fn poll_client(&mut self, cx: &mut Context<'_>) -> Result<bool, Fault> {
        let straight = usize::try_from(self.upload.straight()).unwrap_or(usize::MAX);
        let stream = Pin::new(&mut self.client.stream);
        let read = if straight > 0 {
            let most = straight.min(PIECE);
            self.up.reserve(most);
            poll_read_buf(stream, cx, &mut (&mut self.up).limit(most))
        } else {
            self.client.ahead.reserve(PIECE);
            poll_read_buf(stream, cx, &mut self.client.ahead)
        };
        match read {
            Poll::Pending => Ok(false),
            Poll::Ready(Ok(n)) if n > 0 => {
                if straight > 0 {
                    self.upload.took_straight(n);
                } else {
                    self.take_ahead()?;
                }
                Ok(true)
            }
            Poll::Ready(_) if self.begun => {
                // It said all it had to say, and may still read.
                self.up_broken = true;
                Ok(true)
            }
            Poll::Ready(_) => Err(Fault::Client),
        }
    }

    fn take_ahead(&mut self) -> Result<(), Fault> {
        let asked = Asked {
            shared: self.request.shared,
            head: &self.head,
            ctx: self.request.ctx,
        };
        self.upload
            .take(&mut self.client.ahead, asked, &mut self.up)
            .map_err(Fault::Refused)
    }

    /// Moves what can be moved to the client; whether something did.
    fn poll_down(&mut self, cx: &mut Context<'_>) -> Result<bool, Fault> {
        let mut moved = false;
        loop {
            if !self.down.is_empty() {
                match Pin::new(&mut self.client.stream).poll_write(cx, &self.down) {
                    Poll::Ready(Ok(n)) if n > 0 => {
                        self.down.advance(n);
                        self.down_unflushed = true;
                        self.begun |= !matches!(self.answer, Answer::Head | Answer::Came(_));
                    }
                    Poll::Ready(_) => return Err(Fault::Client),
                    Poll::Pending => return Ok(moved),
                }
            } else if self.down_unflushed {
                match Pin::new(&mut self.client.stream).poll_flush(cx) {
                    Poll::Ready(Ok(())) => self.down_unflushed = false,
                    Poll::Ready(Err(_)) => return Err(Fault::Client),
                    Poll::Pending => return Ok(moved),
                }
            } else if !self.poll_store(cx)? {
                return Ok(moved);
            }
            moved = true;
        }
    }

    /// Reads a piece of the response; whether there was one.
    fn poll_store(&mut self, cx: &mut Context<'_>) -> Result<bool, Fault> {
        let stream = Pin::new(&mut *self.store);
        let read = match &self.answer {
            Answer::Came(_) | Answer::Done => return Ok(false),
            Answer::Head => {
                self.heard.reserve(HEAD_PIECE);
                poll_read_buf(stream, cx, &mut self.heard)
            }
            Answer::Length(left) => {
                let most = PIECE.min(usize::try_from(*left).unwrap_or(usize::MAX));
                self.down.reserve(most);
                poll_read_buf(stream, cx, &mut (&mut self.down).limit(most))
            }
            Answer::Chunked(_) | Answer::Close => {
                self.down.reserve(PIECE);
                poll_read_buf(stream, cx, &mut self.down)
            }
        };
        match read {
            Poll::Pending => Ok(false),
            Poll::Ready(Ok(0)) if matches!(self.answer, Answer::Close) => {
                self.complete()?;
                Ok(true)
            }
            Poll::Ready(Ok(0)) => Err(Fault::Store("it closed the connection".to_owned())),
            Poll::Ready(Ok(_)) if matches!(self.answer, Answer::Head) => self.look(),
            Poll::Ready(Ok(n)) => {
                let start = self.down.len() - n;
                self.account(start)?;
                Ok(true)
            }
            Poll::Ready(Err(e)) => Err(Fault::Store(e.to_string())),
        }
    }

    /// Looks at what was read of the response's head.
    fn look(&mut self) -> Result<bool, Fault> {
        let to_head = self.request.parsed.method == http::Method::HEAD;
        while let Some(head) = examine(&self.heard, MOST_HEAD, to_head)
            .map_err(|e| Fault::Store(e.to_string()))?
        {
            if !head.is_interim() {
                self.answer = Answer::Came(head);
                return Ok(true);
            }
            self.heard.advance(head.len);
            self.interim += 1;
            if head.status == 101 || self.interim > MOST_INTERIM {
                return Err(Fault::Store(
                    "it changes the protocol, or answers without an end".to_owned(),
                ));
            }
            if head.status == 100 && self.request.waiting {
                self.invite(Continue::Store);
            }
        }
        Ok(true)
    }

    /// Has the client send its body.
    fn invite(&mut self, by: Continue) {
        self.request.waiting = false;
        self.request.ctx.continued = Some(by);
        self.down.put_slice(CONTINUE);
    }

    /// The final response begins.
    fn begin(&mut self, head: &ResponseHead) -> Result<(), Fault> {
        self.request.waiting = false;
        self.keep_store = head.keep;
        self.keep_client = self.request.keep
            && self.request.http11
            && self.upload.is_done()
            && head.framing != Framing::Close;
        let raw = self.heard.split_to(head.len);
        reply::note(&raw, head.status, self.request.ctx);
        let reply = Reply {
            head,
            keep: self.keep_client,
            http11: self.request.http11,
            request_id: &self.request.ctx.id,
        };
        self.down.reserve(raw.len() + 64 + self.heard.len());
        reply.write(&raw, &mut self.down);
        self.answer = match head.framing {
            Framing::None => Answer::Done,
            Framing::Length(n) => Answer::Length(n),
            Framing::Chunked => Answer::Chunked(Box::default()),
            Framing::Close => Answer::Close,
        };
        let start = self.down.len();
        self.down.put_slice(&self.heard);
        self.heard = BytesMut::new();
        self.account(start)
    }

    /// Accounts for the bytes of the response's body that stand in `down` from `start` on.
    fn account(&mut self, start: usize) -> Result<(), Fault> {
        let came = self.down.len() - start;
        let (belong, data, end) = match &mut self.answer {
            Answer::Length(left) => {
                let belong = came.min(usize::try_from(*left).unwrap_or(usize::MAX));
                *left -= belong as u64;
                (belong, belong, *left == 0)
            }
            Answer::Chunked(scanner) => {
                let mut data = BytesMut::new();
                let mut count = 0;
                let http11 = self.request.http11;
                let belong = scanner
                    .scan(&self.down[start..], |piece| {
                        count += piece.len();
                        if !http11 {
                            data.put_slice(piece);
                        }
                    })
                    .map_err(|e| Fault::Store(e.to_string()))?;
                let end = scanner.is_done();
                self.keep_store &= belong == came;
                if !http11 {
                    // It knows no chunks: the end of the connection is the end of the body.
                    self.down.truncate(start);
                    self.down.put_slice(&data);
                    self.request.ctx.bytes_out += count as u64;
                    return if end { self.complete() } else { Ok(()) };
                }
                (belong, count, end)
            }
            Answer::Close => (came, came, false),
            Answer::Head | Answer::Came(_) | Answer::Done => (0, 0, true),
        };
        // Bytes beyond the response would be an answer to nothing.
        self.keep_store &= belong == came;
        self.down.truncate(start + belong);
        self.request.ctx.bytes_out += data as u64;
        if end { self.complete() } else { Ok(()) }
    }

    /// The response is complete but for what stands in `down`: the line is in the file before that leaves.
    fn complete(&mut self) -> Result<(), Fault> {
        self.answer = Answer::Done;
        let seen = Seen::of(self.request.parsed, self.upload.bytes_read());
        self.request
            .ctx
            .record(self.request.shared, seen)
            .map_err(|error| {
                unrecorded(&error);
                Fault::Unrecorded
            })
    }

    /// Whether it is the store's turn.
    fn store_owes(&self) -> bool {
        let asked = self.upload.is_done() || self.up_broken || self.request.waiting;
        let answers = !matches!(self.answer, Answer::Head | Answer::Done);
        !self.up.is_empty() || self.up_unflushed || (self.down.is_empty() && (asked || answers))
    }

    /// Whether it is the client's turn.
    fn client_owes(&self) -> bool {
        !self.down.is_empty() || self.down_unflushed || !self.store_owes()
    }

    /// How long until the clock must be looked at.
    fn next_check(&self) -> Duration {
        let door = &self.request.shared.door;
        let store = self.request.shared.response_timeout;
        let limit = match (self.store_owes(), self.client_owes()) {
            (true, false) => store,
            (false, true) => door.idle_timeout,
            _ => store.min(door.idle_timeout),
        };
        let mut next = limit.saturating_sub(self.moved.elapsed());
        if self.request.waiting {
            next = next.min(door.continue_timeout.saturating_sub(self.started.elapsed()));
        }
        // Whose turn it is may change meanwhile.
        next.min(store).min(door.idle_timeout)
    }

    fn check_time(&mut self) -> Result<(), Fault> {
        let door = &self.request.shared.door;
        if self.request.waiting && self.started.elapsed() >= door.continue_timeout {
            self.invite(Continue::Timeout);
            self.moved = Instant::now();
            return Ok(());
        }
        let still = self.moved.elapsed();
        if self.store_owes() && still >= self.request.shared.response_timeout {
            return Err(Fault::StoreSilent);
        }
        if self.client_owes() && still >= door.idle_timeout {
            return Err(Fault::ClientSilent);
        }
        Ok(())
    }
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Self::Store(error.to_string())
    }
}

#[cfg(test)]
#[path = "exchange_tests.rs"]
mod tests;
