//! Headers that must come once, and headers that change what a store does behind the operation's back.

use http::header::{AUTHORIZATION, CONNECTION, CONTENT_TYPE, HOST, HeaderName};

use super::{RequestHead, RouteError};

/// Extensions of single stores under which one request is about other objects than the one it names: MinIO unpacks an archive
/// into many objects, reads inside one, or deletes everything below a prefix.
const EXTENSIONS: [&str; 3] = ["x-amz-meta-snowball-auto-extract", "x-minio-extract", "x-minio-force-delete"];

pub(super) fn check(head: &RequestHead<'_>) -> Result<(), RouteError> {
    let headers = head.headers;
    // No header came twice: the common case.
    if headers.len() != headers.keys_len() {
        for name in headers.keys() {
            if once(name) && headers.get_all(name).iter().nth(1).is_some() {
                return Err(RouteError::argument("This header must not be sent twice", name.as_str().to_owned(), ""));
            }
        }
    }
    if let (Some(header), Some(host)) = (headers.get(HOST), head.host)
        && header.as_bytes() != host.as_bytes()
    {
        return Err(super::AddressError::HostsDiffer.into());
    }
    if EXTENSIONS.iter().any(|name| headers.contains_key(*name)) {
        return Err(RouteError::NotImplemented("an extension of one store that concerns other objects than the request names"));
    }
    // What Connection names, an intermediary drops: the store would not see what was decided on.
    if headers.get_all(CONNECTION).iter().any(|value| value.as_bytes().windows(6).any(|window| window.eq_ignore_ascii_case(b"x-amz-"))) {
        return Err(RouteError::argument("Connection must not name x-amz- headers", "Connection", ""));
    }
    Ok(())
}

/// User metadata may repeat: S3 joins it. Every other `x-amz-*` header says something that is decided on.
fn once(name: &HeaderName) -> bool {
    let text = name.as_str();
    (text.starts_with("x-amz-") && !text.starts_with("x-amz-meta-")) || [HOST, AUTHORIZATION, CONTENT_TYPE].contains(name)
}
