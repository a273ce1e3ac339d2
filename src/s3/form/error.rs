//! What is wrong with a form, in S3's words where S3 has them.

use crate::s3::{ErrorCode, S3Error};

/// Why a POST form is refused. No value of a field is ever part of an error: it may be a signature or a key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FormError {
    /// The `Content-Type` of the request names no usable boundary.
    #[error("The body of your POST request is not well-formed multipart/form-data. {0}")]
    Boundary(&'static str),
    /// The body is not multipart as RFC 2046 and RFC 7578 have it, or could be read in two ways.
    #[error("The body of your POST request is not well-formed multipart/form-data. {0}")]
    Malformed(&'static str),
    /// A field that must stand once stands twice, or under two names.
    #[error("The form field {0} is given more than once; send it once.")]
    Duplicate(String),
    /// More bytes before the file than the limit allows.
    #[error("Your POST request fields preceding the upload file were too large.")]
    TooLarge {
        /// The limit, in bytes.
        limit: usize,
    },
    /// The form has no field `key` before its file.
    #[error(
        "Bucket POST must contain a field named 'key'.  If it is specified, please check the order of the fields."
    )]
    NoKey,
    /// The form ended without a part named `file`.
    #[error("POST requires exactly one file upload per request.")]
    NoFile,
    /// The key, with the file's name put in, is longer than 1024 bytes.
    #[error("Your key is too long")]
    KeyTooLong,
    /// A field holds what S3 would not take for it.
    #[error("The form field {name} is not valid: {why}")]
    Invalid {
        /// The field's name, lower-case.
        name: String,
        /// What is wrong, and what to send instead.
        why: &'static str,
    },
    /// A field that decides something follows the file, where S3 ignores it and other stores may not.
    #[error(
        "The form field {0} follows the file; put it before the file, S3 ignores what comes after it."
    )]
    AfterFile(String),
    /// A field by which one store takes orders that S3 does not know.
    #[error("The form field {0} is an extension of one store and is not implemented; remove it.")]
    Extension(String),
}

impl From<FormError> for S3Error {
    fn from(error: FormError) -> Self {
        let message = error.to_string();
        match error {
            FormError::Boundary(_) | FormError::Malformed(_) => {
                Self::new(ErrorCode::MalformedPostRequest, message)
            }
            FormError::TooLarge { limit } => {
                Self::new(ErrorCode::MaxPostPreDataLengthExceeded, message)
                    .with("MaxSizeAllowed", limit.to_string())
            }
            FormError::Extension(_) => Self::new(ErrorCode::NotImplemented, message),
            FormError::NoKey => Self::invalid_argument(message, "key", ""),
            FormError::NoFile => Self::invalid_argument(message, "file", "0"),
            FormError::KeyTooLong => Self::new(ErrorCode::KeyTooLong, message),
            FormError::Duplicate(name)
            | FormError::AfterFile(name)
            | FormError::Invalid { name, .. } => {
                Self::new(ErrorCode::InvalidArgument, message).with("ArgumentName", name)
            }
        }
    }
}
