//! Names by which single stores take orders that S3 does not know.

/// Whether a header, query parameter or form field (`name` in lower case) is such an order. `MinIO` unpacks an archive into many objects,
/// reads inside one, deletes everything below a prefix, or takes time stamps and keys for a replica: what was decided is then not what happens.
#[must_use]
pub fn is_extension(name: &str) -> bool {
    name.starts_with("x-minio-") || name == "x-amz-meta-snowball-auto-extract"
}

/// Said by a replicating store about a write: `MinIO` then skips its own checks, encryption among them.
pub const REPLICATION_STATUS: &str = "x-amz-replication-status";
