//! Names by which single stores take orders that S3 does not know.

/// What such names begin with, in lower case.
const PREFIXES: [&str; 9] = [
    // An archive is unpacked into many objects, or read inside; all below a prefix is deleted; a replica gets its time stamps and keys.
    "x-minio-",
    "x-rustfs-",
    "x-seaweedfs-",
    // Ceph RGW takes all below for `x-amz-` with the same end: an empty `x-rgw-server-side-encryption` undoes what
    // `x-amz-server-side-encryption` asks for.
    "x-rgw-",
    "x-goog-",
    "x-dho-",
    "x-object-",
    "x-container-",
    "x-account-",
];

/// Unpacks an archive at `MinIO`.
const SNOWBALL: &str = "x-amz-meta-snowball-auto-extract";

/// Said by a replicating store about a write: `MinIO` then skips its own checks, encryption among them.
pub const REPLICATION_STATUS: &str = "x-amz-replication-status";

/// Whether a header, query parameter or form field is such an order, in whatever case of letters: what was decided would not be
/// what happens.
#[must_use]
pub fn is_extension(name: &[u8]) -> bool {
    begins(name, "x-")
        && (name.eq_ignore_ascii_case(SNOWBALL.as_bytes())
            || PREFIXES.iter().any(|prefix| begins(name, prefix)))
}

/// The same of a query parameter or form field, which says nothing of replication in any request.
#[must_use]
pub fn is_foreign(name: &[u8]) -> bool {
    is_extension(name) || name.eq_ignore_ascii_case(REPLICATION_STATUS.as_bytes())
}

fn begins(name: &[u8], with: &str) -> bool {
    name.get(..with.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(with.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn in_any_case_of_letters() {
        for name in [
            "x-rgw-server-side-encryption",
            "X-Minio-Extract",
            "X-AMZ-Meta-Snowball-Auto-Extract",
        ] {
            assert!(is_extension(name.as_bytes()), "{name}");
            assert!(is_foreign(name.as_bytes()), "{name}");
        }
        for name in ["x-amz-replication-status", "X-Amz-Replication-Status"] {
            assert!(!is_extension(name.as_bytes()), "{name}");
            assert!(is_foreign(name.as_bytes()), "{name}");
        }
        for name in [
            "",
            "x-",
            "x-rgw",
            "x-amz-meta-rgw",
            "rgw-x-rgw-",
            "x-amz-acl",
        ] {
            assert!(!is_foreign(name.as_bytes()), "{name}");
        }
    }
}
