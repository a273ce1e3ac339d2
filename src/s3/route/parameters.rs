//! One walk through the query: what selects the operation, and what is refused because stores read it differently.

use std::borrow::Cow;

use super::{Query, RequestHead, RouteError, operation};
use crate::s3::address::{AddressError, is_id};
use crate::s3::extension::is_foreign;
use crate::s3::query::{Parameter, decode, pairs};

/// More pairs than any client sends.
const MAX_PAIRS: usize = 256;

/// What all headers of server-side encryption have in their name.
const ENCRYPTION: &str = "server-side-encryption";

pub(super) struct Parameters<'a> {
    /// An `uploadId` in it is not empty, a `partNumber` a number from 1 to 10000.
    pub query: Query<'a>,
    /// The one sub-resource.
    pub selector: Option<&'static str>,
    pub presigned: bool,
}

/// What a parameter's name means to the decision.
enum Meaning {
    Selector(&'static str),
    /// Some operation reads it, or the signature does.
    Known,
    Amz,
    /// A sub-resource of one store alone.
    Foreign,
    Unknown,
}

fn meaning(name: &[u8]) -> Meaning {
    if is_foreign(name) {
        return Meaning::Foreign;
    }
    if name
        .get(..6)
        .is_some_and(|start| start.eq_ignore_ascii_case(b"x-amz-"))
    {
        return Meaning::Amz;
    }
    if let Some(name) = operation::selector(name) {
        return Meaning::Selector(name);
    }
    match name {
        b"AWSAccessKeyId" | b"Signature" | b"Expires" => Meaning::Known,
        // MinIO: listening to events, replication's own state, object lambda.
        b"events"
        | b"replication-metrics"
        | b"replication-metrics-v2"
        | b"replication-check"
        | b"replication-reset"
        | b"replication-reset-status"
        | b"lambdaArn"
        // Ceph RGW: what is appended to an object is written without encryption.
        | b"append" => Meaning::Foreign,
        // These dress the answer and decide nothing; file names in them hold semicolons.
        _ if name.starts_with(b"response-") => Meaning::Unknown,
        _ if operation::parameter(name).is_some() => Meaning::Known,
        _ => Meaning::Unknown,
    }
}

/// `presigned`: it counts as presigned though it carries no signature.
pub(super) fn read<'a>(
    raw: &'a [u8],
    head: &RequestHead<'_>,
    presigned: bool,
) -> Result<Parameters<'a>, RouteError> {
    let mut found = Vec::new();
    let mut selector = None;
    let (mut algorithm, mut v4) = (false, false);
    let (mut access_key, mut v2) = (false, false);
    for (index, (raw_name, raw_value)) in pairs(raw).enumerate() {
        if index == MAX_PAIRS {
            return Err(RouteError::Ambiguous("the query has too many parameters"));
        }
        let name = decoded(raw_name)?;
        if name.iter().any(|byte| matches!(byte, b'=' | b'&')) {
            // Ceph RGW decodes a pair before it parts it: to it `uploadId%3D` is an `uploadId` that is empty.
            return Err(RouteError::Ambiguous(
                "the name of a query parameter must not hold '=' or '&', not even encoded",
            ));
        }
        let meaning = meaning(&name);
        let value = raw_value.unwrap_or_default();
        semicolons(raw_name, value, &name)?;
        if matches!(meaning, Meaning::Unknown) {
            decoded(value)?;
            continue;
        }
        let value = text(value)?;
        match meaning {
            Meaning::Selector(this) => selector = Some(only(selector, this, &value)?),
            Meaning::Amz => {
                // Exactly as S3 and the stores spell them; in another spelling some would see a signature and others none.
                algorithm |= name.as_ref() == b"X-Amz-Algorithm";
                v4 |= name.as_ref() == b"X-Amz-Signature";
            }
            Meaning::Known => match name.as_ref() {
                b"uploadId" => upload_id(&value)?,
                b"partNumber" => part_number(&value)?,
                b"versionId" => version_id(&value)?,
                b"AWSAccessKeyId" => access_key = true,
                b"Signature" => v2 = true,
                _ => {}
            },
            Meaning::Foreign => {
                return Err(RouteError::NotImplemented("an extension of one store"));
            }
            Meaning::Unknown => {}
        }
        found.push(Parameter { name, value });
    }
    let query = Query::new(raw, found).map_err(|name| {
        RouteError::argument(
            "This query parameter must not be sent twice",
            shown(&name),
            "",
        )
    })?;
    let presigned = presigned || (algorithm && v4) || (access_key && v2);
    agree(&query, head, presigned)?;
    Ok(Parameters {
        query,
        selector,
        presigned,
    })
}

/// The sub-resource `this`, where it is the only one.
fn only(
    earlier: Option<&'static str>,
    this: &'static str,
    value: &str,
) -> Result<&'static str, RouteError> {
    if let Some(other) = earlier {
        return Err(RouteError::argument(
            "Conflicting query string parameters: one request has one sub-resource",
            "ResourceType",
            format!("{other}, {this}"),
        ));
    }
    if !value.is_empty() {
        return Err(RouteError::argument(
            "This sub-resource takes no value",
            this,
            "",
        ));
    }
    Ok(this)
}

/// Of a presigned request, header and query say the same or only one of them speaks. Of any other the header alone does, and
/// of encryption the query must say nothing else: in Ceph RGW it goes before the header, signed or not.
fn agree(query: &Query<'_>, head: &RequestHead<'_>, presigned: bool) -> Result<(), RouteError> {
    for (name, value) in query.parameters() {
        if !matches!(meaning(name), Meaning::Amz) {
            continue;
        }
        let lower = String::from_utf8_lossy(name).to_ascii_lowercase();
        if !presigned && !lower.contains(ENCRYPTION) {
            continue;
        }
        match head.headers.get(lower.as_str()) {
            Some(header) if header.as_bytes() != value.as_bytes() => {
                return Err(RouteError::argument(
                    "The query and the header of this name contradict each other",
                    shown(name),
                    "",
                ));
            }
            None if !presigned => {
                return Err(RouteError::argument(
                    "In a request that is not presigned, encryption must be asked for in a header, not in the query",
                    shown(name),
                    "",
                ));
            }
            _ => {}
        }
    }
    Ok(())
}

/// A `;` parts pairs for some stores, makes others drop the whole pair, and is data for S3. It may stand where none of that matters.
fn semicolons(raw_name: &[u8], raw_value: &[u8], name: &[u8]) -> Result<(), RouteError> {
    let has = raw_name.contains(&b';') || raw_value.contains(&b';');
    if !has || name.eq_ignore_ascii_case(b"X-Amz-SignedHeaders") {
        return Ok(());
    }
    let mut pieces = raw_name
        .split(|&byte| byte == b';')
        .chain(raw_value.split(|&byte| byte == b';').skip(1));
    if pieces.any(piece_matters) {
        Err(RouteError::Ambiguous(
            "a ';' in the query must be sent as %3B",
        ))
    } else {
        Ok(())
    }
}

fn piece_matters(piece: &[u8]) -> bool {
    let name = piece.split(|&byte| byte == b'=').next().unwrap_or_default();
    decode(name, true).map_or(true, |name| !matches!(meaning(&name), Meaning::Unknown))
}

fn decoded(raw: &[u8]) -> Result<Cow<'_, [u8]>, RouteError> {
    decode(raw, true).map_err(|_| RouteError::Address(AddressError::Encoding))
}

fn text(raw: &[u8]) -> Result<Cow<'_, str>, RouteError> {
    let wrong = || RouteError::Address(AddressError::Encoding);
    match decoded(raw)? {
        Cow::Borrowed(bytes) => std::str::from_utf8(bytes)
            .map(Cow::Borrowed)
            .map_err(|_| wrong()),
        Cow::Owned(bytes) => String::from_utf8(bytes)
            .map(Cow::Owned)
            .map_err(|_| wrong()),
    }
}

fn shown(name: &[u8]) -> String {
    String::from_utf8_lossy(name).into_owned()
}

/// Stores make paths of these, and a path could lead to another object than the one that was decided on.
fn upload_id(value: &str) -> Result<(), RouteError> {
    // Some stores take an empty value for an absent one, and execute another operation.
    if value.is_empty() {
        Err(RouteError::argument(
            "This parameter cannot be the empty string",
            "uploadId",
            "",
        ))
    } else if is_id(value) {
        Ok(())
    } else {
        Err(RouteError::NoSuchUpload)
    }
}

fn version_id(value: &str) -> Result<(), RouteError> {
    if is_id(value) {
        Ok(())
    } else {
        Err(RouteError::argument(
            "Invalid version id specified",
            "versionId",
            "",
        ))
    }
}

fn part_number(value: &str) -> Result<(), RouteError> {
    let plain = value.len() <= 5
        && !value.starts_with('0')
        && value.bytes().all(|byte| byte.is_ascii_digit());
    if plain
        && value
            .parse::<u16>()
            .is_ok_and(|number| (1..=10_000).contains(&number))
    {
        Ok(())
    } else {
        Err(RouteError::argument(
            "Part number must be an integer between 1 and 10000, inclusive",
            "partNumber",
            value,
        ))
    }
}
