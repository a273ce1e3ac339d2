//! The phases of a request, as pingora calls them.
//!
//! | phase | here |
//! | --- | --- |
//! | `request_filter` | takes over what the [`door`](super::door) has decided |
//! | `upstream_request_filter` | nothing is changed, save that an absolute-form target becomes origin form |
//! | `request_body_filter` | [`body`](super::body): decisions that need a look at the body |
//! | `response_filter`, `response_body_filter` | what the store says is noted; the audit line is written before the last byte |
//! | `fail_to_proxy` | what could not be served gets an S3 error, where an answer has not begun |
//! | `logging` | the audit line of what ended in no other way |

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use bytes::Bytes;
use http::{Method, StatusCode, Version, header};
use pingora::{
    Error, ErrorSource, ErrorType, Result,
    http::{RequestHeader, ResponseHeader},
    proxy::{FailToProxy, ProxyHttp, ProxyWarnLogContext, Session},
    upstreams::peer::HttpPeer,
};

use super::{
    answer::Answer,
    conn::Conn,
    judge::known_sse,
    request::{Ctx, Seen},
    shared::Shared,
};
use crate::{
    audit::{Decision, Reason},
    s3::{ErrorCode, S3Error},
    sse::headers::{CUSTOMER_ALGORITHM, SSE},
};

/// An answer of our own waits in [`Ctx::refusal`].
const REFUSED: ErrorType = ErrorType::Custom("refused");

/// Interim (1xx) responses of a store to one request that are relayed at most.
const MOST_INTERIM: u8 = 16;

/// The proxy's logic.
pub struct Gate(pub Arc<Shared>);

impl Gate {
    /// Answers in the store's place; the line is in the file first.
    async fn answer(&self, session: &mut Session, ctx: &mut Ctx, answer: Answer) -> Result<()> {
        ctx.note_answer(&answer);
        let mut rendered = answer.render(&self.0.ids, &ctx.id);
        if session.req_header().method != Method::HEAD {
            ctx.bytes_out = rendered.body_bytes();
        }
        if let Err(error) = ctx.record(&self.0, Seen::of(session)) {
            tracing::error!(%error, "an audit line cannot be written; requests are refused until it can");
            rendered = Answer::unrecorded().render(&self.0.ids, &ctx.id);
        }
        if !body_done(session) {
            // What follows could be the body, and must never be read as a request.
            session.set_keepalive(None);
        }
        rendered.write(session).await?;
        if let Some(conn) = &ctx.conn {
            conn.answered();
        }
        Ok(())
    }

    /// The response is complete but for its last bytes: the line first, then those.
    fn complete(&self, session: &Session, ctx: &mut Ctx) -> Result<()> {
        if let Err(error) = ctx.record(&self.0, Seen::of(session)) {
            tracing::error!(%error, "an audit line cannot be written; requests are refused until it can");
            ctx.refusal = Some(Answer::unrecorded());
            return Err(Error::explain(REFUSED, "the audit line cannot be written"));
        }
        if let Some(conn) = &ctx.conn {
            conn.answered();
        }
        Ok(())
    }
}

#[async_trait]
impl ProxyHttp for Gate {
    type CTX = Ctx;

    fn new_ctx(&self) -> Ctx {
        Ctx::new(&self.0)
    }

    async fn request_filter(&self, session: &mut Session, ctx: &mut Ctx) -> Result<bool> {
        // pingora would end the connection after a relayed 100; we end it where a body is left unread.
        session.set_close_on_response_before_downstream_finish(false);
        // The door has decided already; what it let in brings its state along.
        let conn = session
            .downstream_session
            .stream()
            .and_then(|s| (**s).as_any().downcast_ref::<Conn>());
        let Some((admitted, shared)) = conn.and_then(|c| Some((c.admitted()?, c.shared()))) else {
            return Error::e_explain(ErrorType::InternalError, "a request came past the door");
        };
        *ctx = *admitted;
        ctx.conn = Some(shared);
        Ok(false)
    }

    async fn upstream_peer(&self, _session: &mut Session, ctx: &mut Ctx) -> Result<Box<HttpPeer>> {
        ctx.store_started = Some(Instant::now());
        Ok(Box::new(self.0.peer.clone()))
    }

    async fn upstream_request_filter(
        &self,
        session: &mut Session,
        request: &mut RequestHeader,
        ctx: &mut Ctx,
    ) -> Result<()> {
        if session.req_header().version == Version::HTTP_10 {
            // RFC 9110 section 10.1.1: ignored; passed on, the store would act on it.
            request.remove_header(&header::EXPECT);
        }
        if let Some(target) = &ctx.origin_form {
            request.set_raw_path(target)?;
        }
        Ok(())
    }

    async fn request_body_filter(
        &self,
        session: &mut Session,
        body: &mut Option<Bytes>,
        end: bool,
        ctx: &mut Ctx,
    ) -> Result<()> {
        let Some(mut inspector) = ctx.inspector.take() else {
            return Ok(());
        };
        match inspector.take(&self.0, session, ctx, body, end) {
            Ok(()) => {
                ctx.inspector = Some(inspector);
                Ok(())
            }
            Err(answer) => {
                let read = session.downstream_session.body_bytes_read() as u64;
                ctx.bytes_refused = ctx.announced.saturating_sub(read);
                ctx.refusal = Some(answer);
                Err(Error::explain(REFUSED, "the body was refused"))
            }
        }
    }

    async fn upstream_response_filter(
        &self,
        _session: &mut Session,
        response: &mut ResponseHeader,
        ctx: &mut Ctx,
    ) -> Result<()> {
        if response.status.is_informational() {
            ctx.interim = ctx.interim.saturating_add(1);
            if response.status == StatusCode::SWITCHING_PROTOCOLS || ctx.interim > MOST_INTERIM {
                let error = S3Error::new(
                    ErrorCode::ServiceUnavailable,
                    "The store answered with another protocol, or without an end. Please try again.",
                );
                ctx.refusal = Some(Answer::error(error, Decision::Error, Reason::Store));
                return Err(Error::explain(REFUSED, "the store's interim responses"));
            }
        }
        Ok(())
    }

    async fn response_filter(
        &self,
        session: &mut Session,
        response: &mut ResponseHeader,
        ctx: &mut Ctx,
    ) -> Result<()> {
        if response.status.is_informational() {
            return Ok(());
        }
        ctx.status = Some(response.status.as_u16());
        ctx.store_time = ctx.store_started.map(|t| t.elapsed());
        let text = |name: &str| response.headers.get(name).and_then(|v| v.to_str().ok());
        ctx.store_request_id = text("x-amz-request-id").map(str::to_owned);
        ctx.sse_confirmed = match (text(SSE), text(CUSTOMER_ALGORITHM)) {
            (Some(sse), _) => Some(known_sse(sse)),
            (None, Some(_)) => Some("sse-c"),
            (None, None) => None,
        };
        if ctx.store_request_id.is_none() {
            response.insert_header("x-amz-request-id", ctx.id.as_str())?;
        }
        response.remove_header("keep-alive");
        if session.req_header().version == Version::HTTP_10 {
            // An HTTP/1.0 client knows no chunks; the end of the connection is the end of the body.
            if response.remove_header(&header::TRANSFER_ENCODING).is_some() {
                session.set_keepalive(None);
            }
        }
        if !body_done(session) {
            session.set_keepalive(None);
        }
        let bodiless = session.req_header().method == Method::HEAD
            || matches!(
                response.status,
                StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED
            )
            || response
                .headers
                .get(header::CONTENT_LENGTH)
                .is_some_and(|v| v == "0");
        if bodiless {
            self.complete(session, ctx)?;
        }
        Ok(())
    }

    fn response_body_filter(
        &self,
        session: &mut Session,
        body: &mut Option<Bytes>,
        end: bool,
        ctx: &mut Ctx,
    ) -> Result<Option<Duration>> {
        ctx.bytes_out += body.as_ref().map_or(0, |b| b.len() as u64);
        if end {
            self.complete(session, ctx)?;
        }
        Ok(None)
    }

    fn error_while_proxy(
        &self,
        _peer: &HttpPeer,
        session: &mut Session,
        mut e: Box<Error>,
        ctx: &mut Ctx,
        reused: bool,
    ) -> Box<Error> {
        // Only what changes nothing is sent twice, and only where a kept connection turned out to be closed.
        let safe = matches!(session.req_header().method, Method::GET | Method::HEAD);
        let again = safe
            && reused
            && ctx.status.is_none()
            && *e.esource() == ErrorSource::Upstream
            && !matches!(
                e.etype(),
                ErrorType::ReadTimedout | ErrorType::WriteTimedout
            )
            && !session.as_ref().retry_buffer_truncated();
        e.set_retry(again);
        e
    }

    async fn fail_to_proxy(&self, session: &mut Session, e: &Error, ctx: &mut Ctx) -> FailToProxy {
        let gone = FailToProxy {
            error_code: 0,
            can_reuse_downstream: false,
        };
        session.set_keepalive(None);
        let begun = session
            .response_written()
            .is_some_and(|r| !r.status.is_informational());
        if begun || ctx.is_recorded() && ctx.refusal.is_none() {
            if !ctx.is_recorded() {
                ctx.decision = Decision::Error;
                ctx.reason = Some(fault(e).1);
                ctx.error = Some(format!("broken off: {}", e.etype().as_str()));
            }
            return gone;
        }
        let answer = ctx.refusal.take().unwrap_or_else(|| {
            let (error, reason) = fault(e);
            if matches!(reason, Reason::Store | Reason::Internal) {
                tracing::warn!(error = %e.etype().as_str(), cause = %e, operation = ctx.operation.map_or("unknown", |o| o.name()), "a request could not be served");
            }
            Answer::error(error, Decision::Error, reason)
        });
        let status = answer.status;
        if let Err(error) = self.answer(session, ctx, answer).await {
            tracing::debug!(%error, "an error could not be sent");
        }
        FailToProxy {
            error_code: status,
            ..gone
        }
    }

    async fn logging(&self, session: &mut Session, _e: Option<&Error>, ctx: &mut Ctx) {
        if let Err(error) = ctx.record(&self.0, Seen::of(session)) {
            tracing::error!(%error, "an audit line cannot be written; requests are refused until it can");
        }
    }

    fn request_summary(&self, _session: &Session, ctx: &Ctx) -> String {
        // pingora's own shows the query, which may hold a signature.
        format!("request {}", ctx.id.as_str())
    }

    fn suppress_error_log(&self, _session: &Session, _ctx: &Ctx, _error: &Error) -> bool {
        true
    }

    fn suppress_proxy_warn_log(
        &self,
        _session: &Session,
        _ctx: &Ctx,
        _error: &Error,
        _context: ProxyWarnLogContext,
    ) -> bool {
        true
    }
}

/// Whether nothing of the request's body is left to read.
fn body_done(session: &mut Session) -> bool {
    session.downstream_session.is_body_done()
}

/// What a failure is to the client.
fn fault(e: &Error) -> (S3Error, Reason) {
    match (e.esource(), e.etype()) {
        (ErrorSource::Downstream, ErrorType::ReadTimedout | ErrorType::WriteTimedout) => (
            S3Error::new(
                ErrorCode::RequestTimeout,
                "Your socket connection to the server was not read from or written to within the timeout period.",
            ),
            Reason::Client,
        ),
        (ErrorSource::Downstream, _) => (
            S3Error::new(
                ErrorCode::IncompleteBody,
                "The request body terminated unexpectedly, or its chunks are malformed.",
            ),
            Reason::Client,
        ),
        (ErrorSource::Upstream, ErrorType::ReadTimedout | ErrorType::WriteTimedout) => (
            S3Error::new(
                ErrorCode::ServiceUnavailable,
                "The store did not answer in time. Please try again.",
            ),
            Reason::Store,
        ),
        (ErrorSource::Upstream, _) => (
            S3Error::new(
                ErrorCode::ServiceUnavailable,
                "The store cannot be reached or broke off. Please try again.",
            ),
            Reason::Store,
        ),
        (ErrorSource::Internal | ErrorSource::Unset, _) => (
            S3Error::new(
                ErrorCode::InternalError,
                "We encountered an internal error. Please try again.",
            ),
            Reason::Internal,
        ),
    }
}
