//! A write that the store did not report as done, and may have done all the same.

use std::time::{Duration, Instant};

use super::{Exchange, Fault};
use crate::{
    gate::{
        confirm::{self, Demanded},
        leftover::{goes_on_alone, is_a_gateways, leftover, may_follow_a_write, writes_an_object},
    },
    http1::response::ResponseHead,
};

/// What a store has of a request that broke off is written a moment later, if at all.
const A_MOMENT: Duration = Duration::from_millis(500);

const NO_ANSWER: &str = "the store gave no answer, and may have done it, or do it still";

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
        if !self.may_have_written() {
            return Ok(());
        }
        if is_a_gateways(head.status) && self.request.ctx.operation.is_some_and(goes_on_alone) {
            confirm::pass_on(self.request.ctx, NO_ANSWER);
        } else if may_follow_a_write(head.status) {
            let why = format!("the store answered {}", head.status);
            self.look_for_leftover(demanded, &why).await?;
        }
        Ok(())
    }

    /// After no answer, for this reason; gives the reason that the client is told.
    pub(super) async fn unanswered(&mut self, fault: Fault) -> Fault {
        let breaks_off = matches!(
            fault,
            Fault::Store(_)
                | Fault::StoreSilent
                | Fault::Client
                | Fault::ClientSilent
                | Fault::Refused(_)
        );
        if !breaks_off || !self.may_have_written() {
            return fault;
        }
        let Some(demanded) = self.request.ctx.demanded.take() else {
            return fault;
        };
        let of_store = matches!(fault, Fault::Store(_) | Fault::StoreSilent);
        if of_store && self.request.ctx.operation.is_some_and(goes_on_alone) {
            confirm::pass_on(self.request.ctx, NO_ANSWER);
            return fault;
        }
        if self.request.shared.confirmer.own.is_some() {
            pingora_timeout::sleep(A_MOMENT).await;
        }
        let found = self.look_for_leftover(&demanded, "the store gave no answer");
        found.await.err().unwrap_or(fault)
    }

    /// Whether the store has had enough of a request that writes an object.
    fn may_have_written(&self) -> bool {
        let operation = self.request.ctx.operation;
        self.up.has_begun()
            && operation.is_some_and(writes_an_object)
            && (self.upload.is_done()
                || self.upload.bytes_read() > 0
                || operation.is_some_and(goes_on_alone))
    }

    async fn look_for_leftover(&mut self, demanded: &Demanded, why: &str) -> Result<(), Fault> {
        let (shared, age) = (self.request.shared, self.started.elapsed());
        let found = leftover(shared, self.request.ctx, demanded, age).await;
        self.moved = Instant::now();
        let Some(found) = found else {
            return Ok(());
        };
        let why = format!("{why}; {found}");
        confirm::not_held(shared, self.request.ctx, demanded.demand.unconfirmed, &why)
            .map_err(|answer| Fault::Unconfirmed(Box::new(answer)))
    }
}
