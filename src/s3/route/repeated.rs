//! Headers that must come once, and headers that change what a store does behind the operation's back.

use http::header::{
    AUTHORIZATION, CONTENT_TYPE, HOST, HeaderName, IF_MATCH, IF_NONE_MATCH, REFERER, USER_AGENT,
};

use super::{RequestHead, RouteError};

/// Extensions of single stores under which one request is about other objects than the one it names: `MinIO` unpacks an archive
/// into many objects, reads inside one, or deletes everything below a prefix.
const EXTENSIONS: [&str; 3] = [
    "x-amz-meta-snowball-auto-extract",
    "x-minio-extract",
    "x-minio-force-delete",
];

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
                return Err(super::AddressError::HostsDiffer.into());
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
            name if EXTENSIONS.contains(&name) => {
                return Err(RouteError::NotImplemented(
                    "an extension of one store that concerns other objects than the request names",
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
