//! The proof against the evaluator itself.

use proptest::prelude::*;

use super::super::request::{Passed, Setting};
use super::*;
use crate::policy::Principal;

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
