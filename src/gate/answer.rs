//! What Sealgate answers by itself.

use std::{
    cell::RefCell,
    time::{SystemTime, UNIX_EPOCH},
};

use http::Method;

use super::ids::{Ids, RequestId};
use crate::{
    audit::{Decision, Reason},
    s3::{ErrorCode, S3Error},
};

/// An answer that does not come from the store.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The S3 error code, where it is an error.
    pub code: Option<&'static str>,
    /// What is said of it in the audit line.
    pub decision: Decision,
    /// Why.
    pub reason: Reason,
    body: Body,
    /// For people, in the audit line.
    pub error: Option<String>,
}

#[derive(Debug)]
enum Body {
    Error(S3Error),
    Document(String),
}

impl Answer {
    /// An error of S3's.
    #[must_use]
    pub fn error(error: S3Error, decision: Decision, reason: Reason) -> Self {
        Self {
            status: error.status().as_u16(),
            code: Some(error.code.as_str()),
            decision,
            reason,
            error: Some(error.message.clone().into_owned()),
            body: Body::Error(error),
        }
    }

    /// The same to the client, and with its cause in the audit line.
    #[must_use]
    pub fn because(mut self, cause: String) -> Self {
        self.error = Some(cause);
        self
    }

    /// A document with status 200, as `DeleteObjects` answers even where it refuses.
    #[must_use]
    pub fn document(xml: String, decision: Decision, reason: Reason) -> Self {
        Self {
            status: 200,
            code: None,
            decision,
            reason,
            error: None,
            body: Body::Document(xml),
        }
    }

    /// What is answered in the place of an answer whose audit line could not be written.
    #[must_use]
    pub fn unrecorded() -> Self {
        let error = S3Error::new(
            ErrorCode::ServiceUnavailable,
            "Audit lines cannot be written, so no request is served. Please try again; the operator finds the cause in the log.",
        );
        Self::error(error, Decision::Error, Reason::Audit)
    }

    /// The answer as the client of this request gets it.
    #[must_use]
    pub fn render(&self, ids: &Ids, id: &RequestId) -> Rendered {
        let host_id = ids.host_id(id);
        let body = match &self.body {
            Body::Error(error) => error.to_xml(id.as_str(), &host_id),
            Body::Document(xml) => xml.clone(),
        };
        Rendered {
            status: self.status,
            id: *id,
            host_id,
            body,
        }
    }
}

/// An answer, written out.
#[derive(Debug)]
pub struct Rendered {
    status: u16,
    id: RequestId,
    host_id: String,
    body: String,
}

impl Rendered {
    /// Bytes of the body.
    #[must_use]
    pub fn body_bytes(&self) -> u64 {
        self.body.len() as u64
    }

    /// The whole answer as bytes.
    #[must_use]
    pub fn to_bytes(&self, method: &Method, keep: bool) -> Vec<u8> {
        let reason = http::StatusCode::from_u16(self.status)
            .ok()
            .and_then(|s| s.canonical_reason())
            .unwrap_or("Error");
        let mut out = Vec::with_capacity(320 + self.body.len());
        let mut put = |text: &str| out.extend_from_slice(text.as_bytes());
        let mut number = itoa::Buffer::new();
        put("HTTP/1.1 ");
        put(number.format(self.status));
        put(" ");
        put(reason);
        put("\r\nx-amz-request-id: ");
        put(self.id.as_str());
        put("\r\nx-amz-id-2: ");
        put(&self.host_id);
        put("\r\nContent-Type: application/xml\r\nDate: ");
        date(&mut put);
        put(if keep {
            "\r\nConnection: keep-alive\r\n"
        } else {
            "\r\nConnection: close\r\n"
        });
        if *method == Method::HEAD {
            put("\r\n");
        } else {
            put("Content-Length: ");
            put(number.format(self.body.len()));
            put("\r\n\r\n");
            put(&self.body);
        }
        out
    }
}

/// The time as RFC 9110 section 5.6.7 has it, formatted once a second.
fn date(put: &mut impl FnMut(&str)) {
    thread_local! {
        static CACHED: RefCell<(u64, String)> = const { RefCell::new((0, String::new())) };
    }
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |d| d.as_secs());
    CACHED.with_borrow_mut(|(at, text)| {
        if *at != now || text.is_empty() {
            *at = now;
            *text = jiff::Timestamp::from_second(i64::try_from(now).unwrap_or_default())
                .unwrap_or_default()
                .strftime("%a, %d %b %Y %H:%M:%S GMT")
                .to_string();
        }
        put(text);
    });
}
