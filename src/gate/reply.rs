//! A store's response, as it is noted and as it goes on to the client.

use bytes::BufMut;
use http::StatusCode;

use super::{ids::RequestId, judge::known_sse, request::Ctx};
use crate::{
    audit::Reason,
    http1::{
        fields::{fields, first_line},
        response::{Framing, ResponseHead},
    },
    sse::headers::{CUSTOMER_ALGORITHM, SSE},
};

/// Notes what the audit line says of the response whose head is `raw`.
pub fn note(raw: &[u8], status: u16, ctx: &mut Ctx) {
    ctx.status = Some(status);
    // A response that is looked into before it goes on has been noted then.
    ctx.store_time = ctx
        .store_time
        .or_else(|| ctx.store_started.map(|t| t.elapsed()));
    let mut customer = false;
    for field in
        fields(raw).filter(|f| f.name.len() > 5 && f.name[..5].eq_ignore_ascii_case(b"x-amz"))
    {
        if field.is("x-amz-request-id") {
            ctx.store_request_id = std::str::from_utf8(field.value).ok().map(str::to_owned);
        } else if field.is(SSE) {
            ctx.sse_confirmed = std::str::from_utf8(field.value).ok().map(known_sse);
        } else if field.is(CUSTOMER_ALGORITHM) {
            customer = true;
        }
    }
    if ctx.sse_confirmed.is_none() && customer {
        ctx.sse_confirmed = Some("sse-c");
    }
    if ctx.reason == Some(Reason::Unconfirmed) {
        ctx.sse_confirmed = None;
    }
}

/// How a response goes on.
pub struct Reply<'a> {
    /// What its head says.
    pub head: &'a ResponseHead,
    /// Whether the client's connection is kept.
    pub keep: bool,
    /// Whether the client speaks HTTP/1.1.
    pub http11: bool,
    /// The id of a response to which the store gave none.
    pub request_id: &'a RequestId,
}

impl Reply<'_> {
    /// Appends the head `raw` to `out` as it goes on: byte for byte, but for the fields of the hop.
    pub fn write(&self, raw: &[u8], out: &mut impl BufMut) {
        out.put_slice(b"HTTP/1.1");
        if self.head.has_reason {
            out.put_slice(&first_line(raw).0[8..]);
        } else {
            // botocore cannot read a status line without a phrase.
            let reason = StatusCode::from_u16(self.head.status)
                .ok()
                .and_then(|s| s.canonical_reason());
            out.put_slice(&first_line(raw).0[8..12]);
            out.put_slice(b" ");
            out.put_slice(reason.unwrap_or("Unknown").as_bytes());
            out.put_slice(b"\r\n");
        }
        let mut named = false;
        let mut length = false;
        let bodiless = self.head.status == 204;
        let nominates = fields(raw).any(|field| field.is("connection"));
        for field in fields(raw) {
            let drop = match field.name.len() {
                // RFC 9110 section 8.6: never with 204. Sent twice, it goes on once.
                14 if field.is("content-length") => {
                    std::mem::replace(&mut length, true) || bodiless
                }
                17 if field.is("transfer-encoding") => bodiless || !self.http11,
                _ => field.is_hop_by_hop() || (nominates && is_nominated(raw, field.name)),
            };
            if drop {
                continue;
            }
            named |= field.is("x-amz-request-id");
            out.put_slice(field.line);
        }
        if self.head.framing == Framing::Close && self.http11 {
            // So that the client can tell a body that was cut off from one that ended.
            out.put_slice(b"Transfer-Encoding: chunked\r\n");
        }
        if !named {
            out.put_slice(b"x-amz-request-id: ");
            out.put_slice(self.request_id.as_str().as_bytes());
            out.put_slice(b"\r\n");
        }
        if !self.keep {
            out.put_slice(b"Connection: close\r\n");
        }
        out.put_slice(b"\r\n");
    }
}

/// Whether a `Connection` of the head `raw` names this field (RFC 9110 section 7.6.1).
fn is_nominated(raw: &[u8], name: &[u8]) -> bool {
    fields(raw)
        .filter(|field| field.name.len() == 10 && field.is("connection"))
        .flat_map(|field| field.value.split(|&b| b == b','))
        .any(|token| token.trim_ascii().eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::{gate::ids::Ids, http1::response::examine};

    fn sent_on(raw: &str, keep: bool, http11: bool) -> String {
        let head = examine(raw.as_bytes(), 4096, false).unwrap().unwrap();
        let request_id = Ids::default().next();
        let mut out = Vec::new();
        let reply = Reply {
            head: &head,
            keep,
            http11,
            request_id: &request_id,
        };
        reply.write(raw.as_bytes(), &mut out);
        String::from_utf8(out)
            .unwrap()
            .replace(request_id.as_str(), "ID")
    }

    #[test]
    fn a_response_goes_on_as_it_came() {
        let raw = "HTTP/1.1 404 Nothing Here\r\neTag: \"a\"\r\nX-Amz-Request-Id: R\r\nTransfer-Encoding: chunked\r\n\r\n";
        assert_eq!(sent_on(raw, true, true), raw);
    }

    #[test]
    fn it_gets_what_it_lacks_and_loses_what_is_between_two_hops() {
        let raw = "HTTP/1.0 200\r\nConnection: keep-alive\r\nKeep-Alive: timeout=5\r\nContent-Length: 0\r\n\r\n";
        assert_eq!(
            sent_on(raw, false, true),
            "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nx-amz-request-id: ID\r\nConnection: close\r\n\r\n"
        );
        let chunked =
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nx-amz-request-id: R\r\n\r\n";
        assert_eq!(
            sent_on(chunked, false, false),
            "HTTP/1.1 200 OK\r\nx-amz-request-id: R\r\nConnection: close\r\n\r\n"
        );
    }
}
