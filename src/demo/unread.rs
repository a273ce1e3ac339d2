//! Request bodies that the embedded store answers without reading them.
//!
//! hyper closes such a connection without a word in the response, and a client that keeps it sends its next request
//! into the close. So the rest is read where it is small; where it is not, the response says `Connection: close`.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, header};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use s3s::{HttpError, service::S3Service};
use tokio::time::timeout;

/// Bytes that are read and thrown away at most.
const MOST: u64 = 1024 * 1024;
/// How long a client may take to send them.
const WITHIN: Duration = Duration::from_secs(1);

/// Serves one request.
pub async fn serve(
    service: &S3Service,
    request: Request<Incoming>,
) -> Result<Response<s3s::Body>, HttpError> {
    // Reading would invite a body that the client waits to send.
    let waits = request.headers().contains_key(header::EXPECT);
    let (head, body) = request.into_parts();
    let body = Shared(Arc::new(Mutex::new((body, !waits))));
    let rest = body.clone();
    let request = Request::from_parts(head, s3s::Body::http_body(body));
    let mut response = service.call(request).await?;
    let is_read = async || {
        let read = timeout(WITHIN, rest.clone().read_to_its_end());
        rest.is_invited() && read.await.unwrap_or(false)
    };
    if !rest.is_end_stream() && !is_read().await {
        response
            .headers_mut()
            .insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    Ok(response)
}

/// A body that can still be read when the one who got it has dropped it; and whether its client sends it unasked, or
/// has been asked.
#[derive(Clone)]
struct Shared(Arc<Mutex<(Incoming, bool)>>);

impl Shared {
    fn with<T>(&self, use_it: impl FnOnce(&mut (Incoming, bool)) -> T) -> T {
        use_it(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn is_invited(&self) -> bool {
        self.with(|(_, invited)| *invited)
    }

    /// Reads what is left, within bounds; whether that was all.
    async fn read_to_its_end(mut self) -> bool {
        let mut left = MOST;
        while let Some(frame) = std::future::poll_fn(|cx| Pin::new(&mut self).poll_frame(cx)).await
        {
            let read = frame.map(|frame| frame.data_ref().map_or(0, Bytes::len) as u64);
            match read.map(|n| left.checked_sub(n)) {
                Ok(Some(rest)) => left = rest,
                Ok(None) | Err(_) => return false,
            }
        }
        true
    }
}

impl Body for Shared {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        self.with(|(body, invited)| {
            *invited = true;
            Pin::new(body).poll_frame(cx)
        })
    }

    fn is_end_stream(&self) -> bool {
        self.with(|(body, _)| body.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        self.with(|(body, _)| body.size_hint())
    }
}
