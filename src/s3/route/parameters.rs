//! One walk through the query: what selects the operation, and what is refused because stores read it differently.

use std::borrow::Cow;

use super::{Query, RequestHead, RouteError, operation};
use crate::s3::address::is_id;
use crate::s3::extension::{REPLICATION_STATUS, is_extension};
use crate::s3::query::{decode, name_is};

/// More pairs than any client sends; without a bound the search for duplicates would be quadratic in the header section.
const MAX_PAIRS: usize = 256;

pub(super) struct Parameters<'a> {
    /// Whether a version is named.
    pub version: bool,
    pub query: Query<'a>,
    /// The one sub-resource.
    pub selector: Option<&'static str>,
    /// Not empty.
    pub upload_id: Option<Cow<'a, str>>,
    /// A number from 1 to 10000.
    pub part_number: Option<Cow<'a, str>>,
    pub list_type: Option<Cow<'a, str>>,
    pub select_type: Option<Cow<'a, str>>,
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

fn is_foreign(name: &[u8]) -> bool {
    name.get(..2)
        .is_some_and(|start| start.eq_ignore_ascii_case(b"x-"))
        && std::str::from_utf8(name).is_ok_and(|name| {
            let name = name.to_ascii_lowercase();
            is_extension(&name) || name == REPLICATION_STATUS
        })
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
        | b"lambdaArn" => Meaning::Foreign,
        // These dress the answer and decide nothing; file names in them hold semicolons.
        _ if name.starts_with(b"response-") => Meaning::Unknown,
        _ if operation::parameter(name).is_some() => Meaning::Known,
        _ => Meaning::Unknown,
    }
}

pub(super) fn read<'a>(
    query: Query<'a>,
    head: &RequestHead<'_>,
) -> Result<Parameters<'a>, RouteError> {
    let mut parameters = Parameters {
        version: false,
        query,
        selector: None,
        upload_id: None,
        part_number: None,
        list_type: None,
        select_type: None,
        presigned: false,
    };
    let mut algorithm = false;
    let mut v4 = false;
    let (mut access_key, mut v2) = (false, false);
    for (index, (raw_name, raw_value)) in query.pairs().enumerate() {
        if index == MAX_PAIRS {
            return Err(RouteError::Ambiguous("the query has too many parameters"));
        }
        let name = decoded(raw_name)?;
        let meaning = meaning(&name);
        let value = raw_value.unwrap_or_default();
        semicolons(raw_name, value, &name)?;
        if matches!(meaning, Meaning::Unknown) {
            decoded(value)?;
            continue;
        }
        let any_case = matches!(meaning, Meaning::Amz);
        if query
            .pairs()
            .take(index)
            .any(|(earlier, _)| name_is(earlier, &name, any_case))
        {
            return Err(RouteError::argument(
                "This query parameter must not be sent twice",
                shown(&name),
                "",
            ));
        }
        let value = text(value)?;
        match meaning {
            Meaning::Selector(selector) => {
                if let Some(other) = parameters.selector {
                    return Err(RouteError::argument(
                        "Conflicting query string parameters: one request has one sub-resource",
                        "ResourceType",
                        format!("{other}, {selector}"),
                    ));
                }
                if !value.is_empty() {
                    return Err(RouteError::argument(
                        "This sub-resource takes no value",
                        selector,
                        "",
                    ));
                }
                parameters.selector = Some(selector);
            }
            Meaning::Amz => {
                // Exactly as S3 and the stores spell them; in another spelling some would see a signature and others none.
                algorithm |= name.as_ref() == b"X-Amz-Algorithm";
                v4 |= name.as_ref() == b"X-Amz-Signature";
            }
            Meaning::Known => match name.as_ref() {
                b"uploadId" => parameters.upload_id = Some(upload_id(value)?),
                b"partNumber" => parameters.part_number = Some(part_number(value)?),
                b"versionId" => {
                    version_id(&value)?;
                    parameters.version = true;
                }
                b"list-type" => parameters.list_type = Some(value),
                b"select-type" => parameters.select_type = Some(value),
                b"AWSAccessKeyId" => access_key = true,
                b"Signature" => v2 = true,
                _ => {}
            },
            Meaning::Foreign => {
                return Err(RouteError::NotImplemented("an extension of one store"));
            }
            Meaning::Unknown => {}
        }
    }
    parameters.presigned = (algorithm && v4) || (access_key && v2);
    if parameters.presigned {
        agree(query, head)?;
    }
    Ok(parameters)
}

/// Of a presigned request, header and query say the same or only one of them speaks.
fn agree(query: Query<'_>, head: &RequestHead<'_>) -> Result<(), RouteError> {
    for (raw_name, raw_value) in query.pairs() {
        let name = decoded(raw_name)?;
        if !matches!(meaning(&name), Meaning::Amz) {
            continue;
        }
        let Some(header) = std::str::from_utf8(&name)
            .ok()
            .and_then(|name| head.headers.get(name.to_ascii_lowercase().as_str()))
        else {
            continue;
        };
        if decoded(raw_value.unwrap_or_default())?.as_ref() != header.as_bytes() {
            return Err(RouteError::argument(
                "The query and the header of this name contradict each other",
                shown(&name),
                "",
            ));
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
    decode(raw, true).map_err(|_| RouteError::Address(super::AddressError::Encoding))
}

fn text(raw: &[u8]) -> Result<Cow<'_, str>, RouteError> {
    let wrong = || RouteError::Address(super::AddressError::Encoding);
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

fn not_empty<'a>(value: Cow<'a, str>, name: &'static str) -> Result<Cow<'a, str>, RouteError> {
    // Some stores take an empty value for an absent one, and execute another operation.
    if value.is_empty() {
        Err(RouteError::argument(
            "This parameter cannot be the empty string",
            name,
            "",
        ))
    } else {
        Ok(value)
    }
}

/// Stores make paths of these, and a path could lead to another object than the one that was decided on.
fn upload_id(value: Cow<'_, str>) -> Result<Cow<'_, str>, RouteError> {
    let value = not_empty(value, "uploadId")?;
    if is_id(&value) {
        Ok(value)
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

fn part_number(value: Cow<'_, str>) -> Result<Cow<'_, str>, RouteError> {
    let plain = value.len() <= 5
        && !value.starts_with('0')
        && value.bytes().all(|byte| byte.is_ascii_digit());
    if plain
        && value
            .parse::<u16>()
            .is_ok_and(|number| (1..=10_000).contains(&number))
    {
        Ok(value)
    } else {
        Err(RouteError::argument(
            "Part number must be an integer between 1 and 10000, inclusive",
            "partNumber",
            value.into_owned(),
        ))
    }
}
