//! Whose turn it is in an exchange, and for how long it may take.

use std::time::{Duration, Instant};

use super::{Answer, Exchange, Fault};
use crate::{audit::Continue, config::BodyRate};

/// How often the speed of a body is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);

impl Exchange<'_> {
    /// Whether it is the store's turn.
    fn store_owes(&self) -> bool {
        if self.held.is_some() {
            return true;
        }
        let asked = self.upload.is_done() || self.up.is_broken() || self.request.waiting;
        let answers = !matches!(self.answer, Answer::Head | Answer::Done);
        !self.up.is_clear() || (self.down.is_clear() && (asked || answers))
    }

    /// Whether it is the client's turn.
    pub(super) fn client_owes(&self) -> bool {
        (self.held.is_none() && !self.down.is_clear()) || !self.store_owes()
    }

    /// How long until the clock must be looked at.
    pub(super) fn next_check(&self) -> Duration {
        let door = &self.request.shared.door;
        let store = self.request.shared.response_timeout;
        let limit = match (self.store_owes(), self.client_owes()) {
            (true, false) => store,
            (false, true) => door.idle_timeout,
            _ => store.min(door.idle_timeout),
        };
        let mut next = limit.saturating_sub(self.moved.elapsed());
        if self.is_to_be_invited() {
            next = next.min(door.continue_timeout.saturating_sub(self.started.elapsed()));
        }
        if let Some(rate) = self.request.shared.body_rate.filter(|_| self.sends_body()) {
            next = next.min(rate.after.saturating_sub(self.client_time));
            next = next.max(LOOK_EVERY);
        }
        if let Some(since) = self.saying {
            next = next.min(store.saturating_sub(since.elapsed()));
        }
        // Whose turn it is may change meanwhile.
        next.min(store).min(door.idle_timeout)
    }

    pub(super) fn check_time(&mut self) -> Result<(), Fault> {
        let door = &self.request.shared.door;
        if self.is_to_be_invited() && self.started.elapsed() >= door.continue_timeout {
            self.invite(Continue::Timeout);
            self.moved = Instant::now();
            return Ok(());
        }
        let still = self.moved.elapsed();
        let store = self.request.shared.response_timeout;
        // A head that comes in drops is no answer either.
        let drips = self.saying.is_some_and(|since| since.elapsed() >= store);
        if drips || (self.store_owes() && still >= store) {
            return Err(Fault::StoreSilent);
        }
        if self.client_owes() && still >= door.idle_timeout {
            return Err(Fault::ClientSilent);
        }
        match self.request.shared.body_rate {
            Some(rate) if self.sends_body() && self.client_owes() && self.is_too_slow(rate) => {
                Err(Fault::ClientSilent)
            }
            _ => Ok(()),
        }
    }

    /// Whether the client waits for a 100. One whose body is all there needs none.
    fn is_to_be_invited(&self) -> bool {
        self.request.waiting && !self.upload.is_done()
    }

    /// Whether the client is to send its body, and the response has not begun.
    pub(super) fn sends_body(&self) -> bool {
        !self.upload.is_done() && !self.request.waiting && matches!(self.answer, Answer::Head)
    }

    fn is_too_slow(&self, rate: BodyRate) -> bool {
        let time = self.client_time;
        let least = u128::from(rate.bytes) * time.as_millis() / 1000;
        time >= rate.after && u128::from(self.upload.bytes_read()) < least
    }
}
