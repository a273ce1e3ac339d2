#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::too_many_lines
)]

use proptest::prelude::*;

use super::request::{Passed, Setting};
use super::*;
use crate::policy::Principal;
use crate::s3::Operation;

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

fn condition() -> impl Strategy<Value = String> {
    let sse = prop_oneof![
        (
            prop_oneof![
                Just("StringEquals"),
                Just("StringNotEquals"),
                Just("StringNotEqualsIfExists"),
                Just("StringLike"),
                Just("StringNotLike"),
                Just("StringNotEqualsIgnoreCase"),
                Just("ForAllValues:StringNotEquals"),
                Just("ForAnyValue:StringNotEquals")
            ],
            prop_oneof![
                Just("\"AES256\""),
                Just("\"aws:kms\""),
                Just("[\"AES256\",\"aws:kms\"]"),
                Just("\"aws:kms*\""),
                Just("\"*\"")
            ]
        )
            .prop_map(|(op, value)| (op.to_owned(), SSE.to_owned(), value.to_owned())),
        (
            prop_oneof![Just("\"true\""), Just("\"false\"")],
            prop_oneof![
                Just(SSE),
                Just(KEY),
                Just("s3:x-amz-server-side-encryption-customer-algorithm")
            ]
        )
            .prop_map(|(value, key)| ("Null".to_owned(), key.to_owned(), value.to_owned())),
    ];
    let other = prop_oneof![
        Just(("Bool", "aws:SecureTransport", "\"false\"")),
        Just(("NumericLessThan", "s3:TlsVersion", "\"1.2\"")),
        Just((
            "NotIpAddress",
            "aws:SourceIp",
            "[\"10.0.0.0/8\",\"2001:db8::/32\"]"
        )),
        Just((
            "ArnNotLike",
            "s3:x-amz-server-side-encryption-aws-kms-key-id",
            "\"arn:aws:kms:*:111122223333:key/*\""
        )),
        Just((
            "StringNotEquals",
            "aws:PrincipalAccount",
            "\"111122223333\""
        )),
        Just(("Bool", "s3:ObjectCreationOperation", "\"true\"")),
        Just((
            "StringEquals",
            "s3:x-amz-acl",
            "[\"private\",\"public-read\"]"
        )),
        Just(("StringLike", "aws:UserAgent", "\"*curl*\"")),
        Just(("StringEquals", "s3:authType", "\"REST-HEADER\"")),
        Just(("NumericGreaterThan", "s3:signatureAge", "600000")),
        Just((
            "DateLessThan",
            "aws:CurrentTime",
            "\"2026-01-01T00:00:00Z\""
        )),
        Just((
            "ForAnyValue:StringLike",
            "s3:RequestObjectTagKeys",
            "\"sec*\""
        )),
        Just(("StringNotEquals", "s3:RequestObjectTag/tier", "\"raw\"")),
        Just(("StringLike", "s3:x-amz-copy-source", "\"source/*\"")),
        // These are in doubt by themselves.
        Just(("StringNotEquals", "aws:UserAgent", "\"${aws:username}\"")),
        Just(("StringNotLike", "aws:SourceIp", "\"10.*\"")),
        Just((
            "StringEquals",
            "s3:x-amz-server-side-encryption-customer-algorithm",
            "\"AES256\""
        )),
    ]
    .prop_map(|(op, key, value)| (op.to_owned(), key.to_owned(), value.to_owned()));
    proptest::collection::vec(prop_oneof![3 => sse, 2 => other], 0..3).prop_map(|list| {
        let mut out: Vec<(String, Vec<(String, String)>)> = Vec::new();
        for (op, key, value) in list {
            match out.iter_mut().find(|(have, _)| *have == op) {
                Some((_, keys)) if keys.iter().any(|(have, _)| *have == key) => {}
                Some((_, keys)) => keys.push((key, value)),
                None => out.push((op, vec![(key, value)])),
            }
        }
        let blocks: Vec<String> = out
            .iter()
            .map(|(op, keys)| {
                format!(
                    "\"{op}\":{{{}}}",
                    keys.iter()
                        .map(|(key, value)| format!("\"{key}\":{value}"))
                        .collect::<Vec<_>>()
                        .join(",")
                )
            })
            .collect();
        format!("{{{}}}", blocks.join(","))
    })
}

fn statement() -> impl Strategy<Value = String> {
    let principal = prop_oneof![
        4 => Just("\"Principal\":\"*\""),
        1 => Just("\"Principal\":{\"AWS\":\"111122223333\"}"),
        1 => Just("\"Principal\":{\"AWS\":\"arn:aws:iam::111122223333:user/dave\"}"),
        1 => Just("\"NotPrincipal\":{\"AWS\":[\"arn:aws:iam::111122223333:role/R\",\"111122223333\"]}"),
    ];
    let resource = prop_oneof![
        4 => Just("\"Resource\":\"arn:aws:s3:::b/*\""),
        1 => Just("\"Resource\":[\"arn:aws:s3:::b/a/*\",\"arn:aws:s3:::b/?\"]"),
        1 => Just("\"NotResource\":\"arn:aws:s3:::b/a*\""),
        1 => Just("\"Resource\":\"arn:aws:s3:::b/${aws:username}/*\""),
        1 => Just("\"NotResource\":\"arn:aws:s3:::b/${aws:username}/*\""),
    ];
    (prop_oneof![4 => Just("Deny"), 1 => Just("Allow")], principal, resource, condition()).prop_filter_map("Allow takes no NotPrincipal", |(effect, principal, resource, condition)| {
        let whole = format!("{{\"Effect\":\"{effect}\",{principal},\"Action\":\"s3:PutObject\",{resource},\"Condition\":{condition}}}");
        (effect == "Deny" || !principal.contains("Not")).then_some(whole)
    })
}

fn header(
    name: &'static str,
    values: &'static [&'static str],
) -> impl Strategy<Value = Option<(String, String)>> {
    prop_oneof![
        2 => Just(None),
        3 => proptest::sample::select(values).prop_map(move |value| Some((name.to_owned(), value.to_owned()))),
    ]
}

fn any_request() -> impl Strategy<Value = Request> {
    let headers = (
        header(
            "x-amz-server-side-encryption",
            &[
                "AES256",
                "aws:kms",
                "aws:kms:dsse",
                "aes256",
                "aws:kmsx",
                "",
                "zzz",
            ],
        ),
        header(
            "x-amz-server-side-encryption-aws-kms-key-id",
            &[
                ARN,
                "arn:aws:kms:eu-west-1:111122223333:key/other",
                "arn:aws:kms:eu-west-1:999999999999:key/other",
                "alias/a",
            ],
        ),
        header(
            "x-amz-server-side-encryption-customer-algorithm",
            &["AES256", "AES192"],
        ),
        header(
            "x-amz-acl",
            &["private", "public-read", "bucket-owner-read"],
        ),
        header("user-agent", &["curl/8", "aws-cli"]),
    );
    let who = proptest::sample::select(
        &[
            "",
            "arn:aws:iam::111122223333:user/dave",
            "arn:aws:iam::111122223333:user/erin",
            "arn:aws:iam::111122223333:role/R",
            "arn:aws:sts::111122223333:assumed-role/R/s",
            "arn:aws:iam::999999999999:user/mallory",
            "arn:aws:iam::111122223333:root",
        ][..],
    );
    let operation = proptest::sample::select(
        &[
            Operation::PutObject,
            Operation::CreateMultipartUpload,
            Operation::CopyObject,
            Operation::PostObject,
        ][..],
    );
    let place = (
        proptest::sample::select(&["k", "a/b", "a", "kk", "other/x", "dave/x", "erin/x"][..]),
        proptest::sample::select(&[None, Some("1.0"), Some("1.1"), Some("1.2"), Some("1.3")][..]),
        proptest::sample::select(&["10.1.2.3", "192.0.2.1", "2001:db8::1", "2001:db9::1"][..]),
        proptest::sample::select(
            &[1_700_000_000_000_i64, 1_767_225_600_000, 1_800_000_000_000][..],
        ),
        proptest::sample::select(vec![
            Vec::new(),
            vec![("tier", "raw")],
            vec![("secret", "1")],
            vec![("tier", "x"), ("sec", "2")],
            vec![("a", "b")],
        ]),
        prop_oneof![
            Just(None),
            (
                0..3_usize,
                prop_oneof![Just(0_i64), Just(600_000), Just(600_001)]
            )
                .prop_map(Some)
        ],
        proptest::sample::select(&["source/object", "elsewhere/object"][..]),
    );
    (operation, headers, who, place).prop_map(
        |(operation, headers, who, (key, tls, ip, now, tags, signed, source))| {
            let mut list: Vec<(String, String)> =
                [headers.0, headers.1, headers.2, headers.3, headers.4]
                    .into_iter()
                    .flatten()
                    .collect();
            if operation == Operation::CopyObject {
                list.push(("x-amz-copy-source".to_owned(), source.to_owned()));
            }
            let post = operation == Operation::PostObject;
            let signed = match signed {
                None if post => Signed {
                    auth: "POST",
                    version: "AWS4-HMAC-SHA256",
                    age_ms: Some(0),
                },
                None => Signed {
                    auth: "REST-HEADER",
                    version: "AWS4-HMAC-SHA256",
                    age_ms: None,
                },
                Some((0, _)) => Signed {
                    auth: if post { "POST" } else { "REST-QUERY-STRING" },
                    version: "AWS",
                    age_ms: Some(0),
                },
                Some((_, age)) => Signed {
                    auth: if post { "POST" } else { "REST-QUERY-STRING" },
                    version: "AWS4-HMAC-SHA256",
                    age_ms: Some(age),
                },
            };
            Request {
                operation,
                bucket: "b".to_owned(),
                key: key.to_owned(),
                headers: list,
                tags: tags
                    .into_iter()
                    .map(|(k, v)| (k.to_owned(), v.to_owned()))
                    .collect(),
                tls,
                ip: Some(ip.parse().unwrap()),
                principal: Principal::parse(who).ok(),
                signed: Some(signed),
                now_ms: Some(now),
            }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// What is proved, no request refutes; and a counterexample is one to the evaluator itself.
    #[test]
    fn the_evaluator_agrees(
        statements in proptest::collection::vec(statement(), 1..4),
        requests in proptest::collection::vec(any_request(), 60),
        authorize in any::<bool>(),
        which in 0..3_usize,
    ) {
        let policy = policy(&statements.join(","));
        let question = [Question::Encryption, Question::KeyId(ARN.to_owned()), Question::Tls("1.2".to_owned())][which].clone();
        let options = Options { authorize, max_evaluations: 100_000, ..Options::default() };
        let setting = Setting { account: &options.account, multipart: options.multipart, authorize };
        match prove(&policy, &question, &options) {
            Verdict::Proved { .. } => {
                for request in requests {
                    prop_assert!(!bad(&question, &request) || request.passes(&policy, setting) != Passed::Yes, "{:?}: {}", statements, request);
                }
            }
            Verdict::Counterexample(request) => {
                prop_assert!(bad(&question, &request));
                prop_assert_eq!(request.passes(&policy, setting), Passed::Yes);
                // And so `policy test` says, which takes a form's fields from its headers.
                let judged = request.to_case().decide(&policy, options.multipart, &options.account);
                let judged = judged.map_err(|error| TestCaseError::fail(format!("{request}: {error}")))?;
                prop_assert!(judged.iter().all(|one| one.decision.outcome != crate::policy::Outcome::Denied), "{:?}: {} {:?}", statements, request, judged);
            }
            Verdict::Unknown(why) => {
                // Then nothing is claimed; but for their number, these can all be walked.
                let doubtful = statements.iter().any(|s| s.contains("${") || s.contains("10.*"));
                prop_assert!(doubtful || why.contains("more than can be looked at"), "{:?}: {}", statements, why);
            }
        }
    }
}
