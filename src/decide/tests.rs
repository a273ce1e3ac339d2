#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::path::Path;

use http::{HeaderMap, HeaderName, HeaderValue, Method};

use super::*;
use crate::{
    audit::Reason,
    config::Config,
    policy::BodyTags,
    s3::{self, RequestHead, effort},
    sigv4,
};

const SSE: (&str, &str) = ("x-amz-server-side-encryption", "AES256");

pub(in crate::decide) fn keeper(rules: &str) -> Keeper {
    let text = format!(
        "listen: [{{address: 127.0.0.1:1}}]\nstore: {{endpoint: http://127.0.0.1:2, region: us-east-1}}\n{rules}"
    );
    let (config, _) = Config::parse(Path::new("sealgate.yaml"), &text, &|_| None).unwrap();
    Keeper::new(&config)
}

fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
    pairs
        .iter()
        .map(|(name, value)| {
            (
                HeaderName::from_bytes(name.as_bytes()).unwrap(),
                HeaderValue::from_str(value).unwrap(),
            )
        })
        .collect()
}

/// A request, and what is asked about it.
pub(in crate::decide) struct Request<'a> {
    pub line: &'a str,
    pub headers: &'a [(&'a str, &'a str)],
    pub form: Option<&'a [(&'a str, &'a str)]>,
    pub tls: Option<&'a str>,
    pub ip: &'a str,
    pub tags: BodyTags<'a>,
}

impl Default for Request<'_> {
    fn default() -> Self {
        Self {
            line: "GET /",
            headers: &[],
            form: None,
            tls: None,
            ip: "192.0.2.1",
            tags: BodyTags::Unread,
        }
    }
}

impl Request<'_> {
    /// `allow rules[n]`, `report rules[n] reason`, `deny rules[n] reason arn`; `-` for what is absent.
    pub fn ask(&self, keeper: &Keeper, ask: impl Fn(&Keeper, &Facts<'_>) -> String) -> String {
        let (method, target) = self.line.split_once(' ').unwrap();
        let method: Method = method.parse().unwrap();
        let headers = headers(self.headers);
        let head = RequestHead {
            method: &method,
            target: target.as_bytes(),
            host: Some("127.0.0.1"),
            headers: &headers,
        };
        let routed = s3::route(&head, &[]).unwrap();
        let claim = sigv4::claim(&routed, &head).unwrap();
        let principal = claim
            .access_key
            .as_deref()
            .and_then(|k| keeper.principal(k));
        let fields = self.form.map(self::headers);
        let facts = Facts {
            head: &head,
            routed: &routed,
            claim: &claim,
            principal,
            ip: self.ip.parse().unwrap(),
            tls: self.tls,
            now_ms: 1_800_000_000_000,
            form: fields.as_ref(),
            tags: self.tags,
        };
        ask(keeper, &facts)
    }

    pub fn verdict(&self, keeper: &Keeper) -> String {
        self.ask(keeper, |keeper, facts| told(&keeper.request(facts)))
    }
}

fn told(verdict: &Verdict<'_>) -> String {
    let rule = |rule: Option<&str>| rule.unwrap_or("-").to_owned();
    match verdict {
        Verdict::Allow(name) => format!("allow {}", rule(*name)),
        Verdict::Report(denial) => {
            format!("report {} {}", rule(denial.rule), denial.reason.as_str())
        }
        Verdict::Deny(denial) => format!(
            "deny {} {} {}",
            rule(denial.rule),
            denial.reason.as_str(),
            denial.resource
        ),
    }
}

/// Request line, headers, verdict.
type Case<'a> = (&'a str, &'a [(&'a str, &'a str)], &'a str);

fn all(keeper: &Keeper, cases: &[Case<'_>]) {
    for (line, headers, expect) in cases {
        let request = Request {
            line,
            headers,
            ..Request::default()
        };
        assert_eq!(request.verdict(keeper), *expect, "{line} {headers:?}");
    }
}

#[test]
fn the_first_rule_that_fits_is_the_one() {
    let keeper = keeper(
        "rules:
  - {bucket: split, prefix: secret/, require: any}
  - {bucket: split}
  - {bucket: 'split*', require: AES256}
  - {bucket: only, prefix: a/}",
    );
    all(
        &keeper,
        &[
            (
                "PUT /split/secret/k",
                &[],
                "deny rules[0] policy arn:aws:s3:::split/secret/k",
            ),
            ("PUT /split/secret/k", &[SSE], "allow rules[0]"),
            ("PUT /split/secret", &[], "allow rules[1]"),
            ("PUT /split/other", &[], "allow rules[1]"),
            (
                "PUT /split2/secret/k",
                &[],
                "deny rules[2] policy arn:aws:s3:::split2/secret/k",
            ),
            ("GET /split/secret/k", &[], "allow rules[0]"),
            // What is about the bucket itself goes to its rule without a prefix, or else to the first.
            ("GET /split", &[], "allow rules[1]"),
            ("GET /only", &[], "allow rules[3]"),
            ("PUT /only/a/k", &[], "allow rules[3]"),
            ("PUT /only/b", &[], "deny - no_rule arn:aws:s3:::only/b"),
            ("PUT /other/k", &[], "deny - no_rule arn:aws:s3:::other/k"),
            ("GET /other", &[], "deny - no_rule arn:aws:s3:::other"),
            ("GET /", &[], "allow -"),
        ],
    );
}

#[test]
fn a_key_that_stores_may_clean_is_decided_in_both_readings() {
    let keeper =
        keeper("rules:\n  - {bucket: split, prefix: secret/, require: any}\n  - {bucket: split}");
    for target in [
        "/split//secret/x",
        "/split/./secret/x",
        "/split/x/../secret/y",
        "/split/x/%2e%2e/secret/y",
        "/split/secret%2Fx",
        "/split/secret/../x",
    ] {
        let line = format!("PUT {target}");
        let request = Request {
            line: &line,
            ..Request::default()
        };
        let verdict = request.verdict(&keeper);
        assert!(
            verdict.starts_with("deny rules[0] policy"),
            "{target}: {verdict}"
        );
        let with = Request {
            line: &line,
            headers: &[SSE],
            ..Request::default()
        };
        assert!(with.verdict(&keeper).starts_with("allow"), "{target}");
    }
}

#[test]
fn preflights_want_a_bucket_that_is_served() {
    let keeper = keeper("rules: [{bucket: open}]");
    let preflight: &[(&str, &str)] = &[
        ("origin", "http://example.test"),
        ("access-control-request-method", "PUT"),
    ];
    all(
        &keeper,
        &[
            ("OPTIONS /open/k", preflight, "allow rules[0]"),
            (
                "OPTIONS /other/k",
                preflight,
                "deny - no_rule arn:aws:s3:::other",
            ),
        ],
    );
}

#[test]
fn copies_are_decided_on_both_ends_by_the_rules_of_each() {
    let keeper = keeper(
        r#"rules:
  - {bucket: open}
  - {bucket: locked, require: any}
  - bucket: source
    policy: {"Version": "2012-10-17", "Statement": [{"Sid": "NoSecrets", "Effect": "Deny", "Principal": "*", "Action": ["s3:GetObject", "s3:GetObjectVersion"], "Resource": "arn:aws:s3:::source/secret/*"}]}
  - bucket: watched
    mode: report
    policy: {"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Principal": "*", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::watched/*"}]}"#,
    );
    let secret = ("x-amz-copy-source", "/source/secret/k");
    let version = ("x-amz-copy-source", "/source/secret/k?versionId=1");
    let plain = ("x-amz-copy-source", "/source/public");
    let climbing = ("x-amz-copy-source", "/source/x/../secret/k");
    let doubled = ("x-amz-copy-source", "/source//secret/k");
    let none = ("x-amz-copy-source", "/nowhere/k");
    let watched = ("x-amz-copy-source", "/watched/k");
    all(
        &keeper,
        &[
            (
                "PUT /open/k",
                &[secret],
                "deny rules[2] policy arn:aws:s3:::source/secret/k",
            ),
            (
                "PUT /open/k",
                &[version],
                "deny rules[2] policy arn:aws:s3:::source/secret/k",
            ),
            (
                "PUT /open/k?partNumber=1&uploadId=u",
                &[secret],
                "deny rules[2] policy arn:aws:s3:::source/secret/k",
            ),
            (
                "PUT /open/k",
                &[none],
                "deny - no_rule arn:aws:s3:::nowhere/k",
            ),
            ("PUT /open/k", &[plain], "allow rules[0]"),
            (
                "PUT /open/k",
                &[climbing],
                "deny rules[2] policy arn:aws:s3:::source/secret/k",
            ),
            (
                "PUT /open/k",
                &[doubled],
                "deny rules[2] policy arn:aws:s3:::source/secret/k",
            ),
            (
                "PUT /locked/k",
                &[plain],
                "deny rules[1] policy arn:aws:s3:::locked/k",
            ),
            ("PUT /locked/k", &[plain, SSE], "allow rules[1]"),
            // Each end by its own mode.
            ("PUT /open/k", &[watched], "report rules[3] policy"),
            (
                "PUT /locked/k",
                &[watched],
                "deny rules[1] policy arn:aws:s3:::locked/k",
            ),
            ("PUT /locked/k", &[watched, SSE], "report rules[3] policy"),
        ],
    );
}

#[test]
fn report_says_what_enforce_would_do() {
    let keeper = keeper(
        "rules:\n  - {bucket: reported, require: any, mode: report}\n  - {bucket: enforced, require: any}",
    );
    all(
        &keeper,
        &[
            ("PUT /reported/k", &[], "report rules[0] policy"),
            ("PUT /reported/k", &[SSE], "allow rules[0]"),
            (
                "PUT /enforced/k",
                &[],
                "deny rules[1] policy arn:aws:s3:::enforced/k",
            ),
        ],
    );
}

#[test]
fn authorize_wants_an_allow() {
    let keeper = keeper(
        r#"clients:
  - {access_key: AK, secret_key: s, principal: "arn:aws:iam::111122223333:user/app"}
rules:
  - bucket: guarded
    authorize: true
    require: any
    policy: {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::111122223333:user/app"}, "Action": ["s3:PutObject", "s3:GetObject"], "Resource": "arn:aws:s3:::guarded/*"}]}"#,
    );
    let signed = (
        "authorization",
        "AWS4-HMAC-SHA256 Credential=AK/20270115/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
    );
    let date = ("x-amz-date", "20270115T080000Z");
    all(
        &keeper,
        &[
            (
                "PUT /guarded/k",
                &[SSE],
                "deny rules[0] not_allowed arn:aws:s3:::guarded/k",
            ),
            ("PUT /guarded/k", &[signed, date, SSE], "allow rules[0]"),
            ("GET /guarded/k", &[signed, date], "allow rules[0]"),
            (
                "PUT /guarded/k",
                &[signed, date],
                "deny rules[0] policy arn:aws:s3:::guarded/k",
            ),
            (
                "DELETE /guarded/k",
                &[signed, date],
                "deny rules[0] not_allowed arn:aws:s3:::guarded/k",
            ),
            (
                "GET /guarded",
                &[signed, date],
                "deny rules[0] not_allowed arn:aws:s3:::guarded",
            ),
        ],
    );
}

#[test]
fn policies_at_the_top_speak_on_everything() {
    let folder = std::env::temp_dir().join(format!("sealgate-decide-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let file = folder.join("top.json");
    std::fs::write(
        &file,
        r#"{"Version": "2012-10-17", "Statement": [{"Sid": "Inside", "Effect": "Deny", "Principal": "*", "Action": "s3:*",
            "Resource": ["arn:aws:s3:::*", "arn:aws:s3:::*/*"], "Condition": {"NotIpAddress": {"aws:SourceIp": "10.0.0.0/8"}}}]}"#,
    )
    .unwrap();
    let keeper = keeper(&format!(
        "policies: ['{}']\nrules: [{{bucket: open}}]",
        file.display()
    ));
    std::fs::remove_dir_all(&folder).unwrap();
    for (line, resource) in [
        ("GET /", "*"),
        ("GET /open", "arn:aws:s3:::open"),
        ("PUT /open/k", "arn:aws:s3:::open/k"),
    ] {
        let outside = Request {
            line,
            ..Request::default()
        };
        let rule = if resource == "*" { "-" } else { "rules[0]" };
        assert_eq!(
            outside.verdict(&keeper),
            format!("deny {rule} policy {resource}")
        );
        let inside = Request {
            line,
            ip: "10.1.2.3",
            ..Request::default()
        };
        assert_eq!(inside.verdict(&keeper), format!("allow {rule}"));
    }
}

#[test]
fn multipart_inherits_or_is_literal() {
    let keeper = keeper(
        "rules:\n  - {bucket: inherits, require: any}\n  - {bucket: literal, require: any, multipart: literal}",
    );
    all(
        &keeper,
        &[
            (
                "PUT /inherits/k?partNumber=1&uploadId=u",
                &[],
                "allow rules[0]",
            ),
            ("POST /inherits/k?uploadId=u", &[], "allow rules[0]"),
            (
                "POST /inherits/k?uploads",
                &[],
                "deny rules[0] policy arn:aws:s3:::inherits/k",
            ),
            (
                "PUT /literal/k?partNumber=1&uploadId=u",
                &[],
                "deny rules[1] policy arn:aws:s3:::literal/k",
            ),
        ],
    );
}

#[test]
fn objects_of_a_body_are_decided_one_by_one() {
    let keeper = keeper(
        r#"rules:
  - {bucket: plain}
  - bucket: keeper
    policy: {"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Principal": "*", "Action": "s3:DeleteObject", "Resource": "arn:aws:s3:::keeper/keep/*"},
      {"Effect": "Deny", "Principal": "*", "Action": "s3:DeleteObjectVersion", "Resource": "arn:aws:s3:::keeper/versions/*"}]}"#,
    );
    assert!(!keeper.tells_objects_apart("plain"));
    assert!(keeper.tells_objects_apart("keeper"));
    all(
        &keeper,
        &[
            ("POST /keeper?delete", &[], "allow rules[1]"),
            (
                "POST /other?delete",
                &[],
                "deny - no_rule arn:aws:s3:::other",
            ),
        ],
    );
    for (key, versioned, expect) in [
        ("a", false, "allow rules[1]"),
        (
            "keep/1",
            false,
            "deny rules[1] policy arn:aws:s3:::keeper/keep/1",
        ),
        ("keep/1", true, "allow rules[1]"),
        ("versions/1", false, "allow rules[1]"),
        (
            "versions/1",
            true,
            "deny rules[1] policy arn:aws:s3:::keeper/versions/1",
        ),
        (
            "x/../keep/1",
            false,
            "deny rules[1] policy arn:aws:s3:::keeper/keep/1",
        ),
    ] {
        let request = Request {
            line: "POST /keeper?delete",
            ..Request::default()
        };
        let got = request.ask(&keeper, |keeper, facts| {
            let object = Object {
                key: key.as_bytes(),
                versioned,
            };
            told(&keeper.object(facts, object))
        });
        assert_eq!(got, expect, "{key} {versioned}");
    }
}

/// A body names a thousand objects, and a signature is not verified: what is asked of the query is asked of it decoded.
#[test]
fn a_long_query_is_not_read_again_for_each_object() {
    let keeper = keeper(
        "rules: [{bucket: keeper, policy: {Statement: [{Effect: Deny, Principal: '*', Action: 's3:*', Resource: 'arn:aws:s3:::keeper/*', Condition: {StringEquals: {'s3:x-amz-acl': x}}}]}}]",
    );
    let long = format!("&%41{}", "x".repeat(244)).repeat(250);
    let line = format!(
        "POST /keeper?delete&AWSAccessKeyId=a&Signature=s&Expires=9999999999&x-amz-acl={}{long}",
        "%41".repeat(1000)
    );
    let request = Request {
        line: &line,
        ..Request::default()
    };
    request.ask(&keeper, |keeper, facts| {
        let object = Object {
            key: b"a",
            versioned: false,
        };
        let cost = effort::of(|| assert_eq!(told(&keeper.object(facts, object)), "allow rules[0]"));
        assert!(cost <= 1000, "{cost}");
        String::new()
    });
}

#[test]
fn fields_of_a_form_count_and_its_headers_do_not() {
    let keeper =
        keeper("rules:\n  - {bucket: locked, prefix: open/}\n  - {bucket: locked, require: any}");
    let ask = |key: &str, fields: &[(&str, &str)]| {
        let request = Request {
            line: "POST /locked",
            headers: &[SSE, ("content-type", "multipart/form-data; boundary=x")],
            form: Some(fields),
            ..Request::default()
        };
        request.ask(&keeper, |keeper, facts| {
            told(&keeper.form(facts, key.as_bytes()))
        })
    };
    assert_eq!(ask("k", &[]), "deny rules[1] policy arn:aws:s3:::locked/k");
    assert_eq!(ask("k", &[SSE]), "allow rules[1]");
    assert_eq!(ask("open/k", &[]), "allow rules[0]");
    assert_eq!(
        ask("open/../k", &[]),
        "deny rules[1] policy arn:aws:s3:::locked/k"
    );
}

#[test]
fn tls_is_a_fact_of_the_connection() {
    let keeper = keeper("rules: [{bucket: b, tls: '1.3'}]");
    for (tls, allowed) in [(None, false), (Some("1.2"), false), (Some("1.3"), true)] {
        let request = Request {
            line: "PUT /b/k",
            tls,
            ..Request::default()
        };
        assert_eq!(
            request.verdict(&keeper).starts_with("allow"),
            allowed,
            "{tls:?}"
        );
    }
}

#[test]
fn a_denial_names_all_that_helps() {
    let keeper = keeper("rules: [{bucket: locked, require: 'aws:kms'}]");
    let request = Request {
        line: "PUT /locked/k",
        ..Request::default()
    };
    request.ask(&keeper, |keeper, facts| {
        let Verdict::Deny(denial) = keeper.request(facts) else {
            panic!("it passes");
        };
        assert_eq!(denial.reason, Reason::Policy);
        let message = denial.message(None);
        for part in [
            "User: anonymous or unknown is not authorized to perform: s3:PutObject",
            "\"arn:aws:s3:::locked/k\"",
            "with an explicit deny in a resource-based policy",
            "x-amz-server-side-encryption",
            "aws:kms",
        ] {
            assert!(message.contains(part), "{part} in {message}");
        }
        assert!(denial.sid.is_some() && denial.condition.is_some() && denial.policy.is_some());
        String::new()
    });
}
