//! The head of an HTTP/2 request, written down as HTTP/1.1 (RFC 9113 section 8.3, RFC 9110 section 7.6).
//!
//! What is written is examined, parsed and decided like any head that came in HTTP/1, so that the versions cannot
//! differ in what they let in.

use bytes::{BufMut, BytesMut};
use http::{Method, header, request::Parts};

use crate::http1::head::HeadError;

/// Writes a request's head down; `bodiless`: its stream ended with the head.
///
/// # Errors
/// There is no HTTP/1.1 head that says the same.
pub fn write_down(parts: &Parts, bodiless: bool) -> Result<BytesMut, HeadError> {
    if parts.method == Method::CONNECT {
        return Err(HeadError::Method);
    }
    // Nothing but a path: an URL here would be a third place for the host.
    let target = parts
        .uri
        .path_and_query()
        .map(http::uri::PathAndQuery::as_str)
        .filter(|target| target.starts_with('/'))
        .ok_or(HeadError::Target)?;
    let authority = parts.uri.authority().map(http::uri::Authority::as_str);
    let mut out = BytesMut::with_capacity(512);
    for piece in [parts.method.as_str(), " ", target, " HTTP/1.1\r\n"] {
        out.put_slice(piece.as_bytes());
    }
    if let Some(authority) = authority {
        line(&mut out, b"host", authority.as_bytes());
    }
    let mut hosts = 0;
    let mut cookies: Vec<&[u8]> = Vec::new();
    for (name, value) in &parts.headers {
        let value = value.as_bytes();
        if name == header::COOKIE {
            cookies.push(value);
            continue;
        }
        if name == header::HOST {
            hosts += 1;
            if let Some(authority) = authority {
                if hosts > 1 {
                    return Err(HeadError::Host);
                }
                if !value.eq_ignore_ascii_case(authority.as_bytes()) {
                    return Err(HeadError::Authority);
                }
                continue;
            }
        }
        line(&mut out, name.as_str().as_bytes(), value);
    }
    if !cookies.is_empty() {
        // RFC 9113 section 8.2.3: the crumbs are one field outside of HTTP/2.
        line(&mut out, b"cookie", &cookies.join(&b"; "[..]));
    }
    if !parts.headers.contains_key(header::CONTENT_LENGTH) {
        if !bodiless {
            line(&mut out, b"transfer-encoding", b"chunked");
        } else if matches!(parts.method, Method::PUT | Method::POST) {
            // The end of the stream said so; HTTP/1 has no other way to.
            line(&mut out, b"content-length", b"0");
        }
    }
    out.put_slice(b"\r\n");
    Ok(out)
}

fn line(out: &mut BytesMut, name: &[u8], value: &[u8]) {
    for piece in [name, b": ", value, b"\r\n"] {
        out.put_slice(piece);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::http1::head::{Framing, HeadLimits, examine};

    const LIMITS: HeadLimits = HeadLimits {
        bytes: 65_536,
        fields: 200,
    };

    fn written(
        method: &str,
        uri: &str,
        fields: &[(&str, &str)],
        bodiless: bool,
    ) -> Result<String, HeadError> {
        let mut request = http::Request::builder().method(method).uri(uri);
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        let (parts, ()) = request.body(()).unwrap().into_parts();
        let head = write_down(&parts, bodiless)?;
        examine(&head, &LIMITS)?;
        Ok(String::from_utf8(head.to_vec()).unwrap())
    }

    #[test]
    fn a_head_is_written_down() {
        let fields = [
            ("x-amz-meta-a", "\u{e4} b"),
            ("cookie", "a=1"),
            ("content-length", "5"),
            ("cookie", "b=2"),
            ("expect", "100-continue"),
        ];
        assert_eq!(
            written("PUT", "http://h:1//b/../k%2F?x=%0a", &fields, false).unwrap(),
            "PUT //b/../k%2F?x=%0a HTTP/1.1\r\nhost: h:1\r\nx-amz-meta-a: \u{e4} b\r\ncontent-length: 5\r\nexpect: 100-continue\r\ncookie: a=1; b=2\r\n\r\n"
        );
    }

    #[test]
    fn a_body_without_a_length_is_chunked_and_none_is_none() {
        let framing = |method, fields: &[(&str, &str)], bodiless| {
            let head = written(method, "http://h/b/k", fields, bodiless).unwrap();
            examine(head.as_bytes(), &LIMITS).unwrap().unwrap().framing
        };
        assert_eq!(framing("PUT", &[], false), Framing::Chunked);
        assert_eq!(framing("PUT", &[], true), Framing::None);
        assert_eq!(framing("GET", &[], true), Framing::None);
        assert_eq!(
            framing("PUT", &[("content-length", "0")], false),
            Framing::None
        );
        assert_eq!(
            framing("PUT", &[("content-length", "7")], false),
            Framing::Length(7)
        );
        let put = written("PUT", "http://h/b/k", &[], true).unwrap();
        assert!(put.contains("content-length: 0\r\n"), "{put}");
        let get = written("GET", "http://h/b/k", &[], true).unwrap();
        assert!(!get.contains("content-length"), "{get}");
    }

    #[test]
    fn there_is_one_host() {
        let both = [("host", "H:1")];
        assert!(
            written("GET", "http://h:1/b", &both, true)
                .unwrap()
                .contains("host: h:1\r\n")
        );
        assert!(
            written("GET", "/b", &both, true)
                .unwrap()
                .contains("host: H:1\r\n")
        );
        for (uri, fields, error) in [
            ("http://h/b", &[("host", "other")][..], HeadError::Authority),
            (
                "http://h/b",
                &[("host", "h"), ("host", "h")],
                HeadError::Host,
            ),
            ("/b", &[("host", "h"), ("host", "h")], HeadError::Host),
            ("/b", &[], HeadError::Host),
        ] {
            assert_eq!(written("GET", uri, fields, true), Err(error), "{uri}");
        }
    }

    #[test]
    fn what_http1_refuses_is_refused() {
        for (method, uri, fields, error) in [
            ("CONNECT", "h:443", &[][..], HeadError::Method),
            ("OPTIONS", "*", &[("host", "h")], HeadError::Target),
            (
                "PUT",
                "http://h/b",
                &[("content-length", "1"), ("content-length", "1")],
                HeadError::Length,
            ),
            (
                "PUT",
                "http://h/b",
                &[("content-length", "1"), ("transfer-encoding", "chunked")],
                HeadError::LengthAndTransferEncoding,
            ),
            (
                "GET",
                "http://h/b",
                &[("connection", "x-amz-acl")],
                HeadError::Connection,
            ),
            (
                "PUT",
                "http://h/b",
                &[("expect", "100-continue"), ("expect", "100-continue")],
                HeadError::ExpectTwice,
            ),
        ] {
            assert_eq!(written(method, uri, fields, true), Err(error), "{uri}");
        }
    }
}
