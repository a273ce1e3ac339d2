#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::type_complexity,
    clippy::too_many_lines
)]
use super::*;
use crate::s3::error::{ErrorCode, S3Error};
use crate::s3::{Action, actions, effort};
use http::{HeaderMap, HeaderName};
use proptest::prelude::*;

fn map(headers: &[(&str, &str)]) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.append(
            HeaderName::from_bytes(name.as_bytes()).unwrap(),
            value.parse().unwrap(),
        );
    }
    map
}

fn operation(
    method: &str,
    target: &str,
    headers: &[(&str, &str)],
) -> Result<Operation, RouteError> {
    let headers = map(headers);
    let method = method.parse().unwrap();
    let head = RequestHead {
        method: &method,
        target: target.as_bytes(),
        host: Some("127.0.0.1:8080"),
        headers: &headers,
    };
    route(&head, &[]).map(|routed| routed.operation)
}

fn code(method: &str, target: &str, headers: &[(&str, &str)]) -> (ErrorCode, u16) {
    let error = S3Error::from(
        operation(method, target, headers)
            .map(|o| panic!("{method} {target} {headers:?} is {o}"))
            .unwrap_err(),
    );
    assert!(!error.message.is_empty());
    (error.code, error.status().as_u16())
}

/// Rows that share method, URI and parameters with another one: what a request of that form is.
fn stands_for(operation: Operation) -> Operation {
    match operation {
        // Replaced by the younger API with the same request.
        Operation::GetBucketLifecycle => Operation::GetBucketLifecycleConfiguration,
        Operation::PutBucketLifecycle => Operation::PutBucketLifecycleConfiguration,
        Operation::GetBucketNotification => Operation::GetBucketNotificationConfiguration,
        Operation::PutBucketNotification => Operation::PutBucketNotificationConfiguration,
        other => other,
    }
}

#[test]
fn every_row_of_the_table_is_reached() {
    let mut reached = 0;
    for line in include_str!("data/s3-ops.tsv").lines().skip(1) {
        let cells: Vec<&str> = line.split('\t').collect();
        let expected = Operation::from_name(cells[0]).unwrap();
        let mut target = cells[2]
            .replace("{Bucket}", "bucket")
            .replace("{Key+}", "a/key");
        for parameter in cells[4]
            .split(',')
            .filter(|parameter| parameter.ends_with('*'))
        {
            let join = if target.contains('?') { '&' } else { '?' };
            target = format!("{target}{join}{}=1", parameter.trim_end_matches('*'));
        }
        if expected == Operation::ListDirectoryBuckets {
            // On AWS an endpoint of its own; here its own parameter tells it from ListBuckets.
            target.push_str("?max-directory-buckets=10");
        }
        let mut headers: Vec<(&str, &str)> = cells[7]
            .split(',')
            .filter(|header| header.ends_with('*'))
            .map(|header| (header.trim_end_matches('*'), "/other/key"))
            .collect();
        headers.push(("host", "127.0.0.1:8080"));
        assert_eq!(
            operation(cells[1], &target, &headers),
            Ok(stands_for(expected)),
            "{line}"
        );
        // A parameter that S3 does not know changes nothing, in front or behind.
        let (path, query) = target.split_once('?').unwrap_or((&target, ""));
        for target in [
            format!("{path}?x-id={}&{query}", cells[0]),
            format!("{path}?{query}&foo=bar&foo=baz"),
        ] {
            assert_eq!(
                operation(cells[1], &target, &headers),
                Ok(stands_for(expected)),
                "{target}"
            );
        }
        reached += 1;
    }
    assert_eq!(reached, 111);
    assert_eq!(
        operation(
            "POST",
            "/bucket/",
            &[("content-type", "Multipart/Form-Data; boundary=x")]
        ),
        Ok(Operation::PostObject)
    );
    assert_eq!(
        operation("OPTIONS", "/bucket/key", &[("origin", "https://a.example")]),
        Ok(Operation::CorsPreflight)
    );
}

#[test]
fn sub_resources_are_read_as_stores_decode_them() {
    for (method, target, expected) in [
        ("PUT", "/b/k?tag%67ing", Operation::PutObjectTagging),
        ("PUT", "/b/k?tagging=", Operation::PutObjectTagging),
        (
            "PUT",
            "/b/k?%75ploadId=u&partNumber=%31",
            Operation::UploadPart,
        ),
        ("PUT", "/b/k?ACL", Operation::PutObject),
        ("PUT", "/b/k?UploadId=u&PartNumber=1", Operation::PutObject),
        (
            "GET",
            "/b?list-type=2&prefix=a%26acl",
            Operation::ListObjectsV2,
        ),
        ("GET", "/b?prefix=x&delimiter=/", Operation::ListObjects),
        (
            "GET",
            "/b?analytics",
            Operation::ListBucketAnalyticsConfigurations,
        ),
        (
            "GET",
            "/b?analytics&id=1",
            Operation::GetBucketAnalyticsConfiguration,
        ),
        ("GET", "/b/k?partNumber=2", Operation::GetObject),
        (
            "HEAD",
            "/b/k?partNumber=2&versionId=null",
            Operation::HeadObject,
        ),
        (
            "GET",
            "/b/k?response-content-disposition=attachment;filename=x",
            Operation::GetObject,
        ),
        ("GET", "/b/k?x=?acl", Operation::GetObject),
        ("DELETE", "/b/?policy", Operation::DeleteBucketPolicy),
        ("GET", "/b/?&&acl&", Operation::GetBucketAcl),
    ] {
        assert_eq!(
            operation(method, target, &[]),
            Ok(expected),
            "{method} {target}"
        );
    }
    assert_eq!(
        operation("PUT", "/b/k", &[("x-amz-copy-source", "o/k")]),
        Ok(Operation::CopyObject)
    );
    assert_eq!(
        operation(
            "PUT",
            "/b/k?uploadId=u&partNumber=10000",
            &[("x-amz-copy-source", "o/k")]
        ),
        Ok(Operation::UploadPartCopy)
    );
}

#[test]
fn ambiguous_requests_are_refused() {
    let form = ("content-type", "multipart/form-data; boundary=x");
    let cases: &[(&str, &str, &[(&str, &str)])] = &[
        ("PUT", "/b/k?tagging&acl", &[]),
        ("PUT", "/b/k?tagging&%61cl", &[]),
        ("PUT", "/b/k?acl&acl", &[]),
        ("PUT", "/b/k?acl=1", &[]),
        ("PUT", "/b/k?partNumber=1", &[]),
        ("PUT", "/b/k?uploadId=u", &[]),
        ("PUT", "/b/k?uploadId=&partNumber=", &[]),
        ("PUT", "/b/k?uploadId=u&partNumber=", &[]),
        ("PUT", "/b/k?uploadId=&partNumber=1", &[]),
        ("PUT", "/b/k?uploadId&partNumber=1", &[]),
        ("PUT", "/b/k?uploadId=u&uploadId=v&partNumber=1", &[]),
        ("PUT", "/b/k?uploadId=u&upload%49d=v&partNumber=1", &[]),
        ("PUT", "/b/k?uploadId=u&partNumber=1&tagging", &[]),
        ("PUT", "/b/k?uploadId=u&partNumber=0", &[]),
        ("PUT", "/b/k?uploadId=u&partNumber=10001", &[]),
        ("PUT", "/b/k?uploadId=u&partNumber=+1", &[]),
        ("PUT", "/b/k?uploadId=u&partNumber=01", &[]),
        ("PUT", "/b/k?uploadId=u;x&partNumber=1", &[]),
        ("PUT", "/b/k?foo;acl", &[]),
        ("PUT", "/b/k?acl;foo", &[]),
        ("PUT", "/b/k?foo=1;uploadId=u&partNumber=1", &[]),
        ("PUT", "/b/k?uploadId=u%zz&partNumber=1", &[]),
        ("PUT", "/b/k?foo=%", &[]),
        ("PUT", "/b/k?uploadId=%ff&partNumber=1", &[]),
        ("PUT", "/b/k?partNumber=1&uploadId=u&uploadId%3D", &[]),
        ("PUT", "/b/k?partNumber=1&uploadId=u&uploadId%3d=", &[]),
        ("PUT", "/b/k?foo%3Dbar=1", &[]),
        ("PUT", "/b/k?foo%26acl=1", &[]),
        ("GET", "/b/k?uploadId=u&partNumber=1", &[]),
        ("DELETE", "/b/k?uploadId=u&versionId=v", &[]),
        ("GET", "/b/k?versionId=", &[]),
        ("GET", "/b/k?versionId=a&versionId=b", &[]),
        ("GET", "/b?versions&list-type=2", &[]),
        ("GET", "/b?list-type=3", &[]),
        ("GET", "/b?prefix=a&prefix=b", &[]),
        ("GET", "/b?uploadId=u", &[]),
        ("GET", "/b/k?policy", &[]),
        ("PUT", "/b?restore", &[]),
        ("PUT", "/b?analytics", &[]),
        ("POST", "/b/k?select", &[]),
        ("POST", "/b?delete", &[form]),
        (
            "POST",
            "/b",
            &[("content-type", "text/plain, multipart/form-data")],
        ),
        ("PUT", "/b/k?acl", &[("x-amz-copy-source", "o/k")]),
        ("POST", "/b/k?uploads", &[("x-amz-copy-source", "o/k")]),
        ("PUT", "/b/k", &[("x-amz-copy-source", "")]),
        ("PUT", "/b/k?renameObject", &[]),
        (
            "PUT",
            "/b/k?AWSAccessKeyId=a&Signature=s&x-amz-copy-source=o/k",
            &[],
        ),
        (
            "PUT",
            "/b/k?AWSAccessKeyId=a&Signature=s&x-amz-acl=private",
            &[("x-amz-acl", "public-read")],
        ),
        ("PUT", "/b/k?x-amz-acl=private&X-Amz-Acl=public-read", &[]),
        (
            "PUT",
            "/b/k?x-amz-server-side-encryption=",
            &[("x-amz-server-side-encryption", "AES256")],
        ),
        (
            "PUT",
            "/b/k?X-Amz-Server-Side-Encryption=AES256",
            &[("x-amz-server-side-encryption", "aws:kms")],
        ),
        ("PUT", "/b/k?x-amz-server-side-encryption=AES256", &[]),
        (
            "GET",
            "/b/k?x-amz-server-side-encryption-customer-algorithm=AES256",
            &[],
        ),
        (
            "PUT",
            "/b/k?AWSAccessKeyId=a&Signature=s&x-amz-server-side-encryption=",
            &[("x-amz-server-side-encryption", "AES256")],
        ),
        (
            "PUT",
            "/b/k",
            &[
                ("x-amz-server-side-encryption", "AES256"),
                ("x-amz-server-side-encryption", "AES256"),
            ],
        ),
        (
            "PUT",
            "/b/k",
            &[("x-amz-acl", "private"), ("x-amz-acl", "public-read")],
        ),
        (
            "GET",
            "/b/k",
            &[("authorization", "AWS a:b"), ("authorization", "AWS a:b")],
        ),
        (
            "GET",
            "/b/k",
            &[("host", "127.0.0.1:8080"), ("host", "127.0.0.1:8080")],
        ),
        ("GET", "/b/k", &[("host", "other")]),
        (
            "PUT",
            "/b/k",
            &[("connection", "close, X-Amz-Server-Side-Encryption")],
        ),
        (
            "POST",
            "/WriteGetObjectResponse",
            &[
                ("x-amz-request-route", "r"),
                ("x-amz-request-token", "t"),
                form,
            ],
        ),
    ];
    for (method, target, headers) in cases {
        assert_eq!(code(method, target, headers).1, 400, "{method} {target}");
    }
    let many = format!("/b/k?{}", "a&".repeat(257));
    assert_eq!(code("GET", &many, &[]).1, 400);
}

#[test]
fn methods_and_unknown_operations() {
    for (method, target) in [
        ("PATCH", "/b/k"),
        ("TRACE", "/b/k"),
        ("CONNECT", "/b/k"),
        ("PROPFIND", "/b/k"),
        ("get", "/b/k"),
        ("HEAD", "/b/k?acl"),
        ("HEAD", "/b/k?uploadId=u"),
        ("POST", "/b/k?acl"),
        ("PUT", "/b?uploads"),
        ("PUT", "/b/k?uploads"),
        ("GET", "/b?delete"),
        ("DELETE", "/b?acl"),
        ("PUT", "/b/k?attributes"),
        ("HEAD", "/b?location"),
        ("DELETE", "/b?abac"),
    ] {
        assert_eq!(
            code(method, target, &[]),
            (ErrorCode::MethodNotAllowed, 405),
            "{method} {target}"
        );
    }
    let cases: &[(&str, &str, &[(&str, &str)])] = &[
        ("POST", "/", &[]),
        ("PUT", "/", &[]),
        ("HEAD", "/", &[]),
        ("GET", "/?acl", &[]),
        ("POST", "/b", &[]),
        ("POST", "/b", &[("content-type", "application/xml")]),
        (
            "POST",
            "/b/k",
            &[("content-type", "multipart/form-data; boundary=x")],
        ),
        ("POST", "/WriteGetObjectResponse", &[]),
        ("GET", "/b?events", &[]),
        ("PUT", "/b?replication-reset", &[]),
        ("PUT", "/b/k?append&position=0", &[]),
        ("PUT", "/b/k?%61ppend", &[]),
        (
            "PUT",
            "/b/k",
            &[("x-amz-meta-snowball-auto-extract", "true")],
        ),
        ("DELETE", "/b/k", &[("x-minio-force-delete", "true")]),
        ("PUT", "/b/k", &[("x-rgw-server-side-encryption", "")]),
        ("PUT", "/b/k", &[("x-goog-meta-a", "b")]),
        ("PUT", "/b/k", &[("x-seaweedfs-anything", "b")]),
        ("PUT", "/b/k?X-Rgw-Server-Side-Encryption=", &[]),
        (
            "PUT",
            "/b/k",
            &[(
                "x-amz-copy-source",
                "arn:aws:s3:us-east-1:111122223333:accesspoint/a/object/k",
            )],
        ),
    ];
    for (method, target, headers) in cases {
        assert_eq!(
            code(method, target, headers),
            (ErrorCode::NotImplemented, 501),
            "{method} {target}"
        );
    }
}

#[test]
fn errors_have_their_codes() {
    assert_eq!(code("GET", "/b%2Fk", &[]).0, ErrorCode::InvalidBucketName);
    assert_eq!(code("GET", "//b/k", &[]).0, ErrorCode::InvalidBucketName);
    assert_eq!(code("GET", "/b/%ff", &[]).0, ErrorCode::InvalidUri);
    assert_eq!(code("GET", "/b/../c/k", &[]).0, ErrorCode::InvalidUri);
    assert_eq!(
        code("GET", &format!("/b/{}", "k".repeat(1025)), &[]).0,
        ErrorCode::KeyTooLong
    );
    let error = S3Error::from(operation("PUT", "/b/k?tagging&acl", &[]).unwrap_err());
    assert_eq!(error.code, ErrorCode::InvalidArgument);
    assert_eq!(
        error.details,
        [
            ("ArgumentName", "ResourceType".to_owned()),
            ("ArgumentValue", "tagging, acl".to_owned())
        ]
    );
}

#[test]
fn user_metadata_may_repeat() {
    assert_eq!(
        operation(
            "PUT",
            "/b/k",
            &[
                ("x-amz-meta-a", "1"),
                ("x-amz-meta-a", "2"),
                ("accept", "a"),
                ("accept", "b")
            ]
        ),
        Ok(Operation::PutObject)
    );
}

#[test]
fn a_presigned_query_speaks_like_headers() {
    let headers = map(&[("x-amz-acl", "private")]);
    let target = b"/b/k?X-Amz-Algorithm=A&X-Amz-Signature=s&X-AMZ-Server-side-encryption=aws%3Akms&x-amz-acl=private";
    let head = RequestHead {
        method: &Method::PUT,
        target,
        host: Some("h"),
        headers: &headers,
    };
    let routed = route(&head, &[]).unwrap();
    assert!(routed.presigned);
    assert_eq!(
        routed.amz(&head, "x-amz-server-side-encryption").as_deref(),
        Some("aws:kms")
    );
    assert_eq!(routed.amz(&head, "x-amz-acl").as_deref(), Some("private"));
    let found: Vec<Action> = actions(&routed, &head)
        .iter()
        .map(|needed| needed.action)
        .collect();
    assert_eq!(found, [Action::PutObject, Action::PutObjectAcl]);
    let plain = RequestHead {
        target: b"/b/k?x-amz-storage-class=GLACIER",
        ..head
    };
    let routed = route(&plain, &[]).unwrap();
    assert!(!routed.presigned);
    assert_eq!(routed.amz(&plain, "x-amz-storage-class"), None);
    let headers = map(&[("x-amz-server-side-encryption", "AES256")]);
    let same = RequestHead {
        target: b"/b/k?x-amz-server-side-encryption=AES256",
        headers: &headers,
        ..head
    };
    assert!(!route(&same, &[]).unwrap().presigned);
}

/// However its names are chosen, a query costs a few looks at each of its bytes.
#[test]
fn a_query_is_read_once() {
    let many =
        |n: usize, name: &dyn Fn(usize) -> String| (0..n).map(name).collect::<Vec<_>>().join("&");
    let long = "x".repeat(240);
    for query in [
        many(250, &|_| format!("%41{long}")),
        many(126, &|_| format!("%41{long}{long}"))
            + "&"
            + &many(126, &|n| format!("x-amz-z{n:03}")),
        many(250, &|n| format!("x-amz-{long}{:03}", n * 97 % 250)),
        many(250, &|n| format!("%78-amz-{long}{n:03}={long}")),
        many(250, &|n| format!("a;x{n}{long}")),
    ] {
        let target = format!("/b/k?AWSAccessKeyId=a&Signature=s&{query}");
        let headers = HeaderMap::new();
        let head = RequestHead {
            method: &Method::PUT,
            target: target.as_bytes(),
            host: None,
            headers: &headers,
        };
        let mut routed = None;
        let cost = effort::of(|| routed = Some(route(&head, &[]).unwrap()));
        assert!(cost <= 16 * target.len(), "{cost} of {}", target.len());
        // What is asked for costs no more than its name.
        let routed = routed.unwrap();
        let cost = effort::of(|| {
            assert_eq!(routed.amz(&head, "x-amz-storage-class"), None);
            assert_eq!(routed.query.get("AWSAccessKeyId"), Some("a"));
        });
        assert!(cost <= 500, "{cost}");
    }
}

#[test]
fn copies_know_both_ends() {
    let headers = map(&[("x-amz-copy-source", "/src/a%20b?versionId=v")]);
    let head = RequestHead {
        method: &Method::PUT,
        target: b"/dst/k",
        host: None,
        headers: &headers,
    };
    let routed = route(&head, &[]).unwrap();
    let source = routed.copy_source.as_ref().unwrap();
    assert_eq!(
        (
            source.bucket.as_ref(),
            source.key.as_ref(),
            source.version_id.as_deref()
        ),
        ("src", &b"a b"[..], Some("v"))
    );
    assert_eq!(actions(&routed, &head)[1].action, Action::GetObjectVersion);
    let headers = map(&[("x-amz-rename-source", "old")]);
    let head = RequestHead {
        target: b"/dst/k?renameObject",
        headers: &headers,
        ..head
    };
    let routed = route(&head, &[]).unwrap();
    assert_eq!(routed.copy_source.unwrap().bucket, "dst");
}

/// A decision may take a microsecond; finding out what is to be decided must be a small part of it.
#[test]
fn routing_is_quick() {
    let headers = map(&[
        ("host", "127.0.0.1:8080"),
        (
            "authorization",
            "AWS4-HMAC-SHA256 Credential=A/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=aa",
        ),
        ("content-length", "4096"),
        ("x-amz-content-sha256", "UNSIGNED-PAYLOAD"),
        ("x-amz-date", "20260101T000000Z"),
        ("x-amz-server-side-encryption", "AES256"),
        ("user-agent", "x"),
        ("expect", "100-continue"),
    ]);
    let head = RequestHead {
        method: &Method::PUT,
        target: b"/bucket/some/folder/and-a-key.bin?x-id=PutObject",
        host: Some("127.0.0.1:8080"),
        headers: &headers,
    };
    let domains = vec!["s3.example.test".to_owned()];
    let mut best = f64::MAX;
    for _ in 0..20 {
        let start = std::time::Instant::now();
        for _ in 0..1000 {
            let routed = route(std::hint::black_box(&head), &domains).unwrap();
            std::hint::black_box(actions(&routed, &head).len());
        }
        best = best.min(start.elapsed().as_secs_f64() * 1e6);
    }
    println!("route + actions: {best:.0} ns");
    // Unoptimised, on a busy machine: only a blunder shows here.
    assert!(best < 20_000.0, "{best} ns");
}

fn any_method() -> impl Strategy<Value = Method> {
    prop::sample::select(vec![
        Method::GET,
        Method::HEAD,
        Method::PUT,
        Method::POST,
        Method::DELETE,
        Method::OPTIONS,
        Method::PATCH,
    ])
}

fn any_target() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop::sample::select(vec![
        "/",
        "b",
        "/bucket/",
        "?",
        "&",
        "=",
        "acl",
        "tagging",
        "uploadId=u",
        "partNumber=1",
        "%2F",
        "%2e",
        "..",
        ";",
        "+",
        "%",
        "#",
        "x-amz-acl=private",
        "X-Amz-Signature=s",
        "X-Amz-Algorithm=a",
        "http://h",
        "versionId=v",
        "delete",
        "list-type=2",
        "\u{e9}",
        "%ff",
        "uploads",
        "select&select-type=2",
        "WriteGetObjectResponse",
    ]);
    prop_oneof![
        any::<Vec<u8>>(),
        prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat().into_bytes())
    ]
}

proptest! {
    #[test]
    fn nothing_panics(method in any_method(), target in any_target(), host: Option<String>, source in ".{0,40}") {
        let mut headers = HeaderMap::new();
        if let Ok(value) = http::HeaderValue::from_bytes(source.as_bytes()) {
            headers.insert("x-amz-copy-source", value);
        }
        let head = RequestHead { method: &method, target: &target, host: host.as_deref(), headers: &headers };
        match route(&head, &["s3.example.test".to_owned()]) {
            Ok(routed) => {
                let _ = (actions(&routed, &head), routed.key.as_deref().map(address::other_readings));
                prop_assert!(method == Method::OPTIONS || routed.operation.method() == method.as_str());
                if let Some(key) = &routed.key {
                    prop_assert!(address::check_key(key).is_ok());
                }
            }
            Err(error) => prop_assert!(S3Error::from(error).status().as_u16() >= 400),
        }
    }

    #[test]
    fn a_key_comes_back_as_it_was_encoded(key in "[^\u{0}]{1,60}") {
        prop_assume!(address::check_key(key.as_bytes()).is_ok());
        let target = format!("/bucket/{}", crate::s3::query::encode(key.as_bytes(), true));
        let headers = HeaderMap::new();
        let head = RequestHead { method: &Method::PUT, target: target.as_bytes(), host: None, headers: &headers };
        let routed = route(&head, &[]).unwrap();
        prop_assert_eq!(routed.key.as_deref(), Some(key.as_bytes()));
        prop_assert_eq!(routed.operation, Operation::PutObject);
    }

    #[test]
    fn a_header_goes_before_the_query(header in "[a-z]{1,8}", query in "[a-z]{1,8}", presigned: bool) {
        let signature = if presigned { "&X-Amz-Signature=s&X-Amz-Algorithm=a" } else { "" };
        let target = format!("/b/k?x-amz-storage-class={query}{signature}");
        let headers = map(&[("x-amz-storage-class", &header)]);
        let head = RequestHead { method: &Method::PUT, target: target.as_bytes(), host: None, headers: &headers };
        match route(&head, &[]) {
            Ok(routed) => {
                prop_assert!(!presigned || header == query);
                let seen = routed.amz(&head, "x-amz-storage-class").map(Cow::into_owned);
                prop_assert_eq!(seen, Some(header));
            }
            Err(_) => prop_assert!(presigned && header != query),
        }
    }
}

/// The requests of the policy corpus, whose action and resource were derived independently.
#[test]
fn the_policy_corpus_is_read_alike() {
    let corpus: serde_json::Value =
        serde_json::from_str(include_str!("../../tests/data/policy-corpus.json")).unwrap();
    let mut count = 0;
    for case in corpus["entries"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|entry| entry["cases"].as_array().unwrap())
    {
        let (request, derived) = (&case["request"], &case["derived"]);
        let mut headers = HeaderMap::new();
        for (name, value) in request["headers"].as_object().unwrap() {
            headers.append(
                HeaderName::from_bytes(name.as_bytes()).unwrap(),
                value.as_str().unwrap().parse().unwrap(),
            );
        }
        let method = request["method"].as_str().unwrap().parse().unwrap();
        let target = request["path"].as_str().unwrap().as_bytes();
        let head = RequestHead {
            method: &method,
            target,
            host: Some("127.0.0.1"),
            headers: &headers,
        };
        let routed = route(&head, &[]).unwrap_or_else(|error| panic!("{case}: {error}"));
        let mut resource = format!("arn:aws:s3:::{}", routed.bucket.as_deref().unwrap());
        if let Some(key) = routed.key.as_deref() {
            resource = format!("{resource}/{}", std::str::from_utf8(key).unwrap());
        }
        assert_eq!(
            actions(&routed, &head)[0].action.name(),
            derived["action"].as_str().unwrap(),
            "{case}"
        );
        assert_eq!(resource, derived["resource"].as_str().unwrap(), "{case}");
        count += 1;
    }
    assert_eq!(count, 121);
}
