#![allow(clippy::unwrap_used)]
use super::super::compiled::Policy;
use super::super::context::Multipart;
use super::super::request::Request;
use super::*;

fn policy(yaml: &str) -> Policy {
    let doc = ShortForm::parse(yaml).unwrap().expand().unwrap();
    // What is printed must load like any other file.
    Policy::load(&doc.to_json_pretty()).unwrap()
}

fn decide(policy: &Policy, target: &str, headers: &[(&str, &str)]) -> char {
    decide_over(policy, target, headers, Some("1.3"))
}

fn decide_over(policy: &Policy, target: &str, headers: &[(&str, &str)], tls: Option<&str>) -> char {
    let mut request = Request::new("PUT", target);
    request.headers = headers
        .iter()
        .map(|(n, v)| ((*n).to_owned(), (*v).to_owned()))
        .collect();
    request.tls = tls.map(str::to_owned);
    request
        .decide(policy, Multipart::Inherit, "111122223333")
        .unwrap()[0]
        .decision
        .outcome
        .letter()
}

const SSE: &str = "x-amz-server-side-encryption";
const KEY: &str = "x-amz-server-side-encryption-aws-kms-key-id";
const SSE_C: &str = "x-amz-server-side-encryption-customer-algorithm";

/// Decisions on: nothing, AES256, aws:kms, aws:kms:dsse, aes256, empty, SSE-C, SSE-C of another algorithm.
fn row(yaml: &str) -> String {
    let p = policy(yaml);
    let all: [&[(&str, &str)]; 8] = [
        &[],
        &[(SSE, "AES256")],
        &[(SSE, "aws:kms")],
        &[(SSE, "aws:kms:dsse")],
        &[(SSE, "aes256")],
        &[(SSE, "")],
        &[(SSE_C, "AES256")],
        &[(SSE_C, "AES192")],
    ];
    all.iter().map(|h| decide(&p, "/bucket/k", h)).collect()
}

#[test]
fn decisions() {
    for (yaml, expect) in [
        ("require: any", "DNNNDDND"),
        ("require: AES256", "DNDDDDDD"),
        ("require: aws:kms", "DDNDDDDD"),
        ("require: aws:kms:dsse", "DDDNDDDD"),
        ("require: sse-c", "DDDDDDND"),
        ("require: {sse: [aws:kms, AES256]}", "DNNDDDDD"),
        ("require: any\ndeny: [sse-c, AES256]", "DDNNDDDD"),
        ("deny: [sse-c]", "NNNNNNDD"),
        ("deny: aws:kms", "NNDNNNNN"),
        ("deny: [AES256, aws:kms:dsse]", "NDNDNNNN"),
    ] {
        assert_eq!(row(yaml), expect, "{yaml}");
    }
}

#[test]
fn keys_tls_and_scope() {
    let p = policy(
        "bucket: fin-*\nprefix: 'in*/'\nrequire: {sse: aws:kms, key_ids: [a, 'b*']}\ntls: 1.2",
    );
    assert_eq!(
        decide(&p, "/fin-1/in*/k", &[(SSE, "aws:kms"), (KEY, "a")]),
        'N'
    );
    assert_eq!(
        decide(&p, "/fin-1/in*/k", &[(SSE, "aws:kms"), (KEY, "bc")]),
        'D'
    );
    assert_eq!(decide(&p, "/fin-1/in*/k", &[(SSE, "aws:kms")]), 'D');
    assert_eq!(
        decide(&p, "/fin-1/inx/k", &[]),
        'N',
        "the prefix is literal"
    );
    assert_eq!(decide(&p, "/other/in*/k", &[]), 'N');
    for (tls, expect) in [(None, 'D'), (Some("1.1"), 'D'), (Some("1.2"), 'N')] {
        assert_eq!(
            decide_over(&p, "/fin-1/in*/k", &[(SSE, "aws:kms"), (KEY, "a")], tls),
            expect
        );
    }
}

#[test]
fn later_steps_of_uploads_pass() {
    for yaml in [
        "require: any",
        "require: aws:kms",
        "require: sse-c",
        "deny: [sse-c]",
        "require: {sse: aws:kms, key_ids: [a]}",
    ] {
        assert_eq!(
            decide(&policy(yaml), "/bucket/k?partNumber=1&uploadId=u", &[]),
            'N',
            "{yaml}"
        );
    }
    assert_eq!(
        decide(
            &policy("require: aws:kms\ndeny: [sse-c]"),
            "/bucket/k?partNumber=1&uploadId=u",
            &[(SSE_C, "AES256")]
        ),
        'D'
    );
}

#[test]
fn errors_say_what_to_write() {
    for (yaml, part) in [
        ("require: kms", "aws:kms"),
        ("require: ams:kms", "aws:kms"),
        ("tls: '2'", "1.2"),
        ("tsl: '1.2'", "tls"),
        ("require: {ssee: x}", "key_ids"),
        ("require: {sse: AES256, key_ids: [a]}", "aws:kms"),
        ("require: AES256\ndeny: [AES256]", "both"),
        ("{}", "require"),
        ("[]", "mapping"),
        ("require: {sse: [sse-c, AES256]}", "any"),
        ("bucket: a/b\nrequire: any", "bucket"),
        ("require: any\nrequire: any", "duplicate"),
    ] {
        let error = ShortForm::parse(yaml).unwrap_err().to_string();
        assert!(error.contains(part), "{yaml}: {error}");
    }
}
