//! Names by which single stores take orders that S3 does not know.

/// What such names begin with. `MinIO` unpacks an archive into many objects, reads inside one, deletes everything below a prefix, or takes
/// time stamps and keys for a replica. Ceph RGW takes those of the second line for `x-amz-` with the same end, so that an empty
/// `x-rgw-server-side-encryption` undoes what `x-amz-server-side-encryption` asks for.
const PREFIXES: [&str; 9] = [
    "x-minio-",
    "x-rustfs-",
    "x-seaweedfs-",
    "x-rgw-",
    "x-goog-",
    "x-dho-",
    "x-object-",
    "x-container-",
    "x-account-",
];

/// Whether a header, query parameter or form field (`name` in lower case) is such an order: what was decided would not be what happens.
#[must_use]
pub fn is_extension(name: &str) -> bool {
    name.starts_with("x-")
        && (name == "x-amz-meta-snowball-auto-extract"
            || PREFIXES.iter().any(|prefix| name.starts_with(prefix)))
}

/// Said by a replicating store about a write: `MinIO` then skips its own checks, encryption among them.
pub const REPLICATION_STATUS: &str = "x-amz-replication-status";
