//! The facts of a request, read lazily from its head: the [`Context`] of real decisions.
//!
//! Sources: service authorization reference for S3 (condition keys), IAM user guide (global condition keys).

use std::borrow::Cow;
use std::net::IpAddr;

use http::header::{IF_MATCH, IF_NONE_MATCH, REFERER, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue};

use super::date;
use super::evaluate::{Context, Found, Value};
use super::key::Key;
use super::principal::{Principal, PrincipalType};
use crate::s3::query::{decode, pairs};
use crate::s3::{Action, Operation, RequestHead, Routed};
use crate::sigv4::claim::{Claim, SignatureVersion};

// Names made once: a lookup by text would check and fold it each time.
static ACL: HeaderName = HeaderName::from_static("x-amz-acl");
static BUCKET_NAMESPACE: HeaderName = HeaderName::from_static("x-amz-bucket-namespace");
static CONTENT_SHA256: HeaderName = HeaderName::from_static("x-amz-content-sha256");
static COPY_SOURCE: HeaderName = HeaderName::from_static("x-amz-copy-source");
static GRANT_FULL_CONTROL: HeaderName = HeaderName::from_static("x-amz-grant-full-control");
static GRANT_READ: HeaderName = HeaderName::from_static("x-amz-grant-read");
static GRANT_READ_ACP: HeaderName = HeaderName::from_static("x-amz-grant-read-acp");
static GRANT_WRITE: HeaderName = HeaderName::from_static("x-amz-grant-write");
static GRANT_WRITE_ACP: HeaderName = HeaderName::from_static("x-amz-grant-write-acp");
static METADATA_DIRECTIVE: HeaderName = HeaderName::from_static("x-amz-metadata-directive");
static OBJECT_LOCK_LEGAL_HOLD: HeaderName = HeaderName::from_static("x-amz-object-lock-legal-hold");
static OBJECT_LOCK_MODE: HeaderName = HeaderName::from_static("x-amz-object-lock-mode");
static OBJECT_LOCK_RETAIN_UNTIL_DATE: HeaderName =
    HeaderName::from_static("x-amz-object-lock-retain-until-date");
static OBJECT_OWNERSHIP: HeaderName = HeaderName::from_static("x-amz-object-ownership");
static SSE: HeaderName = HeaderName::from_static("x-amz-server-side-encryption");
static SSE_AWS_KMS_KEY_ID: HeaderName =
    HeaderName::from_static("x-amz-server-side-encryption-aws-kms-key-id");
static SSE_CUSTOMER_ALGORITHM: HeaderName =
    HeaderName::from_static("x-amz-server-side-encryption-customer-algorithm");
static STORAGE_CLASS: HeaderName = HeaderName::from_static("x-amz-storage-class");
static TAGGING: HeaderName = HeaderName::from_static("x-amz-tagging");
static WEBSITE_REDIRECT_LOCATION: HeaderName =
    HeaderName::from_static("x-amz-website-redirect-location");

/// How the later steps of an upload are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Multipart {
    /// The SSE keys that `UploadPart`, `UploadPartCopy` and `CompleteMultipartUpload` do not carry count as those of the
    /// upload's creation, which was decided then. What they do carry (the SSE-C headers of a part) is read as it is.
    #[default]
    Inherit,
    /// The headers as they are.
    Literal,
}

impl std::str::FromStr for Multipart {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "inherit" => Ok(Self::Inherit),
            "literal" => Ok(Self::Literal),
            other => Err(format!(
                "`{other}` is no multipart mode: write `inherit` or `literal`"
            )),
        }
    }
}

/// How a request claims to be signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Signing<'a> {
    /// `s3:authType`: `REST-HEADER`, `REST-QUERY-STRING`, `POST`; `None` for anonymous.
    pub auth_type: Option<&'a str>,
    /// `s3:signatureversion`: `AWS`, `AWS4-HMAC-SHA256`, `AWS4-ECDSA-P256-SHA256`.
    pub version: Option<&'a str>,
    /// `s3:signatureAge` in milliseconds; only presigned requests and forms have one, and of Signature Version 2 it is always 0.
    pub age_ms: Option<i64>,
}

impl Signing<'static> {
    /// What a request claims, `now_ms` milliseconds after 1970 began.
    #[must_use]
    pub fn of(claim: &Claim<'_>, now_ms: i64) -> Self {
        Self {
            auth_type: claim.auth.condition_value(),
            version: claim.version.map(SignatureVersion::condition_value),
            age_ms: claim.age_ms(now_ms),
        }
    }
}

/// The tags in the XML body of `PutObjectTagging`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum BodyTags<'a> {
    /// Nobody reads them: a Deny on them fires, an Allow does not.
    #[default]
    Unread,
    /// They will be read, and all is decided again: until then a Deny on them does not fire, and an Allow takes them as met.
    ToCome,
    /// These.
    Read(&'a [(String, String)]),
}

/// A tag's key and value.
type Tag<'a> = (Cow<'a, str>, Cow<'a, str>);

/// TLS of a version that nobody tells: a trusted proxy says `https` and no more. `aws:SecureTransport` is true, and what
/// asks for `s3:TlsVersion` is decided as for any fact that is not known: a Deny fires, an Allow does not.
pub const UNKNOWN_TLS: &str = "unknown";

/// The facts of one request.
#[derive(Debug, Clone, Copy)]
pub struct RequestContext<'a> {
    /// Its head.
    pub head: &'a RequestHead<'a>,
    /// What it is.
    pub routed: &'a Routed<'a>,
    /// How it is signed.
    pub signing: Signing<'a>,
    /// The client's address.
    pub ip: Option<IpAddr>,
    /// The version of TLS on the client's side (`1.0` to `1.3`, or [`UNKNOWN_TLS`]); `None` for plain HTTP.
    pub tls: Option<&'a str>,
    /// The caller.
    pub principal: Option<&'a Principal>,
    /// Milliseconds since 1970.
    pub now_ms: i64,
    /// The account that owns the bucket.
    pub account: &'a str,
    /// How the later steps of an upload are read.
    pub multipart: Multipart,
    /// The fields of a POST form, lower-case names, which stand for headers.
    pub form: Option<&'a HeaderMap>,
    /// The tags in the body, where the operation has them there.
    pub tags: BodyTags<'a>,
}

impl<'a> RequestContext<'a> {
    fn header(&self, name: &'static HeaderName) -> Option<Cow<'a, str>> {
        if let Some(form) = self.form {
            let value = form
                .get(name)
                .or_else(|| if name == ACL { form.get("acl") } else { None })?;
            return Some(String::from_utf8_lossy(value.as_bytes()));
        }
        match find(self.head.headers, name) {
            Some(value) => Some(String::from_utf8_lossy(value.as_bytes())),
            None if self.routed.presigned => self
                .routed
                .query
                .get_any_case(name.as_str())
                .map(Cow::Borrowed),
            None => None,
        }
    }

    fn plain_header(&self, name: &HeaderName) -> Found<'a> {
        Found::text(
            self.head
                .headers
                .get(name)
                .map(|v| String::from_utf8_lossy(v.as_bytes())),
        )
    }

    fn sse(&self, name: &'static HeaderName) -> Found<'a> {
        match self.header(name) {
            Some(value) => Found::text(Some(value)),
            // It stands in the XML body.
            None if self.routed.operation == Operation::UpdateObjectEncryption => Found::Unknown,
            None if self.multipart == Multipart::Inherit
                && self.routed.operation.continues_upload() =>
            {
                Found::Inherited
            }
            None => Found::Absent,
        }
    }

    fn query(&self, name: &str) -> Found<'a> {
        Found::text(self.routed.query.get(name))
    }

    /// A header that some operations carry in their XML body instead, which is not read.
    fn header_or_body(&self, name: &'static HeaderName, in_body: &[Operation]) -> Found<'a> {
        if in_body.contains(&self.routed.operation) {
            Found::Unknown
        } else {
            Found::text(self.header(name))
        }
    }

    fn tags(&self) -> Result<Vec<Tag<'a>>, Found<'a>> {
        if self.routed.operation == Operation::PutObjectTagging {
            return match self.tags {
                BodyTags::Unread => Err(Found::Unknown),
                BodyTags::ToCome => Err(Found::Inherited),
                BodyTags::Read(tags) => Ok(tags
                    .iter()
                    .map(|(name, value)| (name.as_str().into(), value.as_str().into()))
                    .collect()),
            };
        }
        // In a form, tags are XML.
        if self.form.is_some_and(|f| f.contains_key("tagging")) {
            return Err(Found::Unknown);
        }
        let Some(raw) = self.header(&TAGGING) else {
            return Err(Found::Absent);
        };
        let mut out = Vec::new();
        for (name, value) in pairs(raw.as_bytes()) {
            let text = |b: &[u8]| {
                decode(b, true)
                    .ok()
                    .and_then(|d| String::from_utf8(d.into_owned()).ok())
            };
            match (text(name), text(value.unwrap_or_default())) {
                (Some(n), Some(v)) => out.push((n.into(), v.into())),
                // What the store will make of it cannot be known.
                _ => return Err(Found::Unknown),
            }
        }
        Ok(out)
    }

    fn copy_source(&self) -> Found<'a> {
        let Some(value) = self.header(&COPY_SOURCE) else {
            return Found::Absent;
        };
        // Decoded, as the store will read it: else `%73ecret` would pass a policy on `secret`.
        let (path, version) = value
            .split_once('?')
            .map_or((&*value, None), |(p, v)| (p, Some(v)));
        let Ok(path) = decode(path.as_bytes(), false) else {
            return Found::Unknown;
        };
        let mut text = String::from_utf8_lossy(&path).into_owned();
        if text.starts_with('/') {
            text.remove(0);
        }
        if let Some(version) = version {
            text.push('?');
            text.push_str(version);
        }
        Found::One(Value::Text(text.into()))
    }

    fn retention_days(&self) -> Found<'a> {
        match self.header_or_body(
            &OBJECT_LOCK_RETAIN_UNTIL_DATE,
            &[Operation::PutObjectRetention],
        ) {
            Found::One(v) => match date::parse(&v.text()) {
                // Started days count, so that a client that asks for ten days from now has asked for ten.
                Some(until) => Found::One(Value::Number(
                    (until - self.now_ms).div_euclid(86_400_000)
                        + i64::from((until - self.now_ms).rem_euclid(86_400_000) > 0),
                )),
                None => Found::Unknown,
            },
            other => other,
        }
    }
}

/// A header's first value. Among few headers, comparing names (their lengths, mostly) costs less than hashing one.
fn find<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h HeaderValue> {
    if headers.keys_len() > 24 {
        return headers.get(name);
    }
    headers.iter().find(|(n, _)| *n == name).map(|(_, v)| v)
}

impl Context for RequestContext<'_> {
    fn value(&self, _: Action, key: &Key) -> Found<'_> {
        match key {
            Key::Sse => self.sse(&SSE),
            Key::SseKmsKeyId => self.sse(&SSE_AWS_KMS_KEY_ID),
            Key::SseCustomerAlgorithm => self.sse(&SSE_CUSTOMER_ALGORITHM),
            Key::SecureTransport => Found::One(Value::Bool(self.tls.is_some())),
            Key::TlsVersion if self.tls == Some(UNKNOWN_TLS) => Found::Unknown,
            Key::TlsVersion => Found::text(self.tls),
            Key::SourceIp => self
                .ip
                .map_or(Found::Unknown, |ip| Found::One(Value::Ip(ip))),
            Key::AuthType => Found::text(self.signing.auth_type),
            Key::SignatureVersion => Found::text(self.signing.auth_type.and(self.signing.version)),
            Key::SignatureAge => self
                .signing
                .age_ms
                .map_or(Found::Absent, |age| Found::One(Value::Number(age))),
            // The header alone: in a presigned query it is not the body's hash.
            Key::ContentSha256 => self.plain_header(&CONTENT_SHA256),
            Key::ResourceAccount | Key::AwsResourceAccount => Found::text(Some(self.account)),
            Key::ObjectCreationOperation => Found::One(Value::Bool(!matches!(
                self.routed.operation,
                Operation::CreateMultipartUpload
                    | Operation::UploadPart
                    | Operation::UploadPartCopy
            ))),
            Key::Acl => Found::text(self.header(&ACL)),
            Key::GrantRead => Found::text(self.header(&GRANT_READ)),
            Key::GrantWrite => Found::text(self.header(&GRANT_WRITE)),
            Key::GrantReadAcp => Found::text(self.header(&GRANT_READ_ACP)),
            Key::GrantWriteAcp => Found::text(self.header(&GRANT_WRITE_ACP)),
            Key::GrantFullControl => Found::text(self.header(&GRANT_FULL_CONTROL)),
            Key::MetadataDirective => Found::text(self.header(&METADATA_DIRECTIVE)),
            Key::StorageClass => Found::text(self.header(&STORAGE_CLASS)),
            Key::WebsiteRedirectLocation => Found::text(self.header(&WEBSITE_REDIRECT_LOCATION)),
            Key::BucketNamespace => Found::text(self.header(&BUCKET_NAMESPACE)),
            Key::ObjectOwnership => Found::text(self.header(&OBJECT_OWNERSHIP)),
            Key::IfMatch => self.plain_header(&IF_MATCH),
            Key::IfNoneMatch => self.plain_header(&IF_NONE_MATCH),
            Key::UserAgent => self.plain_header(&USER_AGENT),
            Key::Referer => self.plain_header(&REFERER),
            Key::CopySource => self.copy_source(),
            Key::ObjectLockMode => {
                self.header_or_body(&OBJECT_LOCK_MODE, &[Operation::PutObjectRetention])
            }
            Key::ObjectLockRetainUntilDate => self.header_or_body(
                &OBJECT_LOCK_RETAIN_UNTIL_DATE,
                &[Operation::PutObjectRetention],
            ),
            Key::ObjectLockRemainingRetentionDays => self.retention_days(),
            Key::ObjectLockLegalHold => {
                self.header_or_body(&OBJECT_LOCK_LEGAL_HOLD, &[Operation::PutObjectLegalHold])
            }
            Key::RequestObjectTagKeys => match self.tags() {
                Ok(tags) => Found::Many(tags.into_iter().map(|(k, _)| Value::Text(k)).collect()),
                Err(found) => found,
            },
            Key::RequestObjectTag(name) => match self.tags() {
                Ok(tags) => Found::text(
                    tags.into_iter()
                        .find(|(k, _)| **k == **name)
                        .map(|(_, v)| v),
                ),
                Err(found) => found,
            },
            Key::Prefix => self.query("prefix"),
            Key::Delimiter => self.query("delimiter"),
            Key::MaxKeys => self.query("max-keys"),
            // In DeleteObjects the versions stand in the body.
            Key::VersionId if self.routed.operation == Operation::DeleteObjects => Found::Unknown,
            Key::VersionId => {
                match (self.routed.query.get("versionId"), &self.routed.copy_source) {
                    (Some(version), _) => Found::text(Some(version)),
                    (None, Some(source)) => Found::text(source.version_id.as_deref()),
                    (None, None) => Found::Absent,
                }
            }
            Key::CurrentTime => Found::One(Value::Time(self.now_ms)),
            Key::EpochTime => Found::One(Value::Number(self.now_ms.div_euclid(1000))),
            Key::PrincipalArn => Found::text(self.principal.map(Principal::condition_arn)),
            Key::PrincipalAccount => Found::text(self.principal.map(Principal::account)),
            Key::PrincipalType => Found::text(Some(
                self.principal
                    .map_or("Anonymous", Principal::condition_type),
            )),
            Key::PrincipalIsAwsService => self
                .principal
                .map_or(Found::Absent, |_| Found::One(Value::Bool(false))),
            Key::Username => Found::text(self.principal.and_then(Principal::username)),
            Key::UserId => match self.principal {
                None => Found::text(Some("anonymous")),
                Some(p) if *p.kind() == PrincipalType::Root => Found::text(Some(p.account())),
                // The unique id of a user or role is kept by IAM.
                Some(_) => Found::Unknown,
            },
            Key::Recorded(_) => Found::Unknown,
        }
    }

    fn principal(&self) -> Option<&Principal> {
        self.principal
    }

    fn account(&self) -> &str {
        self.account
    }
}

#[cfg(test)]
#[path = "context_tests.rs"]
mod tests;
