//! Bytes on their way out to one side of an exchange.

use std::{
    mem,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::{Buf, BytesMut};
use tokio::io::AsyncWrite;

/// A buffer that is written to its end, and flushed, before more is put into it.
#[derive(Default)]
pub struct Outgoing {
    /// What is still to be written.
    pub bytes: BytesMut,
    unflushed: bool,
    broken: bool,
    /// Something was sent.
    begun: bool,
}

/// How a try to send went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// All is out.
    All,
    /// The other side takes no more for now.
    Part,
    /// The other side takes no more at all; what was to be sent is given up.
    Broken,
}

impl Outgoing {
    /// Beginning with `bytes`.
    pub fn new(bytes: BytesMut) -> Self {
        Self {
            bytes,
            ..Self::default()
        }
    }

    /// Whether there is nothing to send, or nobody who takes it.
    pub fn is_clear(&self) -> bool {
        self.broken || (self.bytes.is_empty() && !self.unflushed)
    }

    /// Whether it could not be sent.
    pub fn is_broken(&self) -> bool {
        self.broken
    }

    /// Gives up sending.
    pub fn give_up(&mut self) {
        self.broken = true;
    }

    /// Whether something was sent.
    pub fn has_begun(&self) -> bool {
        self.begun
    }

    /// All that was to be sent, where not a byte of it was.
    pub fn unsent(&mut self) -> Option<BytesMut> {
        (!self.begun).then(|| mem::take(&mut self.bytes))
    }

    /// Sends what can be sent now, and says how many bytes went.
    pub fn poll_send(
        &mut self,
        mut to: impl AsyncWrite + Unpin,
        cx: &mut Context<'_>,
    ) -> (Sent, usize) {
        let before = self.bytes.len();
        let sent = self.send(&mut to, cx);
        let went = before - self.bytes.len();
        self.begun |= went > 0;
        if sent == Sent::Broken {
            self.give_up();
        }
        (sent, went)
    }

    fn send(&mut self, to: &mut (impl AsyncWrite + Unpin), cx: &mut Context<'_>) -> Sent {
        while !self.bytes.is_empty() {
            match Pin::new(&mut *to).poll_write(cx, &self.bytes) {
                Poll::Ready(Ok(n)) if n > 0 => {
                    self.bytes.advance(n);
                    self.unflushed = true;
                }
                Poll::Ready(_) => return Sent::Broken,
                Poll::Pending => return Sent::Part,
            }
        }
        if self.unflushed {
            match Pin::new(to).poll_flush(cx) {
                Poll::Ready(Ok(())) => self.unflushed = false,
                Poll::Ready(Err(_)) => return Sent::Broken,
                Poll::Pending => return Sent::Part,
            }
        }
        Sent::All
    }
}
