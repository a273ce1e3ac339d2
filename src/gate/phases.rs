//! The phases of a request, as pingora calls them.

use std::{sync::Arc, time::Instant};

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderValue, Method, StatusCode, Version, header};
use pingora::{
    Error, ErrorSource, ErrorType, Result,
    http::{RequestHeader, ResponseHeader},
    proxy::{FailToProxy, ProxyHttp, ProxyWarnLogContext, Session},
    upstreams::peer::HttpPeer,
};

use super::{conn, door::DoorLimits};

/// proto
pub struct Metrics;
impl Metrics {
    /// proto
    pub fn lingered(&self, _by_time: bool) {}
}

/// What all requests share.
pub struct Shared {
    /// The bounds of a connection.
    pub door: DoorLimits,
    /// proto
    pub metrics: Metrics,
    /// The store.
    pub peer: HttpPeer,
}

/// The proxy's logic.
pub struct Gate(pub Arc<Shared>);

/// What is known of a request under way.
pub struct Ctx {
    started: Instant,
    conn: Option<Arc<conn::Shared>>,
    status: u16,
}

#[async_trait]
impl ProxyHttp for Gate {
    type CTX = Ctx;

    fn new_ctx(&self) -> Ctx {
        Ctx { started: Instant::now(), conn: None, status: 0 }
    }

    async fn request_filter(&self, session: &mut Session, ctx: &mut Ctx) -> Result<bool> {
        let conn = session
            .downstream_session
            .stream()
            .and_then(|s| (**s).as_any().downcast_ref::<conn::Conn>())
            .ok_or_else(|| Error::explain(ErrorType::InternalError, "no door"))?;
        ctx.conn = Some(conn.shared());
        let req = session.req_header();
        if req.method == Method::PUT && !req.headers.contains_key("x-amz-server-side-encryption") {
            let mut resp = ResponseHeader::build(403, Some(4))?;
            resp.insert_header(header::CONTENT_LENGTH, "5")?;
            session.downstream_session.write_response_header(Box::new(resp)).await?;
            session.downstream_session.write_response_body(Bytes::from_static(b"no!!\n"), true).await?;
            return Ok(true);
        }
        Ok(false)
    }

    async fn upstream_peer(&self, _session: &mut Session, _ctx: &mut Ctx) -> Result<Box<HttpPeer>> {
        Ok(Box::new(self.0.peer.clone()))
    }

    async fn response_filter(&self, session: &mut Session, resp: &mut ResponseHeader, ctx: &mut Ctx) -> Result<()> {
        if resp.status.is_informational() {
            return Ok(());
        }
        ctx.status = resp.status.as_u16();
        let bodiless = session.req_header().method == Method::HEAD
            || matches!(ctx.status, 204 | 304)
            || resp.headers.get(header::CONTENT_LENGTH).is_some_and(|v| v == "0");
        if bodiless {
            if let Some(c) = &ctx.conn { c.answered(); }
        }
        Ok(())
    }

    fn response_body_filter(
        &self,
        _session: &mut Session,
        _body: &mut Option<Bytes>,
        end: bool,
        ctx: &mut Ctx,
    ) -> Result<Option<std::time::Duration>> {
        if end {
            if let Some(c) = &ctx.conn { c.answered(); }
        }
        Ok(None)
    }

    async fn fail_to_proxy(&self, session: &mut Session, e: &Error, ctx: &mut Ctx) -> FailToProxy {
        eprintln!("fail: {e}");
        if session.response_written().is_none_or(|r| r.status.is_informational()) {
            let _ = session.respond_error(503).await;
        }
        FailToProxy { error_code: 503, can_reuse_downstream: false }
    }

    fn suppress_error_log(&self, _s: &Session, _c: &Ctx, _e: &Error) -> bool { true }
}
