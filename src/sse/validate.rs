//! S3's checks of the encryption headers, in S3's order and words.
//!
//! Each key, value and combination that a request's head can get wrong. Whether the object's own encryption fits only the
//! store can tell.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use md5::{Digest as _, Md5};

use super::headers::{
    BUCKET_KEY, CONTEXT, CUSTOMER_ALGORITHM, CustomerHeaders, KMS_KEY_ID, SSE, SseRequest,
};
use crate::s3::{ErrorCode, Operation, S3Error};

/// What the checks must know of the connection and the signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools)]
pub struct Channel {
    /// The client's connection is encrypted.
    pub tls: bool,
    /// SSE-C keys may come over a connection that is not.
    pub allow_plain_http: bool,
    /// SSE-KMS needs Signature Version 4, as on AWS. Other stores do not ask for it.
    pub kms_needs_v4: bool,
    /// The request is signed with it.
    pub signed_v4: bool,
}

/// The key of SSE-C. `Debug` does not show it, and it is overwritten when dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct CustomerKey([u8; 32]);

impl CustomerKey {
    /// The key's bytes. Secret.
    #[must_use]
    pub fn expose(&self) -> &[u8; 32] {
        &self.0
    }
}

impl std::fmt::Debug for CustomerKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("CustomerKey(***)")
    }
}

impl Drop for CustomerKey {
    fn drop(&mut self) {
        self.0.fill(0);
        // Keeps the write from being left out as dead.
        std::hint::black_box(&self.0);
    }
}

/// What a valid request asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Encryption {
    /// Nothing: the bucket's default counts.
    Unsaid,
    /// SSE-S3.
    Aes256,
    /// SSE-KMS, or DSSE-KMS where `dsse`.
    Kms {
        /// Two layers: `aws:kms:dsse`.
        dsse: bool,
        /// The key as sent; without one the store's own is meant.
        key_id: Option<String>,
    },
    /// SSE-C.
    Customer(CustomerKey),
}

/// A request whose encryption headers are in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Validated {
    /// How the object is, or is to be, encrypted.
    pub encryption: Encryption,
    /// The key of the source of a copy.
    pub source: Option<CustomerKey>,
}

/// Checks a request's encryption headers.
///
/// # Errors
/// The error that S3 answers, with its code, message and `ArgumentName`/`ArgumentValue`. Keys are never in it.
pub fn validate(
    operation: Operation,
    request: &SseRequest<'_>,
    channel: Channel,
) -> Result<Validated, S3Error> {
    supported(operation, request)?;
    if let Some(sse) = &request.sse
        && request.customer.any()
    {
        return Err(S3Error::invalid_argument(
            "Server Side Encryption with Customer provided key is incompatible with the encryption method specified",
            SSE,
            sse.as_ref(),
        ));
    }
    let source = customer(&request.source, channel)?;
    let encryption = match customer(&request.customer, channel)? {
        Some(key) => Encryption::Customer(key),
        None => method(request)?,
    };
    kms_details(request, &encryption)?;
    if channel.kms_needs_v4 && !channel.signed_v4 && matches!(encryption, Encryption::Kms { .. }) {
        return Err(S3Error::invalid_argument(
            "Requests specifying Server Side Encryption with AWS KMS managed keys require AWS Signature Version 4.",
            "Authorization",
            "null",
        ));
    }
    Ok(Validated { encryption, source })
}

/// The headers that choose an encryption belong to the operations that choose one.
fn supported(operation: Operation, request: &SseRequest<'_>) -> Result<(), S3Error> {
    let sent = [
        (SSE, &request.sse),
        (KMS_KEY_ID, &request.kms_key_id),
        (CONTEXT, &request.context),
        (BUCKET_KEY, &request.bucket_key),
    ];
    for (name, value) in sent {
        if let Some(value) = value
            && !operation.sse_headers().contains(&name)
        {
            let value = if name == CONTEXT { "" } else { value.as_ref() };
            return Err(S3Error::invalid_argument(
                format!("{name} header is not supported for this operation."),
                name,
                value,
            ));
        }
    }
    // Of a write alone: a store that does not know it may take it for a PutObject.
    if request.customer.any()
        && operation.writes_object()
        && !operation.sse_headers().contains(&CUSTOMER_ALGORITHM)
    {
        return Err(S3Error::invalid_argument(
            format!("{CUSTOMER_ALGORITHM} header is not supported for this operation."),
            CUSTOMER_ALGORITHM,
            "",
        ));
    }
    Ok(())
}

fn method(request: &SseRequest<'_>) -> Result<Encryption, S3Error> {
    let key_id = request.kms_key_id.as_deref().map(str::to_owned);
    match request.sse.as_deref() {
        None => Ok(Encryption::Unsaid),
        Some("AES256") => Ok(Encryption::Aes256),
        Some("aws:kms") => Ok(Encryption::Kms {
            dsse: false,
            key_id,
        }),
        Some("aws:kms:dsse") => Ok(Encryption::Kms { dsse: true, key_id }),
        Some(other) => Err(S3Error::invalid_argument(
            "The encryption method specified is not supported",
            SSE,
            other,
        )),
    }
}

fn kms_details(request: &SseRequest<'_>, encryption: &Encryption) -> Result<(), S3Error> {
    let kms = matches!(encryption, Encryption::Kms { .. });
    let only_kms = |name: &'static str, value: &str| {
        S3Error::invalid_argument(
            "Server Side Encryption with AWS KMS managed key requires HTTP header x-amz-server-side-encryption : aws:kms",
            name,
            value,
        )
    };
    if let Some(key_id) = &request.kms_key_id {
        if !kms {
            return Err(only_kms(KMS_KEY_ID, key_id));
        }
        if key_id.trim().is_empty() {
            return Err(S3Error::invalid_argument(
                "The KMS key id must not be empty",
                KMS_KEY_ID,
                "",
            ));
        }
    }
    if let Some(context) = &request.context {
        if !kms {
            return Err(only_kms(CONTEXT, ""));
        }
        if !is_context(context) {
            return Err(S3Error::invalid_argument(
                "The header 'x-amz-server-side-encryption-context' shall be Base64-encoded UTF-8 string holding JSON which represents a string-string map",
                CONTEXT,
                "",
            ));
        }
    }
    match request.bucket_key.as_deref() {
        Some(value)
            if !(value.eq_ignore_ascii_case("true") || value.eq_ignore_ascii_case("false")) =>
        {
            Err(S3Error::invalid_argument(
                "The bucket key setting must be true or false",
                BUCKET_KEY,
                value,
            ))
        }
        // `false` says what is the case anyway.
        Some(value)
            if value.eq_ignore_ascii_case("true")
                && !matches!(encryption, Encryption::Kms { dsse: false, .. }) =>
        {
            Err(only_kms(BUCKET_KEY, value))
        }
        _ => Ok(()),
    }
}

/// Whether a value can be an algorithm's name, and not a key that was put in its place.
fn is_name(value: &str) -> bool {
    value.len() <= 32
        && value
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte))
}

fn is_context(value: &str) -> bool {
    let Ok(bytes) = STANDARD.decode(value) else {
        return false;
    };
    serde_json::from_slice::<std::collections::BTreeMap<String, String>>(&bytes).is_ok()
}

fn customer(
    headers: &CustomerHeaders<'_>,
    channel: Channel,
) -> Result<Option<CustomerKey>, S3Error> {
    if !headers.any() {
        return Ok(None);
    }
    if !channel.tls && !channel.allow_plain_http {
        return Err(S3Error::new(
            ErrorCode::InvalidRequest,
            "Requests specifying Server Side Encryption with Customer provided keys must be made over a secure connection.",
        ));
    }
    let wrong = |message: &'static str| S3Error::invalid_argument(message, SSE, "null");
    // An empty header is as good as none.
    let present = |value: &Option<std::borrow::Cow<'_, str>>| {
        value.as_deref().is_some_and(|value| !value.is_empty())
    };
    if !present(&headers.algorithm) {
        return Err(wrong(
            "Requests specifying Server Side Encryption with Customer provided keys must provide a valid encryption algorithm.",
        ));
    }
    if !present(&headers.key) {
        return Err(wrong(
            "Requests specifying Server Side Encryption with Customer provided keys must provide an appropriate secret key.",
        ));
    }
    if let Some(algorithm) = headers.algorithm.as_deref()
        && algorithm != "AES256"
    {
        return Err(S3Error::new(
            ErrorCode::InvalidEncryptionAlgorithmError,
            "The Encryption request you specified is not valid. Supported value: AES256.",
        )
        .with("ArgumentName", SSE)
        .with(
            "ArgumentValue",
            if is_name(algorithm) { algorithm } else { "" },
        ));
    }
    if !present(&headers.key_md5) {
        return Err(wrong(
            "Requests specifying Server Side Encryption with Customer provided keys must provide the client calculated MD5 of the secret key.",
        ));
    }
    let mut decoded = STANDARD
        .decode(headers.key.as_deref().unwrap_or_default())
        .unwrap_or_default();
    let key = <[u8; 32]>::try_from(decoded.as_slice()).map(CustomerKey);
    decoded.fill(0);
    let key = key.map_err(|_| wrong("The secret key was invalid for the specified algorithm."))?;
    let md5 = STANDARD
        .decode(headers.key_md5.as_deref().unwrap_or_default())
        .unwrap_or_default();
    if md5.as_slice() != Md5::digest(key.expose()).as_slice() {
        return Err(wrong(
            "The calculated MD5 hash of the key did not match the hash that was provided.",
        ));
    }
    Ok(Some(key))
}

#[cfg(test)]
#[path = "validate_tests.rs"]
mod tests;
