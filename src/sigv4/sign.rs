//! Signing a request with Signature Version 4 in its headers.
//!
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/create-signed-request.html> and, for what S3 does differently,
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html>

use std::fmt::Write as _;

use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256};

use crate::s3::query::{decode, encode};

/// `x-amz-content-sha256` of a request whose body is not covered by the signature.
pub const UNSIGNED_PAYLOAD: &str = "UNSIGNED-PAYLOAD";
const ALGORITHM: &str = "AWS4-HMAC-SHA256";

/// Whose signature it is, and for what.
#[derive(Clone, Copy)]
pub struct Signer<'a> {
    /// The access key id.
    pub access_key: &'a str,
    /// The secret key. Never shown.
    pub secret_key: &'a str,
    /// The region of the endpoint, as `us-east-1`.
    pub region: &'a str,
    /// The service: `s3`.
    pub service: &'a str,
}

impl std::fmt::Debug for Signer<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Signer")
            .field("access_key", &self.access_key)
            .field("region", &self.region)
            .field("service", &self.service)
            .finish_non_exhaustive()
    }
}

/// What the signature says of the body.
#[derive(Clone, Copy, Debug)]
pub enum Payload<'a> {
    /// Its SHA-256.
    Of(&'a [u8]),
    /// What stands, or is to stand, in `x-amz-content-sha256`: a hash in hexadecimal, [`UNSIGNED_PAYLOAD`], a streaming name.
    Named(&'a str),
}

impl Payload<'_> {
    /// The text that is signed, and that `x-amz-content-sha256` must have.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::Of(body) => hex(&Sha256::digest(body)),
            Self::Named(name) => (*name).to_owned(),
        }
    }
}

/// A request to sign.
#[derive(Clone, Copy)]
pub struct ToSign<'a> {
    /// The method.
    pub method: &'a str,
    /// The path exactly as it is sent, percent-encoded. S3 does not encode it a second time, nor does it clean it.
    pub path: &'a str,
    /// The query as it is sent, without `?`; a `+` in it is a space.
    pub query: &'a str,
    /// Every header that is to be signed, `Host` and `x-amz-date` among them; names in any case, in any order.
    pub headers: &'a [(&'a str, &'a str)],
    /// The body.
    pub payload: Payload<'a>,
}

/// Formats a time, in seconds since 1970, as `x-amz-date` has it: `20150830T123600Z`.
#[must_use]
pub fn amz_date(seconds: i64) -> String {
    jiff::Timestamp::from_second(seconds)
        .unwrap_or_default()
        .strftime("%Y%m%dT%H%M%SZ")
        .to_string()
}

impl Signer<'_> {
    /// The value of `Authorization`. `date` is what stands in `x-amz-date`: see [`amz_date`].
    #[must_use]
    pub fn authorization(&self, request: &ToSign<'_>, date: &str) -> String {
        let (canonical, names) = canonical_request(request);
        let scope = self.scope(date);
        let signature = self.signature(&string_to_sign(&canonical, date, &scope), date);
        format!(
            "{ALGORITHM} Credential={}/{scope}, SignedHeaders={names}, Signature={signature}",
            self.access_key
        )
    }

    fn scope(&self, date: &str) -> String {
        format!(
            "{}/{}/{}/aws4_request",
            day(date),
            self.region,
            self.service
        )
    }

    fn signature(&self, text: &str, date: &str) -> String {
        let first = format!("AWS4{}", self.secret_key);
        let mut key = hmac(first.as_bytes(), day(date));
        for part in [self.region, self.service, "aws4_request"] {
            key = hmac(&key, part);
        }
        hex(&hmac(&key, text))
    }
}

/// The day of an `x-amz-date`.
fn day(date: &str) -> &str {
    date.get(..8).unwrap_or(date)
}

/// The canonical request, and the names of its signed headers.
#[must_use]
pub fn canonical_request(request: &ToSign<'_>) -> (String, String) {
    let mut headers: Vec<(String, String)> = request
        .headers
        .iter()
        .map(|(name, value)| (name.to_ascii_lowercase(), collapsed(value)))
        .collect();
    // Stable: the values of one name stay in their order.
    headers.sort_by(|a, b| a.0.cmp(&b.0));
    headers.dedup_by(|later, kept| {
        let same = later.0 == kept.0;
        if same {
            kept.1.push(',');
            kept.1.push_str(&later.1);
        }
        same
    });
    let names = headers
        .iter()
        .map(|(name, _)| name.as_str())
        .collect::<Vec<_>>()
        .join(";");
    let path = if request.path.is_empty() {
        "/"
    } else {
        request.path
    };
    let mut out = format!(
        "{}\n{path}\n{}\n",
        request.method,
        canonical_query(request.query)
    );
    for (name, value) in &headers {
        let _ = writeln!(out, "{name}:{value}");
    }
    let _ = write!(out, "\n{names}\n{}", request.payload.name());
    (out, names)
}

fn string_to_sign(canonical: &str, date: &str, scope: &str) -> String {
    format!(
        "{ALGORITHM}\n{date}\n{scope}\n{}",
        hex(&Sha256::digest(canonical))
    )
}

/// Names and values encoded anew, sorted by them.
fn canonical_query(query: &str) -> String {
    let again = |text: &str| match decode(text.as_bytes(), true) {
        Ok(bytes) => encode(&bytes, false),
        // No store can read it either; what was sent is what is signed.
        Err(_) => encode(text.as_bytes(), false),
    };
    let mut pairs: Vec<_> = query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (again(name), again(value))
        })
        .collect();
    pairs.sort_unstable();
    let pairs: Vec<_> = pairs
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    pairs.join("&")
}

/// Without white space around it, and one space for each run of spaces within.
fn collapsed(value: &str) -> String {
    value.split_ascii_whitespace().collect::<Vec<_>>().join(" ")
}

fn hmac(key: &[u8], text: &str) -> [u8; 32] {
    // HMAC takes keys of any length (RFC 2104), so there is no error; were there one, the store would refuse the signature.
    Hmac::<Sha256>::new_from_slice(key).map_or([0; 32], |mac| {
        mac.chain_update(text).finalize().into_bytes().into()
    })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut out, b| {
        let _ = write!(out, "{b:02x}");
        out
    })
}

#[cfg(test)]
#[path = "sign_tests.rs"]
mod tests;
