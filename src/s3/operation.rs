//! The operations of S3, generated from `data/s3-ops.tsv`.

use super::action::Action;

/// What an operation is about: where its URI ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Level {
    /// The service itself (`GET /`).
    Service,
    /// A bucket.
    Bucket,
    /// An object.
    Object,
}

/// What the table says of the actions an operation needs.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Needs {
    /// Always this one.
    One(Action),
    /// The first, or with `versionId` the second.
    Versioned(Action, Action),
    /// It depends on more: `action.rs` says how.
    ByCode,
}

#[derive(Debug)]
struct OperationRow {
    operation: Operation,
    name: &'static str,
    method: &'static str,
    uri: &'static str,
    level: Level,
    parameters: &'static [&'static str],
    needs: Needs,
    sse_headers: &'static [&'static str],
    headers: &'static [&'static str],
}

include!(concat!(env!("OUT_DIR"), "/operations.rs"));

impl Operation {
    /// Every operation: the rows of the table, then [`Operation::PostObject`] and [`Operation::CorsPreflight`].
    pub const ALL: &'static [Operation] = &ALL_OPERATIONS;

    fn row(self) -> &'static OperationRow {
        let row = &OPERATION_TABLE[self as usize];
        debug_assert_eq!(row.operation, self);
        row
    }

    /// The API name, such as `PutObject`.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.row().name
    }

    /// The operation of this API name, in exactly this spelling.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        OPERATION_TABLE
            .iter()
            .find(|row| row.name == name)
            .map(|row| row.operation)
    }

    /// The HTTP method.
    #[must_use]
    pub fn method(self) -> &'static str {
        self.row().method
    }

    /// The URI template of the API model, such as `/{Bucket}/{Key+}?acl`.
    #[must_use]
    pub fn uri(self) -> &'static str {
        self.row().uri
    }

    /// What it is about.
    #[must_use]
    pub fn level(self) -> Level {
        self.row().level
    }

    /// The query parameters it reads, apart from the sub-resource that selects it.
    #[must_use]
    pub fn parameters(self) -> &'static [&'static str] {
        self.row().parameters
    }

    /// The request headers that concern server-side encryption and that it accepts.
    #[must_use]
    pub fn sse_headers(self) -> &'static [&'static str] {
        self.row().sse_headers
    }

    /// All request headers of the API model.
    #[must_use]
    pub fn headers(self) -> &'static [&'static str] {
        self.row().headers
    }

    /// Whether an answer with this status says that it was done: a form may be answered with a redirect.
    #[must_use]
    pub fn is_done(self, status: u16) -> bool {
        (200..300).contains(&status) || (status == 303 && self == Self::PostObject)
    }

    /// Whether it chooses an object's encryption: it may carry `x-amz-server-side-encryption` and decides what is stored.
    #[must_use]
    pub fn chooses_encryption(self) -> bool {
        matches!(
            self,
            Self::PutObject | Self::CopyObject | Self::CreateMultipartUpload | Self::PostObject
        )
    }

    /// Whether it is a step of an upload whose encryption `CreateMultipartUpload` fixed.
    #[must_use]
    pub fn continues_upload(self) -> bool {
        matches!(
            self,
            Self::UploadPart | Self::UploadPartCopy | Self::CompleteMultipartUpload
        )
    }

    /// Whether the store may write an object's bytes or its encryption because of it.
    ///
    /// `RenameObject` and `UpdateObjectEncryption` count: a store that does not know their sub-resource takes them for `PutObject`.
    #[must_use]
    pub fn writes_object(self) -> bool {
        self.chooses_encryption()
            || self.continues_upload()
            || matches!(self, Self::RenameObject | Self::UpdateObjectEncryption)
    }

    /// Whether an object stands under its key when it is done: an upload is none yet, nor is a part.
    #[must_use]
    pub fn makes_object(self) -> bool {
        let of_an_upload = matches!(
            self,
            Self::CreateMultipartUpload | Self::UploadPart | Self::UploadPartCopy
        );
        self.writes_object() && !of_an_upload
    }

    /// Whether it copies what the store has: it needs no body.
    #[must_use]
    pub fn copies(self) -> bool {
        matches!(self, Self::CopyObject | Self::UploadPartCopy)
    }

    /// Whether the store may be busy with it for long after it has read the request.
    #[must_use]
    pub fn takes_its_time(self) -> bool {
        matches!(self, Self::CopyObject | Self::CompleteMultipartUpload)
    }

    /// Whether its body names the objects it is about, so that they can only be decided once it is read.
    #[must_use]
    pub fn names_objects_in_body(self) -> bool {
        matches!(self, Self::DeleteObjects | Self::PostObject)
    }

    /// Whether the operation takes this query parameter.
    #[must_use]
    pub fn takes(self, parameter: &str) -> bool {
        let named = |known: &&str| known.trim_end_matches('*') == parameter;
        self.row().parameters.iter().any(named)
    }

    pub(crate) fn needs(self) -> Needs {
        self.row().needs
    }
}

impl std::fmt::Display for Operation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    #[test]
    fn the_table_is_whole() {
        let rows = include_str!("data/s3-ops.tsv").lines().skip(1).count();
        assert_eq!(rows, 111);
        assert_eq!(Operation::ALL.len(), rows + 2);
        for (index, operation) in Operation::ALL.iter().enumerate() {
            assert_eq!(*operation as usize, index);
            assert_eq!(operation.row().operation, *operation);
            assert_eq!(Operation::from_name(operation.name()), Some(*operation));
        }
        assert_eq!(Operation::from_name("putobject"), None);
    }

    #[test]
    fn a_redirect_is_a_forms_success() {
        assert!(Operation::PostObject.is_done(303) && Operation::PutObject.is_done(204));
        for (operation, status) in [
            (Operation::PutObject, 303),
            (Operation::PostObject, 302),
            (Operation::CopyObject, 412),
        ] {
            assert!(!operation.is_done(status), "{operation} {status}");
        }
    }

    #[test]
    fn encryption_is_chosen_where_the_table_has_the_header() {
        for operation in Operation::ALL {
            let has = operation
                .sse_headers()
                .contains(&"x-amz-server-side-encryption");
            let expected = operation.chooses_encryption() || *operation == Operation::CreateSession;
            assert_eq!(has, expected, "{operation}");
        }
    }
}
