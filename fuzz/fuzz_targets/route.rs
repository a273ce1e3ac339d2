//! Whatever comes in: routing, actions, encryption headers and claims do not panic, and what is recognised holds together.
//!
//! Input: a line each for method, target and host, then header lines `name:value`.
#![no_main]

use http::{HeaderMap, HeaderName, HeaderValue, Method};
use libfuzzer_sys::fuzz_target;
use sealgate::s3::query::encode;
use sealgate::s3::{Operation, RequestHead, S3Error, actions, address, route};
use sealgate::sigv4::claim;
use sealgate::sse::{Channel, SseRequest, validate};

fuzz_target!(|input: &[u8]| {
    let mut lines = input.split(|&byte| byte == b'\n');
    let Some(Ok(method)) = lines.next().map(Method::from_bytes) else {
        return;
    };
    let target = lines.next().unwrap_or_default();
    let host = lines
        .next()
        .and_then(|line| std::str::from_utf8(line).ok())
        .filter(|host| !host.is_empty());
    let mut headers = HeaderMap::new();
    for line in lines {
        let Some(at) = line.iter().position(|&byte| byte == b':') else {
            continue;
        };
        if let (Ok(name), Ok(value)) = (
            HeaderName::from_bytes(&line[..at]),
            HeaderValue::from_bytes(&line[at + 1..]),
        ) {
            headers.append(name, value);
        }
    }
    let domains = ["s3.example.test".to_owned()];
    let head = RequestHead {
        method: &method,
        target,
        host,
        headers: &headers,
    };
    let routed = match route(&head, &domains) {
        Ok(routed) => routed,
        Err(error) => {
            let error = S3Error::from(error);
            assert!(error.status().as_u16() >= 400);
            let _ = error.to_xml("id", "host");
            return;
        }
    };
    assert_eq!(
        actions(&routed, &head).is_empty(),
        routed.operation == Operation::CorsPreflight
    );
    let channel = Channel {
        tls: true,
        allow_plain_http: false,
        kms_needs_v4: false,
        signed_v4: false,
    };
    let _ = validate(routed.operation, &SseRequest::of(&routed, &head), channel);
    let _ = claim(&routed, &head);

    // The same bucket and key, written as a client would, are the same bucket and key.
    let (Some(bucket), Some(key)) = (&routed.bucket, &routed.key) else {
        return;
    };
    assert!(address::check_bucket(bucket.as_bytes()).is_ok() && address::check_key(key).is_ok());
    let plain = format!("/{bucket}/{}", encode(key, true));
    let again = RequestHead {
        method: &Method::GET,
        target: plain.as_bytes(),
        host: None,
        headers: &HeaderMap::new(),
    };
    let again = route(&again, &[]).map(|again| {
        (
            again.bucket.map(|b| b.into_owned()),
            again.key.map(|k| k.into_owned()),
        )
    });
    assert_eq!(
        again,
        Ok((
            Some(bucket.clone().into_owned()),
            Some(key.clone().into_owned())
        ))
    );
});
