#![allow(clippy::unwrap_used)]
use proptest::prelude::*;

use super::*;

/// The credentials of AWS' test suite.
const SUITE: Signer<'static> = Signer {
    access_key: "AKIDEXAMPLE",
    secret_key: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
    region: "us-east-1",
    service: "service",
};
const SUITE_DATE: &str = "20150830T123600Z";

/// Those of the examples in S3's documentation.
const S3: Signer<'static> = Signer {
    access_key: "AKIAIOSFODNN7EXAMPLE",
    secret_key: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
    region: "us-east-1",
    service: "s3",
};
const S3_DATE: &str = "20130524T000000Z";

fn signature(signer: &Signer<'_>, request: &ToSign<'_>, date: &str) -> String {
    let authorization = signer.authorization(request, date);
    authorization.rsplit_once('=').unwrap().1.to_owned()
}

#[test]
fn the_test_suite_of_aws() {
    let host = ("Host", "example.amazonaws.com");
    let date = ("X-Amz-Date", SUITE_DATE);
    for (method, query, expect) in [
        // get-vanilla
        (
            "GET",
            "",
            "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
        ),
        // get-vanilla-query-order-key-case
        (
            "GET",
            "Param2=value2&Param1=value1",
            "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
        ),
        // post-vanilla
        (
            "POST",
            "",
            "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b",
        ),
    ] {
        let request = ToSign {
            method,
            path: "/",
            query,
            headers: &[host, date],
            payload: Payload::Of(b""),
        };
        assert_eq!(
            signature(&SUITE, &request, SUITE_DATE),
            expect,
            "{method} {query}"
        );
    }
}

#[test]
fn the_examples_of_s3() {
    let host = ("Host", "examplebucket.s3.amazonaws.com");
    let date = ("x-amz-date", S3_DATE);
    let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    let hash = ("x-amz-content-sha256", empty);
    let get = |query, expect| {
        let request = ToSign {
            method: "GET",
            path: "/",
            query,
            headers: &[host, date, hash],
            payload: Payload::Of(b""),
        };
        assert_eq!(signature(&S3, &request, S3_DATE), expect, "{query}");
    };
    get(
        "lifecycle",
        "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543",
    );
    get(
        "max-keys=2&prefix=J",
        "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
    );
    let request = ToSign {
        method: "GET",
        path: "/test.txt",
        query: "",
        headers: &[host, ("Range", "bytes=0-9"), hash, date],
        payload: Payload::Named(empty),
    };
    assert_eq!(
        S3.authorization(&request, S3_DATE),
        "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request, \
         SignedHeaders=host;range;x-amz-content-sha256;x-amz-date, \
         Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"
    );
    let body = Payload::Of(b"Welcome to Amazon S3.");
    let name = body.name();
    let request = ToSign {
        method: "PUT",
        path: "/test%24file.text",
        query: "",
        headers: &[
            ("Date", "Fri, 24 May 2013 00:00:00 GMT"),
            host,
            date,
            ("x-amz-storage-class", "REDUCED_REDUNDANCY"),
            ("x-amz-content-sha256", &name),
        ],
        payload: body,
    };
    assert_eq!(
        signature(&S3, &request, S3_DATE),
        "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd"
    );
}

#[test]
fn headers_are_made_canonical() {
    let request = ToSign {
        method: "GET",
        path: "",
        query: "b=2&a=%7E&a=1+1&c",
        headers: &[
            ("X-B", "  a   b "),
            ("host", "h"),
            ("x-a", "2"),
            ("X-A", "1"),
        ],
        payload: Payload::Named(UNSIGNED_PAYLOAD),
    };
    let (canonical, names) = canonical_request(&request);
    assert_eq!(names, "host;x-a;x-b");
    assert_eq!(
        canonical,
        "GET\n/\na=1%201&a=~&b=2&c=\nhost:h\nx-a:2,1\nx-b:a b\n\nhost;x-a;x-b\nUNSIGNED-PAYLOAD"
    );
}

#[test]
fn times_and_secrets() {
    assert_eq!(amz_date(1_440_938_160), SUITE_DATE);
    assert!(!format!("{S3:?}").contains("wJalr"));
}

proptest! {
    /// The order in which headers and parameters stand does not matter, nor does anything make it panic.
    #[test]
    fn order_does_not_matter(query in ".{0,40}", a in ".{0,20}", b in ".{0,20}", path in ".{0,20}", date in ".{0,20}") {
        let one = [("x-a", a.as_str()), ("x-b", b.as_str())];
        let two = [one[1], one[0]];
        let reversed = query.split('&').rev().collect::<Vec<_>>().join("&");
        let request = |headers, query| ToSign { method: "PUT", path: &path, query, headers, payload: Payload::Of(b"") };
        prop_assert_eq!(
            S3.authorization(&request(&one, &query), &date),
            S3.authorization(&request(&two, &reversed), &date)
        );
    }
}
