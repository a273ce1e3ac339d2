//! Request -> operation: the way S3 dispatches on method, path, query and headers.
//!
//! Where S3 and the stores behind could take one request for two operations, it is refused: a decision on one operation is
//! worth nothing if the store executes the other. Unknown parameters change nothing, as on S3 (`PUT /b/k?foo` is `PutObject`).

use std::borrow::Cow;

use http::Method;

use super::address::{self, Style};
use super::copy_source::{CopySource, CopySourceError};
use super::operation::{self, Level, Operation};
use super::query::Query;
use super::request::RequestHead;

mod error;
mod parameters;
mod repeated;

pub use error::RouteError;

use parameters::Parameters;

/// A request that has been recognised.
#[derive(Clone, Debug)]
pub struct Routed<'a> {
    /// The operation.
    pub operation: Operation,
    /// The bucket; `None` for operations on the service.
    pub bucket: Option<Cow<'a, str>>,
    /// The decoded key, exactly the bytes that the store will see: percent-decoded once, `+` literal, not normalised.
    pub key: Option<Cow<'a, [u8]>>,
    /// The query.
    pub query: Query<'a>,
    /// Whether the query carries the signature (Signature Version 4 or 2); only then do its `x-amz-*` parameters count.
    pub presigned: bool,
    /// What `CopyObject`, `UploadPartCopy` and `RenameObject` read.
    pub copy_source: Option<CopySource<'a>>,
    /// How the bucket was named.
    pub style: Style,
    /// The path as received.
    pub path: &'a [u8],
}

impl Routed<'_> {
    /// An `x-amz-*` value: the header or, of a presigned request, the query parameter. `name` is in lower case.
    ///
    /// The two never contradict each other, nor does a header come twice: the router has refused that.
    #[must_use]
    pub fn amz<'h>(&'h self, head: &RequestHead<'h>, name: &str) -> Option<Cow<'h, str>> {
        match head.headers.get(name) {
            Some(value) => Some(String::from_utf8_lossy(value.as_bytes())),
            None if self.presigned => self.query.get_any_case(name).map(Cow::Borrowed),
            None => None,
        }
    }
}

/// Recognises a request.
///
/// `domains` are the base domains of virtual-host style: under `s3.example.test`, the host `b.s3.example.test` names bucket `b`.
/// Does not allocate unless the key has escapes or a parameter of the query means something.
///
/// # Errors
/// [`RouteError`]: 400 for what is malformed or ambiguous, 405 for a method that S3 or the sub-resource does not have, 501 for what is no operation.
pub fn route<'a>(head: &RequestHead<'a>, domains: &[String]) -> Result<Routed<'a>, RouteError> {
    recognise(head, domains, false)
}

/// As [`route`], of a request that counts as presigned though its query carries no signature: one that was written down
/// for a test, not received.
pub(crate) fn route_presigned<'a>(
    head: &RequestHead<'a>,
    domains: &[String],
) -> Result<Routed<'a>, RouteError> {
    recognise(head, domains, true)
}

fn recognise<'a>(
    head: &RequestHead<'a>,
    domains: &[String],
    presigned: bool,
) -> Result<Routed<'a>, RouteError> {
    if ![
        Method::GET,
        Method::HEAD,
        Method::PUT,
        Method::POST,
        Method::DELETE,
        Method::OPTIONS,
    ]
    .contains(head.method)
    {
        return Err(RouteError::MethodNotAllowed);
    }
    let seen = repeated::check(head)?;
    let address = address::parse(head.target, head.host, domains)?;
    let parameters = parameters::read(address.query, head, presigned)?;
    let operation = match (&address.bucket, &address.key) {
        _ if head.method == Method::OPTIONS => Operation::CorsPreflight,
        (None, _) => on_service(head, &parameters)?,
        (Some(bucket), None) if bucket == "WriteGetObjectResponse" && is_object_lambda(head) => {
            write_get_object_response(head, &parameters)?
        }
        (Some(_), None) => on_bucket(head, &parameters)?,
        (Some(_), Some(_)) => on_object(head, &parameters, seen.copy_source)?,
    };
    let mut routed = Routed {
        operation,
        bucket: address
            .bucket
            .filter(|_| operation != Operation::WriteGetObjectResponse),
        key: address.key,
        query: parameters.query,
        presigned: parameters.presigned,
        copy_source: None,
        style: address.style,
        path: address.path,
    };
    if operation == Operation::CorsPreflight {
        return Ok(routed);
    }
    if routed.query.has("versionId") && !operation.takes("versionId") {
        // MinIO overwrites that very version with a PutObject.
        return Err(RouteError::argument(
            "This operation does not accept a version-id.",
            "versionId",
            "",
        ));
    }
    if seen.copy_source
        || seen.rename_source
        || routed.presigned
        || operation == Operation::RenameObject
    {
        routed.copy_source = copy_source(head, &routed)?;
    }
    Ok(routed)
}

fn on_service(
    head: &RequestHead<'_>,
    parameters: &Parameters<'_>,
) -> Result<Operation, RouteError> {
    if parameters.selector.is_some() || parameters.query.has("uploadId") {
        return Err(RouteError::NotImplemented(
            "a sub-resource without a bucket",
        ));
    }
    match *head.method {
        Method::GET if parameters.query.has("max-directory-buckets") => {
            Ok(Operation::ListDirectoryBuckets)
        }
        Method::GET => Ok(Operation::ListBuckets),
        _ => Err(RouteError::NotImplemented(
            "the service itself can only be listed",
        )),
    }
}

fn is_object_lambda(head: &RequestHead<'_>) -> bool {
    head.method == Method::POST
        && head.headers.contains_key("x-amz-request-route")
        && head.headers.contains_key("x-amz-request-token")
}

fn write_get_object_response(
    head: &RequestHead<'_>,
    parameters: &Parameters<'_>,
) -> Result<Operation, RouteError> {
    if parameters.selector.is_some() || parameters.query.has("uploadId") || form(head) != Form::No {
        return Err(RouteError::Ambiguous(
            "WriteGetObjectResponse takes no sub-resource and no form",
        ));
    }
    Ok(Operation::WriteGetObjectResponse)
}

fn on_bucket(head: &RequestHead<'_>, parameters: &Parameters<'_>) -> Result<Operation, RouteError> {
    if let Some(upload_id) = parameters.query.get("uploadId") {
        return Err(RouteError::argument(
            "uploadId names an upload of an object, and the request has no key",
            "uploadId",
            upload_id,
        ));
    }
    let list_type = if head.method == Method::GET {
        parameters.query.get("list-type")
    } else {
        None
    };
    if let Some(selector) = parameters.selector {
        if list_type.is_some() {
            return Err(RouteError::Ambiguous(
                "list-type cannot be combined with a sub-resource",
            ));
        }
        if head.method == Method::POST && form(head) != Form::No {
            return Err(RouteError::Ambiguous(
                "a form (multipart/form-data) cannot be posted to a sub-resource",
            ));
        }
        return by_selector(Level::Bucket, head, selector, parameters);
    }
    match *head.method {
        Method::GET => match list_type {
            None => Ok(Operation::ListObjects),
            Some("2") => Ok(Operation::ListObjectsV2),
            Some(other) => Err(RouteError::argument(
                "list-type must be 2",
                "list-type",
                other,
            )),
        },
        Method::HEAD => Ok(Operation::HeadBucket),
        Method::PUT => Ok(Operation::CreateBucket),
        Method::DELETE => Ok(Operation::DeleteBucket),
        _ => match form(head) {
            Form::Yes => Ok(Operation::PostObject),
            Form::Nearly => Err(RouteError::argument(
                "the Content-Type of a form must be multipart/form-data",
                "Content-Type",
                "",
            )),
            Form::No => Err(RouteError::NotImplemented(
                "POST on a bucket needs ?delete or a form (multipart/form-data)",
            )),
        },
    }
}

fn on_object(
    head: &RequestHead<'_>,
    parameters: &Parameters<'_>,
    copies: bool,
) -> Result<Operation, RouteError> {
    match (parameters.query.has("uploadId"), parameters.selector) {
        (true, Some(_)) => Err(RouteError::Ambiguous(
            "uploadId cannot be combined with a sub-resource",
        )),
        (true, None) => on_upload(head, parameters, copies),
        (false, _) if head.method == Method::PUT && parameters.query.has("partNumber") => {
            Err(RouteError::argument(
                "partNumber needs the uploadId of its upload",
                "partNumber",
                "",
            ))
        }
        (false, Some(selector)) => by_selector(Level::Object, head, selector, parameters),
        (false, None) => match *head.method {
            Method::GET => Ok(Operation::GetObject),
            Method::HEAD => Ok(Operation::HeadObject),
            Method::PUT if copies => Ok(Operation::CopyObject),
            Method::PUT => Ok(Operation::PutObject),
            Method::DELETE => Ok(Operation::DeleteObject),
            _ => Err(RouteError::NotImplemented(
                "POST on an object needs ?uploads, ?uploadId, ?restore or ?select",
            )),
        },
    }
}

fn on_upload(
    head: &RequestHead<'_>,
    parameters: &Parameters<'_>,
    copies: bool,
) -> Result<Operation, RouteError> {
    if parameters.query.has("versionId") {
        return Err(RouteError::Ambiguous(
            "uploadId cannot be combined with versionId",
        ));
    }
    match (head.method.as_str(), parameters.query.has("partNumber")) {
        ("PUT", true) => Ok(if copies {
            Operation::UploadPartCopy
        } else {
            Operation::UploadPart
        }),
        ("PUT", false) => Err(RouteError::argument(
            "uploadId needs the partNumber of the part",
            "partNumber",
            "",
        )),
        (_, true) => Err(RouteError::Ambiguous("uploadId with partNumber is a PUT")),
        ("GET", false) => Ok(Operation::ListParts),
        ("POST", false) => Ok(Operation::CompleteMultipartUpload),
        ("DELETE", false) => Ok(Operation::AbortMultipartUpload),
        _ => Err(RouteError::MethodNotAllowed),
    }
}

fn by_selector(
    level: Level,
    head: &RequestHead<'_>,
    selector: &'static str,
    parameters: &Parameters<'_>,
) -> Result<Operation, RouteError> {
    let candidates = operation::by_selector(level, head.method.as_str(), selector);
    if selector == "select" && parameters.query.get("select-type") != Some("2") {
        return Err(RouteError::argument(
            "select needs select-type=2",
            "select-type",
            "",
        ));
    }
    let fits = |needed: Option<&str>| needed.is_none_or(|name| parameters.query.has(name));
    if let Some((operation, _)) = candidates.iter().find(|(_, needed)| fits(*needed)) {
        return Ok(*operation);
    }
    if !candidates.is_empty() {
        return Err(RouteError::argument(
            "this sub-resource needs the id of a configuration",
            "id",
            "",
        ));
    }
    let elsewhere = ["GET", "PUT", "POST", "DELETE"]
        .iter()
        .any(|method| !operation::by_selector(level, method, selector).is_empty());
    Err(if elsewhere {
        RouteError::MethodNotAllowed
    } else if level == Level::Object {
        RouteError::argument(
            "There is no such thing as this sub-resource for a key",
            "ResourceType",
            selector,
        )
    } else {
        RouteError::argument(
            "There is no such thing as this sub-resource for a bucket",
            "ResourceType",
            selector,
        )
    })
}

fn copy_source<'a>(
    head: &RequestHead<'a>,
    routed: &Routed<'a>,
) -> Result<Option<CopySource<'a>>, RouteError> {
    let value = |name: &'static str| -> Result<Option<&'a str>, RouteError> {
        if routed.presigned && routed.query.get_any_case(name).is_some() {
            // AWS would copy, other stores would take the body.
            return Err(RouteError::argument(
                "this header must be sent as a header, not in a presigned query",
                name,
                "",
            ));
        }
        let Some(value) = head.headers.get(name) else {
            return Ok(None);
        };
        std::str::from_utf8(value.as_bytes())
            .map(Some)
            .map_err(|_| CopySourceError::Malformed.into())
    };
    let source = value("x-amz-copy-source")?;
    let rename = value("x-amz-rename-source")?;
    match routed.operation {
        Operation::CopyObject | Operation::UploadPartCopy => {
            Ok(source.map(CopySource::parse).transpose()?)
        }
        Operation::RenameObject => {
            let source = rename.ok_or_else(|| {
                RouteError::argument(
                    "renameObject needs x-amz-rename-source",
                    "x-amz-rename-source",
                    "",
                )
            })?;
            // The bucket is cloned only here: renames are rare.
            let bucket = routed.bucket.as_deref().unwrap_or_default();
            let parsed = CopySource::parse_rename(source, bucket)?;
            Ok(Some(CopySource {
                bucket: Cow::Owned(bucket.to_owned()),
                key: Cow::Owned(parsed.key.into_owned()),
                version_id: None,
                key_with_spaces: None,
            }))
        }
        _ if source.is_some() && (head.method == Method::PUT || head.method == Method::POST) => {
            Err(RouteError::argument(
                "x-amz-copy-source belongs to CopyObject and UploadPartCopy alone",
                "x-amz-copy-source",
                "",
            ))
        }
        _ => Ok(None),
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Yes,
    /// Not quite `multipart/form-data`, but some store may take it for it.
    Nearly,
    No,
}

fn form(head: &RequestHead<'_>) -> Form {
    const TYPE: &[u8] = b"multipart/form-data";
    let Some(value) = head.headers.get(http::header::CONTENT_TYPE) else {
        return Form::No;
    };
    let value = value.as_bytes();
    let essence = value
        .split(|&byte| byte == b';')
        .next()
        .unwrap_or_default()
        .trim_ascii();
    if essence.eq_ignore_ascii_case(TYPE) {
        Form::Yes
    } else if value
        .windows(TYPE.len())
        .any(|window| window.eq_ignore_ascii_case(TYPE))
    {
        Form::Nearly
    } else {
        Form::No
    }
}

#[cfg(test)]
#[path = "route_tests.rs"]
mod tests;
