//! Why a request is refused before anything is decided.

use std::borrow::Cow;

use crate::s3::address::{self, AddressError};
use crate::s3::copy_source::CopySourceError;
use crate::s3::error::{ErrorCode, S3Error};

/// Each becomes S3's error: see [`From<RouteError>`](S3Error#impl-From<RouteError>-for-S3Error).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RouteError {
    /// Target, host, bucket or key.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// The copy source.
    #[error(transparent)]
    CopySource(#[from] CopySourceError),
    /// An upload id that no store gives out.
    #[error(
        "The specified multipart upload does not exist. The upload ID might be invalid, or the multipart upload might have been aborted or completed."
    )]
    NoSuchUpload,
    /// S3 has no such method, or not for this sub-resource.
    #[error("The specified method is not allowed against this resource.")]
    MethodNotAllowed,
    /// Not an operation of S3 that is known here.
    #[error("This request is not an S3 operation that can be recognised: {0}.")]
    NotImplemented(&'static str),
    /// One request that two stores could take for two operations.
    #[error("{0}")]
    Ambiguous(&'static str),
    /// A parameter or header that is wrong by itself.
    #[error("{message}")]
    Argument {
        /// What is wrong with it.
        message: &'static str,
        /// Its name.
        name: Cow<'static, str>,
        /// Its value; empty where it is not shown.
        value: String,
    },
}

impl RouteError {
    pub(super) fn argument(
        message: &'static str,
        name: impl Into<Cow<'static, str>>,
        value: impl Into<String>,
    ) -> Self {
        Self::Argument {
            message,
            name: name.into(),
            value: value.into(),
        }
    }
}

impl From<RouteError> for S3Error {
    fn from(error: RouteError) -> Self {
        let message = error.to_string();
        let code = match &error {
            RouteError::Address(AddressError::Bucket) => ErrorCode::InvalidBucketName,
            RouteError::Address(AddressError::KeyTooLong(size)) => {
                return S3Error::new(ErrorCode::KeyTooLong, message)
                    .with("Size", size.to_string())
                    .with("MaxSizeAllowed", address::MAX_KEY_BYTES.to_string());
            }
            RouteError::Address(
                AddressError::HostsDiffer
                | AddressError::Host
                | AddressError::HostCase
                | AddressError::HostTwoWays
                | AddressError::HostNotServed
                | AddressError::BelowTheStore
                | AddressError::BucketByHost
                | AddressError::ForeignDomain,
            )
            | RouteError::Ambiguous(_) => ErrorCode::InvalidRequest,
            RouteError::Address(_) => ErrorCode::InvalidUri,
            RouteError::CopySource(CopySourceError::Arn) | RouteError::NotImplemented(_) => {
                ErrorCode::NotImplemented
            }
            RouteError::CopySource(_) => ErrorCode::InvalidArgument,
            RouteError::NoSuchUpload => ErrorCode::NoSuchUpload,
            RouteError::MethodNotAllowed => ErrorCode::MethodNotAllowed,
            RouteError::Argument { name, value, .. } => {
                return S3Error::invalid_argument(message, name.as_ref(), value.as_str());
            }
        };
        let error = S3Error::new(code, message);
        if code == ErrorCode::InvalidArgument {
            error.with("ArgumentName", "x-amz-copy-source")
        } else {
            error
        }
    }
}
