#![allow(clippy::unwrap_used)]
use super::super::compiled::Policy;

fn kinds(action: &str, resource: &str, condition: &str) -> Vec<String> {
    let text = format!(
        r#"{{"Version":"2012-10-17","Statement":{{"Effect":"Deny","Principal":"*","Action":{action},"Resource":{resource},"Condition":{condition}}}}}"#
    );
    match Policy::load(&text) {
        Ok(_) => Vec::new(),
        Err(e) => e.0.iter().map(|i| i.kind.to_string()).collect(),
    }
}

#[test]
fn actions_need_their_level() {
    let words = "Action does not apply to any resource(s) in statement";
    for action in [
        "s3:GetObject",
        "s3:PutObjectTagging",
        "s3:GetObjec?",
        "s3:Abort*",
        "s3:???Object",
    ] {
        assert_eq!(
            kinds(&format!("{action:?}"), "\"arn:aws:s3:::b\"", "{}"),
            [words],
            "{action}"
        );
        assert!(
            kinds(&format!("{action:?}"), "\"arn:aws:s3:::b/*\"", "{}").is_empty(),
            "{action}"
        );
    }
    for action in [
        "s3:ListBucket",
        "s3:GetBucketTagging",
        "s3:???BucketVersioning",
        "s3:*Bucket*",
        "s3:GetBucket*",
    ] {
        assert_eq!(
            kinds(&format!("{action:?}"), "\"arn:aws:s3:::b/*\"", "{}"),
            [words],
            "{action}"
        );
        assert!(
            kinds(&format!("{action:?}"), "\"arn:aws:s3:::b\"", "{}").is_empty(),
            "{action}"
        );
    }
    for action in ["s3:*", "s3:Get*", "*"] {
        assert!(
            kinds(&format!("{action:?}"), "\"arn:aws:s3:::b\"", "{}").is_empty(),
            "{action}"
        );
        assert!(
            kinds(&format!("{action:?}"), "\"arn:aws:s3:::b/*\"", "{}").is_empty(),
            "{action}"
        );
    }
    assert!(
        kinds(
            "\"s3:PutObject\"",
            r#"["arn:aws:s3:::b","arn:aws:s3:::b/*"]"#,
            "{}"
        )
        .is_empty()
    );
    assert_eq!(
        kinds("\"s3:ListAllMyBuckets\"", "\"arn:aws:s3:::b\"", "{}"),
        [words]
    );
    let text = r#"{"Statement":{"Effect":"Deny","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::mine"}}"#;
    assert!(
        Policy::load(text)
            .unwrap_err()
            .to_string()
            .contains("arn:aws:s3:::mine/*")
    );
}

#[test]
fn resources() {
    let words = "Policy has invalid resource";
    for resource in [
        "",
        "*",
        "b",
        "arn:aws:s3:::",
        "arn:aws:s3:::/k",
        "arn:aws:s3:us-east-1::b",
        "arn:aws:s3::111122223333:b",
        "arn:aws:sqs:::b",
        "arn:${aws:username}:s3:::b",
        "arn:aws:s3:::b/${x",
    ] {
        assert_eq!(
            kinds("\"s3:*\"", &format!("{resource:?}"), "{}"),
            [words],
            "{resource}"
        );
    }
    for resource in [
        "arn:aws-cn:s3:::b/*",
        "arn:aws:s3:::finance-*/*",
        "arn:aws:s3:::b/${aws:username}/*",
    ] {
        assert!(
            kinds("\"s3:*\"", &format!("{resource:?}"), "{}").is_empty(),
            "{resource}"
        );
    }
}

#[test]
fn conditions() {
    let put = |c: &str| kinds("\"s3:PutObject\"", "\"arn:aws:s3:::b/*\"", c);
    assert_eq!(
        put(r#"{"StringEquals":{"s3:x-amz-server-side-encryptoin":"AES256"}}"#),
        ["Policy has an invalid condition key"]
    );
    assert_eq!(
        put(r#"{"StringEquals":{"s3:prefix":"x"}}"#),
        ["Conditions do not apply to combination of actions and resources in statement"]
    );
    assert_eq!(
        put(r#"{"StringEquals":{"aws:PrincipalOrgID":"o-1"}}"#),
        ["Condition key aws:PrincipalOrgID cannot be known by a proxy"]
    );
    assert_eq!(
        put(r#"{"StringEquals":{"s3:x-amz-acl":"${aws:PrincipalTag/team}"}}"#),
        ["Condition key aws:PrincipalTag/team cannot be known by a proxy"]
    );
    assert_eq!(
        put(r#"{"StringEquals":{"s3:x-amz-acl":"${s3:RequestObjectTagKeys}"}}"#),
        ["Invalid policy syntax."]
    );
    assert_eq!(
        put(r#"{"IpAddress":{"aws:SourceIp":"10.0.0.0/33"}}"#),
        ["Invalid IP address in Conditions"]
    );
    for bad in [
        r#"{"Bool":{"aws:SecureTransport":"no"}}"#,
        r#"{"Null":{"s3:x-amz-acl":"yes"}}"#,
        r#"{"NumericLessThan":{"s3:TlsVersion":"TLSv1.2"}}"#,
        r#"{"DateLessThan":{"aws:CurrentTime":"soon"}}"#,
        r#"{"ArnEquals":{"aws:PrincipalArn":"dave"}}"#,
        r#"{"BinaryEquals":{"s3:x-amz-acl":"***"}}"#,
    ] {
        assert_eq!(put(bad), ["Invalid policy syntax."], "{bad}");
    }
    assert!(put(r#"{"StringLike":{"s3:RequestObjectTag/a":"*"},"Bool":{"AWS:securetransport":false},"NumericLessThan":{"s3:TlsVersion":1.2}}"#).is_empty());
}

#[test]
fn principals() {
    let with = |p: &str, effect: &str| {
        let text = format!(
            r#"{{"Statement":{{"Effect":"{effect}",{p},"Action":"s3:*","Resource":"arn:aws:s3:::b"}}}}"#
        );
        Policy::load(&text).map(|_| ()).map_err(|e| {
            e.0.iter()
                .map(|i| i.kind.to_string())
                .collect::<Vec<_>>()
                .join("|")
        })
    };
    let bad = Err("Invalid principal in policy".to_owned());
    for p in [
        r#""Principal":"dave""#,
        r#""Principal":{"AWS":"arn:aws:iam::111122223333:user/*"}"#,
        r#""Principal":{"AWS":["*","111122223333"]}"#,
        r#""Principal":{"aws":"*"}"#,
        r#""Principal":{}"#,
    ] {
        assert_eq!(with(p, "Deny"), bad, "{p}");
    }
    assert_eq!(
        with(r#""NotPrincipal":{"AWS":"111122223333"}"#, "Allow"),
        bad
    );
    assert_eq!(
        with(r#""NotPrincipal":{"AWS":"111122223333"}"#, "Deny"),
        Ok(())
    );
    assert_eq!(
        with(
            r#""Principal":{"Service":"logging.s3.amazonaws.com"}"#,
            "Allow"
        ),
        Ok(())
    );
}

#[test]
fn everything_at_once() {
    let text = r#"{"Version":"2012-10-17","Statement":[
      {"Effect":"deny","Principal":"*","Action":"s3:*","Resource":"arn:aws:s3:::b"},
      {"Sid":"Two","Effect":"Deny","Principal":"*","Action":["s3:Nope","kms:Decrypt"],"Resource":"b","Condition":{"IpAddress":{"aws:SourceIp":"x"}}}]}"#;
    let issues = Policy::load(text).unwrap_err().0;
    assert_eq!(issues.len(), 5);
    assert!(
        issues[1..]
            .iter()
            .all(|i| i.sid.as_deref() == Some("Two") && i.line == Some(3))
    );
}
