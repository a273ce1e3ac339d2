//! A response that is held back until the store's word for what was demanded is found.

use std::time::Instant;

use super::{Answer, Exchange, Fault};
use crate::{
    gate::{
        answered::Answered,
        confirm::{self, Demanded, Finding},
    },
    http1::{
        chunked::ChunkedScanner,
        response::{Framing, ResponseHead},
    },
};

impl Exchange<'_> {
    /// The final response begins once it is clear that the store did as was demanded. Until then it is held back whole.
    pub(super) async fn begin_confirmed(
        &mut self,
        head: &ResponseHead,
        demanded: &Demanded,
    ) -> Result<(), Fault> {
        let raw = &self.heard[..head.len];
        let operation = self.request.ctx.operation;
        if !confirm::is_success(operation, head.status) || confirm::is_echoed(raw, demanded) {
            return self.begin(head);
        }
        let mut answered = Answered::of(raw);
        // What was said before the answer is the client's already.
        self.wait(|this| this.down.is_clear()).await?;
        self.held = Some(usize::MAX);
        self.begin(head)?;
        self.hold_no_more_than_allowed()?;
        self.wait(|this| matches!(this.answer, Answer::Done) || this.held.is_none())
            .await?;
        let Some(start) = self.held.take() else {
            return Ok(());
        };
        answered.body = self.held_body(head, start)?;
        let ctx = &mut *self.request.ctx;
        ctx.sse_confirmed = None;
        let finding = confirm::look(self.request.shared, ctx, demanded, &answered).await;
        self.moved = Instant::now();
        match finding {
            Finding::Confirmed(kind) => ctx.sse_confirmed = Some(kind.as_str()),
            Finding::Later | Finding::NothingWritten => {}
            Finding::Unconfirmed(why) => {
                confirm::act(self.request.shared, ctx, demanded, &answered, why)
                    .await
                    .map_err(|answer| Fault::Unconfirmed(Box::new(answer)))?;
            }
        }
        self.complete()
    }

    /// Lets a response go, or refuses it, of which more is held back than `limits.xml_bytes`.
    pub(super) fn hold_no_more_than_allowed(&mut self) -> Result<(), Fault> {
        let shared = self.request.shared;
        let (Some(start), Some(unconfirmed)) = (self.held, self.demanded) else {
            return Ok(());
        };
        if self.down.bytes.len().saturating_sub(start) <= shared.xml_bytes {
            return Ok(());
        }
        confirm::too_long(shared, self.request.ctx, unconfirmed)
            .map_err(|answer| Fault::Unconfirmed(Box::new(answer)))?;
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
