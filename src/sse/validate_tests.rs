#![allow(clippy::unwrap_used, clippy::expect_used, clippy::type_complexity)]
use super::*;
use crate::s3::{RequestHead, route};
use crate::sse::headers::*;
use http::{HeaderMap, HeaderName, Method};

// From the public S3 test suite.
const KEY: &str = "pO3upElrwuEXSoFwCfnZPdSsmt/xWeFa0N9KgDijwVs=";
const MD5: &str = "DWygnHRtgiJ77HCm+1rvHw==";
const TLS: Channel = Channel {
    tls: true,
    allow_plain_http: false,
    kms_needs_v4: false,
    signed_v4: false,
};
const HTTP: Channel = Channel { tls: false, ..TLS };

fn map(headers: &[(&str, &str)]) -> HeaderMap {
    headers
        .iter()
        .map(|(name, value)| {
            (
                HeaderName::from_bytes(name.as_bytes()).unwrap(),
                value.parse().unwrap(),
            )
        })
        .collect()
}

fn check(
    operation: Operation,
    headers: &[(&str, &str)],
    channel: Channel,
) -> Result<Validated, S3Error> {
    validate(operation, &SseRequest::of_form(&map(headers))?, channel)
}

fn argument(error: &S3Error) -> (&str, &str) {
    assert_eq!(
        (error.details[0].0, error.details[1].0),
        ("ArgumentName", "ArgumentValue")
    );
    (&error.details[0].1, &error.details[1].1)
}

#[test]
fn what_is_in_order_passes() {
    let put = Operation::PutObject;
    assert_eq!(check(put, &[], TLS).unwrap().encryption, Encryption::Unsaid);
    assert_eq!(
        check(put, &[(SSE, "AES256")], HTTP).unwrap().encryption,
        Encryption::Aes256
    );
    assert_eq!(
        check(put, &[(SSE, "aws:kms")], HTTP).unwrap().encryption,
        Encryption::Kms {
            dsse: false,
            key_id: None
        }
    );
    let all = [
        (SSE, "aws:kms"),
        (KMS_KEY_ID, "alias/x"),
        (CONTEXT, "eyJhIjoiYiJ9"),
        (BUCKET_KEY, "true"),
    ];
    assert_eq!(
        check(Operation::CopyObject, &all, TLS).unwrap().encryption,
        Encryption::Kms {
            dsse: false,
            key_id: Some("alias/x".to_owned())
        }
    );
    assert_eq!(
        check(put, &[(SSE, "aws:kms:dsse"), (BUCKET_KEY, "false")], TLS)
            .unwrap()
            .encryption,
        Encryption::Kms {
            dsse: true,
            key_id: None
        }
    );
    let customer = [
        (CUSTOMER_ALGORITHM, "AES256"),
        (CUSTOMER_KEY, KEY),
        (CUSTOMER_KEY_MD5, MD5),
    ];
    let found = check(Operation::UploadPart, &customer, TLS).unwrap();
    assert!(matches!(found.encryption, Encryption::Customer(_)));
    assert!(!format!("{found:?}").contains(&format!("{:?}", STANDARD.decode(KEY).unwrap()[0])));
    assert!(
        check(
            put,
            &customer,
            Channel {
                allow_plain_http: true,
                ..HTTP
            }
        )
        .is_ok()
    );
    let source = [
        (SOURCE_ALGORITHM, "AES256"),
        (SOURCE_KEY, KEY),
        (SOURCE_KEY_MD5, MD5),
        (SSE, "AES256"),
    ];
    let found = check(Operation::CopyObject, &source, TLS).unwrap();
    assert!(found.source.is_some() && found.encryption == Encryption::Aes256);
}

#[test]
fn customer_keys_fail_as_on_s3() {
    use ErrorCode::{InvalidArgument, InvalidEncryptionAlgorithmError, InvalidRequest};
    let (a, k, m) = (CUSTOMER_ALGORITHM, CUSTOMER_KEY, CUSTOMER_KEY_MD5);
    let cases: &[(&[(&str, &str)], ErrorCode, &str)] = &[
        (
            &[(k, KEY), (m, MD5)],
            InvalidArgument,
            "a valid encryption algorithm.",
        ),
        (
            &[(a, ""), (k, KEY), (m, MD5)],
            InvalidArgument,
            "a valid encryption algorithm.",
        ),
        (
            &[(a, "AES256"), (m, MD5)],
            InvalidArgument,
            "an appropriate secret key.",
        ),
        (
            &[(a, "AES256"), (k, ""), (m, MD5)],
            InvalidArgument,
            "an appropriate secret key.",
        ),
        (
            &[(a, "AES192"), (k, KEY), (m, MD5)],
            InvalidEncryptionAlgorithmError,
            "Supported value: AES256.",
        ),
        (
            &[(a, "aes256"), (k, KEY), (m, MD5)],
            InvalidEncryptionAlgorithmError,
            "Supported value: AES256.",
        ),
        (
            &[(a, "AES256"), (k, KEY)],
            InvalidArgument,
            "the client calculated MD5 of the secret key.",
        ),
        (
            &[(a, "AES256"), (k, "c2hvcnQ="), (m, MD5)],
            InvalidArgument,
            "The secret key was invalid for the specified algorithm.",
        ),
        (
            &[(a, "AES256"), (k, "%%%"), (m, MD5)],
            InvalidArgument,
            "The secret key was invalid for the specified algorithm.",
        ),
        (
            &[(a, "AES256"), (k, KEY), (m, "AAAAAAAAAAAAAAAAAAAAAA==")],
            InvalidArgument,
            "The calculated MD5 hash",
        ),
        (
            &[(a, "AES256"), (k, KEY), (m, "no base64")],
            InvalidArgument,
            "The calculated MD5 hash",
        ),
        (
            &[(SSE, "AES256"), (a, "AES192"), (k, KEY)],
            InvalidArgument,
            "is incompatible with the encryption method specified",
        ),
    ];
    for (headers, code, message) in cases {
        let error = check(Operation::PutObject, headers, TLS).unwrap_err();
        assert_eq!(error.code, *code, "{headers:?}");
        assert!(error.message.contains(message), "{headers:?}: {error}");
        assert_eq!(argument(&error).0, SSE);
        assert!(!format!("{error:?}").contains(KEY));
    }
    let error = check(Operation::GetObject, &[(a, "AES256")], HTTP).unwrap_err();
    assert_eq!((error.code, error.details.len()), (InvalidRequest, 0));
    assert!(
        error
            .message
            .ends_with("must be made over a secure connection.")
    );
    let error = check(
        Operation::UploadPartCopy,
        &[(SOURCE_ALGORITHM, "AES256"), (SOURCE_KEY_MD5, MD5)],
        TLS,
    )
    .unwrap_err();
    assert!(error.message.ends_with("an appropriate secret key."));
}

#[test]
fn methods_and_their_details() {
    for (headers, name, value) in [
        (&[(SSE, "aes256")][..], SSE, "aes256"),
        (&[(SSE, "")], SSE, ""),
        (&[(SSE, "aes:kms")], SSE, "aes:kms"),
        (&[(SSE, "aws:fsx")], SSE, "aws:fsx"),
        (&[(SSE, "AES256, AES256")], SSE, "AES256, AES256"),
        (&[(KMS_KEY_ID, "k")], KMS_KEY_ID, "k"),
        (&[(SSE, "AES256"), (KMS_KEY_ID, "k")], KMS_KEY_ID, "k"),
        (&[(SSE, "aws:kms"), (KMS_KEY_ID, "")], KMS_KEY_ID, ""),
        (&[(SSE, "AES256"), (CONTEXT, "e30=")], CONTEXT, ""),
        (&[(SSE, "aws:kms"), (CONTEXT, "e30")], CONTEXT, ""),
        (&[(SSE, "aws:kms"), (CONTEXT, "W10=")], CONTEXT, ""),
        (&[(SSE, "aws:kms"), (CONTEXT, "eyJhIjoxfQ==")], CONTEXT, ""),
        (&[(SSE, "aws:kms"), (CONTEXT, "")], CONTEXT, ""),
        (&[(SSE, "AES256"), (BUCKET_KEY, "true")], BUCKET_KEY, "true"),
        (
            &[(SSE, "aws:kms:dsse"), (BUCKET_KEY, "true")],
            BUCKET_KEY,
            "true",
        ),
        (&[(SSE, "aws:kms"), (BUCKET_KEY, "1")], BUCKET_KEY, "1"),
    ] {
        let error = check(Operation::PutObject, headers, TLS).unwrap_err();
        assert_eq!(error.code, ErrorCode::InvalidArgument);
        assert_eq!(argument(&error), (name, value), "{headers:?}");
    }
    let v4 = Channel {
        kms_needs_v4: true,
        ..TLS
    };
    assert_eq!(
        argument(&check(Operation::PutObject, &[(SSE, "aws:kms")], v4).unwrap_err()),
        ("Authorization", "null")
    );
    assert!(
        check(
            Operation::PutObject,
            &[(SSE, "aws:kms")],
            Channel {
                signed_v4: true,
                ..v4
            }
        )
        .is_ok()
    );
}

#[test]
fn only_some_operations_choose_an_encryption() {
    for operation in Operation::ALL {
        let result = check(*operation, &[(SSE, "AES256")], TLS);
        if operation.sse_headers().contains(&SSE) {
            assert!(result.is_ok(), "{operation}");
        } else {
            let error = result.unwrap_err();
            assert_eq!(
                error.message,
                "x-amz-server-side-encryption header is not supported for this operation.",
                "{operation}"
            );
            assert_eq!(argument(&error), (SSE, "AES256"));
        }
    }
}

#[test]
fn forms_and_queries_count_where_they_should() {
    let mut fields = map(&[(SSE, "AES256")]);
    fields.append(SSE, "aws:kms".parse().unwrap());
    assert_eq!(
        SseRequest::of_form(&fields).unwrap_err().code,
        ErrorCode::InvalidArgument
    );
    let headers = HeaderMap::new();
    for (target, expected) in [
        ("/b/k?X-Amz-Server-Side-Encryption=AES256", None),
        (
            "/b/k?AWSAccessKeyId=a&Signature=s&Expires=1&X-Amz-Server-Side-Encryption=AES256",
            Some(Some("AES256")),
        ),
    ] {
        let head = RequestHead {
            method: &Method::PUT,
            target: target.as_bytes(),
            host: Some("h"),
            headers: &headers,
        };
        let routed = route(&head, &[]).ok();
        let said = routed
            .as_ref()
            .map(|routed| SseRequest::of(routed, &head).sse);
        assert_eq!(said.as_ref().map(Option::as_deref), expected);
    }
    let headers = map(&[
        ("content-type", "multipart/form-data; boundary=x"),
        (SSE, "AES256"),
    ]);
    let head = RequestHead {
        method: &Method::POST,
        target: b"/b",
        host: Some("h"),
        headers: &headers,
    };
    assert_eq!(
        SseRequest::of(&route(&head, &[]).unwrap(), &head),
        SseRequest::default()
    );
}

#[test]
fn a_value_that_may_be_a_key_is_not_echoed() {
    // A client that mixes up the headers sends its key where the algorithm belongs.
    let headers = [
        (CUSTOMER_ALGORITHM, KEY),
        (CUSTOMER_KEY, KEY),
        (CUSTOMER_KEY_MD5, MD5),
    ];
    let error = check(Operation::PutObject, &headers, TLS).unwrap_err();
    assert_eq!(error.code, ErrorCode::InvalidEncryptionAlgorithmError);
    assert!(!error.to_xml("id", "host").contains(KEY));
}
