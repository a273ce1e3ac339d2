#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::too_many_lines
)]

use super::*;
use crate::s3::Operation;

mod property;

const SSE: &str = "s3:x-amz-server-side-encryption";
const KEY: &str = "s3:x-amz-server-side-encryption-aws-kms-key-id";
const ARN: &str = "arn:aws:kms:us-east-1:111122223333:key/k";

fn policy(statements: &str) -> Policy {
    let text = format!("{{\"Version\":\"2012-10-17\",\"Statement\":[{statements}]}}");
    Policy::load(&text).unwrap_or_else(|issues| panic!("{text}: {issues}"))
}

fn deny(rest: &str) -> String {
    format!(
        "{{\"Effect\":\"Deny\",\"Principal\":\"*\",\"Action\":\"s3:PutObject\",\"Resource\":\"arn:aws:s3:::b/*\"{rest}}}"
    )
}

fn when(condition: &str) -> String {
    deny(&format!(",\"Condition\":{condition}"))
}

fn ask(statements: &[String], question: &Question) -> Verdict {
    prove(
        &policy(&statements.join(",")),
        question,
        &Options::default(),
    )
}

fn proved(statements: &[String], question: &Question) {
    let verdict = ask(statements, question);
    assert!(
        matches!(verdict, Verdict::Proved { .. }),
        "{statements:?}: {}",
        verdict.render(question, "p.json")
    );
}

fn refuted(statements: &[String], question: &Question) -> Request {
    match ask(statements, question) {
        Verdict::Counterexample(request) => *request,
        other => panic!("{statements:?}: {}", other.render(question, "p.json")),
    }
}

#[test]
fn the_documented_forms() {
    let two = [
        when(&format!("{{\"StringNotEquals\":{{\"{SSE}\":\"AES256\"}}}}")),
        when(&format!("{{\"Null\":{{\"{SSE}\":\"true\"}}}}")),
    ];
    proved(&two, &Question::Encryption);
    proved(&two[..1], &Question::Encryption);
    // A value that S3 does not know passes the policy, and is refused all the same: nothing is written.
    proved(&two[1..], &Question::Encryption);

    let wrong_only = when(&format!(
        "{{\"StringNotEquals\":{{\"{SSE}\":\"aws:kms\"}},\"Null\":{{\"{SSE}\":\"false\"}}}}"
    ));
    let request = refuted(&[wrong_only], &Question::Encryption);
    assert_eq!(
        (request.operation, request.headers.len()),
        (Operation::PutObject, 0)
    );
    assert_eq!(
        request.to_string(),
        "--method PUT --path /b/x --tls 1.3 --principal arn:aws:iam::111122223333:user/someone"
    );

    let hole = when(&format!(
        "{{\"StringNotEquals\":{{\"{SSE}\":\"AES256\"}},\"Bool\":{{\"s3:ObjectCreationOperation\":\"true\"}}}}"
    ));
    assert_eq!(
        refuted(&[hole], &Question::Encryption).operation,
        Operation::CreateMultipartUpload
    );
}

#[test]
fn keys() {
    let question = Question::KeyId(ARN.to_owned());
    let pitfall = when(&format!(
        "{{\"StringNotEquals\":{{\"{SSE}\":\"aws:kms\",\"{KEY}\":\"{ARN}\"}}}}"
    ));
    assert_eq!(
        refuted(&[pitfall], &question).header("x-amz-server-side-encryption"),
        Some("aws:kms")
    );
    let apart = [
        when(&format!(
            "{{\"StringNotEquals\":{{\"{SSE}\":\"aws:kms\"}}}}"
        )),
        when(&format!("{{\"StringNotEquals\":{{\"{KEY}\":\"{ARN}\"}}}}")),
    ];
    proved(&apart, &question);
    let like = [
        apart[0].clone(),
        when(&format!(
            "{{\"ArnNotLike\":{{\"{KEY}\":\"arn:aws:kms:*:111122223333:key/*\"}}}}"
        )),
    ];
    assert_ne!(
        refuted(&like, &question).header("x-amz-server-side-encryption-aws-kms-key-id"),
        Some(ARN)
    );
    proved(&like, &Question::Encryption);
}

#[test]
fn connections() {
    let secure = when("{\"Bool\":{\"aws:SecureTransport\":\"false\"}}");
    let version = when("{\"NumericLessThan\":{\"s3:TlsVersion\":\"1.2\"}}");
    let any = Question::Tls("1.0".to_owned());
    let new = Question::Tls("1.2".to_owned());
    proved(std::slice::from_ref(&secure), &any);
    assert_eq!(
        refuted(std::slice::from_ref(&secure), &new).tls,
        Some("1.1")
    );
    assert_eq!(refuted(std::slice::from_ref(&version), &new).tls, None);
    proved(&[secure, version], &new);
    // The key id that passes is valid only beside a header that the policy does not name.
    let key = when(&format!("{{\"StringNotEquals\":{{\"{KEY}\":\"{ARN}\"}}}}"));
    let request = refuted(&[key], &any);
    assert_eq!(request.tls, None);
    assert!(
        request
            .header("x-amz-server-side-encryption")
            .is_some_and(|sse| sse.starts_with("aws:kms"))
    );
}

#[test]
fn resources_principals_and_the_rest() {
    let null = format!("{{\"StringNotEquals\":{{\"{SSE}\":\"AES256\"}}}}");
    let part = when(&null).replace("b/*", "b/secure/*");
    assert!(
        !refuted(&[part], &Question::Encryption)
            .key
            .starts_with("secure/")
    );
    let spared = when(&null).replace("\"Principal\":\"*\"", "\"NotPrincipal\":{\"AWS\":[\"arn:aws:iam::111122223333:user/dave\",\"arn:aws:iam::111122223333:root\"]}");
    assert_eq!(
        refuted(&[spared], &Question::Encryption)
            .principal
            .unwrap()
            .arn(),
        "arn:aws:iam::111122223333:user/dave"
    );
    for (condition, flag) in [
        (
            "\"NotIpAddress\":{\"aws:SourceIp\":\"10.0.0.0/8\"}",
            "--source-ip",
        ),
        (
            "\"StringNotLike\":{\"aws:UserAgent\":\"*backup*\"}",
            "user-agent: backup",
        ),
        (
            "\"StringNotEquals\":{\"s3:RequestObjectTag/tier\":\"raw\"}",
            "x-amz-tagging: tier=",
        ),
        (
            "\"DateGreaterThan\":{\"aws:CurrentTime\":\"2026-01-01T00:00:00Z\"}",
            "--time 20",
        ),
        (
            "\"StringNotEquals\":{\"s3:x-amz-storage-class\":\"GLACIER\"}",
            "x-amz-storage-class: GLACIER",
        ),
        (
            "\"NumericGreaterThan\":{\"s3:signatureAge\":\"1000\"}",
            "--method PUT",
        ),
        (
            "\"StringEquals\":{\"s3:authType\":\"REST-HEADER\"}",
            "--auth-type",
        ),
        (
            "\"StringEquals\":{\"aws:PrincipalAccount\":\"111122223333\"}",
            "--method PUT",
        ),
        ("\"StringNotLike\":{\"aws:username\":\"a*\"}", "user/a"),
        (
            "\"ArnNotLike\":{\"aws:PrincipalArn\":\"arn:aws:iam::111122223333:role/*-job\"}",
            "-job",
        ),
    ] {
        let both = when(&format!(
            "{{\"StringNotEquals\":{{\"{SSE}\":\"AES256\"}},{}}}",
            condition.replace("\"StringNotEquals\":{", "\"StringNotEqualsIgnoreCase\":{")
        ));
        let request = refuted(&[both], &Question::Encryption);
        assert!(
            request.to_string().replace('\'', "").contains(flag),
            "{condition}: {request}"
        );
    }
    let all = deny("").replace("\"s3:PutObject\"", "\"s3:*\"");
    proved(&[all], &Question::Encryption);
}

#[test]
fn with_authorize_an_allow_is_needed() {
    let allow = "{\"Effect\":\"Allow\",\"Principal\":\"*\",\"Action\":\"s3:PutObject\",\"Resource\":\"arn:aws:s3:::b/*\",\"Condition\":{\"StringEquals\":{\"s3:x-amz-server-side-encryption\":\"AES256\"}}}";
    let policy = policy(allow);
    let options = Options {
        authorize: true,
        ..Options::default()
    };
    assert!(matches!(
        prove(&policy, &Question::Encryption, &options),
        Verdict::Proved { .. }
    ));
    assert!(matches!(
        prove(&policy, &Question::Encryption, &Options::default()),
        Verdict::Counterexample(_)
    ));
}

#[test]
fn what_cannot_be_walked_is_not_proved() {
    // Who has no name, and what is in nobody's home, gets through: that can be shown.
    let home = when(&format!("{{\"StringNotEquals\":{{\"{SSE}\":\"AES256\"}}}}"))
        .replace("b/*", "b/${aws:username}/*");
    refuted(&[home], &Question::Encryption);
    // That only what cannot be walked stands in the way of some cannot.
    let agent = when("{\"StringNotEquals\":{\"aws:UserAgent\":\"${aws:userid}\"}}");
    assert!(matches!(
        ask(&[agent], &Question::Encryption),
        Verdict::Unknown(_)
    ));
    let two = [when(&format!(
        "{{\"StringNotEquals\":{{\"{SSE}\":\"AES256\"}}}}"
    ))];
    let few = Options {
        max_evaluations: 3,
        ..Options::default()
    };
    assert!(matches!(
        prove(&policy(&two[0]), &Question::Encryption, &few),
        Verdict::Unknown(_)
    ));
}

/// What is in doubt by itself is left out: what the others settle is proved.
#[test]
fn a_deny_in_doubt_does_not_stand_in_the_way() {
    let null = when(&format!("{{\"Null\":{{\"{SSE}\":\"true\"}}}}"));
    let valid = when(&format!(
        "{{\"StringNotEquals\":{{\"{SSE}\":[\"AES256\",\"aws:kms\"]}}}}"
    ));
    let doubtful = [
        deny("").replace("b/*", "b/${aws:username}/*"),
        when("{\"StringNotEquals\":{\"aws:UserAgent\":\"${aws:username}\"}}"),
        when("{\"StringNotLike\":{\"aws:SourceIp\":\"10.*\"}}"),
        when("{\"StringEquals\":{\"s3:signatureAge\":\"5\"}}"),
        when(
            "{\"NumericGreaterThan\":{\"s3:object-lock-remaining-retention-days\":\"9\"},\"DateLessThan\":{\"aws:CurrentTime\":\"2026-01-01T00:00:00Z\"}}",
        ),
        when(
            "{\"StringLike\":{\"aws:username\":\"a*\"},\"ArnLike\":{\"aws:PrincipalArn\":\"arn:aws:iam::111122223333:user/x/*\"}}",
        ),
    ];
    for one in &doubtful {
        for order in [[&null, &valid, one], [one, &null, &valid]] {
            proved(&order.map(Clone::clone), &Question::Encryption);
        }
        // Without the one that settles it, what gets through is said.
        if !one.contains("UserAgent") && !one.contains("SourceIp") {
            let some = one.replace("b/*", "b/only/*");
            refuted(&[some], &Question::Encryption);
        }
    }
    // An Allow that says nothing is no doubt.
    let allow = deny("")
        .replace("Deny", "Allow")
        .replace("b/*", "b/${aws:username}/*");
    proved(
        &[allow.clone(), null.clone(), valid.clone()],
        &Question::Encryption,
    );
    // One that is needed may allow all: the Denies settle it alone, or it is not settled.
    let options = Options {
        authorize: true,
        ..Options::default()
    };
    let whole = policy(&[allow.clone(), null, valid].join(","));
    assert!(matches!(
        prove(&whole, &Question::Encryption, &options),
        Verdict::Proved { .. }
    ));
    assert!(!matches!(
        prove(&policy(&allow), &Question::Encryption, &options),
        Verdict::Proved { .. }
    ));
}

/// What is printed says all that the decision rested on.
#[test]
fn what_was_reckoned_from_the_time_is_replayed_at_it() {
    let days = when(&format!(
        "{{\"NumericLessThan\":{{\"s3:object-lock-remaining-retention-days\":\"10\"}},\"StringNotEquals\":{{\"{SSE}\":\"x\"}}}}"
    ));
    let none = when("{\"Null\":{\"s3:object-lock-remaining-retention-days\":\"true\"}}");
    let request = refuted(&[days, none], &Question::Encryption);
    let printed = request.to_string();
    assert!(
        printed.contains("retain-until-date") && printed.contains("--time 2026-01-01T00:00:00Z"),
        "{printed}"
    );
    let auth = when("{\"StringNotEquals\":{\"s3:authType\":\"POST\"}}");
    let form = refuted(&[auth], &Question::Encryption).to_string();
    assert!(form.contains("--auth-type POST"), "{form}");
}
