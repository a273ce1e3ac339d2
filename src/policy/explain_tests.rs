#![allow(clippy::unwrap_used)]
use super::super::evaluate::Target;
use super::*;
use crate::policy::{Principal, Value};

struct One(Key, Found<'static>);

impl Context for One {
    fn value(&self, _: Action, key: &Key) -> Found<'_> {
        if *key == self.0 {
            self.1.clone()
        } else {
            Found::Absent
        }
    }

    fn principal(&self) -> Option<&Principal> {
        None
    }

    fn account(&self) -> &'static str {
        ""
    }
}

fn why(conditions: &[&str], context: &One) -> String {
    let statements: Vec<String> = conditions
        .iter()
        .enumerate()
        .map(|(i, c)| format!(r#"{{"Sid":"S{i}","Effect":"Deny","Principal":"*","Action":"s3:PutObject","Resource":"arn:aws:s3:::b/*","Condition":{c}}}"#))
        .collect();
    let policy = Policy::load(&format!(
        r#"{{"Version":"2012-10-17","Statement":[{}]}}"#,
        statements.join(",")
    ))
    .unwrap();
    let decision = policy.decide(Action::PutObject, Target::Object("b", b"k"), context);
    policy
        .explain(&decision, Action::PutObject, context)
        .to_string()
}

#[test]
fn words() {
    let none = || One(Key::Acl, Found::Absent);
    let kms = r#"{"StringNotEquals":{"s3:x-amz-server-side-encryption":"aws:kms"}}"#;
    assert_eq!(
        why(&[kms], &none()),
        "statement 1 (S0): s3:x-amz-server-side-encryption is absent (StringNotEquals aws:kms); set `x-amz-server-side-encryption: aws:kms`"
    );
    assert!(
        why(
            &[
                r#"{"Null":{"s3:x-amz-server-side-encryption":"true"}}"#,
                kms
            ],
            &none()
        )
        .ends_with("set `x-amz-server-side-encryption: aws:kms`")
    );
    assert!(
        why(
            &[r#"{"Null":{"s3:x-amz-server-side-encryption":"true"}}"#],
            &none()
        )
        .ends_with(
            "set `x-amz-server-side-encryption: AES256` or `x-amz-server-side-encryption: aws:kms`"
        )
    );
    let ssec = One(Key::SseCustomerAlgorithm, Found::One("AES256".into()));
    assert!(
        why(&[r#"{"Null":{"s3:x-amz-server-side-encryption-customer-algorithm":"false"}}"#], &ssec)
            .ends_with("is `AES256` (Null false); leave out the header `x-amz-server-side-encryption-customer-algorithm`")
    );
    let http = One(Key::SecureTransport, Found::One(Value::Bool(false)));
    assert!(
        why(&[r#"{"Bool":{"aws:SecureTransport":"false"}}"#], &http)
            .ends_with("aws:SecureTransport is `false` (Bool false); use HTTPS")
    );
    assert_eq!(why(&["{}"], &none()), "statement 1 (S0)");
    assert_eq!(
        why(&[r#"{"StringEquals":{"s3:x-amz-acl":"x"}}"#], &none()),
        "no statement matches"
    );
}
