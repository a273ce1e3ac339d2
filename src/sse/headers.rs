//! The headers that ask for server-side encryption, as sent.
//!
//! <https://docs.aws.amazon.com/AmazonS3/latest/userguide/serv-side-encryption.html>

use std::borrow::Cow;

use http::HeaderMap;

use crate::s3::{Operation, RequestHead, Routed, S3Error};

/// `AES256`, `aws:kms` or `aws:kms:dsse`; case counts.
pub const SSE: &str = "x-amz-server-side-encryption";
/// Key id, key ARN, alias or alias ARN; with KMS alone.
pub const KMS_KEY_ID: &str = "x-amz-server-side-encryption-aws-kms-key-id";
/// Base64 of a JSON object of strings; with KMS alone.
pub const CONTEXT: &str = "x-amz-server-side-encryption-context";
/// `true` or `false`; with `aws:kms` alone.
pub const BUCKET_KEY: &str = "x-amz-server-side-encryption-bucket-key-enabled";
/// SSE-C: `AES256`.
pub const CUSTOMER_ALGORITHM: &str = "x-amz-server-side-encryption-customer-algorithm";
/// SSE-C: base64 of the 32 bytes of the key. Secret.
pub const CUSTOMER_KEY: &str = "x-amz-server-side-encryption-customer-key";
/// SSE-C: base64 of the MD5 of the key's bytes.
pub const CUSTOMER_KEY_MD5: &str = "x-amz-server-side-encryption-customer-key-md5";
/// As [`CUSTOMER_ALGORITHM`], for the source of a copy.
pub const SOURCE_ALGORITHM: &str = "x-amz-copy-source-server-side-encryption-customer-algorithm";
/// As [`CUSTOMER_KEY`], for the source of a copy. Secret.
pub const SOURCE_KEY: &str = "x-amz-copy-source-server-side-encryption-customer-key";
/// As [`CUSTOMER_KEY_MD5`], for the source of a copy.
pub const SOURCE_KEY_MD5: &str = "x-amz-copy-source-server-side-encryption-customer-key-md5";

const ALL: [&str; 10] = [
    SSE,
    KMS_KEY_ID,
    CONTEXT,
    BUCKET_KEY,
    CUSTOMER_ALGORITHM,
    CUSTOMER_KEY,
    CUSTOMER_KEY_MD5,
    SOURCE_ALGORITHM,
    SOURCE_KEY,
    SOURCE_KEY_MD5,
];

/// The three headers of SSE-C, as sent. `Debug` shows the algorithm alone.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct CustomerHeaders<'a> {
    /// The algorithm.
    pub algorithm: Option<Cow<'a, str>>,
    /// The key, in base64.
    pub key: Option<Cow<'a, str>>,
    /// The key's MD5, in base64.
    pub key_md5: Option<Cow<'a, str>>,
}

impl CustomerHeaders<'_> {
    /// Whether any of the three was sent.
    #[must_use]
    pub fn any(&self) -> bool {
        self.algorithm.is_some() || self.key.is_some() || self.key_md5.is_some()
    }
}

impl std::fmt::Debug for CustomerHeaders<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CustomerHeaders")
            .field("algorithm", &self.algorithm)
            .field("key", &self.key.as_ref().map(|_| "***"))
            .finish_non_exhaustive()
    }
}

/// What a request says of encryption, unchecked. An absent header is `None`, an empty one `Some("")`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SseRequest<'a> {
    /// `x-amz-server-side-encryption`
    pub sse: Option<Cow<'a, str>>,
    /// `...-aws-kms-key-id`
    pub kms_key_id: Option<Cow<'a, str>>,
    /// `...-context`
    pub context: Option<Cow<'a, str>>,
    /// `...-bucket-key-enabled`
    pub bucket_key: Option<Cow<'a, str>>,
    /// `...-customer-*`
    pub customer: CustomerHeaders<'a>,
    /// `x-amz-copy-source-server-side-encryption-customer-*`
    pub source: CustomerHeaders<'a>,
}

impl<'a> SseRequest<'a> {
    /// What a routed request says: its headers or, of a presigned request, its query.
    /// Headers beside a POST form say nothing, for the store reads its fields: [`SseRequest::of_form`].
    #[must_use]
    pub fn of(routed: &'a Routed<'_>, head: &RequestHead<'a>) -> Self {
        if routed.operation == Operation::PostObject {
            return Self::default();
        }
        if !routed.presigned {
            return Self::of_headers(head.headers);
        }
        Self::read(&|name| routed.amz(head, name))
    }

    /// One walk over the headers: most requests have none of these, or one.
    fn of_headers(headers: &'a HeaderMap) -> Self {
        let mut found = Self::default();
        for (name, value) in headers {
            let slot = match name.as_str() {
                SSE => &mut found.sse,
                KMS_KEY_ID => &mut found.kms_key_id,
                CONTEXT => &mut found.context,
                BUCKET_KEY => &mut found.bucket_key,
                CUSTOMER_ALGORITHM => &mut found.customer.algorithm,
                CUSTOMER_KEY => &mut found.customer.key,
                CUSTOMER_KEY_MD5 => &mut found.customer.key_md5,
                SOURCE_ALGORITHM => &mut found.source.algorithm,
                SOURCE_KEY => &mut found.source.key,
                SOURCE_KEY_MD5 => &mut found.source.key_md5,
                _ => continue,
            };
            *slot = Some(String::from_utf8_lossy(value.as_bytes()));
        }
        found
    }

    /// What a POST form says: its fields, by lower-case name.
    ///
    /// # Errors
    /// `InvalidArgument` if a field came twice.
    pub fn of_form(fields: &'a HeaderMap) -> Result<Self, S3Error> {
        if let Some(name) = ALL
            .iter()
            .find(|name| fields.get_all(**name).iter().nth(1).is_some())
        {
            return Err(S3Error::invalid_argument(
                "This form field must not be sent twice",
                *name,
                "",
            ));
        }
        Ok(Self::read(&|name| {
            fields
                .get(name)
                .map(|value| String::from_utf8_lossy(value.as_bytes()))
        }))
    }

    fn read(get: &dyn Fn(&'static str) -> Option<Cow<'a, str>>) -> Self {
        Self {
            sse: get(SSE),
            kms_key_id: get(KMS_KEY_ID),
            context: get(CONTEXT),
            bucket_key: get(BUCKET_KEY),
            customer: CustomerHeaders {
                algorithm: get(CUSTOMER_ALGORITHM),
                key: get(CUSTOMER_KEY),
                key_md5: get(CUSTOMER_KEY_MD5),
            },
            source: CustomerHeaders {
                algorithm: get(SOURCE_ALGORITHM),
                key: get(SOURCE_KEY),
                key_md5: get(SOURCE_KEY_MD5),
            },
        }
    }
}
