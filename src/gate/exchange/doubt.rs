//! A write that the store did not report as done, and may have done all the same.

use std::time::{Duration, Instant};

use super::{Answer, Exchange, Fault};
use crate::{
    audit::Reason,
    gate::{
        confirm::{self, Demanded},
        leftover::{self, Leftover},
        reply,
    },
    http1::response::ResponseHead,
    s3::Operation,
};

/// What a store has of a request that broke off is written a moment later, if at all.
const A_MOMENT: Duration = Duration::from_millis(500);

/// What is known of a write that was with the store.
const NO_ANSWER: &str = "the store gave no answer, and may have done it, or may yet do it";
const GATEWAY: &str =
    "a gateway answered in the store's place, which may have done it, or may yet do it";

/// Whether an answer with this status may follow a write: not one that says who may not, that there is another object, or that
/// the store has no time.
fn may_follow_a_write(status: u16) -> bool {
    status >= 400 && !matches!(status, 401 | 403 | 409 | 412 | 429 | 503)
}

impl Exchange<'_> {
    /// After an answer that says that nothing was done.
    ///
    /// # Errors
    /// Something was, and not as was demanded.
    pub(super) async fn doubt(
        &mut self,
        head: &ResponseHead,
        demanded: &Demanded,
    ) -> Result<(), Fault> {
        if !self.may_have_made_an_object() {
            return Ok(());
        }
        let raw = &self.heard[..head.len];
        reply::note(raw, head.status, self.request.ctx);
        // What a gateway answers for a store that does not (RFC 9110 sections 15.6.3 and 15.6.5).
        match head.status {
            502 if self.takes_its_time() => confirm::leave_open(self.request.ctx, GATEWAY),
            504 => confirm::leave_open(self.request.ctx, GATEWAY),
            502 => {
                let why = "a gateway answered 502";
                let unknown = self.look_later(demanded, why).await?;
                self.note_unknown(why, unknown);
            }
            status if may_follow_a_write(status) => {
                let why = format!("the store answered {status}");
                let unknown = self.look_for_leftover(demanded, &why).await?;
                self.note_unknown(&why, unknown);
            }
            _ => {}
        }
        Ok(())
    }

    /// After an answer of 200 that is an error.
    ///
    /// # Errors
    /// As of [`doubt`](Self::doubt).
    pub(super) async fn doubt_success(&mut self, demanded: &Demanded) -> Result<(), Fault> {
        if self.may_have_made_an_object() {
            let why = "the store answered 200 and an error";
            let unknown = self.look_for_leftover(demanded, why).await?;
            self.note_unknown(why, unknown);
        }
        Ok(())
    }

    /// An error is believed; that it could not be looked at stands in the line.
    fn note_unknown(&mut self, why: &str, unknown: Option<String>) {
        if let Some(cause) = unknown {
            let text = format!("{why}; what that left is not known: {cause}");
            self.request.ctx.error = Some(text);
        }
    }

    /// After no answer, for this reason; gives the reason that the client is told.
    pub(super) async fn unanswered(&mut self, fault: Fault) -> Fault {
        let of_store = matches!(fault, Fault::Store(_) | Fault::StoreSilent);
        let breaks_off = of_store
            || matches!(
                fault,
                Fault::Client | Fault::ClientSilent | Fault::Refused(_)
            );
        if !breaks_off || !self.may_have_made_an_object() {
            return fault;
        }
        // What is marked already needs no look.
        if self.request.ctx.reason == Some(Reason::Unconfirmed) {
            return fault;
        }
        let Some(demanded) = self.request.ctx.demanded.take() else {
            return fault;
        };
        let is_busy = of_store && self.takes_its_time();
        if is_busy || (self.sent_whole && matches!(fault, Fault::StoreSilent)) {
            confirm::leave_open(self.request.ctx, NO_ANSWER);
            return fault;
        }
        let why = "the store gave no answer";
        match self.look_later(&demanded, why).await {
            Ok(Some(cause)) if self.is_open() => {
                let why = format!("{why}; what that left is not known: {cause}");
                confirm::leave_open(self.request.ctx, &why);
                fault
            }
            Ok(unknown) => {
                self.note_unknown(why, unknown);
                fault
            }
            Err(found) => found,
        }
    }

    /// Whether the store has had all that it needs, so that it counts though nothing is found out: as far as is known, what is cut
    /// short is not written without a look that shows it.
    pub(super) fn is_open(&self) -> bool {
        let has_enough = self.takes_its_time()
            || self.sent_whole
            || self.upload.may_suffice()
            || !matches!(self.answer, Answer::Head);
        self.demanded.is_some() && self.may_have_made_an_object() && has_enough
    }

    /// Whether the store has something to begin with. A copy needs no body.
    pub(super) fn may_have_begun(&self) -> bool {
        self.up.has_begun()
            && (self.upload.is_done()
                || self.upload.bytes_read() > 0
                || self.request.ctx.operation.is_some_and(Operation::copies))
    }

    fn may_have_made_an_object(&self) -> bool {
        let operation = self.request.ctx.operation;
        operation.is_some_and(Operation::makes_object) && self.may_have_begun()
    }

    fn takes_its_time(&self) -> bool {
        let operation = self.request.ctx.operation;
        operation.is_some_and(Operation::takes_its_time)
    }

    async fn look_later(
        &mut self,
        demanded: &Demanded,
        why: &str,
    ) -> Result<Option<String>, Fault> {
        if self.request.shared.confirmer.own.is_some() {
            pingora_timeout::sleep(A_MOMENT).await;
        }
        self.look_for_leftover(demanded, why).await
    }

    /// Looks for what a write left, after what `why` says; why that is not known, where it is not.
    ///
    /// # Errors
    /// Something, and not as was demanded.
    async fn look_for_leftover(
        &mut self,
        demanded: &Demanded,
        why: &str,
    ) -> Result<Option<String>, Fault> {
        let shared = self.request.shared;
        let found = leftover::look(shared, self.request.ctx, demanded, self.started).await;
        self.moved = Instant::now();
        match found {
            Leftover::Nothing => Ok(None),
            Leftover::Unknown(cause) => Ok(Some(cause)),
            Leftover::Unencrypted(shown) => {
                let why = format!("{why}; {shown}");
                let unconfirmed = demanded.demand.unconfirmed;
                confirm::left_behind(shared, self.request.ctx, unconfirmed, &why)
                    .map(|()| None)
                    .map_err(|answer| Fault::Unconfirmed(Box::new(answer)))
            }
        }
    }
}
