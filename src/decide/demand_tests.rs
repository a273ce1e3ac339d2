#![allow(clippy::unwrap_used, clippy::expect_used)]

use super::*;
use crate::decide::tests::{Request, keeper};

const S3: (&str, &str) = ("x-amz-server-side-encryption", "AES256");
const KMS: (&str, &str) = ("x-amz-server-side-encryption", "aws:kms");
const CUSTOMER: (&str, &str) = ("x-amz-server-side-encryption-customer-algorithm", "AES256");
const SOURCE: (&str, &str) = ("x-amz-copy-source", "/b/other");

/// The demand on a request in short: what is wanted, and what becomes of it otherwise.
fn demand(keeper: &Keeper, line: &str, headers: &[(&str, &str)]) -> String {
    let request = Request {
        line,
        headers,
        tls: Some("1.3"),
        ..Request::default()
    };
    request.ask(keeper, |keeper, facts| {
        let asked = SseRequest::of(facts.routed, facts.head);
        told(keeper.demand(facts, &asked, None))
    })
}

fn told(demand: Option<Demand>) -> String {
    let Some(demand) = demand else {
        return "-".to_owned();
    };
    let wanted = match demand.wanted {
        Wanted::Managed { kind, key_id: None } => kind.as_str().to_owned(),
        Wanted::Managed {
            kind,
            key_id: Some(key),
        } => format!("{} {key}", kind.as_str()),
        Wanted::Customer { .. } => "sse-c".to_owned(),
        Wanted::OneOf(kinds) => Kind::ALL
            .into_iter()
            .filter(|kind| kinds.has(*kind))
            .map(Kind::as_str)
            .collect::<Vec<_>>()
            .join("|"),
    };
    format!("{wanted}, {:?}", demand.unconfirmed)
}

#[test]
fn what_is_demanded_must_be_confirmed() {
    let keeper = keeper(
        "unconfirmed: delete\nrules:\n- {bucket: any, require: any}\n- {bucket: kms, require: 'aws:kms', unconfirmed: report}\n\
         - {bucket: open}\n- {bucket: tls, tls: '1.2'}\n- {bucket: no-c, deny: [sse-c]}\n- {bucket: told, require: any, mode: report}\n\
         - {bucket: part, prefix: x/, require: any}\n- {bucket: part}\n",
    );
    let every = "AES256|aws:kms|aws:kms:dsse|sse-c, Delete";
    for (line, headers, expect) in [
        ("PUT /any/k", &[S3][..], "AES256, Delete"),
        ("PUT /any/k", &[KMS], "aws:kms, Delete"),
        (
            "PUT /any/k",
            &[KMS, ("x-amz-server-side-encryption-aws-kms-key-id", "main")],
            "aws:kms main, Delete",
        ),
        ("PUT /any/k", &[CUSTOMER], "sse-c, Delete"),
        ("PUT /any/k", &[S3, SOURCE], "AES256, Delete"),
        ("POST /any/k?uploads", &[S3], "AES256, Delete"),
        ("PUT /any/k?partNumber=1&uploadId=u", &[], every),
        ("PUT /any/k?partNumber=1&uploadId=u", &[SOURCE], every),
        (
            "PUT /any/k?partNumber=1&uploadId=u",
            &[CUSTOMER],
            "sse-c, Delete",
        ),
        ("POST /any/k?uploadId=u", &[], every),
        ("PUT /kms/k", &[KMS], "aws:kms, Report"),
        ("POST /kms/k?uploadId=u", &[], "aws:kms, Report"),
        ("PUT /part/x/k", &[S3], "AES256, Delete"),
        // Nothing is written, nothing is demanded, or it is only reported.
        ("GET /any/k", &[], "-"),
        ("DELETE /any/k", &[], "-"),
        ("PUT /any/k?tagging", &[], "-"),
        ("POST /any?delete", &[], "-"),
        ("PUT /open/k", &[S3], "-"),
        ("PUT /tls/k", &[S3], "-"),
        ("PUT /no-c/k", &[S3], "-"),
        ("POST /no-c/k?uploadId=u", &[], "-"),
        ("PUT /told/k", &[S3], "-"),
        ("PUT /part/k", &[S3], "-"),
        ("PUT /elsewhere/k", &[S3], "-"),
    ] {
        assert_eq!(demand(&keeper, line, headers), expect, "{line} {headers:?}");
    }
}

#[test]
fn a_form_is_asked_by_its_fields() {
    let keeper = keeper("rules:\n- {bucket: any, require: any}\n");
    for (fields, expect) in [(&[S3][..], "AES256, Fail"), (&[KMS], "aws:kms, Fail")] {
        let request = Request {
            line: "POST /any",
            headers: &[("content-type", "multipart/form-data; boundary=x")],
            form: Some(fields),
            ..Request::default()
        };
        let got = request.ask(&keeper, |keeper, facts| {
            let asked = SseRequest::of_form(facts.form.unwrap()).unwrap();
            told(keeper.demand(facts, &asked, Some(b"k")))
        });
        assert_eq!(got, expect);
    }
}

fn policy(conditions: &[&str]) -> Keeper {
    let statements: Vec<_> = conditions
        .iter()
        .map(|condition| {
            format!(
                "{{\"Effect\":\"Deny\",\"Principal\":\"*\",\"Action\":\"s3:PutObject\",\"Resource\":\"arn:aws:s3:::b/*\",\"Condition\":{condition}}}"
            )
        })
        .collect();
    keeper(&format!(
        "rules:\n- bucket: b\n  policy: {{\"Version\":\"2012-10-17\",\"Statement\":[{}]}}\n",
        statements.join(",")
    ))
}

const PART: &str = "PUT /b/k?partNumber=1&uploadId=u";

#[test]
fn policies_demand_too() {
    let null = r#"{"Null":{"s3:x-amz-server-side-encryption":"true"}}"#;
    let named = r#"{"StringNotEquals":{"s3:x-amz-server-side-encryption-aws-kms-key-id":"main"}}"#;
    let not_s3 = r#"{"StringEquals":{"s3:x-amz-server-side-encryption":"AES256"}}"#;
    let conditional =
        r#"{"Null":{"s3:if-none-match":"true"},"Bool":{"s3:ObjectCreationOperation":"true"}}"#;
    let at_last = r#"{"Null":{"s3:x-amz-server-side-encryption":"true"},"Bool":{"s3:ObjectCreationOperation":"true"}}"#;
    let managed = "AES256|aws:kms|aws:kms:dsse, Fail";
    for (conditions, line, headers, expect) in [
        (&[null][..], "PUT /b/k", &[S3][..], "AES256, Fail"),
        (&[null], PART, &[], managed),
        (&[named], PART, &[], "aws:kms|aws:kms:dsse, Fail"),
        (&[not_s3], "PUT /b/k", &[KMS], "-"),
        (&[not_s3], PART, &[], "-"),
        // What only the last step carries demands no encryption of the earlier ones, and hides no demand.
        (&[conditional], PART, &[], "-"),
        (&[conditional, null], PART, &[], managed),
        // The object that comes of it must be encrypted, whichever step the policy speaks of.
        (&[at_last], PART, &[], managed),
        (&[at_last], "POST /b/k?uploads", &[], managed),
    ] {
        assert_eq!(
            demand(&policy(conditions), line, headers),
            expect,
            "{conditions:?} {line}"
        );
    }
}

/// What is wanted of a part is what the gate itself lets in.
#[test]
fn only_what_is_let_in_is_wanted() {
    for require in ["any", "AES256", "aws:kms", "aws:kms:dsse", "sse-c"] {
        let keeper = keeper(&format!("rules: [{{bucket: b, require: '{require}'}}]"));
        let wanted = demand(&keeper, PART, &[]);
        let wanted: Vec<_> = wanted.trim_end_matches(", Fail").split('|').collect();
        for (kind, header) in [("AES256", S3), ("aws:kms", KMS), ("sse-c", CUSTOMER)] {
            let request = Request {
                line: "PUT /b/k",
                headers: &[header],
                ..Request::default()
            };
            let let_in = request.verdict(&keeper).starts_with("allow");
            assert_eq!(wanted.contains(&kind), let_in, "{require} {kind}");
        }
    }
}
