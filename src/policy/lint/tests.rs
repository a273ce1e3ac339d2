#![allow(clippy::unwrap_used, clippy::expect_used)]

use super::*;

/// One statement with this condition, and what it warns of.
fn ids(statements: &str) -> Vec<&'static str> {
    let text = format!("{{\"Version\":\"2012-10-17\",\"Statement\":[{statements}]}}");
    let document = Document::parse(&text).expect(&text);
    let found = lint(&document, Options::default());
    for warning in &found {
        assert!(!warning.what.is_empty() && !warning.instead.is_empty());
    }
    found.into_iter().map(|warning| warning.id).collect()
}

fn statement(effect: &str, action: &str, condition: &str) -> String {
    format!(
        "{{\"Effect\":\"{effect}\",\"Principal\":\"*\",\"Action\":\"{action}\",\"Resource\":\"arn:aws:s3:::b/*\",\"Condition\":{condition}}}"
    )
}

fn put(condition: &str) -> String {
    statement("Deny", "s3:PutObject", condition)
}

fn deny(condition: &str) -> Vec<&'static str> {
    ids(&put(condition))
}

const SSE: &str = "s3:x-amz-server-side-encryption";
const KEY: &str = "s3:x-amz-server-side-encryption-aws-kms-key-id";
const ARN: &str = "arn:aws:kms:us-east-1:111122223333:key/k";

#[test]
fn the_traps_of_published_policies() {
    for (condition, id) in [
        (format!("{{\"StringNotEqualsIfExists\":{{\"{SSE}\":\"AES256\"}}}}"), "if-exists-under-deny"),
        (format!("{{\"ForAllValues:StringNotEquals\":{{\"{SSE}\":\"AES256\"}}}}"), "for-all-values-under-deny"),
        (format!("{{\"ForAnyValue:StringNotEquals\":{{\"{SSE}\":\"AES256\"}}}}"), "set-operator-on-single-value"),
        (format!("{{\"StringNotEquals\":{{\"{SSE}\":\"AES256\"}}}}"), "not-equals-without-null"),
        (format!("{{\"ArnNotEquals\":{{\"{KEY}\":\"{ARN}\"}}}}"), "key-id-alone"),
        (format!("{{\"Null\":{{\"{KEY}\":\"true\"}}}}"), "key-id-alone"),
        (format!("{{\"StringNotEquals\":{{\"{SSE}\":\"aws:kms\",\"{KEY}\":\"{ARN}\"}}}}"), "two-sse-keys"),
        (format!("{{\"StringNotEquals\":{{\"{SSE}\":\"ams:kms\"}}}}"), "impossible-sse-value"),
        (format!("{{\"StringNotEquals\":{{\"{SSE}\":[\"AES256\",\"aes256\"]}}}}"), "impossible-sse-value"),
        (format!("{{\"Null\":{{\"{SSE}\":\"false\"}}}}"), "null-reversed"),
        (format!("{{\"Null\":{{\"{SSE}\":\"true\"}},\"Bool\":{{\"s3:ObjectCreationOperation\":\"true\"}}}}"), "multipart-hole"),
        (format!("{{\"ArnNotEquals\":{{\"{KEY}\":\"arn:aws:kms:us-east-1:111122223333:alias/a\"}},\"Null\":{{\"{KEY}\":\"false\"}}}}"), "key-alias"),
        ("{\"Bool\":{\"aws:SecureTransport\":\"true\"}}".into(), "secure-transport-reversed"),
        ("{\"NumericLessThan\":{\"s3:TlsVersion\":\"1.2\"}}".into(), "tls-version-alone"),
        ("{\"StringNotEquals\":{\"s3:authType\":\"HEADER\"}}".into(), "value-never-matches"),
        ("{\"StringNotLike\":{\"aws:Referer\":\"https://example.test/*\"}}".into(), "client-writes-it"),
        (format!("{{\"Null\":{{\"{SSE}\":\"true\"}},\"StringEquals\":{{\"{SSE}\":\"AES256\"}}}}"), "never-matches"),
        ("{\"Bool\":{\"aws:SecureTransport\":\"false\",\"aws:PrincipalIsAWSService\":\"false\"}}".into(), "service-principal"),
    ] {
        assert!(deny(&condition).contains(&id), "{condition}: {:?}", deny(&condition));
    }
}

#[test]
fn a_condition_that_asks_for_nothing() {
    for empty in ["{}", "{\"StringEquals\":{}}"] {
        assert!(deny(empty).contains(&"empty-condition"), "{empty}");
        assert!(ids(&statement("Allow", "s3:PutObject", empty)).contains(&"empty-condition"));
    }
    let half = format!("{{\"StringEquals\":{{}},\"Null\":{{\"{SSE}\":\"true\"}}}}");
    assert!(deny(&half).contains(&"empty-condition"));
    let none = statement("Deny", "s3:PutObject", "{}").replace(",\"Condition\":{}", "");
    assert!(!ids(&none).contains(&"empty-condition"));
}

#[test]
fn addresses_compared_as_text() {
    for (op, instead) in [
        ("StringNotEquals", "NotIpAddress"),
        ("StringEquals", "IpAddress"),
        ("StringNotLike", "NotIpAddress"),
    ] {
        let text = put(&format!(
            "{{\"{op}\":{{\"aws:SourceIp\":\"192.0.2.0/24\"}}}}"
        ));
        let document = Document::parse(&format!("{{\"Statement\":{text}}}")).unwrap();
        let found = lint(&document, Options::default());
        let warning = found.iter().find(|w| w.id == "address-as-text").unwrap();
        assert!(
            warning.instead.contains(&format!("\"{instead}\"")),
            "{warning}"
        );
    }
    assert!(
        !deny("{\"NotIpAddress\":{\"aws:SourceIp\":\"192.0.2.0/24\"}}")
            .contains(&"address-as-text")
    );
}

#[test]
fn null_with_both_values_and_with_none() {
    let null = |values: &str| deny(&format!("{{\"Null\":{{\"{SSE}\":{values}}}}}"));
    assert!(null("[\"true\",\"false\"]").contains(&"always-matches"));
    for other in ["\"true\"", "\"yes\"", "[\"true\",\"no\"]"] {
        assert!(!null(other).contains(&"always-matches"), "{other}");
    }
}

#[test]
fn what_is_good_has_no_warning() {
    let null = put(&format!("{{\"Null\":{{\"{SSE}\":\"true\"}}}}"));
    let equals = put(&format!("{{\"StringNotEquals\":{{\"{SSE}\":\"AES256\"}}}}"));
    assert_eq!(ids(&format!("{null},{equals}")), [""; 0]);
    assert_eq!(ids(&null), [""; 0]);
    for good in [
        format!(
            "{{\"StringNotEquals\":{{\"{SSE}\":\"aws:kms\"}},\"Null\":{{\"{SSE}\":\"false\"}}}}"
        ),
        format!("{{\"ArnNotEquals\":{{\"{KEY}\":\"{ARN}\"}},\"Null\":{{\"{KEY}\":\"false\"}}}}"),
        "{\"Bool\":{\"aws:SecureTransport\":\"false\"}}".into(),
        "{\"Null\":{\"s3:x-amz-server-side-encryption-customer-algorithm\":\"false\"}}".into(),
        format!(
            "{{\"Null\":{{\"{SSE}\":\"true\",\"s3:x-amz-server-side-encryption-customer-algorithm\":\"true\"}}}}"
        ),
    ] {
        assert_eq!(deny(&good), [""; 0], "{good}");
    }
}

#[test]
fn actions_and_resources() {
    let all = format!("{{\"StringNotEquals\":{{\"{SSE}\":\"AES256\"}}}}");
    assert!(ids(&statement("Deny", "s3:*", &all)).contains(&"key-not-carried"));
    let text = lint(
        &Document::parse(&format!(
            "{{\"Statement\":{}}}",
            statement("Deny", "s3:*", &all)
        ))
        .unwrap(),
        Options::default(),
    );
    assert!(text.iter().any(|w| w.id == "key-not-carried"
        && w.what.contains("denies them always")
        && w.instead.contains("s3:PutObject")));

    let one = |resource: &str, rest: &str| {
        format!(
            "{{\"Effect\":\"Deny\",\"Principal\":\"*\",\"Action\":\"s3:*\",\"Resource\":\"{resource}\"{rest}}}"
        )
    };
    assert!(ids(&one("arn:aws:s3:::b/*", "")).contains(&"denies-everything"));
    let tls = ",\"Condition\":{\"Bool\":{\"aws:SecureTransport\":\"false\"}}";
    for bad in [
        "arn:aws:s3:::*",
        "arn:aws:s3:::b*",
        "arn:aws:s3:::b-*/k",
        "arn:aws:s3:::b/",
    ] {
        assert!(ids(&one(bad, tls)).contains(&"bucket-form"), "{bad}");
    }
    let allow = "{\"Effect\":\"Allow\",\"Principal\":\"*\",\"Action\":\"s3:GetObject\",\"Resource\":\"arn:aws:s3:::b/a/*\"}";
    assert_eq!(ids(allow), ["denies-nothing"]);
    assert!(ids(&format!("{allow},{}", one("arn:aws:s3:::b/*", ""))).contains(&"shadowed-allow"));
    let kms = put(&format!(
        "{{\"StringNotEquals\":{{\"{SSE}\":\"aws:kms\"}}}}"
    ));
    let aes = put(&format!("{{\"StringNotEquals\":{{\"{SSE}\":\"AES256\"}}}}"));
    assert!(ids(&format!("{kms},{aes}")).contains(&"denies-everything"));
}

#[test]
fn principals_and_versions() {
    let with = |principal: &str| {
        ids(&format!(
            "{{\"Effect\":\"Deny\",{principal},\"Action\":\"s3:PutObject\",\"Resource\":\"arn:aws:s3:::b/*\",\"Condition\":{{\"Bool\":{{\"aws:SecureTransport\":\"false\"}}}}}}"
        ))
    };
    assert_eq!(
        with("\"Principal\":{\"Service\":\"logging.s3.amazonaws.com\"}"),
        ["service-principal"]
    );
    assert_eq!(
        with("\"Principal\":{\"CanonicalUser\":\"79a5\"}"),
        ["unknown-principal-kind"]
    );
    assert_eq!(
        with("\"NotPrincipal\":{\"AWS\":\"arn:aws:iam::111122223333:user/dave\"}"),
        ["not-principal-without-root"]
    );
    assert_eq!(
        with(
            "\"NotPrincipal\":{\"AWS\":[\"arn:aws:iam::111122223333:user/dave\",\"arn:aws:iam::111122223333:root\"]}"
        ),
        [""; 0]
    );

    let text = "{\"Statement\":{\"Effect\":\"Deny\",\"Principal\":\"*\",\"Action\":\"s3:PutObject\",\"Resource\":\"arn:aws:s3:::b/${aws:username}/*\"}}";
    let found = lint(&Document::parse(text).unwrap(), Options::default());
    assert_eq!(
        found.iter().map(|w| w.id).collect::<Vec<_>>(),
        ["variable-without-version"]
    );
    let tls = format!(
        "{{\"Statement\":{}}}",
        put("{\"Bool\":{\"aws:SecureTransport\":\"false\"}}")
    );
    let found = lint(
        &Document::parse(&tls).unwrap(),
        Options {
            also_at_store: true,
        },
    );
    assert_eq!(
        found.iter().map(|w| w.id).collect::<Vec<_>>(),
        ["store-sees-the-proxy"]
    );
}

#[test]
fn the_report_counts() {
    let one = put(&format!("{{\"StringNotEquals\":{{\"{SSE}\":\"AES256\"}}}}")).replacen(
        '{',
        "{\"Sid\":\"S\",",
        1,
    );
    let report = Report::of(&format!("{{\"Statement\":{one}}}"), Options::default()).unwrap();
    assert!(report.is_good(false) && !report.is_good(true));
    assert_eq!((report.exit_code(false), report.exit_code(true)), (0, 1));
    let text = report.to_string();
    assert!(text.ends_with("0 errors, 1 warning"), "{text}");
    assert!(text.contains("statement 1 (S): "), "{text}");
}

#[test]
fn short_forms_expand_without_a_warning() {
    for form in [
        "require: any",
        "require: AES256",
        "require: aws:kms",
        "require: aws:kms:dsse",
        "require: sse-c",
        "require: {sse: aws:kms, key_ids: [\"arn:aws:kms:us-east-1:111122223333:key/k\"]}",
        "require: aws:kms\ndeny: [sse-c]\ntls: \"1.2\"",
    ] {
        for bucket in ["bucket: b\n", ""] {
            let report = Report::of(&format!("{bucket}{form}\n"), Options::default()).unwrap();
            assert!(report.is_good(true), "{form}\n{report}");
        }
    }
}
