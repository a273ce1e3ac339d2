//! Who a request says has signed it, and how; nothing is verified here.
//!
//! Four places: the `Authorization` header, the query of a presigned URL, the fields of a POST form, or nowhere (anonymous).
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-authenticating-requests.html>

use std::borrow::Cow;

use crate::s3::{ErrorCode, Query, RequestHead, Routed, S3Error};

/// Where the signature is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AuthType {
    /// Nowhere.
    Anonymous,
    /// In the `Authorization` header.
    Header,
    /// In the query: a presigned URL.
    Query,
    /// In the fields of a form.
    Post,
}

impl AuthType {
    /// The value of `s3:authType`; anonymous requests have none.
    #[must_use]
    pub fn condition_value(self) -> Option<&'static str> {
        match self {
            Self::Anonymous => None,
            Self::Header => Some("REST-HEADER"),
            Self::Query => Some("REST-QUERY-STRING"),
            Self::Post => Some("POST"),
        }
    }
}

/// The signature's version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SignatureVersion {
    /// Version 2: HMAC-SHA1 over few headers.
    V2,
    /// Version 4.
    V4,
    /// Version 4A: asymmetric, for several regions.
    V4a,
}

impl SignatureVersion {
    /// The value of `s3:signatureversion`.
    #[must_use]
    pub fn condition_value(self) -> &'static str {
        match self {
            Self::V2 => "AWS",
            Self::V4 => "AWS4-HMAC-SHA256",
            Self::V4a => "AWS4-ECDSA-P256-SHA256",
        }
    }

    fn of_algorithm(name: &str) -> Option<Self> {
        [Self::V4, Self::V4a]
            .into_iter()
            .find(|version| version.condition_value() == name)
    }
}

/// What a request claims of its signer. `Debug` leaves the signature out, because it is never kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim<'a> {
    /// Where the signature is.
    pub auth: AuthType,
    /// Its version; `None` for an anonymous request.
    pub version: Option<SignatureVersion>,
    /// The access key; `None` for an anonymous request.
    pub access_key: Option<Cow<'a, str>>,
    /// When it was signed, in milliseconds since 1970; `None` where the request does not say, as in Version 2.
    pub signed_at: Option<i64>,
    /// When a presigned URL ends, in milliseconds since 1970.
    pub expires_at: Option<i64>,
    /// The names of the signed headers, `;` between them; `None` in Version 2 and in forms.
    pub signed_headers: Option<Cow<'a, str>>,
    /// The region of the scope.
    pub region: Option<Cow<'a, str>>,
}

impl Claim<'_> {
    /// A request without a signature.
    pub const ANONYMOUS: Claim<'static> = Claim {
        auth: AuthType::Anonymous,
        version: None,
        access_key: None,
        signed_at: None,
        expires_at: None,
        signed_headers: None,
        region: None,
    };

    /// The value of `s3:signatureAge`: milliseconds since signing, of presigned requests and forms alone; 0 with Version 2, never negative.
    #[must_use]
    pub fn age_ms(&self, now_ms: i64) -> Option<i64> {
        match (self.auth, self.version) {
            (AuthType::Query | AuthType::Post, Some(SignatureVersion::V2)) => Some(0),
            (AuthType::Query | AuthType::Post, Some(_)) => {
                self.signed_at.map(|at| now_ms.saturating_sub(at).max(0))
            }
            _ => None,
        }
    }
}

/// What this request claims.
///
/// For `PostObject` the fields of the form say more: see [`claim_of_form`] and [`claim_of_post`].
///
/// # Errors
/// S3's: two mechanisms at once, a malformed header (`AuthorizationHeaderMalformed`) or query (`AuthorizationQueryParametersError`).
pub fn claim<'a>(routed: &'a Routed<'_>, head: &RequestHead<'a>) -> Result<Claim<'a>, S3Error> {
    let header = head.headers.get(http::header::AUTHORIZATION);
    let query = &routed.query;
    let (mut v4, mut v2) = (false, false);
    if !query.raw().is_empty() {
        // In any spelling: one that is not S3's is then missed below and refused.
        v4 = [
            "X-Amz-Algorithm",
            "X-Amz-Credential",
            "X-Amz-Signature",
            "X-Amz-SignedHeaders",
            "X-Amz-Expires",
        ]
        .iter()
        .any(|name| query.get_any_case(name).is_some());
        v2 = query.has("AWSAccessKeyId") || query.has("Signature");
    }
    match (header, v4, v2) {
        (None, false, false) => Ok(Claim::ANONYMOUS),
        (Some(value), false, false) => {
            let value =
                std::str::from_utf8(value.as_bytes()).map_err(|_| malformed("it is not UTF-8"))?;
            of_header(value, head)
        }
        (None, true, false) => of_query_v4(query),
        (None, false, true) => of_query_v2(query),
        _ => Err(S3Error::invalid_argument(
            "Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter, Signature query string parameter or the Authorization header should be specified",
            "Authorization",
            "",
        )),
    }
}

/// What the fields of a POST form claim; `field` gives a field's value by its lower-case name. All of them count here, those
/// too that stand for no header.
///
/// # Errors
/// `InvalidArgument` where one of the fields that belong together is missing, malformed, or of the other version.
pub fn claim_of_form<'a>(field: impl Fn(&str) -> Option<&'a [u8]>) -> Result<Claim<'a>, S3Error> {
    let has = |names: &[&str]| names.iter().any(|name| field(name).is_some());
    let need = |name: &'static str| {
        field(name)
            .and_then(|value| std::str::from_utf8(value).ok())
            .ok_or_else(|| {
                S3Error::invalid_argument(
                    format!(
                        "Bucket POST must contain a field named '{name}'.  If it is specified, please check the order of the fields."
                    ),
                    name,
                    "",
                )
            })
    };
    let wrong =
        |name: &'static str| S3Error::invalid_argument("This form field is malformed", name, "");
    let v4 = has(&["x-amz-algorithm", "x-amz-credential", "x-amz-signature"]);
    let v2 = has(&["awsaccesskeyid", "signature"]);
    if v4 && v2 {
        return Err(two_mechanisms("x-amz-algorithm"));
    }
    if v2 {
        need("policy")?;
        let access_key = need("awsaccesskeyid")?;
        if access_key.is_empty() || access_key.contains(|c: char| c <= ' ' || c == '\x7f') {
            return Err(wrong("awsaccesskeyid"));
        }
        if need("signature")?.is_empty() {
            return Err(wrong("signature"));
        }
        return Ok(Claim {
            auth: AuthType::Post,
            version: Some(SignatureVersion::V2),
            access_key: Some(Cow::Borrowed(access_key)),
            ..Claim::ANONYMOUS
        });
    }
    // A session token says that somebody signed.
    if !v4 && !has(&["x-amz-security-token"]) {
        return Ok(Claim::ANONYMOUS);
    }
    need("policy")?;
    if !is_signature(need("x-amz-signature")?) {
        return Err(wrong("x-amz-signature"));
    }
    let version = SignatureVersion::of_algorithm(need("x-amz-algorithm")?)
        .ok_or_else(|| wrong("x-amz-algorithm"))?;
    let credential = Credential::parse(need("x-amz-credential")?, version)
        .ok_or_else(|| wrong("x-amz-credential"))?;
    let signed_at = timestamp(need("x-amz-date")?).ok_or_else(|| wrong("x-amz-date"))?;
    Ok(Claim {
        auth: AuthType::Post,
        version: Some(version),
        access_key: Some(Cow::Borrowed(credential.access_key)),
        signed_at: Some(signed_at),
        region: credential.region.map(Cow::Borrowed),
        ..Claim::ANONYMOUS
    })
}

/// What a POST upload claims altogether: what its form does.
///
/// # Errors
/// `InvalidArgument` where its head claims something, too: some stores look at the form alone and would take the upload
/// as another's, or as nobody's.
pub fn claim_of_post<'a>(head: &Claim<'_>, form: Claim<'a>) -> Result<Claim<'a>, S3Error> {
    match head.auth {
        AuthType::Anonymous => Ok(form),
        _ => Err(two_mechanisms("Authorization")),
    }
}

fn two_mechanisms(name: &'static str) -> S3Error {
    S3Error::invalid_argument(
        "Only one auth mechanism allowed; of a POST upload sign the form's fields and not the request's head, and with one version",
        name,
        "",
    )
}

/// `access key / date / region / service / aws4_request`; Version 4A has no region.
struct Credential<'a> {
    access_key: &'a str,
    region: Option<&'a str>,
}

impl<'a> Credential<'a> {
    fn parse(text: &'a str, version: SignatureVersion) -> Option<Self> {
        // From the right: access keys of some stores contain slashes.
        let mut parts = text.rsplit('/');
        (parts.next()? == "aws4_request").then_some(())?;
        let service = parts.next()?;
        let region = if version == SignatureVersion::V4a {
            None
        } else {
            Some(parts.next()?)
        };
        let date = parts.next()?;
        let taken = "aws4_request".len()
            + service.len()
            + region.map_or(0, |region| region.len() + 1)
            + date.len()
            + 3;
        let access_key = text.get(..text.len().checked_sub(taken)?)?;
        let fine = !access_key.is_empty()
            && !service.is_empty()
            && region.is_none_or(|region| !region.is_empty())
            && date.len() == 8
            && date.bytes().all(|byte| byte.is_ascii_digit())
            && !text.bytes().any(|byte| byte <= b' ' || byte == 0x7f);
        fine.then_some(Self { access_key, region })
    }
}

fn malformed(why: &str) -> S3Error {
    S3Error::new(
        ErrorCode::AuthorizationHeaderMalformed,
        format!("The authorization header is malformed; {why}."),
    )
}

fn of_header<'a>(value: &'a str, head: &RequestHead<'a>) -> Result<Claim<'a>, S3Error> {
    let (scheme, rest) = value.split_once(' ').unwrap_or((value, ""));
    if scheme == "AWS" {
        let (access_key, signature) = rest
            .trim()
            .rsplit_once(':')
            .ok_or_else(|| malformed("it must be \"AWS access-key:signature\""))?;
        if access_key.is_empty() || signature.is_empty() || access_key.contains(char::is_whitespace)
        {
            return Err(malformed("it must be \"AWS access-key:signature\""));
        }
        return Ok(Claim {
            auth: AuthType::Header,
            version: Some(SignatureVersion::V2),
            access_key: Some(Cow::Borrowed(access_key)),
            ..Claim::ANONYMOUS
        });
    }
    let Some(version) = SignatureVersion::of_algorithm(scheme) else {
        // Not even the scheme is shown: what stands there may be a secret.
        return Err(S3Error::invalid_argument(
            "Unsupported Authorization Type",
            "Authorization",
            "",
        ));
    };
    let (mut credential, mut signed_headers, mut signature) = (None, None, None);
    for part in rest.split(',') {
        let (name, value) = part.trim().split_once('=').ok_or_else(|| {
            malformed("it must be Credential=..., SignedHeaders=..., Signature=...")
        })?;
        let slot = match name {
            "Credential" => &mut credential,
            "SignedHeaders" => &mut signed_headers,
            "Signature" => &mut signature,
            _ => {
                return Err(malformed(
                    "it has a part other than Credential, SignedHeaders and Signature",
                ));
            }
        };
        if slot.replace(value).is_some() {
            return Err(malformed("it has a part twice"));
        }
    }
    let credential = credential.ok_or_else(|| malformed("the Credential is missing"))?;
    let credential = Credential::parse(credential, version)
        .ok_or_else(|| malformed("the Credential is mal-formed; expecting \"<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_request\""))?;
    let signed_headers = signed_headers
        .filter(|names| are_names(names))
        .ok_or_else(|| malformed("the SignedHeaders are missing or mal-formed"))?;
    signature
        .filter(|signature| is_signature(signature))
        .ok_or_else(|| malformed("the Signature is missing or mal-formed"))?;
    Ok(Claim {
        auth: AuthType::Header,
        version: Some(version),
        access_key: Some(Cow::Borrowed(credential.access_key)),
        signed_at: head.header("x-amz-date").and_then(timestamp),
        expires_at: None,
        signed_headers: Some(Cow::Borrowed(signed_headers)),
        region: credential.region.map(Cow::Borrowed),
    })
}

fn of_query_v4<'a>(query: &'a Query<'_>) -> Result<Claim<'a>, S3Error> {
    let wrong =
        |message: &'static str| S3Error::new(ErrorCode::AuthorizationQueryParametersError, message);
    // Names in exactly this spelling: stores do not read others.
    let need = |name: &str| {
        query.get(name).ok_or_else(|| {
            wrong("Query-string authentication version 4 requires the X-Amz-Algorithm, X-Amz-Credential, X-Amz-Signature, X-Amz-Date, X-Amz-SignedHeaders, and X-Amz-Expires parameters.")
        })
    };
    let (algorithm, credential, date) = (
        need("X-Amz-Algorithm")?,
        need("X-Amz-Credential")?,
        need("X-Amz-Date")?,
    );
    let (expires, signed_headers, signature) = (
        need("X-Amz-Expires")?,
        need("X-Amz-SignedHeaders")?,
        need("X-Amz-Signature")?,
    );
    let version = SignatureVersion::of_algorithm(algorithm).ok_or_else(|| {
        wrong("X-Amz-Algorithm only supports \"AWS4-HMAC-SHA256 and AWS4-ECDSA-P256-SHA256\"")
    })?;
    let parsed = Credential::parse(credential, version).ok_or_else(|| {
        wrong("Error parsing the X-Amz-Credential parameter; the Credential is mal-formed; expecting \"<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_request\".")
    })?;
    let signed_at = timestamp(date).ok_or_else(|| {
        wrong("X-Amz-Date must be in the ISO8601 Long Format \"yyyyMMdd'T'HHmmss'Z'\"")
    })?;
    let seconds: i64 = expires
        .parse()
        .map_err(|_| wrong("X-Amz-Expires should be a number"))?;
    if !(1..=604_800).contains(&seconds) {
        return Err(wrong(
            "X-Amz-Expires must be between 1 and 604800 seconds (a week)",
        ));
    }
    if !are_names(signed_headers) {
        return Err(wrong(
            "X-Amz-SignedHeaders must be names of headers in lower case, with ';' between them",
        ));
    }
    if !is_signature(signature) {
        return Err(wrong("X-Amz-Signature must be hexadecimal"));
    }
    Ok(Claim {
        auth: AuthType::Query,
        version: Some(version),
        access_key: Some(Cow::Borrowed(parsed.access_key)),
        signed_at: Some(signed_at),
        expires_at: Some(signed_at.saturating_add(seconds * 1000)),
        signed_headers: Some(Cow::Borrowed(signed_headers)),
        region: parsed.region.map(Cow::Borrowed),
    })
}

fn of_query_v2<'a>(query: &'a Query<'_>) -> Result<Claim<'a>, S3Error> {
    let need = |name: &str| {
        query.get(name).filter(|value| !value.is_empty()).ok_or_else(|| {
            S3Error::new(ErrorCode::AccessDenied, "Query-string authentication requires the Signature, Expires and AWSAccessKeyId parameters")
        })
    };
    let (access_key, expires, _signature) = (
        need("AWSAccessKeyId")?,
        need("Expires")?,
        need("Signature")?,
    );
    let expires: i64 = expires.parse().map_err(|_| {
        S3Error::new(
            ErrorCode::AccessDenied,
            "Invalid date (should be seconds since epoch)",
        )
    })?;
    Ok(Claim {
        auth: AuthType::Query,
        version: Some(SignatureVersion::V2),
        access_key: Some(Cow::Borrowed(access_key)),
        expires_at: Some(expires.saturating_mul(1000)),
        ..Claim::ANONYMOUS
    })
}

/// Header names, lower case, `;` between them, and none empty.
fn are_names(text: &str) -> bool {
    text.split(';').all(|name| {
        !name.is_empty()
            && name
                .bytes()
                .all(|byte| byte.is_ascii_graphic() && !byte.is_ascii_uppercase() && byte != b',')
    })
}

fn is_signature(text: &str) -> bool {
    (1..=512).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// `yyyyMMdd'T'HHmmss'Z'` -> milliseconds since 1970.
fn timestamp(text: &str) -> Option<i64> {
    let bytes: &[u8; 16] = text.as_bytes().try_into().ok()?;
    if bytes[8] != b'T'
        || bytes[15] != b'Z'
        || !bytes
            .iter()
            .enumerate()
            .all(|(at, byte)| at == 8 || at == 15 || byte.is_ascii_digit())
    {
        return None;
    }
    let two = |at: usize| text.get(at..at + 2)?.parse::<i8>().ok();
    let year = text.get(..4)?.parse::<i16>().ok()?;
    let date =
        jiff::civil::DateTime::new(year, two(4)?, two(6)?, two(9)?, two(11)?, two(13)?, 0).ok()?;
    Some(
        date.to_zoned(jiff::tz::TimeZone::UTC)
            .ok()?
            .timestamp()
            .as_millisecond(),
    )
}

#[cfg(test)]
#[path = "claim_tests.rs"]
mod tests;
