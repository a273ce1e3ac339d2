//! The admin port: `/metrics`, `/healthz`, `/readyz`. Plain HTTP, for probes and scrapers only.

use std::sync::Arc;

use async_trait::async_trait;
use http::{Method, Response, StatusCode, header};
use pingora::{apps::http_app::ServeHttp, protocols::http::ServerSession};

use crate::gate::Live;

/// Serves the admin port.
pub struct Admin(Arc<Live>);

impl Admin {
    /// Over what the gate shares.
    #[must_use]
    pub fn new(shared: Arc<Live>) -> Self {
        Self(shared)
    }

    fn answer(&self, method: &Method, path: &str) -> (StatusCode, &'static str, String) {
        const TEXT: &str = "text/plain; charset=utf-8";
        if !matches!(*method, Method::GET | Method::HEAD) {
            return (
                StatusCode::METHOD_NOT_ALLOWED,
                TEXT,
                "only GET and HEAD\n".to_owned(),
            );
        }
        match path {
            "/metrics" => match self.0.process.metrics.encode(Some(&self.0.process.audit)) {
                Ok(text) => (
                    StatusCode::OK,
                    "text/plain; version=0.0.4; charset=utf-8",
                    text,
                ),
                Err(error) => (
                    StatusCode::INTERNAL_SERVER_ERROR,
                    TEXT,
                    format!("{error}\n"),
                ),
            },
            "/healthz" => (StatusCode::OK, TEXT, "ok\n".to_owned()),
            "/readyz" => match self.0.process.unready() {
                None => (StatusCode::OK, TEXT, "ready\n".to_owned()),
                Some(why) => (StatusCode::SERVICE_UNAVAILABLE, TEXT, why.to_owned()),
            },
            _ => (
                StatusCode::NOT_FOUND,
                TEXT,
                "/metrics, /healthz or /readyz\n".to_owned(),
            ),
        }
    }
}

#[async_trait]
impl ServeHttp for Admin {
    async fn response(&self, session: &mut ServerSession) -> Response<Vec<u8>> {
        let request = session.req_header();
        let (status, kind, text) = self.answer(&request.method, request.uri.path());
        let mut response = Response::new(text.into_bytes());
        *response.status_mut() = status;
        let length = response.body().len();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, header::HeaderValue::from_static(kind));
        headers.insert(header::CONTENT_LENGTH, length.into());
        response
    }
}
