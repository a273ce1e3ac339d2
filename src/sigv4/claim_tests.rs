#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
use super::*;
use crate::s3::form::{Boundary, Form, FormReader, Progress};
use crate::s3::route;
use http::{HeaderMap, Method};

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

/// A form of these fields as its reader gives it.
fn form(fields: &[(&str, &str)]) -> Form {
    let mut body = String::new();
    for (name, value) in fields.iter().chain(&[("key", "k")]) {
        body.extend([
            "--b\r\nContent-Disposition: form-data; name=\"",
            name,
            "\"\r\n\r\n",
            value,
            "\r\n",
        ]);
    }
    body += "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"f\"\r\n\r\nx\r\n--b--\r\n";
    let mut reader = FormReader::new(Boundary::new("b").unwrap(), 20_480);
    match reader.feed(body.as_bytes()).unwrap() {
        Progress::File(form) => *form,
        Progress::More => panic!("the form is whole"),
    }
}

/// What is claimed: where, in which version, by whom, how long ago.
type Said = (
    Option<&'static str>,
    Option<&'static str>,
    Option<String>,
    Option<i64>,
);

fn of_form(fields: &[(&str, &str)]) -> Result<Said, ErrorCode> {
    let form = form(fields);
    let claim = claim_of_form(|name| form.field(name)).map_err(|error| error.code)?;
    Ok((
        claim.auth.condition_value(),
        claim.version.map(SignatureVersion::condition_value),
        claim.access_key.as_deref().map(str::to_owned),
        claim.age_ms(1_369_353_600_009),
    ))
}

const V4: [(&str, &str); 5] = [
    ("policy", "e30="),
    ("X-Amz-Algorithm", "AWS4-HMAC-SHA256"),
    ("X-Amz-Credential", "AKID/20130524/r/s3/aws4_request"),
    ("X-Amz-Date", "20130524T000000Z"),
    ("X-Amz-Signature", SIGNATURE),
];
const V2: [(&str, &str); 3] = [
    ("policy", "e30="),
    ("AWSAccessKeyId", "AKID"),
    ("signature", "c2lnbmF0dXJl="),
];

#[test]
fn forms() {
    let akid = Some("AKID".to_owned());
    assert_eq!(
        of_form(&V4),
        Ok((
            Some("POST"),
            Some("AWS4-HMAC-SHA256"),
            akid.clone(),
            Some(9)
        ))
    );
    assert_eq!(of_form(&V2), Ok((Some("POST"), Some("AWS"), akid, Some(0))));
    assert_eq!(of_form(&[]), Ok((None, None, None, None)));
    // A policy that nobody signed makes nobody its signer.
    assert_eq!(of_form(&V4[..1]), Ok((None, None, None, None)));
}

#[test]
fn forms_that_say_half_or_two_things() {
    let refused = Err(ErrorCode::InvalidArgument);
    for whole in [&V4[..], &V2[..]] {
        for left_out in 0..whole.len() {
            let mut fields = whole.to_vec();
            fields.remove(left_out);
            assert_eq!(of_form(&fields), refused, "{fields:?}");
        }
        for at in 1..whole.len() {
            for value in ["", "not this", "\u{e9}\u{7f}."] {
                let mut fields = whole.to_vec();
                fields[at].1 = value;
                let what = of_form(&fields);
                // Anything but nothing may be a signature of Version 2.
                if fields[at].0 != "signature" || value.is_empty() {
                    assert_eq!(what, refused, "{fields:?}");
                }
            }
        }
    }
    assert_eq!(of_form(&[&V4[..], &V2[1..]].concat()), refused);
    assert_eq!(of_form(&[&V4[..], &V2[1..2]].concat()), refused);
    assert_eq!(of_form(&[("x-amz-security-token", "t")]), refused);
    assert_eq!(
        of_form(&[&V2[..], &[("x-amz-security-token", "t")]].concat()).map(|said| said.1),
        Ok(Some("AWS"))
    );
}

#[test]
fn a_form_beside_a_signed_head() {
    let (signed, nothing) = (form(&V4), form(&[]));
    let head = Claim {
        auth: AuthType::Header,
        version: Some(SignatureVersion::V2),
        access_key: Some(Cow::Borrowed("OTHER")),
        ..Claim::ANONYMOUS
    };
    let of = |head: &Claim<'static>, form: &Form| {
        let of_form = claim_of_form(|name| form.field(name))?;
        claim_of_post(head, of_form).map(|claim| claim.auth)
    };
    assert_eq!(of(&Claim::ANONYMOUS, &signed).unwrap(), AuthType::Post);
    assert_eq!(
        of(&head, &nothing).unwrap_err().code,
        ErrorCode::InvalidArgument
    );
    assert_eq!(
        of(&Claim::ANONYMOUS, &nothing).unwrap(),
        AuthType::Anonymous
    );
    assert_eq!(
        of(&head, &signed).unwrap_err().code,
        ErrorCode::InvalidArgument
    );
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
