//! An exchange whose client has left, or is refused, when the store may have written what it must confirm.
//!
//! A store may write before it has the whole body: at the last chunk of `aws-chunked`, at a form's last boundary, at the
//! end of an XML document, for a copy at once. So who withholds a byte and leaves must not hide a write. The store is told
//! that no more comes, as the end of its connection would, and what it answers then is looked at as ever. One that ends
//! without an answer has dropped a body that was not whole, as far as is known without a [look](super::doubt). A copy needs
//! none, though, and a document, a form's file or an `aws-chunked` object may have been whole but for what comes after it: a
//! proxy before the store that closes at once does not keep it from writing then.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Instant,
};

use tokio::io::AsyncWrite;

use super::{Answer, Exchange, Fault};
use crate::{gate::confirm, s3::Operation};

/// How the client's part ended.
pub(super) struct Left {
    /// What ended it.
    pub(super) fault: Fault,
    /// The whole request is there, and goes to the store.
    whole: bool,
    /// The store knows that no more comes.
    told: bool,
}

impl Exchange<'_> {
    /// Has the exchange with the store go on after the client's part is over.
    ///
    /// # Errors
    /// There is nothing that the store would have to confirm; or it has failed, too, and this ends the exchange.
    pub(super) fn go_on_after(&mut self, fault: Fault) -> Result<(), Fault> {
        if let Some(left) = self.left.take() {
            let ended = matches!(fault, Fault::Store(_) | Fault::StoreSilent);
            if !ended || left.whole {
                return Err(fault);
            }
            let may_be_done = match self.request.ctx.operation {
                Some(Operation::CompleteMultipartUpload) => self.may_have_begun(),
                Some(operation) if operation.copies() => true,
                _ => self.upload.may_suffice(),
            };
            if let Some(unconfirmed) = self.demanded
                && may_be_done
                && matches!(self.answer, Answer::Head)
            {
                confirm::not_held(
                    self.request.shared,
                    self.request.ctx,
                    unconfirmed,
                    "the request broke off and the store gave no answer, though it may have had all that it needs",
                )
                .map_err(|answer| Fault::Unconfirmed(Box::new(answer)))?;
            }
            return Err(left.fault);
        }
        let of_client = matches!(
            fault,
            Fault::Client | Fault::ClientSilent | Fault::Refused(_)
        );
        let may_be_written =
            self.demanded.is_some() && self.up.has_begun() && !matches!(self.answer, Answer::Done);
        if !of_client || !may_be_written {
            return Err(fault);
        }
        let whole = self.upload.is_done() && !matches!(fault, Fault::Refused(_));
        if !whole {
            self.up.give_up();
        }
        // Who has got half of something cannot be told anything else.
        self.begun |= !self.down.is_clear();
        self.down.give_up();
        self.request.waiting = false;
        self.moved = Instant::now();
        self.left = Some(Left {
            fault,
            whole,
            told: whole,
        });
        Ok(())
    }

    /// Tells the store that no more of the body comes.
    pub(super) fn poll_end_of_body(&mut self, cx: &mut Context<'_>) {
        if let Some(left) = self.left.as_mut().filter(|left| !left.told)
            // Where it cannot be told, reading its answer shows the same.
            && let Poll::Ready(_) = Pin::new(&mut *self.store).poll_shutdown(cx)
        {
            left.told = true;
        }
    }

    /// Whether the store's answer is the line's, too: not where the body was not whole, unless something was written.
    pub(super) fn is_answer_recorded(&self) -> bool {
        self.left.as_ref().is_none_or(|left| left.whole)
            || self.request.ctx.reason == Some(crate::audit::Reason::Unconfirmed)
    }
}
