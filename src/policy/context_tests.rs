#![allow(clippy::unwrap_used)]
use http::Method;

use super::*;
use crate::s3::route;

fn found(
    method: &Method,
    target: &str,
    headers: &[(&str, &str)],
    key: &Key,
    change: impl Fn(&mut RequestContext<'_>),
) -> Found<'static> {
    let map: HeaderMap = headers
        .iter()
        .map(|(n, v)| {
            (
                HeaderName::from_bytes(n.as_bytes()).unwrap(),
                HeaderValue::from_str(v).unwrap(),
            )
        })
        .collect();
    let head = RequestHead {
        method,
        target: target.as_bytes(),
        host: Some("localhost"),
        headers: &map,
    };
    let routed = route(&head, &[]).unwrap();
    let mut context = RequestContext {
        head: &head,
        routed: &routed,
        signing: Signing::default(),
        ip: None,
        tls: None,
        principal: None,
        now_ms: 0,
        account: "111122223333",
        multipart: Multipart::Inherit,
        form: None,
        tags: BodyTags::Unread,
    };
    change(&mut context);
    match context.value(Action::PutObject, key) {
        Found::One(v) => Found::One(Value::Text(v.text().into_owned().into())),
        Found::Many(list) => Found::Many(
            list.iter()
                .map(|v| Value::Text(v.text().into_owned().into()))
                .collect(),
        ),
        Found::Absent => Found::Absent,
        Found::Inherited => Found::Inherited,
        Found::Unknown => Found::Unknown,
    }
}

fn text(t: &'static str) -> Found<'static> {
    Found::One(t.into())
}

#[test]
fn from_headers_and_query() {
    let put = |headers: &[(&str, &str)], key: &Key| {
        found(&Method::PUT, "/bucket/k", headers, key, |_| ())
    };
    assert_eq!(
        put(&[("x-amz-server-side-encryption", "")], &Key::Sse),
        text("")
    );
    assert_eq!(put(&[], &Key::Sse), Found::Absent);
    assert_eq!(
        put(
            &[("x-amz-copy-source", "/src/%73ecret?versionId=1")],
            &Key::CopySource
        ),
        text("src/secret?versionId=1")
    );
    assert_eq!(
        put(
            &[("x-amz-tagging", "a=1&b%20c=d+e")],
            &Key::RequestObjectTag("b c".into())
        ),
        text("d e")
    );
    assert_eq!(
        put(&[("x-amz-tagging", "a=1&b=")], &Key::RequestObjectTagKeys),
        Found::Many(vec!["a".into(), "b".into()])
    );
    assert_eq!(
        put(
            &[(
                "x-amz-object-lock-retain-until-date",
                "1970-01-03T00:00:01Z"
            )],
            &Key::ObjectLockRemainingRetentionDays
        ),
        text("3")
    );
    assert_eq!(put(&[], &Key::ObjectCreationOperation), text("true"));
    let list = |key: &Key| {
        found(
            &Method::GET,
            "/bucket?prefix=a%2F&max-keys=7",
            &[],
            key,
            |_| (),
        )
    };
    assert_eq!(
        [
            list(&Key::Prefix),
            list(&Key::MaxKeys),
            list(&Key::Delimiter)
        ],
        [text("a/"), text("7"), Found::Absent]
    );
}

#[test]
fn what_stands_in_a_body_is_unknown() {
    assert_eq!(
        found(
            &Method::PUT,
            "/bucket/k?tagging",
            &[],
            &Key::RequestObjectTagKeys,
            |_| ()
        ),
        Found::Unknown
    );
    assert_eq!(
        found(
            &Method::PUT,
            "/bucket/k?retention",
            &[],
            &Key::ObjectLockMode,
            |_| ()
        ),
        Found::Unknown
    );
}

#[test]
fn later_steps_of_an_upload_inherit() {
    let part = |headers: &[(&str, &str)], key: &Key, mode: Multipart| {
        found(
            &Method::PUT,
            "/bucket/k?partNumber=1&uploadId=u",
            headers,
            key,
            |c| c.multipart = mode,
        )
    };
    for key in [Key::Sse, Key::SseKmsKeyId, Key::SseCustomerAlgorithm] {
        assert_eq!(part(&[], &key, Multipart::Inherit), Found::Inherited);
        assert_eq!(part(&[], &key, Multipart::Literal), Found::Absent);
    }
    let ssec = [("x-amz-server-side-encryption-customer-algorithm", "AES256")];
    assert_eq!(
        part(&ssec, &Key::SseCustomerAlgorithm, Multipart::Inherit),
        text("AES256")
    );
    assert_eq!(
        part(&[], &Key::ObjectCreationOperation, Multipart::Inherit),
        text("false")
    );
    assert_eq!(
        found(&Method::POST, "/bucket/k?uploads", &[], &Key::Sse, |_| ()),
        Found::Absent
    );
}

#[test]
fn callers() {
    let dave = Principal::parse("arn:aws:iam::111122223333:user/team/dave").unwrap();
    let as_dave = |key: &Key| {
        found(&Method::GET, "/bucket/k", &[], key, |c| {
            c.principal = Some(Box::leak(Box::new(dave.clone())));
        })
    };
    assert_eq!(
        [
            as_dave(&Key::Username),
            as_dave(&Key::PrincipalType),
            as_dave(&Key::UserId)
        ],
        [text("dave"), text("User"), Found::Unknown]
    );
    let anonymous = |key: &Key| found(&Method::GET, "/bucket/k", &[], key, |_| ());
    assert_eq!(
        [
            anonymous(&Key::PrincipalType),
            anonymous(&Key::UserId),
            anonymous(&Key::PrincipalIsAwsService),
            anonymous(&Key::AuthType)
        ],
        [
            text("Anonymous"),
            text("anonymous"),
            Found::Absent,
            Found::Absent
        ]
    );
}

#[test]
fn form_fields_stand_for_headers() {
    let mut form = HeaderMap::new();
    form.insert(
        "x-amz-server-side-encryption",
        HeaderValue::from_static("AES256"),
    );
    form.insert("acl", HeaderValue::from_static("private"));
    form.insert("tagging", HeaderValue::from_static("<Tagging/>"));
    let form: &'static HeaderMap = Box::leak(Box::new(form));
    let beside = [
        ("content-type", "multipart/form-data; boundary=x"),
        ("x-amz-storage-class", "GLACIER"),
    ];
    let post = |key: &Key| {
        found(&Method::POST, "/bucket", &beside, key, |c| {
            c.form = Some(form);
        })
    };
    assert_eq!(
        [
            post(&Key::Sse),
            post(&Key::Acl),
            post(&Key::StorageClass),
            post(&Key::RequestObjectTagKeys)
        ],
        [
            text("AES256"),
            text("private"),
            Found::Absent,
            Found::Unknown
        ]
    );
}
