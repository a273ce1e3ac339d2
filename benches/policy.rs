//! What a decision costs: a 20-statement policy and the facts of a real request's head, with the allocations it makes.
//!
//! `cargo bench --no-default-features --bench policy`
#![allow(clippy::unwrap_used)]

use std::{fmt::Write as _, path::Path};

use divan::{AllocProfiler, Bencher, black_box};
use http::{HeaderMap, HeaderValue, Method};
use sealgate::config::Config;
use sealgate::decide::{Facts, Keeper};
use sealgate::policy::{
    BodyTags, Multipart, Outcome, Policy, Principal, RequestContext, Signing, Target,
};
use sealgate::s3::{Action, RequestHead, route};
use sealgate::sigv4::claim;
use sealgate::sse::SseRequest;

#[global_allocator]
static ALLOC: AllocProfiler = AllocProfiler::system();

fn main() {
    divan::main();
}

/// Twenty statements of the kinds that published policies have, all on the same bucket; the last one demands the key.
fn policy() -> Policy {
    let deny = |condition: &str, action: &str| {
        format!(
            r#"{{"Effect":"Deny","Principal":"*","Action":"{action}","Resource":["arn:aws:s3:::finance","arn:aws:s3:::finance/*"],"Condition":{condition}}}"#
        )
    };
    let mut list = vec![
        deny(r#"{"Bool":{"aws:SecureTransport":"false"}}"#, "s3:*"),
        deny(r#"{"NumericLessThan":{"s3:TlsVersion":"1.2"}}"#, "s3:*"),
        deny(
            r#"{"StringNotEquals":{"s3:signatureversion":"AWS4-HMAC-SHA256"}}"#,
            "s3:*",
        ),
        deny(
            r#"{"NumericGreaterThan":{"s3:signatureAge":"600000"}}"#,
            "s3:*",
        ),
        deny(
            r#"{"NotIpAddress":{"aws:SourceIp":["10.0.0.0/8","192.168.0.0/16","2001:db8::/32"]}}"#,
            "s3:*",
        ),
        deny(r#"{"StringLike":{"aws:UserAgent":"*curl*"}}"#, "s3:*"),
        deny(
            r#"{"ArnNotLike":{"aws:PrincipalArn":"arn:aws:iam::111122223333:user/*"}}"#,
            "s3:*",
        ),
        deny(
            r#"{"Null":{"s3:x-amz-server-side-encryption":"true"}}"#,
            "s3:PutObject",
        ),
        deny(
            r#"{"Null":{"s3:x-amz-server-side-encryption-customer-algorithm":"false"}}"#,
            "s3:PutObject",
        ),
        deny(
            r#"{"StringNotEquals":{"s3:x-amz-server-side-encryption":"aws:kms"}}"#,
            "s3:PutObject",
        ),
        deny(
            r#"{"StringEquals":{"s3:x-amz-acl":["public-read","public-read-write"]}}"#,
            "s3:PutObject",
        ),
        deny(
            r#"{"Null":{"s3:x-amz-grant-full-control":"false"}}"#,
            "s3:PutObject",
        ),
        deny(
            r#"{"StringEquals":{"s3:x-amz-content-sha256":"UNSIGNED-PAYLOAD"}}"#,
            "s3:*",
        ),
    ];
    for i in 0..6 {
        list.push(format!(
            r#"{{"Effect":"Deny","Principal":{{"AWS":"arn:aws:iam::111122223333:user/app"}},"Action":["s3:PutObject","s3:DeleteObject"],"Resource":"arn:aws:s3:::finance/locked-{i}/*"}}"#
        ));
    }
    list.push(deny(
        r#"{"StringNotEquals":{"s3:x-amz-server-side-encryption-aws-kms-key-id":"arn:aws:kms:us-east-1:111122223333:key/k"}}"#,
        "s3:PutObject",
    ));
    let mut text = String::new();
    write!(
        text,
        r#"{{"Version":"2012-10-17","Statement":[{}]}}"#,
        list.join(",")
    )
    .unwrap();
    let policy = Policy::load(&text).unwrap();
    assert_eq!(policy.document().statements.len(), 20);
    policy
}

fn decide(bencher: Bencher, sse: Option<&'static str>, expect: Outcome) {
    let policy = policy();
    let mut headers = HeaderMap::new();
    for (name, value) in [
        ("host", "s3.example.test"),
        ("user-agent", "aws-cli/2.36.7"),
        ("content-length", "4096"),
        ("content-type", "application/octet-stream"),
        ("x-amz-date", "20261124T000000Z"),
        (
            "x-amz-content-sha256",
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        ),
        (
            "x-amz-server-side-encryption-aws-kms-key-id",
            "arn:aws:kms:us-east-1:111122223333:key/k",
        ),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if let Some(sse) = sse {
        headers.insert(
            "x-amz-server-side-encryption",
            HeaderValue::from_static(sse),
        );
    }
    let head = RequestHead {
        method: &Method::PUT,
        target: b"/finance/2026/11/report.parquet",
        host: Some("s3.example.test"),
        headers: &headers,
    };
    let routed = route(&head, &[]).unwrap();
    let principal = Principal::parse("arn:aws:iam::111122223333:user/app").unwrap();
    let context = RequestContext {
        head: &head,
        routed: &routed,
        signing: Signing {
            auth_type: Some("REST-HEADER"),
            version: Some("AWS4-HMAC-SHA256"),
            age_ms: None,
        },
        ip: Some("10.1.2.3".parse().unwrap()),
        tls: Some("1.3"),
        principal: Some(&principal),
        now_ms: 1_795_478_400_000,
        account: "111122223333",
        multipart: Multipart::Inherit,
        form: None,
        tags: BodyTags::Unread,
    };
    let target = Target::Object("finance", b"2026/11/report.parquet");
    assert_eq!(
        policy.decide(Action::PutObject, target, &context).outcome,
        expect
    );
    bencher.bench_local(|| {
        policy.decide(
            black_box(Action::PutObject),
            black_box(target),
            black_box(&context),
        )
    });
}

/// The header is missing: the eighth statement denies.
#[divan::bench(sample_size = 1000)]
fn deny(bencher: Bencher) {
    decide(bencher, None, Outcome::Denied);
}

/// All is well: every statement is looked at, none fires.
#[divan::bench(sample_size = 1000)]
fn no_match(bencher: Bencher) {
    decide(bencher, Some("aws:kms"), Outcome::NoMatch);
}

/// Whether an admitted PUT must be confirmed by the store: `require: any`, asked once more without the header.
#[divan::bench(sample_size = 1000)]
fn demand(bencher: Bencher) {
    let text = "listen: [{address: 127.0.0.1:1}]\nstore: {endpoint: http://127.0.0.1:2}\nrules: [{bucket: finance, require: any}]\n";
    let (config, _) = Config::parse(Path::new("bench.yaml"), text, &|_| None).unwrap();
    let keeper = Keeper::new(&config);
    let mut headers = HeaderMap::new();
    for (name, value) in [
        ("host", "s3.example.test"),
        ("user-agent", "aws-cli/2.36.7"),
        ("content-length", "4096"),
        ("x-amz-date", "20261124T000000Z"),
        ("x-amz-content-sha256", "UNSIGNED-PAYLOAD"),
        ("x-amz-server-side-encryption", "AES256"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    let head = RequestHead {
        method: &Method::PUT,
        target: b"/finance/2026/11/report.parquet",
        host: Some("s3.example.test"),
        headers: &headers,
    };
    let routed = route(&head, &[]).unwrap();
    let claimed = claim(&routed, &head).unwrap();
    let facts = Facts {
        head: &head,
        routed: &routed,
        claim: &claimed,
        principal: None,
        ip: "10.1.2.3".parse().unwrap(),
        tls: Some("1.3"),
        now_ms: 1_795_478_400_000,
        form: None,
        tags: BodyTags::Unread,
    };
    let asked = SseRequest::of(&routed, &head);
    assert!(keeper.demand(&facts, &asked, None).is_some());
    bencher.bench_local(|| keeper.demand(black_box(&facts), black_box(&asked), None));
}
