#![allow(clippy::unwrap_used, clippy::expect_used)]
use super::*;

fn domains() -> Vec<String> {
    vec!["example.test".to_owned(), "s3.example.test".to_owned()]
}

fn at<'a>(
    target: &'a str,
    host: &'a str,
) -> Result<(Option<String>, Option<String>), AddressError> {
    let found = parse(target.as_bytes(), Some(host), &domains())?;
    Ok((
        found.bucket.map(Cow::into_owned),
        found
            .key
            .map(|key| String::from_utf8(key.into_owned()).unwrap()),
    ))
}

fn some(bucket: &str, key: &str) -> (Option<String>, Option<String>) {
    let optional = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    (optional(bucket), optional(key))
}

#[test]
fn path_style() {
    for (target, bucket, key) in [
        ("/", "", ""),
        ("/?x", "", ""),
        ("/bucket", "bucket", ""),
        ("/bucket/", "bucket", ""),
        ("/bucket/?acl", "bucket", ""),
        ("/bucket/a/b", "bucket", "a/b"),
        ("/bucket/a%2Fb+c%20d%25", "bucket", "a/b+c d%"),
        ("/bucket/%252e", "bucket", "%2e"),
        ("/bucket//k", "bucket", "/k"),
        ("/bucket/a//b/", "bucket", "a//b/"),
        ("/bucket/x/../y", "bucket", "x/../y"),
        ("/bucket/./k", "bucket", "./k"),
        ("/bucket/x/%2e%2e/y", "bucket", "x/../y"),
        ("/bucket/...", "bucket", "..."),
        ("/Old_Bucket/k", "Old_Bucket", "k"),
        ("/bucket/\u{e9}", "bucket", "\u{e9}"),
        ("/bucket/%C3%A9", "bucket", "\u{e9}"),
        ("http://127.0.0.1:9000/bucket/k?x", "bucket", "k"),
        ("HTTP://127.0.0.1:9000", "", ""),
        ("http://127.0.0.1:9000?list-type=2", "", ""),
    ] {
        assert_eq!(
            at(target, "127.0.0.1:9000").unwrap(),
            some(bucket, key),
            "{target}"
        );
    }
    for host in [
        "[::1]:9000",
        "s3.example.test",
        "s3.example.test:443",
        "other.test",
        "notexample.test",
        "",
    ] {
        assert_eq!(
            at("/bucket/k", host).unwrap(),
            some("bucket", "k"),
            "{host}"
        );
    }
}

#[test]
fn virtual_host_style() {
    for (host, target, bucket, key) in [
        ("bucket.s3.example.test", "/k", "bucket", "k"),
        (
            "bucket.s3.example.test:8080",
            "/bucket/k",
            "bucket",
            "bucket/k",
        ),
        ("bucket.s3.example.test", "/", "bucket", ""),
        (
            "my.dotted.bucket.s3.example.test",
            "//k",
            "my.dotted.bucket",
            "/k",
        ),
        ("other.example.test", "/k", "other", "k"),
    ] {
        assert_eq!(
            at(target, host).unwrap(),
            some(bucket, key),
            "{host}{target}"
        );
    }
    let absolute = parse(b"http://bucket.s3.example.test/k", None, &domains()).unwrap();
    assert_eq!(
        (absolute.bucket.as_deref(), absolute.style),
        (Some("bucket"), Style::VirtualHost)
    );
}

#[test]
fn what_stores_could_read_as_another_bucket_is_refused() {
    for target in [
        "",
        "bucket/k",
        "*",
        "?x",
        "//bucket/k",
        "//",
        "/./bucket/k",
        "/../bucket/k",
        "/%2e%2e/bucket/k",
        "/bucket%2Fk",
        "/bucket%2f",
        "/b%75cket/k",
        "/bucket/../other/k",
        "/bucket/%2e%2e/other/k",
        "/bucket/..%2Fother/k",
        "/bucket/a/../../other/k",
        "/bucket//../other/k",
        "/bucket/.",
        "/bucket/x/..",
        "/bucket//",
        "/bucket/%2F",
        "/bucket/k#f",
        "/bucket/k?x#f",
        "/bucket/a b",
        "/bucket/a\tb",
        "/bucket/a\u{7f}",
        "/bucket/%00",
        "/bucket/%",
        "/bucket/%g0",
        "/bucket/%ff",
        "/.minio.sys/k",
        "/minio/admin/v3/info",
        "/-b/k",
        "/b:1/k",
        "/b\\c/k",
        "/bucket;x/k",
        "ftp://127.0.0.1:9000/b/k",
        "http://other/bucket/k",
        "http:///bucket/k",
        "http://user@127.0.0.1:9000/b/k",
        "http://127.0.0.1/b/k",
    ] {
        assert!(at(target, "127.0.0.1:9000").is_err(), "{target:?}");
    }
    for host in [
        "BUCKET.s3.example.test",
        "bucket.s3.example.test.",
        "a b.s3.example.test",
        "bucket.s3.example.test:x",
        "a@b",
        "a:1:2",
        "[::1",
        "..s3.example.test",
        ".s3.example.test.x/",
        "bu%63ket.s3.example.test",
        "-.s3.example.test",
    ] {
        assert!(at("/k", host).is_err(), "{host:?}");
    }
}

#[test]
fn keys_have_1024_bytes_at_most() {
    let key = "k".repeat(MAX_KEY_BYTES);
    assert!(at(&format!("/bucket/{key}"), "h").is_ok());
    assert_eq!(
        at(&format!("/bucket/{key}%6b"), "h"),
        Err(AddressError::KeyTooLong(1025))
    );
    // Escapes count as the bytes they stand for.
    assert!(at(&format!("/bucket/{}", "%6b".repeat(MAX_KEY_BYTES)), "h").is_ok());
}

#[test]
fn cleaning_tells_what_a_store_may_see() {
    for (key, clean) in [
        ("a/b", None),
        ("a/b/", None),
        ("a//b", Some("a/b")),
        ("/a", Some("a")),
        ("x/../y/", Some("y/")),
        ("x/./z", Some("x/z")),
        ("a/b/../../c", Some("c")),
        ("a/b__XLDIR__", Some("a/b/")),
        ("a/__XLDIR__", Some("a/")),
        ("a//b__XLDIR__", Some("a/b/")),
        ("a__XLDIR__/b", None),
    ] {
        assert_eq!(
            cleaned(key.as_bytes()).as_deref(),
            clean.map(str::as_bytes),
            "{key}"
        );
    }
}

#[test]
fn aws_reads_buckets_from_hosts_whatever_is_configured() {
    for host in [
        "s3.amazonaws.com",
        "s3.eu-west-1.amazonaws.com",
        "s3-eu-west-1.amazonaws.com",
        "S3-fips.dualstack.us-east-1.amazonaws.com:443",
    ] {
        assert_eq!(at("/b/k", host).unwrap(), some("b", "k"), "{host}");
    }
    for host in [
        "victim.s3.amazonaws.com",
        "s3-x.s3.us-east-1.amazonaws.com",
        "b.s3-accelerate.amazonaws.com",
        "b.s3.cn-north-1.amazonaws.com.cn",
    ] {
        assert_eq!(at("/b/k", host), Err(AddressError::ForeignDomain), "{host}");
    }
    let domains = ["s3.amazonaws.com".to_owned()];
    assert_eq!(
        parse(b"/k", Some("b.s3.amazonaws.com"), &domains)
            .unwrap()
            .bucket
            .as_deref(),
        Some("b")
    );
}

#[test]
fn hosts_that_stores_read_differently_are_refused() {
    for host in [
        "S3.example.test",
        "bucket.S3.Example.Test",
        "BUCKET.s3.example.test:80",
    ] {
        assert_eq!(at("/b/k", host), Err(AddressError::HostCase), "{host}");
    }
    for host in [
        "b.s3.example.test.evil",
        "b.s3.example.test.s3.example.test",
        "s3.example.test.evil:80",
        "s3.example.testx",
        "b.S3.example.test.evil",
    ] {
        assert_eq!(at("/b/k", host), Err(AddressError::HostTwoWays), "{host}");
    }
    for host in ["Some.Host.test:1234", "xexample.test"] {
        assert_eq!(at("/b/k", host).unwrap(), some("b", "k"), "{host}");
    }
    // versitygw cuts the bucket off before the first ".gw", whatever comes behind it.
    let one = ["gw".to_owned()];
    for host in [
        "vault.gw.x",
        "vault.gw.public.gw",
        "vault.gway",
        "a.gwx.b.gw",
    ] {
        let told = parse(b"/b/k", Some(host), &one);
        assert_eq!(told.unwrap_err(), AddressError::HostTwoWays, "{host}");
    }
    for host in ["gw", "gw.test", "b.gw:80", "gw-1.gw", "gw.gw"] {
        assert!(parse(b"/b/k", Some(host), &one).is_ok(), "{host}");
    }
    assert_eq!(at("/b/k", ".s3.example.test"), Err(AddressError::Host));
}

#[test]
fn a_backslash_is_a_slash_to_some_stores() {
    let read = |key: &str| -> Vec<String> {
        other_readings(key.as_bytes())
            .into_iter()
            .map(|key| String::from_utf8(key).unwrap())
            .collect()
    };
    assert!(read("secret/x").is_empty());
    assert_eq!(read(r"secret\x"), ["secret/x"]);
    assert_eq!(read(r"a\..\secret\x"), ["secret/x", "a/../secret/x"]);
    assert_eq!(read(r"a//b\c"), [r"a/b\c", "a/b/c", "a//b/c"]);
    for key in [r"..\other", r"a\..\..\b", r"a\.."] {
        assert_eq!(
            check_key(key.as_bytes()),
            Err(AddressError::Climbs),
            "{key}"
        );
    }
    assert_eq!(check_key(br"a\b..\c"), Ok(()));
}

#[test]
fn the_administration_of_minio_is_no_key() {
    for target in [
        "/minio",
        "/minio/admin/v3/info",
        "/%6dinio/x",
        "/x/../minio/y",
        "//minio",
        "/rustfs/rpc/put_file_stream",
        r"/x\..\minio/y",
    ] {
        assert_eq!(
            at(target, "bucket.s3.example.test"),
            Err(AddressError::Administration),
            "{target}"
        );
    }
    for bucket in ["/minio/x", "/rustfs/rpc/put_file_stream"] {
        assert_eq!(at(bucket, "h"), Err(AddressError::Bucket));
    }
    assert!(at("/miniox", "bucket.s3.example.test").is_ok());
    assert!(at("/bucket/minio/x", "h").is_ok());
}

#[test]
fn ids_are_no_paths() {
    for id in [
        "null",
        "3HL4kqtJlcpXroDTDmJ.rmSpXd3dIbrHY",
        "2~abc_DEF-1",
        "b64==",
        "a+b",
        "b54357faf0632cce46e942fa68356b38",
        "c2f7e9d8-5c0a-4b0e-9d0c-6f6d1e1b2a3f",
    ] {
        assert!(is_id(id), "{id}");
    }
    let long = "a".repeat(1025);
    for id in [
        "", ".", "..", ".a", "a..b", "a/b", "a\\b", "a b", "a%2f", "\u{fc}", &long,
    ] {
        assert!(!is_id(id), "{id}");
    }
}
