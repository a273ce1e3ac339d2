#![allow(clippy::unwrap_used)]
use proptest::prelude::{any, prop_assert_eq, proptest};

use super::super::compiled::{Keys, Policy};
use super::super::document::Document;
use super::*;

/// A context of recorded values.
struct Facts {
    values: Vec<(Key, Found<'static>)>,
    principal: Option<Principal>,
}

impl Context for Facts {
    fn value(&self, _: Action, key: &Key) -> Found<'_> {
        self.values
            .iter()
            .find(|(k, _)| k == key)
            .map_or(Found::Absent, |(_, v)| v.clone())
    }

    fn principal(&self) -> Option<&Principal> {
        self.principal.as_ref()
    }

    fn account(&self) -> &'static str {
        "111122223333"
    }
}

fn policy(effect: &str, condition: &str) -> Policy {
    let text = format!(
        r#"{{"Version":"2012-10-17","Statement":{{"Effect":"{effect}","Principal":"*","Action":"s3:PutObject","Resource":"arn:aws:s3:::b/*","Condition":{condition}}}}}"#
    );
    Policy::load(&text).unwrap()
}

fn fires(effect: &str, condition: &str, values: Vec<(Key, Found<'static>)>) -> bool {
    let facts = Facts {
        values,
        principal: None,
    };
    policy(effect, condition)
        .decide(Action::PutObject, Target::Object("b", b"k"), &facts)
        .outcome
        != Outcome::NoMatch
}

fn text(value: &'static str) -> Found<'static> {
    Found::One(value.into())
}

#[test]
fn missing_keys_as_documented() {
    for (operator, value, expect) in [
        ("StringEquals", "x", false),
        ("StringNotEquals", "x", true),
        ("StringEqualsIfExists", "x", true),
        ("StringNotEqualsIfExists", "x", true),
        ("Null", "true", true),
        ("Null", "false", false),
        ("ForAllValues:StringEquals", "x", true),
        ("ForAnyValue:StringEquals", "x", false),
        ("ForAllValues:StringNotEquals", "x", true),
        ("ForAnyValue:StringNotEquals", "x", false),
    ] {
        let condition = format!(r#"{{"{operator}":{{"s3:x-amz-acl":"{value}"}}}}"#);
        assert_eq!(fires("Deny", &condition, vec![]), expect, "{operator}");
        assert_eq!(fires("Allow", &condition, vec![]), expect, "{operator}");
    }
}

#[test]
fn operators() {
    let acl = |op: &str, want: &str, got: &'static str| {
        fires(
            "Deny",
            &format!(r#"{{"{op}":{{"s3:x-amz-acl":{want}}}}}"#),
            vec![(Key::Acl, text(got))],
        )
    };
    assert!(
        acl("StringEquals", r#"["a","b"]"#, "b")
            && !acl("StringEquals", r#""a""#, "A")
            && !acl("StringEquals", r#""a*""#, "ab")
    );
    assert!(
        !acl("StringNotEquals", r#"["a","b"]"#, "b") && acl("StringNotEquals", r#"["a","b"]"#, "")
    );
    assert!(
        acl("StringEqualsIgnoreCase", r#""aÉ""#, "Aé")
            && !acl("StringNotEqualsIgnoreCase", r#""a""#, "A")
    );
    assert!(acl("StringLike", r#""a*c?""#, "abbcd") && acl("StringNotLike", r#""a*""#, "b"));
    assert!(acl("BinaryEquals", r#""AQI=""#, "AQI=") && !acl("BinaryEquals", r#""AQI=""#, "AQM="));
    assert!(acl("Null", r#""false""#, "") && !acl("Null", r#""true""#, ""));

    let tls = |op: &str, want: &str, got: &'static str| {
        fires(
            "Deny",
            &format!(r#"{{"{op}":{{"s3:TlsVersion":{want}}}}}"#),
            vec![(Key::TlsVersion, text(got))],
        )
    };
    assert!(
        tls("NumericLessThan", "1.2", "1.1")
            && !tls("NumericLessThan", "\"1.20\"", "1.2")
            && tls("NumericGreaterThanEquals", "1.2", "1.20")
    );
    assert!(
        !tls("NumericLessThan", "1.2", "old") && tls("NumericNotEquals", "1.2", "old"),
        "an unreadable number is less than none, and not equal for a Deny"
    );
    assert!(!fires(
        "Allow",
        r#"{"NumericNotEquals":{"s3:TlsVersion":"1.2"}}"#,
        vec![(Key::TlsVersion, text("old"))]
    ));

    let ip = |op: &str, want: &str, got: &str| {
        fires(
            "Deny",
            &format!(r#"{{"{op}":{{"aws:SourceIp":{want}}}}}"#),
            vec![(Key::SourceIp, Found::One(Value::Ip(got.parse().unwrap())))],
        )
    };
    assert!(
        ip("IpAddress", r#""192.0.2.0/24""#, "192.0.2.9")
            && ip("IpAddress", r#""192.0.2.9""#, "::ffff:192.0.2.9")
            && !ip("IpAddress", r#""::/0""#, "192.0.2.9")
    );
    assert!(
        ip(
            "NotIpAddress",
            r#"["192.0.2.0/24","2001:db8::/32"]"#,
            "2001:db9::1"
        ) && !ip("NotIpAddress", r#""2001:db8::1""#, "2001:db8::1")
    );

    let time = |op: &str, want: &str, ms: i64| {
        fires(
            "Deny",
            &format!(r#"{{"{op}":{{"aws:CurrentTime":{want}}}}}"#),
            vec![(Key::CurrentTime, Found::One(Value::Time(ms)))],
        )
    };
    assert!(
        time("DateGreaterThan", r#""1970-01-01T00:00:01Z""#, 1001)
            && time("DateLessThanEquals", "\"10000\"", 10_000_000)
            && !time("DateEquals", r#""1970-01-02""#, 0)
    );
    assert!(fires(
        "Deny",
        r#"{"NumericLessThan":{"aws:EpochTime":"100"}}"#,
        vec![(Key::EpochTime, Found::One(Value::Number(99)))]
    ));
    assert!(fires(
        "Deny",
        r#"{"Bool":{"aws:SecureTransport":"False"}}"#,
        vec![(Key::SecureTransport, text("FALSE"))]
    ));

    let arn = |op: &str, want: &str, got: &'static str| {
        fires(
            "Deny",
            &format!(r#"{{"{op}":{{"s3:x-amz-server-side-encryption-aws-kms-key-id":"{want}"}}}}"#),
            vec![(Key::SseKmsKeyId, text(got))],
        )
    };
    assert!(arn(
        "ArnEquals",
        "arn:aws:kms:*:111122223333:key/*",
        "arn:aws:kms:eu-west-1:111122223333:key/x"
    ));
    assert!(
        !arn(
            "ArnLike",
            "arn:aws:kms:*:*:x",
            "arn:aws:kms:eu-west-1:111122223333:key:x"
        ),
        "each part by itself"
    );
    assert!(
        arn("ArnNotLike", "arn:aws:kms:*:111122223333:key/*", "alias/my")
            && !arn("ArnLike", "arn:aws:kms:*:*:*", "alias/my")
    );
}

#[test]
fn sets_of_values() {
    let tags = |op: &str, list: &[&'static str]| {
        let found = Found::Many(list.iter().map(|t| Value::from(*t)).collect());
        fires(
            "Deny",
            &format!(r#"{{"{op}":{{"s3:RequestObjectTagKeys":["a","b"]}}}}"#),
            vec![(Key::RequestObjectTagKeys, found)],
        )
    };
    assert!(
        tags("ForAllValues:StringEquals", &["a", "b"])
            && !tags("ForAllValues:StringEquals", &["a", "c"])
            && tags("ForAllValues:StringEquals", &[])
    );
    assert!(
        tags("ForAnyValue:StringEquals", &["a", "c"])
            && !tags("ForAnyValue:StringEquals", &["c"])
            && !tags("ForAnyValue:StringEquals", &[])
    );
    assert!(
        tags("ForAnyValue:StringNotEquals", &["a", "c"])
            && !tags("ForAnyValue:StringNotEquals", &["a"])
    );
    assert!(
        tags("ForAllValues:StringNotEquals", &["c"])
            && !tags("ForAllValues:StringNotEquals", &["a", "c"])
    );
}

#[test]
fn what_cannot_be_known_denies_and_what_is_inherited_does_not() {
    let c = r#"{"StringEquals":{"s3:x-amz-server-side-encryption":"AES256"}}"#;
    for (found, deny, allow) in [
        (Found::Unknown, true, false),
        (Found::Inherited, false, true),
    ] {
        assert_eq!(fires("Deny", c, vec![(Key::Sse, found.clone())]), deny);
        assert_eq!(fires("Allow", c, vec![(Key::Sse, found)]), allow);
    }
}

#[test]
fn variables() {
    let run = |version: &str, resource: &str, key: &[u8], values: Vec<(Key, Found<'static>)>| {
        let text = format!(
            r#"{{"Version":"{version}","Statement":{{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::b/{resource}"}}}}"#
        );
        Policy::load(&text)
            .unwrap()
            .decide(
                Action::GetObject,
                Target::Object("b", key),
                &Facts {
                    values,
                    principal: None,
                },
            )
            .outcome
            .letter()
    };
    let dave = || vec![(Key::Username, text("d*"))];
    assert_eq!(run("2012-10-17", "${aws:username}/*", b"d*/x", dave()), 'A');
    assert_eq!(
        run("2012-10-17", "${ AWS:UserName }/*", b"d*/x", dave()),
        'A'
    );
    assert_eq!(
        run("2012-10-17", "${aws:username}/*", b"dave/x", dave()),
        'N',
        "what is substituted is literal"
    );
    assert_eq!(run("2012-10-17", "${aws:username}/*", b"/x", vec![]), 'N');
    assert_eq!(
        run(
            "2012-10-17",
            "${aws:username, 'any one'}/*",
            b"any one/x",
            vec![]
        ),
        'A'
    );
    assert_eq!(run("2012-10-17", "${*}${?}${$}", b"*?$", vec![]), 'A');
    assert_eq!(
        run(
            "2008-10-17",
            "${aws:username}/*",
            b"${aws:username}/x",
            dave()
        ),
        'A'
    );
    let c = r#"{"StringNotEquals":{"s3:x-amz-acl":"${aws:username}"}}"#;
    assert!(
        fires("Deny", c, vec![(Key::Acl, text("x"))]),
        "an absent variable equals nothing"
    );
    assert!(!fires(
        "Deny",
        c,
        vec![(Key::Acl, text("x")), (Key::Username, text("x"))]
    ));
}

#[test]
fn principals() {
    let run = |effect: &str, clause: &str, caller: Option<&str>| {
        let text = format!(
            r#"{{"Statement":{{"Effect":"{effect}",{clause},"Action":"s3:GetObject","Resource":"arn:aws:s3:::b/*"}}}}"#
        );
        let facts = Facts {
            values: vec![],
            principal: caller.map(|c| Principal::parse(c).unwrap()),
        };
        Policy::load(&text)
            .unwrap()
            .decide(Action::GetObject, Target::Object("b", b"k"), &facts)
            .outcome
            .letter()
    };
    let (dave, eve, mallory) = (
        "arn:aws:iam::111122223333:user/dave",
        "arn:aws:iam::111122223333:user/eve",
        "arn:aws:iam::999999999999:user/mallory",
    );
    let (root, session) = (
        "arn:aws:iam::111122223333:root",
        "arn:aws:sts::111122223333:assumed-role/R/S",
    );
    let own = r#""Principal":{"AWS":"111122223333"}"#;
    assert_eq!(
        [
            run("Allow", own, Some(dave)),
            run("Allow", own, Some(root)),
            run("Deny", own, Some(dave)),
            run("Deny", own, Some(session)),
            run("Deny", own, None)
        ],
        ['N', 'A', 'D', 'D', 'N']
    );
    let foreign = r#""Principal":{"AWS":"arn:aws:iam::999999999999:root"}"#;
    assert_eq!(
        [
            run("Allow", foreign, Some(mallory)),
            run("Allow", foreign, Some(dave))
        ],
        ['A', 'N']
    );
    let role = r#""Principal":{"AWS":"arn:aws:iam::111122223333:role/R"}"#;
    assert_eq!(
        [
            run("Allow", role, Some(session)),
            run("Allow", role, Some(dave))
        ],
        ['A', 'N']
    );
    let not = r#""NotPrincipal":{"AWS":["arn:aws:iam::111122223333:user/dave","arn:aws:iam::111122223333:root"]}"#;
    assert_eq!(
        [dave, eve, mallory, root].map(|p| run("Deny", not, Some(p))),
        ['N', 'D', 'D', 'N']
    );
    assert_eq!(
        run(
            "Deny",
            r#""NotPrincipal":{"AWS":"arn:aws:iam::111122223333:user/dave"}"#,
            Some(dave)
        ),
        'D',
        "its account must be spared too"
    );
    assert_eq!(
        run(
            "Allow",
            r#""Principal":{"Service":"logging.s3.amazonaws.com"}"#,
            Some(dave)
        ),
        'N'
    );
    assert_eq!(run("Allow", r#""Principal":{"AWS":"*"}"#, None), 'A');
}

#[test]
fn the_service_is_named_by_a_star_alone() {
    let run = |resource: &str| {
        let text = format!(
            r#"{{"Statement":{{"Effect":"Deny","Principal":"*","Action":"s3:*","Resource":"{resource}"}}}}"#
        );
        Policy::load(&text)
            .unwrap()
            .decide(Action::ListAllMyBuckets, Target::Service, &NoContext)
            .outcome
    };
    assert_eq!(run("arn:aws:s3:::*"), Outcome::Denied);
    assert_eq!(run("arn:aws:s3:::b"), Outcome::NoMatch);
}

proptest! {
    #[test]
    fn nothing_panics(text in "\\PC{0,60}", key in proptest::collection::vec(any::<u8>(), 0..20), value in "\\PC{0,20}", operator in 0_usize..27, quantifier in 0_u8..3, if_exists: bool) {
        let _ = Policy::load(&text);
        let comparison = Comparison::all().nth(operator).unwrap();
        let quantifier = match quantifier { 0 => None, 1 => Some(Quantifier::ForAllValues), _ => Some(Quantifier::ForAnyValue) };
        let op = Operator { quantifier, comparison, if_exists };
        let mut doc = policy("Deny", "{}").document().clone();
        doc.version = Some(super::super::document::Version::V2012);
        doc.statements[0].conditions = vec![super::super::document::Condition { operator: op, key: "s3:x-amz-acl".into(), values: vec![text.as_str().into()] }];
        doc.statements[0].resource.patterns = vec![format!("arn:aws:s3:::b/{text}")];
        if let Ok(p) = Policy::compile(doc.clone(), Keys::Known) {
            let facts = Facts { values: vec![(Key::Acl, Found::One(Value::Text(value.into())))], principal: None };
            let _ = p.decide(Action::PutObject, Target::Object("b", &key), &facts);
        }
        // Null knows no prefix and no suffix.
        if comparison != Comparison::Null || (quantifier.is_none() && !if_exists) {
            prop_assert_eq!(Document::parse(&doc.to_json_pretty()).unwrap(), doc);
        }
    }
}
