//! Tags that stand in a body.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use super::tests::{Request, keeper};
use crate::policy::BodyTags;

const RULES: &str = r#"
policies:
  - {Version: "2012-10-17", Statement: [
      {Sid: Bad, Effect: Deny, Principal: "*", Action: ["s3:PutObject", "s3:PutObjectTagging"], Resource: "arn:aws:s3:::b/tag/*",
       Condition: {"ForAnyValue:StringEquals": {"s3:RequestObjectTagKeys": [Bad]}}},
      {Sid: Tier, Effect: Deny, Principal: "*", Action: "s3:PutObject*Tagging", Resource: "arn:aws:s3:::b/tier/*",
       Condition: {StringNotEquals: {"s3:RequestObjectTag/tier": raw}}},
      {Sid: Secret, Effect: Deny, Principal: "*", Action: "s3:PutObjectTagging", Resource: "arn:aws:s3:::b/secret/*"}]}
rules: [{bucket: b}]
"#;

fn told(line: &str, tags: BodyTags<'_>) -> String {
    let verdict = Request {
        line,
        tags,
        ..Request::default()
    }
    .verdict(&keeper(RULES));
    verdict.split(' ').next().unwrap_or_default().to_owned()
}

#[test]
fn tags_of_the_body_decide() {
    let list = |tags: &[(&str, &str)]| -> Vec<(String, String)> {
        tags.iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect()
    };
    let (bad, good, none) = (
        list(&[("a", "1"), ("Bad", "1")]),
        list(&[("a", "1"), ("tier", "raw")]),
        list(&[]),
    );
    for (line, tags, expect) in [
        ("PUT /b/tag/k?tagging", &bad, "deny"),
        ("PUT /b/tag/k?tagging", &good, "allow"),
        ("PUT /b/tag/k?tagging", &none, "allow"),
        ("PUT /b/tier/k?tagging", &good, "allow"),
        ("PUT /b/tier/k?tagging&versionId=v", &good, "allow"),
        ("PUT /b/tier/k?tagging&versionId=v", &bad, "deny"),
        ("PUT /b/tier/k?tagging", &none, "deny"),
        ("PUT /b/secret/k?tagging", &good, "deny"),
    ] {
        assert_eq!(told(line, BodyTags::Read(tags)), expect, "{line} {tags:?}");
    }
}

#[test]
fn what_is_not_read_is_denied_and_what_will_be_is_not() {
    for line in ["PUT /b/tag/k?tagging", "PUT /b/tier/k?tagging"] {
        assert_eq!(told(line, BodyTags::Unread), "deny");
        assert_eq!(told(line, BodyTags::ToCome), "allow");
    }
    // What no tag can change is decided on the head.
    assert_eq!(told("PUT /b/secret/k?tagging", BodyTags::ToCome), "deny");
}

#[test]
fn bodies_are_read_where_a_policy_asks() {
    let asks = |keeper: &super::Keeper, line: &str| {
        let request = Request {
            line,
            ..Request::default()
        };
        request.ask(keeper, |keeper, facts| {
            keeper.asks_body_tags(facts.routed).to_string()
        }) == "true"
    };
    let asking = keeper(RULES);
    assert!(asks(&asking, "PUT /b/other/k?tagging"));
    assert!(!asks(&asking, "PUT /b/tag/k"));
    assert!(!asks(&asking, "PUT /b?tagging"));
    assert!(!asks(&asking, "GET /b/tag/k?tagging"));
    // `PutObject` carries its tags in a header.
    let writes = r#"rules: [{bucket: b, policy: {Version: "2012-10-17", Statement: {Effect: Deny, Principal: "*", Action: "s3:PutObject",
        Resource: "arn:aws:s3:::b/*", Condition: {"ForAnyValue:StringEquals": {"s3:RequestObjectTagKeys": [Bad]}}}}}]"#;
    assert!(!asks(&keeper(writes), "PUT /b/k?tagging"));
    let elsewhere = format!("{}\n", writes.replace("s3:PutObject\"", "s3:*\""));
    assert!(asks(&keeper(&elsewhere), "PUT /b/k?tagging"));
    assert!(!asks(&keeper(&elsewhere), "PUT /c/k?tagging"));
}
