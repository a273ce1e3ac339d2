//! The body of a request, from the client's connection to what goes to the store.
//!
//! It gives exactly the bytes that the head's framing announces: bytes of a following request are never taken for
//! this one's body, nor the other way round. A chunked body is unframed and framed anew, so that the store reads
//! chunks that Sealgate wrote.

use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::{
    answer::Answer, aws_chunked::Frame, body::Inspector, judge::too_large, request::Ctx,
    shared::Shared,
};
use crate::{
    http1::{
        chunked::{ChunkedError, ChunkedScanner, END, put_chunk},
        head::Framing,
    },
    s3::RequestHead,
};

/// Why a body does not go on.
#[derive(Debug)]
pub enum Refused {
    /// Its chunks are malformed.
    Malformed(ChunkedError),
    /// What stands in it is refused, or how much of it there is.
    Inspected(Box<Answer>),
}

/// See the module.
pub struct Upload {
    framing: Framing,
    /// Bytes of a `Content-Length` body that are still to come.
    left: u64,
    scanner: ChunkedScanner,
    done: bool,
    /// Bytes of the body that were read, without its framing.
    read: u64,
    /// Looks at the body where the decision rests on it.
    inspector: Option<Inspector>,
    /// Followed where it matters what the store has of an object that is framed.
    frame: Option<Frame>,
}

/// What an inspector needs to know of its request.
pub struct Asked<'a, 'b> {
    /// What all requests share.
    pub shared: &'a Shared,
    /// The request's head.
    pub head: &'a RequestHead<'b>,
    /// Its state.
    pub ctx: &'a mut Ctx,
}

impl Upload {
    /// Of a request whose head says `framing`.
    pub fn new(framing: Framing, inspector: Option<Inspector>) -> Self {
        Self {
            framing,
            left: match framing {
                Framing::Length(n) => n,
                Framing::None | Framing::Chunked => 0,
            },
            scanner: ChunkedScanner::default(),
            done: framing == Framing::None,
            read: 0,
            inspector,
            frame: None,
        }
    }

    /// Follows the `frame` around the object.
    pub fn follow(&mut self, frame: Option<Frame>) {
        self.frame = frame;
    }

    /// Whether the body has been read to its end.
    pub fn is_done(&self) -> bool {
        self.done
    }

    /// Bytes of the body that were read, without its framing.
    pub fn bytes_read(&self) -> u64 {
        self.read
    }

    /// Whether the store may have all that it needs for writing, though the body has not ended: a form's file, or an
    /// object within a frame that is followed.
    pub fn may_suffice(&self) -> bool {
        match &self.inspector {
            Some(inspector) => inspector.may_suffice(),
            None => self.frame.as_ref().is_some_and(Frame::may_be_whole),
        }
    }

    /// Whether nothing may go to the store before more of the body has been seen.
    pub fn holds_back(&self) -> bool {
        self.inspector.as_ref().is_some_and(Inspector::holds_back)
    }

    /// So many bytes may be read straight into what goes to the store; 0: they must be looked at.
    pub fn straight(&self) -> u64 {
        if self.inspector.is_some() {
            return 0;
        }
        self.left
    }

    /// Says that these `bytes` were read straight, no more than [`Upload::straight`] allows.
    pub fn took_straight(&mut self, bytes: &[u8]) {
        self.left = self.left.saturating_sub(bytes.len() as u64);
        self.read += bytes.len() as u64;
        self.done = self.left == 0;
        if let Some(frame) = &mut self.frame {
            frame.follow(bytes);
        }
    }

    /// Takes what `ahead` has of the body and appends what may go to the store to `out`.
    ///
    /// # Errors
    /// The body is refused; nothing more may go to the store.
    pub fn take(
        &mut self,
        ahead: &mut BytesMut,
        asked: Asked<'_, '_>,
        out: &mut BytesMut,
    ) -> Result<(), Refused> {
        if self.done && self.inspector.is_none() {
            return Ok(());
        }
        if self.inspector.is_none()
            && let Framing::Length(_) = self.framing
        {
            let n = ahead.len().min(capped(self.left));
            out.put_slice(&ahead[..n]);
            self.took_straight(&ahead[..n]);
            ahead.advance(n);
            return Ok(());
        }
        let data = self.data(ahead)?;
        self.read += data.len() as u64;
        if let Some(most) = asked.shared.body_bytes.filter(|most| self.read > *most) {
            return Err(Refused::Inspected(Box::new(too_large(most, None))));
        }
        if let Some(frame) = &mut self.frame {
            frame.follow(&data);
        }
        let data = match self.inspector.as_mut() {
            None => data,
            Some(inspector) => inspector
                .take(asked, data, self.done)
                .map_err(|answer| Refused::Inspected(Box::new(answer)))?,
        };
        if self.framing == Framing::Chunked {
            put_chunk(&data, out);
            if self.done {
                out.put_slice(END);
            }
        } else if out.is_empty() && self.inspector.is_some() {
            *out = BytesMut::from(data);
        } else {
            out.put_slice(&data);
        }
        if self.done {
            self.inspector = None;
        }
        Ok(())
    }

    fn data(&mut self, ahead: &mut BytesMut) -> Result<Bytes, Refused> {
        match self.framing {
            Framing::None => Ok(Bytes::new()),
            Framing::Length(_) => {
                let n = ahead.len().min(capped(self.left));
                self.left -= n as u64;
                self.done = self.left == 0;
                Ok(ahead.split_to(n).freeze())
            }
            Framing::Chunked => {
                let mut data = BytesMut::with_capacity(ahead.len());
                let n = self
                    .scanner
                    .scan(ahead, |piece| data.put_slice(piece))
                    .map_err(Refused::Malformed)?;
                ahead.advance(n);
                self.done = self.scanner.is_done();
                Ok(data.freeze())
            }
        }
    }
}

/// `n`, or the most that there can be in memory.
fn capped(n: u64) -> usize {
    usize::try_from(n).unwrap_or(usize::MAX)
}
