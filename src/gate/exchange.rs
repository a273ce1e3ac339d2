//! One request on its way to the store, and its response on the way back.
//!
//! Both directions move at once, each through one buffer of a bounded size: what is read from one side is written to
//! the other before more is read. Nothing is spawned and nothing is queued, so a small request costs a read and a
//! write on either side. The promises of the handshake that need a look at the bytes are kept here
//! (RFC 9110 section 10.1.1): one `100 Continue` at most, none unasked for, and ours where the store stays silent.

mod clock;
mod doubt;
mod down;
mod held;
mod left;

use std::{
    future::{Future, poll_fn},
    pin::Pin,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use bytes::{Buf, BufMut, BytesMut};
use pingora::protocols::Stream;
use tokio_util::io::poll_read_buf;

use super::{
    answer::Answer as Own,
    client::Rest,
    held::Held,
    outgoing::{Outgoing, Sent},
    parsed::Parsed,
    request::Ctx,
    shared::Shared,
    upload::{Asked, Refused, Upload},
};
use crate::{
    audit::Continue,
    config::Unconfirmed,
    http1::{
        chunked::{ChunkedScanner, END},
        response::{ResponseHead, examine},
    },
    s3::RequestHead,
};
use left::Left;

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
    /// The store did not confirm the encryption that was demanded; what the client is told.
    Unconfirmed(Box<Own>),
    /// The answer cannot be held back: too much is held already.
    NoRoom,
    /// The audit line could not be written.
    Unrecorded,
    /// The process ends.
    Cut,
}

/// An exchange that failed.
#[derive(Debug)]
pub struct Failed {
    /// Why.
    pub fault: Fault,
    /// Whether the client has got something of the final response.
    pub begun: bool,
    /// What was to be sent to the store, where it has not got a byte of it.
    pub unsent: Option<BytesMut>,
}

/// What remains of a completed exchange.
#[derive(Clone, Copy, Debug, Default)]
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
    /// Whether the client reads chunks: not in HTTP/1.0, and not in HTTP/2.
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
    /// The store must confirm what is written; what is done where it does not.
    demanded: Option<Unconfirmed>,
    /// To the store.
    up: Outgoing,
    /// The store has got all of the request.
    sent_whole: bool,
    /// From the store, as long as its head is incomplete.
    heard: BytesMut,
    /// To the client.
    down: Outgoing,
    answer: Answer,
    /// The response is held back; where its body begins in `down`.
    held: Option<usize>,
    /// The memory that it takes beyond what any response may.
    share: Held,
    /// The client's part is over, and the store may have written what it must confirm.
    left: Option<Left>,
    /// What the store did with a write has been found out, as far as it can be.
    settled: bool,
    /// The client has got something of the final response.
    begun: bool,
    outcome: Outcome,
    interim: u8,
    /// Since when the store says a head.
    saying: Option<Instant>,
    started: Instant,
    moved: Instant,
    /// Since when nothing moves, where it is the client that is waited for.
    waits_for_client: Option<Instant>,
    /// How long the client was waited for.
    client_time: Duration,
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
            demanded: request.ctx.demanded.as_ref().map(|d| d.demand.unconfirmed),
            head: request.parsed.head(),
            request,
            client,
            store,
            upload,
            up: Outgoing::new(up),
            sent_whole: false,
            heard: BytesMut::new(),
            down: Outgoing::default(),
            answer: Answer::Head,
            held: None,
            share: Held::default(),
            left: None,
            settled: false,
            begun: false,
            outcome: Outcome::default(),
            interim: 0,
            saying: None,
            started: now,
            moved: now,
            waits_for_client: None,
            client_time: Duration::ZERO,
            timer: None,
        }
    }

    /// Moves it all.
    ///
    /// # Errors
    /// What broke it off; the store's connection is of no further use then.
    pub async fn run(mut self) -> Result<Outcome, Failed> {
        let ran = self.run_through().await;
        self.settled = true;
        match ran {
            Ok(()) => Ok(Outcome {
                keep_client: self.outcome.keep_client && self.upload.is_done(),
                keep_store: self.outcome.keep_store
                    && self.upload.is_done()
                    && self.up.is_clear()
                    && !self.up.is_broken(),
            }),
            Err(fault) => Err(Failed {
                fault,
                begun: self.begun,
                unsent: self.up.unsent().filter(|_| self.down.is_clear()),
            }),
        }
    }

    async fn run_through(&mut self) -> Result<(), Fault> {
        if !self.client.ahead.is_empty() {
            self.take_ahead()?;
        }
        let head = match self.response().await {
            Ok(head) => head,
            // Boxed, as what is below: room for a rare look would be kept for each connection.
            Err(fault) => return Err(Box::pin(self.unanswered(fault)).await),
        };
        let mut demanded = self.request.ctx.demanded.take();
        if !self.is_done(&head)
            && let Some(demanded) = demanded.take()
        {
            Box::pin(self.doubt(&head, &demanded)).await?;
        }
        match demanded.filter(|demanded| self.is_unconfirmed(&head, demanded)) {
            Some(demanded) => Box::pin(self.begin_confirmed(&head, &demanded)).await?,
            None if self.ends_silently(&head) => self.begin_whole(&head).await?,
            None => self.begin(&head)?,
        }
        self.settled = true;
        self.wait(Self::is_finished).await?;
        match self.left.take() {
            Some(left) => Err(left.fault),
            None => Ok(()),
        }
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
        matches!(self.answer, Answer::Done) && self.down.is_clear()
    }

    /// Moves both directions until `enough`.
    async fn wait(&mut self, enough: impl Fn(&Self) -> bool) -> Result<(), Fault> {
        poll_fn(|cx| {
            let mut any = false;
            if let Some(since) = self.waits_for_client.take() {
                self.client_time += since.elapsed();
            }
            loop {
                let moved = match self.poll_both(cx) {
                    Ok(moved) => moved,
                    Err(fault) => {
                        self.go_on_after(fault)?;
                        continue;
                    }
                };
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
                if self.left.is_none() && self.client.stream.poll_gone(cx).is_ready() {
                    self.go_on_after(Fault::Client)?;
                    continue;
                }
                let next = self.next_check();
                let timer = self
                    .timer
                    .get_or_insert_with(|| Box::pin(pingora_timeout::sleep(next)));
                if timer.as_mut().poll(cx).is_pending() {
                    if self.sends_body() && self.client_owes() {
                        self.waits_for_client = Some(Instant::now());
                    }
                    return Poll::Pending;
                }
                self.timer = None;
                if let Err(fault) = self.check_time() {
                    self.go_on_after(fault)?;
                }
            }
        })
        .await
    }

    fn poll_both(&mut self, cx: &mut Context<'_>) -> Result<bool, Fault> {
        Ok(self.poll_up(cx)? | self.poll_down(cx)?)
    }

    /// Moves what can be moved to the store; whether something did.
    fn poll_up(&mut self, cx: &mut Context<'_>) -> Result<bool, Fault> {
        let mut moved = false;
        self.poll_end_of_body(cx);
        while !matches!(self.answer, Answer::Done) && !self.up.is_broken() {
            let (sent, went) = self.up.poll_send(&mut *self.store, cx);
            moved |= went > 0;
            match sent {
                // It may have answered and closed: what it said comes first.
                Sent::Broken => return Ok(true),
                Sent::Part => break,
                Sent::All if self.upload.is_done() => {
                    if !std::mem::replace(&mut self.sent_whole, true) {
                        // From here on it is the store that takes its time.
                        self.request.ctx.store_started = Some(Instant::now());
                    }
                    break;
                }
                Sent::All if !self.poll_client(cx)? => break,
                Sent::All => moved = true,
            }
        }
        Ok(moved)
    }

    /// Reads a piece of the request's body; whether there was one.
    fn poll_client(&mut self, cx: &mut Context<'_>) -> Result<bool, Fault> {
        let straight = usize::try_from(self.upload.straight()).unwrap_or(usize::MAX);
        let stream = Pin::new(&mut self.client.stream);
        let read = if straight > 0 {
            let most = straight.min(PIECE);
            self.up.bytes.reserve(most);
            poll_read_buf(stream, cx, &mut (&mut self.up.bytes).limit(most))
        } else {
            self.client.ahead.reserve(PIECE);
            poll_read_buf(stream, cx, &mut self.client.ahead)
        };
        match read {
            Poll::Pending => Ok(false),
            Poll::Ready(Ok(n)) if n > 0 => {
                if straight > 0 {
                    let before = self.up.bytes.len() - n;
                    self.upload.took_straight(&self.up.bytes[before..]);
                } else {
                    self.take_ahead()?;
                }
                Ok(true)
            }
            Poll::Ready(_) if self.begun => {
                // It said all it had to say, and may still read.
                self.up.give_up();
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
            .take(&mut self.client.ahead, asked, &mut self.up.bytes)
            .map_err(Fault::Refused)
    }

    /// Moves what can be moved to the client; whether something did.
    fn poll_down(&mut self, cx: &mut Context<'_>) -> Result<bool, Fault> {
        let mut moved = false;
        while self.held.is_some() {
            if !self.poll_store(cx)? {
                return Ok(moved);
            }
            moved = true;
            self.hold_no_more_than_allowed()?;
        }
        loop {
            if self.left.is_some() {
                self.down.bytes.clear();
                if !self.poll_store(cx)? {
                    return Ok(moved);
                }
                moved = true;
                continue;
            }
            let (sent, went) = self.down.poll_send(&mut self.client.stream, cx);
            moved |= went > 0;
            self.begun |= went > 0 && !matches!(self.answer, Answer::Head | Answer::Came(_));
            match sent {
                Sent::Broken => return Err(Fault::Client),
                Sent::Part => return Ok(moved),
                Sent::All if self.gives_back() => {}
                Sent::All if !self.poll_store(cx)? => return Ok(moved),
                Sent::All => moved = true,
            }
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
                self.down.bytes.reserve(most);
                poll_read_buf(stream, cx, &mut (&mut self.down.bytes).limit(most))
            }
            Answer::Chunked(_) | Answer::Close => {
                self.down.bytes.reserve(PIECE);
                poll_read_buf(stream, cx, &mut self.down.bytes)
            }
        };
        match read {
            Poll::Pending => Ok(false),
            Poll::Ready(Ok(0)) if matches!(self.answer, Answer::Close) => {
                if self.request.http11 {
                    self.down.bytes.put_slice(END);
                }
                self.complete()?;
                Ok(true)
            }
            Poll::Ready(Ok(0)) => Err(Fault::Store("it closed the connection".to_owned())),
            Poll::Ready(Ok(_)) if matches!(self.answer, Answer::Head) => self.look(),
            Poll::Ready(Ok(n)) => {
                let start = self.down.bytes.len() - n;
                self.account(start)?;
                Ok(true)
            }
            Poll::Ready(Err(e)) => Err(Fault::Store(e.to_string())),
        }
    }

    /// Looks at what was read of the response's head.
    fn look(&mut self) -> Result<bool, Fault> {
        let to_head = self.request.parsed.method == http::Method::HEAD;
        while let Some(head) =
            examine(&self.heard, MOST_HEAD, to_head).map_err(|e| Fault::Store(e.to_string()))?
        {
            if !head.is_interim() {
                self.answer = Answer::Came(head);
                self.saying = None;
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
        self.saying = match self.saying {
            _ if self.heard.is_empty() => None,
            None => Some(Instant::now()),
            since => since,
        };
        Ok(true)
    }

    /// Has the client send its body.
    fn invite(&mut self, by: Continue) {
        self.request.waiting = false;
        self.request.ctx.continued = Some(by);
        self.down.bytes.put_slice(CONTINUE);
    }
}

/// The process may end before an exchange does.
impl Drop for Exchange<'_> {
    fn drop(&mut self) {
        if !self.settled && self.is_open() {
            self.request.ctx.left_open = true;
        }
    }
}

#[cfg(test)]
#[path = "exchange_tests.rs"]
mod tests;
