//! The response of a store on its way to the client: its head once, its body as it is framed, its end in the audit file first.

use bytes::{BufMut, BytesMut};

use super::{Answer, Exchange, Fault};
use crate::{
    gate::{
        refusal::unrecorded,
        reply::{self, Reply},
        request::Seen,
    },
    http1::{
        chunked::put_chunk,
        response::{Framing, ResponseHead},
    },
};

impl Exchange<'_> {
    /// The final response begins.
    pub(super) fn begin(&mut self, head: &ResponseHead) -> Result<(), Fault> {
        self.request.waiting = false;
        // A response that came before the request was out is one to a request that was not read.
        self.outcome.keep_store = head.keep && self.upload.is_done() && self.up.is_clear();
        self.outcome.keep_client = self.request.keep
            && self.request.http11
            && self.upload.is_done()
            && !self.request.shared.process.is_draining();
        let raw = self.heard.split_to(head.len);
        reply::note(&raw, head.status, self.request.ctx);
        let reply = Reply {
            head,
            keep: self.outcome.keep_client,
            http11: self.request.http11,
            request_id: &self.request.ctx.id,
        };
        self.down.bytes.reserve(raw.len() + 64 + self.heard.len());
        reply.write(&raw, &mut self.down.bytes);
        self.answer = match head.framing {
            Framing::None => Answer::Done,
            Framing::Length(n) => Answer::Length(n),
            Framing::Chunked => Answer::Chunked(Box::default()),
            Framing::Close => Answer::Close,
        };
        let start = self.down.bytes.len();
        if self.held.is_some() {
            self.held = Some(start);
        }
        self.down.bytes.put_slice(&self.heard);
        self.heard = BytesMut::new();
        self.account(start)
    }

    /// Accounts for the bytes of the response's body that stand in `down` from `start` on.
    pub(super) fn account(&mut self, start: usize) -> Result<(), Fault> {
        let came = self.down.bytes.len() - start;
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
                    .scan(&self.down.bytes[start..], |piece| {
                        count += piece.len();
                        if !http11 {
                            data.put_slice(piece);
                        }
                    })
                    .map_err(|e| Fault::Store(e.to_string()))?;
                let end = scanner.is_done();
                self.outcome.keep_store &= belong == came;
                if !http11 {
                    // It knows no chunks: the end of the connection is the end of the body.
                    self.down.bytes.truncate(start);
                    self.down.bytes.put_slice(&data);
                    self.request.ctx.bytes_out += count as u64;
                    return if end { self.complete() } else { Ok(()) };
                }
                (belong, count, end)
            }
            Answer::Close if self.request.http11 => {
                let data = self.down.bytes.split_off(start);
                put_chunk(&data, &mut self.down.bytes);
                self.request.ctx.bytes_out += came as u64;
                return Ok(());
            }
            Answer::Close => (came, came, false),
            Answer::Head | Answer::Came(_) | Answer::Done => (0, 0, true),
        };
        // Bytes beyond the response would be an answer to nothing.
        self.outcome.keep_store &= belong == came;
        self.down.bytes.truncate(start + belong);
        self.request.ctx.bytes_out += data as u64;
        if end { self.complete() } else { Ok(()) }
    }

    /// The response is complete but for what stands in `down`: the line is in the file before that leaves.
    pub(super) fn complete(&mut self) -> Result<(), Fault> {
        self.answer = Answer::Done;
        if self.held.is_some() || !self.is_answer_recorded() {
            return Ok(());
        }
        let seen = Seen::of(self.request.parsed, self.upload.bytes_read());
        self.request
            .ctx
            .record(self.request.shared, seen)
            .map_err(|error| {
                unrecorded(&error);
                Fault::Unrecorded
            })
    }
}
