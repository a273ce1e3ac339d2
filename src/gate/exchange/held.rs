//! A response that is held back until the store's word for what was demanded is found.

use std::time::Instant;

use bytes::BytesMut;

use super::{Answer, Exchange, Fault, PIECE};
use crate::{
    gate::{
        answered::Answered,
        confirm::{self, Demanded, Finding},
        held::Held,
    },
    http1::{
        chunked::ChunkedScanner,
        response::{Framing, ResponseHead},
    },
};

impl Exchange<'_> {
    /// Whether the answer says that it was done.
    pub(super) fn is_done(&self, head: &ResponseHead) -> bool {
        let operation = self.request.ctx.operation;
        operation.is_none_or(|operation| operation.is_done(head.status))
    }

    /// Whether the answer to a write does not say itself what must be confirmed.
    pub(super) fn is_unconfirmed(&self, head: &ResponseHead, demanded: &Demanded) -> bool {
        !confirm::is_echoed(&self.heard[..head.len], demanded)
    }

    /// The final response begins once it is clear that the store did as was demanded. Until then it is held back whole.
    pub(super) async fn begin_confirmed(
        &mut self,
        head: &ResponseHead,
        demanded: &Demanded,
    ) -> Result<(), Fault> {
        let raw = &self.heard[..head.len];
        let mut answered = Answered::of(raw);
        // Where the rest of the answer does not come, its head has said that something was written.
        let broken = match self.hold(head).await {
            Ok(None) => return Ok(()),
            Ok(Some(start)) => {
                answered.body = self.held_body(head, start)?;
                None
            }
            Err(fault @ Fault::Unconfirmed(_)) => return Err(fault),
            Err(fault) => Some(fault),
        };
        let ctx = &mut *self.request.ctx;
        ctx.sse_confirmed = None;
        let finding = confirm::look(self.request.shared, ctx, demanded, &answered).await;
        self.moved = Instant::now();
        let (why, shown) = match finding {
            Finding::Confirmed(kind) => {
                ctx.sse_confirmed = Some(kind.as_str());
                return self.complete_unless(broken);
            }
            Finding::Later => return self.complete_unless(broken),
            Finding::Failed => {
                self.doubt_success(demanded).await?;
                return self.complete_unless(broken);
            }
            Finding::Unencrypted(why) => (why, true),
            Finding::Unconfirmed(why) if broken.is_some() => {
                (format!("its answer broke off after its head; {why}"), false)
            }
            Finding::Unconfirmed(why) => (why, false),
        };
        confirm::act(self.request.shared, ctx, demanded, &answered, why, shown)
            .await
            .map_err(|answer| Fault::Unconfirmed(Box::new(answer)))?;
        self.complete_unless(broken)
    }

    fn complete_unless(&mut self, broken: Option<Fault>) -> Result<(), Fault> {
        broken.map_or_else(|| self.complete(), Err)
    }

    /// Whether a client cannot tell the end of the answer from one that is broken off: HTTP/1.0 knows no chunks.
    pub(super) fn ends_silently(&self, head: &ResponseHead) -> bool {
        matches!(head.framing, Framing::Chunked | Framing::Close)
            && !self.request.http11
            && !self.client.stream.is_unchunked()
    }

    /// Such an answer leaves whole, after its line; unless it is longer than what is held back.
    pub(super) async fn begin_whole(&mut self, head: &ResponseHead) -> Result<(), Fault> {
        // It is confirmed, if it had to be.
        self.demanded = None;
        match self.hold(head).await? {
            Some(_) => self.complete(),
            None => Ok(()),
        }
    }

    /// Holds a response back until all of it is there; where its body begins in `down`. `None`: it was let go before.
    async fn hold(&mut self, head: &ResponseHead) -> Result<Option<usize>, Fault> {
        // What was said before the answer is the client's already.
        self.wait(|this| this.down.is_clear()).await?;
        self.held = Some(usize::MAX);
        self.begin(head)?;
        self.hold_no_more_than_allowed()?;
        self.wait(|this| matches!(this.answer, Answer::Done) || this.held.is_none())
            .await?;
        Ok(self.held.take())
    }

    /// Whether so many bytes may be held back. What any response may have in its buffer is not counted, so that small
    /// answers can always be looked at.
    fn has_room(&mut self, held: usize) -> bool {
        let more = held.saturating_sub(PIECE + self.share.bytes());
        let shared = self.request.shared;
        let source = self.request.ctx.source_ip;
        more == 0
            || self
                .share
                .grow(&shared.process.held, source, more, shared.xml_bytes)
    }

    /// Gives back what a response took that was let go and is out; whether it took something.
    pub(super) fn gives_back(&mut self) -> bool {
        if self.share.bytes() == 0 || self.held.is_some() {
            return false;
        }
        self.down.bytes = BytesMut::new();
        self.share = Held::default();
        true
    }

    /// Lets a response go, or refuses it, of which more is held back than `limits.xml_bytes` or than there is memory for.
    pub(super) fn hold_no_more_than_allowed(&mut self) -> Result<(), Fault> {
        let shared = self.request.shared;
        let Some(start) = self.held else {
            return Ok(());
        };
        let held = self.down.bytes.len().saturating_sub(start);
        let too_long = held > shared.xml_bytes;
        if !too_long && self.has_room(held) {
            return Ok(());
        }
        let why = if too_long {
            "its answer is longer than limits.xml_bytes"
        } else {
            "too many answers are held back at this moment"
        };
        match self.demanded {
            Some(unconfirmed) => confirm::not_held(shared, self.request.ctx, unconfirmed, why)
                .map_err(|answer| Fault::Unconfirmed(Box::new(answer)))?,
            None if !too_long => return Err(Fault::NoRoom),
            None => {}
        }
        self.held = None;
        match self.answer {
            Answer::Done => self.complete(),
            _ => Ok(()),
        }
    }

    /// The body of a response that is held back from `start` on, without its framing.
    fn held_body(&self, head: &ResponseHead, start: usize) -> Result<Vec<u8>, Fault> {
        let bytes = self.down.bytes.get(start..).unwrap_or_default();
        // What ends with the connection goes on in chunks, too.
        let chunked = matches!(head.framing, Framing::Chunked | Framing::Close);
        if !chunked || !self.request.http11 {
            return Ok(bytes.to_vec());
        }
        let mut body = Vec::with_capacity(bytes.len());
        ChunkedScanner::default()
            .scan(bytes, |piece| body.extend_from_slice(piece))
            .map_err(|e| Fault::Store(e.to_string()))?;
        Ok(body)
    }
}
