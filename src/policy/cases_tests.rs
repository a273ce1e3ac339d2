#![allow(clippy::unwrap_used)]
use super::*;

fn run(policy: &str, cases: &str) -> String {
    let text = format!(r#"{{"entries":[{{"id":"e","policy":{policy},"cases":[{cases}]}}]}}"#);
    CaseFile::parse(&text)
        .unwrap()
        .run(Multipart::Literal, DEFAULT_ACCOUNT)
        .to_string()
}

#[test]
fn differences_name_entry_and_case() {
    let policy = r#"{"Version":"2012-10-17","Statement":{"Sid":"Kms","Effect":"Deny","Principal":"*","Action":"s3:PutObject","Resource":"arn:aws:s3:::bucket/*","Condition":{"StringNotEquals":{"s3:x-amz-server-side-encryption":"aws:kms"}}}}"#;
    let out = run(
        policy,
        r#"{"name":"c","request":{"method":"PUT","path":"/bucket/k"},"expect":"N"},{"name":"d","request":{"method":"PUT","path":"/bucket/k"},"expect":"D"}"#,
    );
    assert_eq!(
        out,
        "e / c: expected N, got D (s3:PutObject on arn:aws:s3:::bucket/k: statement 1 (Kms): s3:x-amz-server-side-encryption is absent (StringNotEquals aws:kms); set `x-amz-server-side-encryption: aws:kms`)\n1 passed, 1 failed"
    );
}

#[test]
fn recorded_keys_and_short_forms() {
    let policy = r#"{"Statement":{"Effect":"Deny","Principal":"*","Action":"s3:*","Resource":"arn:aws:s3:::bucket/*","Condition":{"StringNotEquals":{"aws:SourceVpce":"vpce-1"}}}}"#;
    let cases = r#"{"name":"in","request":{"method":"GET","path":"/bucket/k","extra":{"aws:sourcevpce":"vpce-1"}},"expect":"N"},{"name":"out","request":{"method":"GET","path":"/bucket/k"},"expect":"D"}"#;
    assert_eq!(run(policy, cases), "2 passed, 0 failed");
    assert_eq!(
        run(
            r#"{"require":"aws:kms"}"#,
            r#"{"name":"c","request":{"method":"PUT","path":"/bucket/k"},"expect":"D"}"#
        ),
        "1 passed, 0 failed"
    );
}

#[test]
fn what_is_wrong_fails_its_case() {
    let typo = r#"{"Statement":{"Effect":"Deny","Principal":"*","Action":"s3:*","Resource":"arn:aws:s3:::bucket/*","Condition":{"Null":{"s3:x-amz-sse":"true"}}}}"#;
    let case = r#"{"name":"c","request":{"method":"GET","path":"/bucket/k"},"expect":"N"}"#;
    assert!(
        run(typo, case).contains("got an error") && run(typo, case).ends_with("0 passed, 1 failed")
    );
    assert!(run("{}", case).contains("Missing required field Statement"));
    assert!(CaseFile::parse(r#"{"entries":[{"id":"e","policy":{},"cases":[{"name":"c","request":{"method":"GET","path":"/b","heders":{}},"expect":"N"}]}]}"#).is_err());
}
