//! One stream of HTTP/2 as a connection that speaks HTTP/1.
//!
//! Its DATA is read as the body that the written-down head announces; what is written is the response that the gate
//! gives to anybody, and becomes HEADERS and DATA. Nothing is buffered but what the client's window takes. A shutdown
//! ends the stream in order; a response that was not complete by then, or a stream that is dropped without one, is
//! reset, so that it never looks complete. Where the client is still sending after the end, dropping the stream
//! resets it with `NO_ERROR`, behind the response (RFC 9113 section 8.1).

use std::{
    future::{Future, poll_fn},
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use ::h2::{Reason, RecvStream, SendStream, server::SendResponse};
use bytes::{Bytes, BytesMut};
use http::{
    HeaderName, HeaderValue, Method, Request, Response, StatusCode, header, request::Parts,
};
use pingora::protocols::SocketDigest;
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Sleep, sleep},
};

use super::{
    client::{Client, Link, Rest},
    door,
    forward::After,
    h2_head::write_down,
    parsed::Parsed,
    process::Live,
    refusal,
    shared::Shared,
};
use crate::http1::{
    chunked::END,
    fields::fields,
    head::{self, Framing as Announced, Head, HeadError},
    response::{Framing, ResponseHead, examine},
};

/// Bytes of a response that wait for the connection at most.
pub const SEND_BUFFER: usize = 64 * 1024;
/// Bytes of a response's head at most: a store's, and what is added to it.
const MOST_HEAD: usize = 80 * 1024;

/// How long a stream stays after a response that came before the request's end, its window closed, for the client to
/// read the response and to end the request by itself: curl 7.88 reports an error where the reset comes along with it.
const LINGER: Duration = Duration::from_millis(100);

/// How a stream ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// It was answered, or could not be.
    Served,
    /// The client gave it up before, or does not take an answer of Sealgate's own.
    GivenUp,
}

/// What a stream has from its connection.
#[derive(Clone)]
pub struct Connected {
    /// The process.
    pub live: Arc<Live>,
    /// Who is at the other end.
    pub client: Arc<Client>,
    /// How many streams may [linger](LINGER) at a time.
    pub lingers: Arc<Semaphore>,
}

/// Serves the one request of a stream.
pub async fn serve(
    request: Request<RecvStream>,
    respond: SendResponse<Bytes>,
    on: Connected,
) -> Ended {
    let gate = on.live.current();
    let (parts, body) = request.into_parts();
    let understood = understand(&parts, body.is_end_stream(), &gate);
    let chunked = matches!(&understood, Ok((_, head, _)) if head.framing == Announced::Chunked);
    let mut link = StreamLink {
        body,
        chunked,
        piece: Bytes::new(),
        line: BytesMut::new(),
        ended: false,
        to_head: parts.method == Method::HEAD,
        heard: BytesMut::new(),
        out: Out::Head(respond),
        given_up: Arc::new(AtomicBool::new(false)),
        lingers: on.lingers,
        linger: None,
    };
    drop(parts);
    if poll_fn(|cx| Poll::Ready(link.poll_gone(cx).is_ready())).await {
        return Ended::GivenUp;
    }
    let given_up = Arc::clone(&link.given_up);
    let mut rest = Rest {
        stream: Box::new(link),
        ahead: BytesMut::new(),
    };
    let after = match understood {
        Ok((written, head, parsed)) => {
            rest.ahead = written;
            door::request(&gate, &on.client, &mut rest, &head, &parsed, false).await
        }
        Err(error) => match refusal::refuse_head(&gate, &on.client, &mut rest, Some(error)).await {
            Ok(()) => After::Close,
            Err(_) => After::Untaken,
        },
    };
    if !matches!(after, After::Abort | After::Untaken) {
        let _ = rest.stream.shutdown().await;
    }
    if after == After::Untaken || given_up.load(Ordering::Relaxed) {
        Ended::GivenUp
    } else {
        Ended::Served
    }
}

/// The head as HTTP/1.1, as it is framed, and as it is parsed.
fn understand(
    parts: &Parts,
    bodiless: bool,
    gate: &Shared,
) -> Result<(BytesMut, Head, Parsed), HeadError> {
    let written = write_down(parts, bodiless)?;
    // It ends where it ends, so it cannot be incomplete.
    let head = head::examine(&written, &gate.door.head)?.ok_or(HeadError::RequestLine)?;
    let parsed = Parsed::of(
        &written[head.skip..head.skip + head.len],
        &gate.store_authority,
    )?;
    Ok((written, head, parsed))
}

/// See the module.
struct StreamLink {
    body: RecvStream,
    /// Whether the body is read in chunks, because its length was not said.
    chunked: bool,
    /// DATA that came and was not read yet.
    piece: Bytes,
    /// What frames a chunk, and was not read yet.
    line: BytesMut,
    /// The client has sent all.
    ended: bool,
    /// Whether the request was a `HEAD`.
    to_head: bool,
    /// The head of a response, as long as it is incomplete.
    heard: BytesMut,
    out: Out,
    given_up: Arc<AtomicBool>,
    lingers: Arc<Semaphore>,
    linger: Option<(Pin<Box<Sleep>>, OwnedSemaphorePermit)>,
}

/// What is to come of the response.
enum Out {
    /// Its head.
    Head(SendResponse<Bytes>),
    /// Of its body so many bytes, or all until the shutdown.
    Body(SendStream<Bytes>, Option<u64>),
    /// Nothing.
    Done,
}

impl StreamLink {
    /// Gives what there is of a chunk's framing, as far as there is room.
    fn put_line(&mut self, buf: &mut ReadBuf<'_>) {
        let n = self.line.len().min(buf.remaining());
        buf.put_slice(&self.line.split_to(n));
    }

    fn gone(&self) -> io::Error {
        self.given_up.store(true, Ordering::Relaxed);
        io::ErrorKind::ConnectionReset.into()
    }

    /// Waits for the request's end, for a while. What comes is thrown away and makes no room for more.
    fn poll_linger(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let (sleep, _) = if let Some(linger) = &mut self.linger {
            linger
        } else {
            let Ok(permit) = Arc::clone(&self.lingers).try_acquire_owned() else {
                return Poll::Ready(());
            };
            self.linger.insert((Box::pin(sleep(LINGER)), permit))
        };
        if sleep.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        while let Some(Ok(_)) = ready!(self.body.poll_data(cx)) {}
        Poll::Ready(())
    }

    /// Takes what `buf` has of the response's head; how many bytes belong to it.
    fn take_head(&mut self, buf: &[u8]) -> io::Result<usize> {
        let Out::Head(respond) = &mut self.out else {
            return Ok(0);
        };
        let before = self.heard.len();
        self.heard.extend_from_slice(buf);
        let Some(head) = examine(&self.heard, MOST_HEAD, self.to_head).map_err(io::Error::other)?
        else {
            return Ok(buf.len());
        };
        let taken = head.len.saturating_sub(before);
        let raw = self.heard.split_to(head.len);
        self.heard = BytesMut::new();
        if head.is_interim() {
            let interim = response(&head, &[])?;
            respond
                .send_informational(interim)
                .map_err(|_| self.gone())?;
            return Ok(taken);
        }
        let bodiless = head.framing == Framing::None;
        let response = response(&head, &raw)?;
        match respond.send_response(response, bodiless) {
            Ok(_) if bodiless => self.out = Out::Done,
            Ok(stream) => {
                let left = match head.framing {
                    Framing::Length(n) => Some(n),
                    _ => None,
                };
                self.out = Out::Body(stream, left);
            }
            Err(_) => return Err(self.gone()),
        }
        Ok(taken)
    }
}

/// The head `raw` in the words of HTTP/2.
fn response(head: &ResponseHead, raw: &[u8]) -> io::Result<Response<()>> {
    let mut response = Response::new(());
    *response.status_mut() = StatusCode::from_u16(head.status).map_err(io::Error::other)?;
    let headers = response.headers_mut();
    for field in fields(raw) {
        // RFC 9113 section 8.2.2.
        if field.is_hop_by_hop() || field.is("transfer-encoding") {
            continue;
        }
        let name = HeaderName::from_bytes(field.name).map_err(io::Error::other)?;
        if name == header::CONTENT_LENGTH && headers.contains_key(&name) {
            // The same number once more.
            continue;
        }
        let value = HeaderValue::from_bytes(field.value).map_err(io::Error::other)?;
        headers.append(name, value);
    }
    Ok(response)
}

impl AsyncRead for StreamLink {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let before = buf.filled().len();
        loop {
            this.put_line(buf);
            if !this.piece.is_empty() && this.line.is_empty() {
                let n = this.piece.len().min(buf.remaining());
                buf.put_slice(&this.piece.split_to(n));
                // Fails only where the stream has ended, and nobody waits for the window then.
                let _ = this.body.flow_control().release_capacity(n);
                if this.piece.is_empty() && this.chunked {
                    this.line.extend_from_slice(b"\r\n");
                    this.put_line(buf);
                }
            }
            // A chunk with what frames it is one read: a client pays little for a frame of one byte.
            if buf.filled().len() > before || buf.remaining() == 0 || this.ended {
                return Poll::Ready(Ok(()));
            }
            match ready!(this.body.poll_data(cx)) {
                Some(Ok(data)) => {
                    if this.chunked && !data.is_empty() {
                        this.line
                            .extend_from_slice(format!("{:x}\r\n", data.len()).as_bytes());
                    }
                    this.piece = data;
                }
                None => {
                    this.ended = true;
                    if this.chunked {
                        this.line.extend_from_slice(END);
                    }
                }
                Some(Err(_)) => return Poll::Ready(Err(this.gone())),
            }
        }
    }
}

impl AsyncWrite for StreamLink {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        let (stream, left) = match &mut this.out {
            Out::Head(_) => return Poll::Ready(this.take_head(buf)),
            // Beyond the response; the answer to a HEAD may have a body that nobody gets.
            Out::Done => return Poll::Ready(Ok(buf.len())),
            Out::Body(stream, left) => (stream, left),
        };
        let most = left.map_or(usize::MAX, |n| usize::try_from(n).unwrap_or(usize::MAX));
        let wanted = buf.len().min(most).min(SEND_BUFFER);
        if wanted == 0 {
            return Poll::Ready(Ok(0));
        }
        stream.reserve_capacity(wanted);
        while stream.capacity() == 0 {
            match ready!(stream.poll_capacity(cx)) {
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return Poll::Ready(Err(this.gone())),
            }
        }
        let n = wanted.min(stream.capacity());
        if let Some(left) = left {
            *left -= n as u64;
        }
        let last = *left == Some(0);
        let data = Bytes::copy_from_slice(&buf[..n]);
        if stream.send_data(data, last).is_err() {
            return Poll::Ready(Err(this.gone()));
        }
        if last {
            this.out = Out::Done;
        }
        Poll::Ready(Ok(n))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        // The connection's task sends what it has.
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if let Out::Body(stream, None) = &mut this.out {
            if stream.send_data(Bytes::new(), true).is_err() {
                return Poll::Ready(Err(this.gone()));
            }
            this.out = Out::Done;
        }
        if matches!(this.out, Out::Done) && !this.ended && !this.body.is_end_stream() {
            ready!(this.poll_linger(cx));
        }
        Poll::Ready(Ok(()))
    }
}

impl Link for StreamLink {
    fn socket(&self) -> Option<Arc<SocketDigest>> {
        None
    }

    fn is_unchunked(&self) -> bool {
        true
    }

    fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let reset = match &mut self.out {
            Out::Head(respond) => respond.poll_reset(cx),
            Out::Body(stream, _) => stream.poll_reset(cx),
            Out::Done => return Poll::Pending,
        };
        reset.map(|_| {
            self.gone();
        })
    }
}

impl Drop for StreamLink {
    fn drop(&mut self) {
        // A stream that the client gave up stays as it is.
        match &mut self.out {
            Out::Head(respond) => respond.send_reset(Reason::INTERNAL_ERROR),
            Out::Body(stream, _) => stream.send_reset(Reason::INTERNAL_ERROR),
            Out::Done => {}
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn told(raw: &str, to_head: bool) -> (u16, Framing, Vec<(String, String)>) {
        let head = examine(raw.as_bytes(), MOST_HEAD, to_head)
            .unwrap()
            .unwrap();
        let response = response(&head, raw.as_bytes()).unwrap();
        let fields = response.headers().iter().map(|(name, value)| {
            let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
            (name.to_string(), value)
        });
        (response.status().as_u16(), head.framing, fields.collect())
    }

    fn pairs(fields: &[(&str, &str)]) -> Vec<(String, String)> {
        let owned = |(n, v): &(&str, &str)| ((*n).to_owned(), (*v).to_owned());
        fields.iter().map(owned).collect()
    }

    #[test]
    fn a_response_is_told_without_the_fields_of_the_hop() {
        let raw = "HTTP/1.1 404 Not Here\r\nETag: \"a\"\r\nX-Amz-Meta-\u{e4}: x\r\n";
        assert!(examine(format!("{raw}\r\n").as_bytes(), MOST_HEAD, false).is_err());
        let raw = "HTTP/1.1 404 Not Here\r\nETag: \"a\"\r\nSet-Cookie: a\r\nset-cookie: b\r\nConnection: close\r\n\
                   Keep-Alive: 5\r\nX-Amz-Meta-A: \u{e4}\r\nTransfer-Encoding: chunked\r\n\r\n";
        let (status, framing, fields) = told(raw, false);
        assert_eq!((status, framing), (404, Framing::Chunked));
        assert_eq!(
            fields,
            pairs(&[
                ("etag", "\"a\""),
                ("set-cookie", "a"),
                ("set-cookie", "b"),
                ("x-amz-meta-a", "\u{e4}")
            ])
        );
    }

    #[test]
    fn a_length_that_is_said_twice_is_told_once() {
        let raw = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n";
        let (_, framing, fields) = told(raw, false);
        assert_eq!(framing, Framing::Length(5));
        assert_eq!(fields, pairs(&[("content-length", "5")]));
        assert_eq!(told(raw, true).1, Framing::None);
    }

    #[test]
    fn an_interim_response_has_nothing_but_its_status() {
        let raw = crate::gate::exchange::CONTINUE;
        let head = examine(raw, MOST_HEAD, false).unwrap().unwrap();
        assert!(head.is_interim());
        assert_eq!(response(&head, &[]).unwrap().status(), 100);
    }
}
