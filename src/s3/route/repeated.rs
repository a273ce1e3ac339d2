//! Headers that must come once, and headers that change what a store does behind the operation's back.

use http::Method;
use http::header::{
    AUTHORIZATION, CONTENT_TYPE, HOST, HeaderName, IF_MATCH, IF_NONE_MATCH, REFERER, USER_AGENT,
};

use super::{RequestHead, RouteError};
use crate::s3::address::AddressError;
use crate::s3::extension::{REPLICATION_STATUS, is_extension};

/// Headers that say which operation it is.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Seen {
    pub copy_source: bool,
    pub rename_source: bool,
}

pub(super) fn check(head: &RequestHead<'_>) -> Result<Seen, RouteError> {
    let headers = head.headers;
    // No header came twice: the common case.
    if headers.len() != headers.keys_len() {
        for name in headers.keys() {
            if once(name) && headers.get_all(name).iter().nth(1).is_some() {
                return Err(RouteError::argument(
                    "This header must not be sent twice",
                    name.as_str().to_owned(),
                    "",
                ));
            }
        }
    }
    let writes = ![Method::GET, Method::HEAD, Method::OPTIONS].contains(head.method);
    let mut seen = Seen::default();
    for (name, value) in headers {
        match name.as_str() {
            "x-amz-copy-source" => seen.copy_source = true,
            "x-amz-rename-source" => seen.rename_source = true,
            "host"
                if head
                    .host
                    .is_some_and(|host| host.as_bytes() != value.as_bytes()) =>
            {
                return Err(AddressError::HostsDiffer.into());
            }
            // What Connection names, an intermediary drops: the store would not see what was decided on.
            "connection"
                if value
                    .as_bytes()
                    .windows(6)
                    .any(|window| window.eq_ignore_ascii_case(b"x-amz-")) =>
            {
                return Err(RouteError::argument(
                    "Connection must not name x-amz- headers",
                    "Connection",
                    "",
                ));
            }
            REPLICATION_STATUS if writes => {
                return Err(RouteError::NotImplemented(
                    "x-amz-replication-status is for stores that replicate; remove it from a write",
                ));
            }
            name if is_extension(name.as_bytes()) => {
                return Err(RouteError::NotImplemented(
                    "this header is an extension of single stores (x-minio-*, x-rgw-*, x-goog-* ..., snowball); remove it",
                ));
            }
            _ => {}
        }
    }
    Ok(seen)
}

/// User metadata may repeat: S3 joins it. Every other `x-amz-*` header says something that is decided on,
/// and so do the few others that policies can test.
fn once(name: &HeaderName) -> bool {
    let text = name.as_str();
    (text.starts_with("x-amz-") && !text.starts_with("x-amz-meta-"))
        || [
            HOST,
            AUTHORIZATION,
            CONTENT_TYPE,
            IF_MATCH,
            IF_NONE_MATCH,
            REFERER,
            USER_AGENT,
        ]
        .contains(name)
}
