#![allow(clippy::unwrap_used, clippy::expect_used)]
use super::*;
use crate::s3::route;
use http::Method;

const SIGNATURE: &str = "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41";

fn of(target: &str, authorization: Option<&str>) -> Result<Claim<'static>, S3Error> {
    let mut headers = HeaderMap::new();
    if let Some(value) = authorization {
        headers.insert("authorization", value.parse().unwrap());
    }
    if !target.contains('?') {
        headers.insert("x-amz-date", "20130524T000000Z".parse().unwrap());
    }
    let head = RequestHead {
        method: &Method::GET,
        target: target.as_bytes(),
        host: Some("h"),
        headers: &headers,
    };
    let routed = route(&head, &[]).unwrap();
    let found = claim(&routed, &head)?;
    let own = |text: Option<Cow<'_, str>>| text.map(|text| Cow::Owned(text.into_owned()));
    Ok(Claim {
        access_key: own(found.access_key),
        signed_headers: own(found.signed_headers),
        region: own(found.region),
        ..found
    })
}

fn presigned(expires: &str, credential: &str) -> String {
    format!(
        "/b/k?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential={credential}&X-Amz-Date=20130524T000000Z&X-Amz-Expires={expires}&X-Amz-SignedHeaders=host%3Bx-amz-acl&X-Amz-Signature={SIGNATURE}"
    )
}

#[test]
fn the_header() {
    let value = format!(
        "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,SignedHeaders=host;range;x-amz-date,Signature={SIGNATURE}"
    );
    for value in [value.clone(), value.replace(',', ", ")] {
        let found = of("/b/k", Some(&value)).unwrap();
        assert_eq!(
            (found.auth, found.version, found.access_key.as_deref()),
            (
                AuthType::Header,
                Some(SignatureVersion::V4),
                Some("AKIAIOSFODNN7EXAMPLE")
            )
        );
        assert_eq!(
            (found.region.as_deref(), found.signed_headers.as_deref()),
            (Some("us-east-1"), Some("host;range;x-amz-date"))
        );
        assert_eq!(found.signed_at, Some(1_369_353_600_000));
        assert_eq!(found.age_ms(1_369_353_600_500), None);
        assert!(!format!("{found:?}").contains(SIGNATURE));
    }
    let asymmetric = format!(
        "AWS4-ECDSA-P256-SHA256 Credential=A/B/20130524/s3/aws4_request, SignedHeaders=host, Signature={SIGNATURE}"
    );
    let found = of("/b/k", Some(&asymmetric)).unwrap();
    assert_eq!(
        (found.version, found.access_key.as_deref(), found.region),
        (Some(SignatureVersion::V4a), Some("A/B"), None)
    );
    let old = of("/b/k", Some("AWS AKID:c2lnbmF0dXJl=")).unwrap();
    assert_eq!(
        (old.version, old.access_key.as_deref(), old.age_ms(5)),
        (Some(SignatureVersion::V2), Some("AKID"), None)
    );
    assert_eq!(of("/b/k", None).unwrap(), Claim::ANONYMOUS);
}

#[test]
fn malformed_headers() {
    let good = format!(
        "AWS4-HMAC-SHA256 Credential=A/20130524/r/s3/aws4_request,SignedHeaders=host,Signature={SIGNATURE}"
    );
    for (from, to) in [
        ("Credential=A/", "Credential=/"),
        ("20130524", "2013052"),
        ("/r/", "//"),
        ("aws4_request", "aws4"),
        ("SignedHeaders=host", "SignedHeaders="),
        ("SignedHeaders=host", "SignedHeaders=Host"),
        ("SignedHeaders=host", "SignedHeaders=host;;x"),
        ("SignedHeaders=host,", ""),
        (",Signature=", ",Signature="),
        ("Credential=A", "Credential=A,Credential=B"),
        ("host,", "host,Extra=1,"),
        ("host,", "host,,"),
        (SIGNATURE, "xyz"),
        (SIGNATURE, ""),
    ] {
        let value = good.replace(from, to);
        if value == good {
            assert!(of("/b/k", Some(&value)).is_ok());
            continue;
        }
        assert_eq!(
            of("/b/k", Some(&value)).unwrap_err().code,
            ErrorCode::AuthorizationHeaderMalformed,
            "{value}"
        );
    }
    for value in ["AWS", "AWS :s", "AWS a:", "AWS4-HMAC-SHA256"] {
        assert_eq!(
            of("/b/k", Some(value)).unwrap_err().code,
            ErrorCode::AuthorizationHeaderMalformed,
            "{value}"
        );
    }
    for value in ["Bearer secret-token", "Basic c2VjcmV0", "aws a:b", ""] {
        let error = of("/b/k", Some(value)).unwrap_err();
        assert_eq!(error.code, ErrorCode::InvalidArgument, "{value}");
        assert!(!format!("{error:?}").contains("secret-token"));
    }
}

#[test]
fn presigned_queries() {
    let target = presigned("3600", "AKID%2F20130524%2Fus-east-1%2Fs3%2Faws4_request");
    let found = of(&target, None).unwrap();
    assert_eq!(
        (found.auth, found.version, found.access_key.as_deref()),
        (AuthType::Query, Some(SignatureVersion::V4), Some("AKID"))
    );
    assert_eq!(found.signed_headers.as_deref(), Some("host;x-amz-acl"));
    assert_eq!(found.expires_at, Some(1_369_353_600_000 + 3_600_000));
    assert_eq!(
        (found.age_ms(1_369_353_601_000), found.age_ms(0)),
        (Some(1000), Some(0))
    );
    let old = of(
        "/b/k?AWSAccessKeyId=AK%2FID&Signature=abc%3D&Expires=1700000000",
        None,
    )
    .unwrap();
    assert_eq!(
        (old.version, old.access_key.as_deref(), old.age_ms(7)),
        (Some(SignatureVersion::V2), Some("AK/ID"), Some(0))
    );
    assert_eq!(old.expires_at, Some(1_700_000_000_000));
    assert_eq!(
        of(&target, Some("AWS a:b")).unwrap_err().code,
        ErrorCode::InvalidArgument
    );
    assert_eq!(
        of(&format!("{target}&Signature=x"), None).unwrap_err().code,
        ErrorCode::InvalidArgument
    );
    for wrong in [
        presigned("0", "A/20130524/r/s3/aws4_request"),
        presigned("604801", "A/20130524/r/s3/aws4_request"),
        presigned("x", "A/20130524/r/s3/aws4_request"),
        presigned("1", "A/r"),
    ] {
        assert_eq!(
            of(&wrong, None).unwrap_err().code,
            ErrorCode::AuthorizationQueryParametersError,
            "{wrong}"
        );
    }
    for name in [
        "X-Amz-Algorithm",
        "X-Amz-Credential",
        "X-Amz-Expires",
        "X-Amz-SignedHeaders",
        "X-Amz-Signature",
    ] {
        let lower = target.replace(name, &name.to_lowercase());
        assert_eq!(
            of(&lower, None).unwrap_err().code,
            ErrorCode::AuthorizationQueryParametersError,
            "{lower}"
        );
        let gone = target.replace(name, "x");
        assert_eq!(
            of(&gone, None).unwrap_err().code,
            ErrorCode::AuthorizationQueryParametersError,
            "{gone}"
        );
    }
    assert_eq!(
        of(&target.replace("20130524T000000Z", "20130524T0000Z"), None)
            .map(|_| ())
            .unwrap_err()
            .code,
        ErrorCode::AuthorizationQueryParametersError
    );
    for wrong in [
        "/b/k?AWSAccessKeyId=A",
        "/b/k?Signature=A",
        "/b/k?AWSAccessKeyId=A&Signature=s&Expires=soon",
        "/b/k?AWSAccessKeyId=&Signature=s&Expires=1",
    ] {
        assert_eq!(
            of(wrong, None).unwrap_err().code,
            ErrorCode::AccessDenied,
            "{wrong}"
        );
    }
}

#[test]
fn forms() {
    let map = |fields: &[(&'static str, &str)]| -> HeaderMap {
        fields
            .iter()
            .map(|(name, value)| (http::HeaderName::from_static(name), value.parse().unwrap()))
            .collect()
    };
    let v4 = [
        ("policy", "e30="),
        ("x-amz-algorithm", "AWS4-HMAC-SHA256"),
        ("x-amz-credential", "AKID/20130524/r/s3/aws4_request"),
        ("x-amz-date", "20130524T000000Z"),
        ("x-amz-signature", SIGNATURE),
    ];
    let fields = map(&v4);
    let found = claim_of_form(&fields).unwrap();
    assert_eq!(
        (
            found.auth.condition_value(),
            found.access_key.as_deref(),
            found.age_ms(1_369_353_600_009)
        ),
        (Some("POST"), Some("AKID"), Some(9))
    );
    for left_out in 0..v4.len() {
        let fields: Vec<_> = v4
            .iter()
            .enumerate()
            .filter(|(index, _)| *index != left_out)
            .map(|(_, field)| *field)
            .collect();
        assert_eq!(
            claim_of_form(&map(&fields)).unwrap_err().code,
            ErrorCode::InvalidArgument,
            "{fields:?}"
        );
    }
    let fields = map(&[
        ("policy", "e30="),
        ("awsaccesskeyid", "A"),
        ("signature", "s"),
    ]);
    assert_eq!(claim_of_form(&fields).unwrap().age_ms(3), Some(0));
    assert_eq!(
        claim_of_form(&map(&[("key", "k")])).unwrap(),
        Claim::ANONYMOUS
    );
    assert!(claim_of_form(&map(&[("signature", "s")])).is_err());
}

#[test]
fn timestamps() {
    assert_eq!(timestamp("19700101T000001Z"), Some(1000));
    for wrong in [
        "",
        "20130524T000000",
        "20131324T000000Z",
        "20130524 000000Z",
        "2013052aT000000Z",
        "20130524T250000Z",
        "2013\u{e9}24T000000Z",
    ] {
        assert_eq!(timestamp(wrong), None, "{wrong}");
    }
}
