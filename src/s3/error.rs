//! S3's error codes and error document.

use std::borrow::Cow;
use std::fmt::Write as _;

use http::StatusCode;

macro_rules! codes {
    ($($(#[$doc:meta])* $variant:ident $name:literal $status:literal $(,)?)*) => {
        /// An error code of S3, with the status that AWS documents for it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum ErrorCode {
            $(#[doc = concat!("`", $name, "`, status ", stringify!($status))] $(#[$doc])* $variant,)*
        }

        impl ErrorCode {
            /// Every code.
            pub const ALL: &'static [ErrorCode] = &[$(Self::$variant),*];

            /// The code as it stands in the document.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            fn status_number(self) -> u16 {
                match self { $(Self::$variant => $status,)* }
            }
        }
    };
}

codes! {
    AccessControlListNotSupported "AccessControlListNotSupported" 400
    AccessDenied "AccessDenied" 403
    AuthorizationHeaderMalformed "AuthorizationHeaderMalformed" 400
    AuthorizationQueryParametersError "AuthorizationQueryParametersError" 400
    BadDigest "BadDigest" 400
    BadRequest "BadRequest" 400
    EncryptionTypeMismatch "EncryptionTypeMismatch" 400
    EntityTooLarge "EntityTooLarge" 400
    EntityTooSmall "EntityTooSmall" 400
    ExpectationFailed "ExpectationFailed" 417
    ExpiredToken "ExpiredToken" 400
    IncompleteBody "IncompleteBody" 400
    InternalError "InternalError" 500
    InvalidAccessKeyId "InvalidAccessKeyId" 403
    InvalidArgument "InvalidArgument" 400
    InvalidBucketName "InvalidBucketName" 400
    InvalidDigest "InvalidDigest" 400
    InvalidEncryptionAlgorithmError "InvalidEncryptionAlgorithmError" 400
    InvalidRequest "InvalidRequest" 400
    InvalidToken "InvalidToken" 400
    InvalidUri "InvalidURI" 400
    KeyTooLong "KeyTooLongError" 400
    KmsDisabled "KMS.DisabledException" 400
    KmsInvalidState "KMS.KMSInvalidStateException" 400
    KmsNotFound "KMS.NotFoundException" 400
    MalformedAcl "MalformedACLError" 400
    MalformedPolicy "MalformedPolicy" 400
    MalformedPostRequest "MalformedPOSTRequest" 400
    MalformedXml "MalformedXML" 400
    MaxPostPreDataLengthExceeded "MaxPostPreDataLengthExceeded" 400
    MetadataTooLarge "MetadataTooLarge" 400
    MethodNotAllowed "MethodNotAllowed" 405
    MissingAuthenticationToken "MissingAuthenticationToken" 403
    MissingContentLength "MissingContentLength" 411
    MissingSecurityHeader "MissingSecurityHeader" 400
    NoSuchBucket "NoSuchBucket" 404
    NoSuchBucketPolicy "NoSuchBucketPolicy" 404
    NoSuchKey "NoSuchKey" 404
    NoSuchUpload "NoSuchUpload" 404
    NotImplemented "NotImplemented" 501
    PreconditionFailed "PreconditionFailed" 412
    RequestHeaderSectionTooLarge "RequestHeaderSectionTooLarge" 400
    RequestTimeTooSkewed "RequestTimeTooSkewed" 403
    RequestTimeout "RequestTimeout" 400
    ServerSideEncryptionConfigurationNotFound "ServerSideEncryptionConfigurationNotFoundError" 404
    ServiceUnavailable "ServiceUnavailable" 503
    SignatureDoesNotMatch "SignatureDoesNotMatch" 403
    SlowDown "SlowDown" 503
    UserKeyMustBeSpecified "UserKeyMustBeSpecified" 400
    XAmzContentSha256Mismatch "XAmzContentSHA256Mismatch" 400
}

impl ErrorCode {
    /// The HTTP status that goes with the code.
    #[must_use]
    pub fn status(self) -> StatusCode {
        StatusCode::from_u16(self.status_number()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// The code of this name, as stores write it.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|code| code.as_str() == name)
    }
}

impl std::fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// An error as S3 answers it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {message}")]
pub struct S3Error {
    /// What went wrong; clients match on this.
    pub code: ErrorCode,
    /// What went wrong, for people.
    pub message: Cow<'static, str>,
    /// Further elements of the document, such as `ArgumentName`, in their order.
    pub details: Vec<(&'static str, String)>,
}

impl S3Error {
    /// An error without details.
    pub fn new(code: ErrorCode, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            code,
            message: message.into(),
            details: Vec::new(),
        }
    }

    /// The same with one more element.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.details.push((name, value.into()));
        self
    }

    /// `InvalidArgument` with the argument's name and value. Never pass a secret as the value.
    pub fn invalid_argument(
        message: impl Into<Cow<'static, str>>,
        name: impl Into<String>,
        value: impl Into<String>,
    ) -> Self {
        Self::new(ErrorCode::InvalidArgument, message)
            .with("ArgumentName", name)
            .with("ArgumentValue", value)
    }

    /// The HTTP status.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.code.status()
    }

    /// The error document: no namespace, details between the message and the two ids, as S3 sends it.
    #[must_use]
    pub fn to_xml(&self, request_id: &str, host_id: &str) -> String {
        let mut out = String::with_capacity(256 + self.message.len());
        out.push_str("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error>");
        element(&mut out, "Code", self.code.as_str());
        element(&mut out, "Message", &self.message);
        for (name, value) in &self.details {
            element(&mut out, name, value);
        }
        element(&mut out, "RequestId", request_id);
        element(&mut out, "HostId", host_id);
        out.push_str("</Error>");
        out
    }
}

fn element(out: &mut String, name: &str, text: &str) {
    out.push('<');
    out.push_str(name);
    out.push('>');
    escape_into(out, text);
    out.push_str("</");
    out.push_str(name);
    out.push('>');
}

/// Appends `text` with XML's five characters as entities. What XML 1.0 cannot hold at all is percent-encoded, and so are
/// carriage returns and the like, which a reader would normalise away.
pub fn escape_into(out: &mut String, text: &str) {
    let mut rest = text;
    // Most text is plain and copied in one go.
    while let Some(at) = rest.bytes().position(|b| SPECIAL[b as usize]) {
        let (plain, special) = rest.split_at(at);
        out.push_str(plain);
        let mut chars = special.chars();
        if let Some(c) = chars.next() {
            escape(out, c);
        }
        rest = chars.as_str();
    }
    out.push_str(rest);
}

/// The bytes that may begin something to be escaped: XML's five, controls, and the first bytes of U+0080.. and U+FFF?.
const SPECIAL: [bool; 256] = {
    let mut table = [false; 256];
    let mut b = 0;
    while b < 256 {
        table[b] = b < 0x20 || matches!(b, 0x22 | 0x26 | 0x27 | 0x3c | 0x3e | 0x7f | 0xc2 | 0xef);
        b += 1;
    }
    table
};

fn escape(out: &mut String, c: char) {
    match c {
        '&' => out.push_str("&amp;"),
        '<' => out.push_str("&lt;"),
        '>' => out.push_str("&gt;"),
        '"' => out.push_str("&quot;"),
        '\'' => out.push_str("&apos;"),
        '\t' | '\n' => out.push(c),
        '\u{0}'..='\u{1f}' | '\u{7f}'..='\u{9f}' | '\u{fffe}' | '\u{ffff}' => {
            let mut buffer = [0; 4];
            for byte in c.encode_utf8(&mut buffer).bytes() {
                // Writing to a String cannot fail.
                let _ = write!(out, "%{byte:02X}");
            }
        }
        _ => out.push(c),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    #[test]
    fn the_document_has_s3s_shape() {
        let error = S3Error::invalid_argument("Bad <value> & \"more\"", "x-amz-acl", "a\u{0}b\r'c");
        assert_eq!(error.status(), StatusCode::BAD_REQUEST);
        assert_eq!(
            error.to_xml("TX6VH0RZWQ9VXW5N", "aG9zdA=="),
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>InvalidArgument</Code><Message>Bad &lt;value&gt; &amp; &quot;more&quot;</Message>\
             <ArgumentName>x-amz-acl</ArgumentName><ArgumentValue>a%00b%0D&apos;c</ArgumentValue><RequestId>TX6VH0RZWQ9VXW5N</RequestId><HostId>aG9zdA==</HostId></Error>"
        );
    }

    #[test]
    fn codes_have_their_statuses() {
        for (code, status) in [
            (ErrorCode::AccessDenied, 403),
            (ErrorCode::MethodNotAllowed, 405),
            (ErrorCode::MissingContentLength, 411),
            (ErrorCode::NotImplemented, 501),
            (ErrorCode::SlowDown, 503),
            (ErrorCode::PreconditionFailed, 412),
            (ErrorCode::InvalidUri, 400),
            (ErrorCode::NoSuchKey, 404),
        ] {
            assert_eq!(code.status().as_u16(), status, "{code}");
            assert!(
                !code
                    .status()
                    .canonical_reason()
                    .unwrap_or_default()
                    .is_empty()
            );
        }
        for code in ErrorCode::ALL {
            assert_eq!(ErrorCode::from_name(code.as_str()), Some(*code));
        }
    }
}
