#![allow(clippy::unwrap_used)]
use super::*;

const LIMITS: HeadLimits = HeadLimits {
    bytes: 1024,
    fields: 8,
};

fn whole(text: &str) -> Result<Head, HeadError> {
    examine(text.as_bytes(), &LIMITS).map(Option::unwrap)
}

#[test]
fn a_plain_put() {
    let text =
        "PUT /b/k HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nExpect: 100-Continue\r\n\r\nhello";
    let head = whole(text).unwrap();
    assert_eq!(head.len, text.len() - 5);
    assert_eq!(head.framing, Framing::Length(5));
    assert_eq!(head.expect, Expectation::Continue);
    assert!(head.http11);
}

#[test]
fn every_prefix_is_incomplete() {
    let text = b"\r\nPUT /b/k HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n";
    for n in 0..text.len() {
        assert_eq!(examine(&text[..n], &LIMITS), Ok(None), "{n}");
    }
    let head = examine(text, &LIMITS).unwrap().unwrap();
    assert_eq!((head.skip, head.framing), (2, Framing::Chunked));
}

#[test]
fn what_can_be_read_in_two_ways_is_refused() {
    use HeadError::*;
    let cases = [
        ("GET / HTTP/1.1\nHost: h\n\n", BareLf),
        ("GET / HTTP/1.1\r\nHost: h\nX: y\r\n\r\n", BareLf),
        ("GET / HTTP/1.1\r\nHost: h\r\nX: a\rb\r\n\r\n", Control),
        ("GET / HTTP/1.1\r\nHost: h\r\nX: a\0b\r\n\r\n", Control),
        ("GET /\x01 HTTP/1.1\r\nHost: h\r\n\r\n", Control),
        ("GET / HTTP/1.1\r\nHost : h\r\n\r\n", FieldName),
        ("GET / HTTP/1.1\r\nHost: h\r\nnocolon\r\n\r\n", FieldName),
        ("GET / HTTP/1.1\r\nHost: h\r\n: v\r\n\r\n", FieldName),
        ("GET / HTTP/1.1\r\nHost: h\r\nX: a\r\n b\r\n\r\n", Folded),
        ("GET / HTTP/1.1\r\n\tHost: h\r\n\r\n", Folded),
        ("GET / HTTP/1.1\r\n\r\n", Host),
        ("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", Host),
        ("GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n", Host),
        ("GET  / HTTP/1.1\r\nHost: a\r\n\r\n", RequestLine),
        ("GET / HTTP/1.1 \r\nHost: a\r\n\r\n", RequestLine),
        ("GET / x HTTP/1.1\r\nHost: a\r\n\r\n", RequestLine),
        ("GET /\r\nHost: a\r\n\r\n", RequestLine),
        ("G(T / HTTP/1.1\r\nHost: a\r\n\r\n", RequestLine),
        ("GET / HTTP/2.0\r\nHost: a\r\n\r\n", Version),
        ("GET / http/1.1\r\nHost: a\r\n\r\n", RequestLine),
        ("GET /#x HTTP/1.1\r\nHost: a\r\n\r\n", Target),
        ("GET /a<b HTTP/1.1\r\nHost: a\r\n\r\n", Target),
        ("GET /a`b HTTP/1.1\r\nHost: a\r\n\r\n", Target),
        ("GET a/b HTTP/1.1\r\nHost: a\r\n\r\n", Target),
        ("GET * HTTP/1.1\r\nHost: a\r\n\r\n", Target),
        ("GET HTTP://a/b HTTP/1.1\r\nHost: a\r\n\r\n", Target),
        ("GET http:///b HTTP/1.1\r\nHost: a\r\n\r\n", Target),
        ("GET ftp://a/b HTTP/1.1\r\nHost: a\r\n\r\n", Target),
        ("CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n", Method),
        (
            "GET / HTTP/1.1\r\nHost: a\r\nConnection: close, Host\r\n\r\n",
            Connection,
        ),
        (
            "GET / HTTP/1.1\r\nHost: a\r\nconnection: x-amz-acl\r\n\r\n",
            Connection,
        ),
        ("\r\n\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", RequestLine),
    ];
    for (text, error) in cases {
        assert_eq!(examine(text.as_bytes(), &LIMITS), Err(error), "{text:?}");
    }
}

#[test]
fn targets_and_connections_that_pass() {
    for target in [
        "/",
        "//b/k?x",
        "/a|b^c\\d{e}\"f",
        "/\u{fc}",
        "http://a/b",
        "https://a:1?x",
    ] {
        let text = format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n");
        assert!(whole(&text).is_ok(), "{target}");
    }
    for value in [
        "close",
        "Keep-Alive",
        "Upgrade, HTTP2-Settings",
        "TE,close,",
        "",
    ] {
        let text = format!("GET / HTTP/1.1\r\nHost: a\r\nConnection: {value}\r\n\r\n");
        assert!(whole(&text).is_ok(), "{value}");
    }
    let latin = b"GET /\xfc HTTP/1.1\r\nHost: a\r\n\r\n";
    assert_eq!(examine(latin, &LIMITS), Err(HeadError::Target));
    let long = format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "k".repeat(66_000));
    let limits = HeadLimits {
        bytes: 100_000,
        fields: 8,
    };
    assert_eq!(examine(long.as_bytes(), &limits), Err(HeadError::Target));
}

#[test]
fn framing_has_one_reading() {
    use HeadError::*;
    let cases = [
        ("Content-Length: 5\r\nContent-Length: 5", Length),
        ("Content-Length: 5\r\nContent-Length: 6", Length),
        ("Content-Length: 5, 5", Length),
        ("Content-Length: +5", Length),
        ("Content-Length: -5", Length),
        ("Content-Length: 0x5", Length),
        ("Content-Length: ", Length),
        ("Content-Length: 99999999999999999999", Length),
        ("Content-Length: 9223372036854775808", Length),
        (
            "Content-Length: 5\r\nTransfer-Encoding: chunked",
            LengthAndTransferEncoding,
        ),
        (
            "Transfer-Encoding: chunked\r\nContent-Length: 0",
            LengthAndTransferEncoding,
        ),
        ("Transfer-Encoding: gzip, chunked", TransferEncoding),
        ("Transfer-Encoding: identity", TransferEncoding),
        (
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
            TransferEncoding,
        ),
        ("Transfer-Encoding: xchunked", TransferEncoding),
        ("Transfer-Encoding: ", TransferEncoding),
        ("Expect: 100-continue\r\nExpect: 100-continue", ExpectTwice),
    ];
    for (fields, error) in cases {
        let text = format!("PUT / HTTP/1.1\r\nHost: h\r\n{fields}\r\n\r\n");
        assert_eq!(examine(text.as_bytes(), &LIMITS), Err(error), "{fields:?}");
    }
    let text = "PUT / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n";
    assert_eq!(examine(text.as_bytes(), &LIMITS), Err(TransferEncoding));
    let text = "PUT / HTTP/1.0\r\nContent-Length: 0\r\nExpect: 100-continue\r\n\r\n";
    let head = whole(text).unwrap();
    assert_eq!(
        (head.framing, head.expect),
        (Framing::None, Expectation::None)
    );
}

#[test]
fn limits_hold() {
    let many = format!("GET / HTTP/1.1\r\nHost: h\r\n{}\r\n", "a: b\r\n".repeat(8));
    assert_eq!(
        examine(many.as_bytes(), &LIMITS),
        Err(HeadError::TooManyFields(8))
    );
    let long = format!("GET / HTTP/1.1\r\nHost: h\r\na: {}", "x".repeat(1024));
    assert_eq!(
        examine(long.as_bytes(), &LIMITS),
        Err(HeadError::TooLarge(1024))
    );
    let exact = format!(
        "GET / HTTP/1.1\r\nHost: h\r\na: {}\r\n\r\n",
        "x".repeat(1024 - 32)
    );
    assert_eq!(exact.len(), 1024);
    assert!(examine(exact.as_bytes(), &LIMITS).unwrap().is_some());
    let above = format!(
        "GET / HTTP/1.1\r\nHost: h\r\na: {}\r\n\r\n",
        "x".repeat(1024 - 31)
    );
    assert_eq!(
        examine(above.as_bytes(), &LIMITS),
        Err(HeadError::TooLarge(1024))
    );
}

proptest::proptest! {
    #[test]
    fn never_panics(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..300)) {
        let _ = examine(&bytes, &LIMITS);
    }
}
