//! Which actions a request needs.

use http::HeaderMap;

use super::{Action, Actions, Resource};
use crate::s3::operation::{Level, Needs, Operation};
use crate::s3::request::RequestHead;
use crate::s3::route::Routed;

/// The actions that a request needs, the operation's own first. Every one of them must be decided; one Deny denies the request.
///
/// Empty for a CORS preflight alone. For `DeleteObjects` these are the actions of a key without version: see [`deletion`] for
/// each key; for `PostObject` those of a form without further fields: see [`post_actions`].
#[must_use]
pub fn actions(routed: &Routed<'_>, head: &RequestHead<'_>) -> Actions {
    let source_versioned = routed
        .copy_source
        .as_ref()
        .is_some_and(|source| source.version_id.is_some());
    let versioned = !routed.query.raw().is_empty() && routed.query.has("versionId");
    collect(
        routed.operation,
        versioned,
        source_versioned,
        Sent::of(routed, head),
    )
}

/// The actions of a POST form, whose fields stand for headers (`acl` and `tagging` for `x-amz-acl` and `x-amz-tagging`).
#[must_use]
pub fn post_actions(fields: &HeaderMap) -> Actions {
    let mut sent = Sent::default();
    for (name, value) in fields {
        sent.note(
            match name.as_str() {
                "acl" => "x-amz-acl",
                "tagging" => "x-amz-tagging",
                name => name,
            },
            value.as_bytes(),
        );
    }
    collect(Operation::PostObject, false, false, sent)
}

/// The actions that deleting one object needs.
#[must_use]
pub fn deletion(version: bool, bypass_governance: bool) -> Actions {
    let mut actions = Actions::new();
    actions.add(
        if version {
            Action::DeleteObjectVersion
        } else {
            Action::DeleteObject
        },
        Resource::Object,
    );
    if bypass_governance {
        actions.add(Action::BypassGovernanceRetention, Resource::Object);
    }
    actions
}

/// What a request carries besides its operation and needs permissions of its own.
#[derive(Clone, Copy, Debug, Default)]
#[allow(clippy::struct_excessive_bools)]
struct Sent {
    acl: bool,
    tagging: bool,
    replaces_tags: bool,
    retention: bool,
    legal_hold: bool,
    bypasses_governance: bool,
    locks_bucket: bool,
    ownership: bool,
}

impl Sent {
    /// One walk over the headers; of a presigned request, over the query too.
    fn of(routed: &Routed<'_>, head: &RequestHead<'_>) -> Self {
        let mut sent = Self::default();
        for (name, value) in head.headers {
            sent.note(name.as_str(), value.as_bytes());
        }
        if routed.presigned {
            for (name, value) in routed.query.parameters() {
                let name = name.to_ascii_lowercase();
                sent.note(
                    std::str::from_utf8(&name).unwrap_or_default(),
                    value.as_bytes(),
                );
            }
        }
        sent
    }

    /// `name` is in lower case.
    fn note(&mut self, name: &str, value: &[u8]) {
        let Some(name) = name.strip_prefix("x-amz-") else {
            return;
        };
        let is_true = || value.eq_ignore_ascii_case(b"true");
        match name {
            "acl" | "grant-full-control" | "grant-read" | "grant-read-acp" | "grant-write"
            | "grant-write-acp" => self.acl = true,
            "tagging" => self.tagging = true,
            "tagging-directive" => self.replaces_tags = value == b"REPLACE",
            "object-lock-mode" | "object-lock-retain-until-date" => self.retention = true,
            "object-lock-legal-hold" => self.legal_hold = true,
            "bypass-governance-retention" => self.bypasses_governance = is_true(),
            "bucket-object-lock-enabled" => self.locks_bucket = is_true(),
            "object-ownership" => self.ownership = true,
            _ => {}
        }
    }
}

fn collect(operation: Operation, versioned: bool, source_versioned: bool, sent: Sent) -> Actions {
    let mut actions = Actions::new();
    let on = match operation.level() {
        Level::Service => Resource::Service,
        Level::Bucket => Resource::Bucket,
        Level::Object => Resource::Object,
    };
    match operation.needs() {
        Needs::One(action) => actions.add(action, on),
        Needs::Versioned(plain, with_version) => {
            actions.add(if versioned { with_version } else { plain }, on);
        }
        Needs::ByCode => by_code(&mut actions, operation, versioned, source_versioned, sent),
    }
    if let Some(action) = taken_for(operation) {
        actions.maybe(action, on);
    }
    actions
}

/// What a store that does not know this (young) sub-resource would do instead: it ignores the parameter. A Deny on that must hold too.
fn taken_for(operation: Operation) -> Option<Action> {
    match operation {
        Operation::DeleteBucketMetadataConfiguration
        | Operation::DeleteBucketMetadataTableConfiguration => Some(Action::DeleteBucket),
        Operation::CreateSession
        | Operation::GetBucketAbac
        | Operation::GetBucketMetadataConfiguration
        | Operation::GetBucketMetadataTableConfiguration => Some(Action::ListBucket),
        Operation::PutBucketAbac
        | Operation::UpdateBucketMetadataInventoryTableConfiguration
        | Operation::UpdateBucketMetadataJournalTableConfiguration => Some(Action::CreateBucket),
        _ => None,
    }
}

fn by_code(
    actions: &mut Actions,
    operation: Operation,
    versioned: bool,
    source_versioned: bool,
    sent: Sent,
) {
    use Operation as O;
    match operation {
        O::PutObject | O::CreateMultipartUpload | O::PostObject => write(actions, sent),
        O::CopyObject => {
            write(actions, sent);
            actions.add(read(source_versioned), Resource::CopySource);
            // Tags are copied unless the request says otherwise; whether there are any, only the store knows.
            if !sent.replaces_tags {
                let tags = if source_versioned {
                    Action::GetObjectVersionTagging
                } else {
                    Action::GetObjectTagging
                };
                actions.maybe(tags, Resource::CopySource);
                actions.maybe(Action::PutObjectTagging, Resource::Object);
            }
        }
        O::UploadPartCopy => {
            actions.add(Action::PutObject, Resource::Object);
            actions.add(read(source_versioned), Resource::CopySource);
        }
        O::UpdateObjectEncryption => {
            actions.add(Action::PutObject, Resource::Object);
            actions.add(Action::UpdateObjectEncryption, Resource::Object);
        }
        O::HeadObject => actions.add(read(versioned), Resource::Object),
        O::GetObjectTorrent => {
            actions.add(Action::GetObject, Resource::Object);
            actions.maybe(Action::GetObjectTorrent, Resource::Object);
        }
        O::GetObjectAttributes => {
            actions.add(read(versioned), Resource::Object);
            // The user guide's table names the first alone, the API page both.
            let attributes = if versioned {
                Action::GetObjectVersionAttributes
            } else {
                Action::GetObjectAttributes
            };
            actions.maybe(attributes, Resource::Object);
        }
        O::DeleteObject => *actions = deletion(versioned, sent.bypasses_governance),
        O::DeleteObjects => *actions = deletion(false, sent.bypasses_governance),
        O::PutObjectRetention => {
            actions.add(Action::PutObjectRetention, Resource::Object);
            if sent.bypasses_governance {
                actions.add(Action::BypassGovernanceRetention, Resource::Object);
            }
        }
        O::CreateBucket => create_bucket(actions, sent),
        O::PutBucketReplication => {
            actions.add(Action::PutReplicationConfiguration, Resource::Bucket);
        }
        O::ListBuckets => actions.add(Action::ListAllMyBuckets, Resource::Service),
        O::ListDirectoryBuckets => {
            actions.add(Action::ExpressListAllMyDirectoryBuckets, Resource::Service);
            // Only the endpoint tells the two listings apart; any other store answers with its buckets.
            actions.maybe(Action::ListAllMyBuckets, Resource::Service);
        }
        O::CreateSession => actions.add(Action::ExpressCreateSession, Resource::Bucket),
        O::RenameObject => {
            actions.add(Action::ExpressCreateSession, Resource::Bucket);
            // A directory bucket moves the source; a store without them takes the request for PutObject.
            actions.maybe(Action::PutObject, Resource::Object);
            actions.maybe(Action::GetObject, Resource::CopySource);
            actions.maybe(Action::DeleteObject, Resource::CopySource);
        }
        O::WriteGetObjectResponse => {
            actions.add(
                Action::ObjectLambdaWriteGetObjectResponse,
                Resource::Service,
            );
        }
        O::CorsPreflight => {}
        // The build stops on a row of the table that is neither plain nor named above.
        _ => debug_assert!(false, "{operation} is not listed"),
    }
}

fn read(version: bool) -> Action {
    if version {
        Action::GetObjectVersion
    } else {
        Action::GetObject
    }
}

fn write(actions: &mut Actions, sent: Sent) {
    actions.add(Action::PutObject, Resource::Object);
    if sent.acl {
        actions.add(Action::PutObjectAcl, Resource::Object);
    }
    if sent.retention {
        actions.add(Action::PutObjectRetention, Resource::Object);
    }
    if sent.legal_hold {
        actions.add(Action::PutObjectLegalHold, Resource::Object);
    }
    if sent.tagging {
        actions.add(Action::PutObjectTagging, Resource::Object);
    }
}

fn create_bucket(actions: &mut Actions, sent: Sent) {
    actions.add(Action::CreateBucket, Resource::Bucket);
    if sent.acl {
        actions.add(Action::PutBucketAcl, Resource::Bucket);
    }
    if sent.locks_bucket {
        actions.add(Action::PutBucketObjectLockConfiguration, Resource::Bucket);
        actions.add(Action::PutBucketVersioning, Resource::Bucket);
    }
    if sent.ownership {
        actions.add(Action::PutBucketOwnershipControls, Resource::Bucket);
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
