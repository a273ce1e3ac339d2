//! IAM actions, generated from `data/s3-actions.json`, and which of them a request needs.

use std::borrow::Cow;

use http::HeaderMap;

use super::operation::{Needs, Operation};
use super::request::RequestHead;
use super::route::Routed;

/// What kind of resource an action is about, in a bucket policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ActionLevel {
    /// A bucket: `arn:aws:s3:::bucket`.
    Bucket,
    /// An object: `arn:aws:s3:::bucket/key`.
    Object,
    /// The account, an access point, or another thing that no bucket policy names.
    Other,
}

#[derive(Debug)]
struct ActionRow {
    action: Action,
    name: &'static str,
    level: ActionLevel,
    condition_keys: &'static [&'static str],
}

include!(concat!(env!("OUT_DIR"), "/actions.rs"));

impl Action {
    /// The actions of `s3:`, sorted by name. Those of other services are not among them: `s3:*` does not mean them.
    pub const ALL: &'static [Action] = &ALL_ACTIONS;

    /// How many values there are, foreign ones included; `action as usize` is below it.
    pub const COUNT: usize = ACTION_TABLE.len();

    fn row(self) -> &'static ActionRow {
        let row = &ACTION_TABLE[self as usize];
        debug_assert_eq!(row.action, self);
        row
    }

    /// The full name, such as `s3:PutObject`.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.row().name
    }

    /// The level of its resources.
    #[must_use]
    pub fn level(self) -> ActionLevel {
        self.row().level
    }

    /// The condition keys it supports, as AWS's service authorization reference spells them, templates (`s3:RequestObjectTag/<key>`) included.
    #[must_use]
    pub fn condition_keys(self) -> &'static [&'static str] {
        self.row().condition_keys
    }

    /// The action of this name, in any case, with or without `s3:`. Foreign actions need their prefix.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        let same = |row: &&ActionRow| row.name.eq_ignore_ascii_case(name) || row.name.strip_prefix("s3:").is_some_and(|short| short.eq_ignore_ascii_case(name));
        ACTION_TABLE.iter().find(same).map(|row| row.action)
    }
}

impl std::fmt::Display for Action {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// Which of the things that a request names an action is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Resource {
    /// The service: no bucket.
    Service,
    /// The request's bucket.
    Bucket,
    /// The request's object: bucket and key. For operations that name objects in their body, each of those.
    Object,
    /// The object that is copied (or renamed) from: [`Routed::copy_source`].
    CopySource,
}

/// One action that must be decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Needed {
    /// The action.
    pub action: Action,
    /// What it is about.
    pub on: Resource,
    /// Whether the store will certainly use it. Where it is `false` only the store can tell (does the copied object have
    /// tags? does it know the sub-resource?): an explicit Deny counts, but a missing Allow is no reason to refuse.
    pub certain: bool,
}

const CAPACITY: usize = 12;

/// The actions of one request: a list of fixed capacity, without allocation.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Actions {
    list: [Needed; CAPACITY],
    len: usize,
}

impl Default for Actions {
    fn default() -> Self {
        Self::new()
    }
}

impl Actions {
    /// None.
    #[must_use]
    pub const fn new() -> Self {
        Self { list: [Needed { action: Action::PutObject, on: Resource::Service, certain: true }; CAPACITY], len: 0 }
    }

    fn add(&mut self, action: Action, on: Resource) {
        self.push(Needed { action, on, certain: true });
    }

    fn maybe(&mut self, action: Action, on: Resource) {
        self.push(Needed { action, on, certain: false });
    }

    fn push(&mut self, needed: Needed) {
        debug_assert!(self.len < CAPACITY, "no operation needs more");
        if let Some(slot) = self.list.get_mut(self.len) {
            *slot = needed;
            self.len += 1;
        }
    }
}

impl std::ops::Deref for Actions {
    type Target = [Needed];

    fn deref(&self) -> &[Needed] {
        &self.list[..self.len]
    }
}

impl std::fmt::Debug for Actions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl<'a> IntoIterator for &'a Actions {
    type Item = &'a Needed;
    type IntoIter = std::slice::Iter<'a, Needed>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// The actions that a request needs. Every one of them must be decided; one Deny denies the request.
///
/// Empty for a CORS preflight alone. For `DeleteObjects` these are the actions of a key without version: see [`deletion`] for
/// each key; for `PostObject` those of a form without further fields: see [`post_actions`].
#[must_use]
pub fn actions(routed: &Routed<'_>, head: &RequestHead<'_>) -> Actions {
    let versioned = routed.query.has("versionId");
    let source_versioned = routed.copy_source.as_ref().is_some_and(|source| source.version_id.is_some());
    collect(routed.operation, versioned, source_versioned, &|name| routed.amz(head, name))
}

/// The actions of a POST form, whose fields stand for headers (`acl` and `tagging` for `x-amz-acl` and `x-amz-tagging`).
#[must_use]
pub fn post_actions(fields: &HeaderMap) -> Actions {
    collect(Operation::PostObject, false, false, &|name| {
        let value = fields.get(name).or_else(|| match name {
            "x-amz-acl" => fields.get("acl"),
            "x-amz-tagging" => fields.get("tagging"),
            _ => None,
        });
        value.map(|value| String::from_utf8_lossy(value.as_bytes()))
    })
}

/// The actions that deleting one object needs.
#[must_use]
pub fn deletion(version: bool, bypass_governance: bool) -> Actions {
    let mut actions = Actions::new();
    actions.add(if version { Action::DeleteObjectVersion } else { Action::DeleteObject }, Resource::Object);
    if bypass_governance {
        actions.add(Action::BypassGovernanceRetention, Resource::Object);
    }
    actions
}

const GRANTS: [&str; 5] = ["x-amz-grant-full-control", "x-amz-grant-read", "x-amz-grant-read-acp", "x-amz-grant-write", "x-amz-grant-write-acp"];

type Sent<'s> = dyn Fn(&'static str) -> Option<Cow<'s, str>> + 's;

fn collect<'s>(operation: Operation, versioned: bool, source_versioned: bool, sent: &Sent<'s>) -> Actions {
    use super::operation::Level;
    let mut actions = Actions::new();
    let on = match operation.level() {
        Level::Service => Resource::Service,
        Level::Bucket => Resource::Bucket,
        Level::Object => Resource::Object,
    };
    match operation.needs() {
        Needs::One(action) => actions.add(action, on),
        Needs::Versioned(plain, with_version) => actions.add(if versioned { with_version } else { plain }, on),
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
        Operation::DeleteBucketMetadataConfiguration | Operation::DeleteBucketMetadataTableConfiguration => Some(Action::DeleteBucket),
        Operation::CreateSession | Operation::GetBucketAbac | Operation::GetBucketMetadataConfiguration | Operation::GetBucketMetadataTableConfiguration => {
            Some(Action::ListBucket)
        }
        Operation::PutBucketAbac
        | Operation::UpdateBucketMetadataInventoryTableConfiguration
        | Operation::UpdateBucketMetadataJournalTableConfiguration => Some(Action::CreateBucket),
        _ => None,
    }
}

fn by_code<'s>(actions: &mut Actions, operation: Operation, versioned: bool, source_versioned: bool, sent: &Sent<'s>) {
    use Operation as O;
    let is_true = |name| sent(name).is_some_and(|value| value.eq_ignore_ascii_case("true"));
    let acl = || sent("x-amz-acl").is_some() || GRANTS.iter().any(|name| sent(name).is_some());
    let read = |version: bool| if version { Action::GetObjectVersion } else { Action::GetObject };
    match operation {
        O::PutObject | O::CreateMultipartUpload | O::PostObject | O::CopyObject => {
            actions.add(Action::PutObject, Resource::Object);
            if acl() {
                actions.add(Action::PutObjectAcl, Resource::Object);
            }
            if sent("x-amz-object-lock-mode").is_some() || sent("x-amz-object-lock-retain-until-date").is_some() {
                actions.add(Action::PutObjectRetention, Resource::Object);
            }
            if sent("x-amz-object-lock-legal-hold").is_some() {
                actions.add(Action::PutObjectLegalHold, Resource::Object);
            }
            if sent("x-amz-tagging").is_some() {
                actions.add(Action::PutObjectTagging, Resource::Object);
            }
            if operation == O::CopyObject {
                actions.add(read(source_versioned), Resource::CopySource);
                // Tags are copied unless the request says otherwise; whether there are any, only the store knows.
                if !sent("x-amz-tagging-directive").is_some_and(|directive| directive == "REPLACE") {
                    actions.maybe(if source_versioned { Action::GetObjectVersionTagging } else { Action::GetObjectTagging }, Resource::CopySource);
                    actions.maybe(Action::PutObjectTagging, Resource::Object);
                }
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
            actions.maybe(if versioned { Action::GetObjectVersionAttributes } else { Action::GetObjectAttributes }, Resource::Object);
        }
        O::DeleteObject | O::DeleteObjects => {
            *actions = deletion(versioned && operation == O::DeleteObject, is_true("x-amz-bypass-governance-retention"));
        }
        O::PutObjectRetention => {
            actions.add(Action::PutObjectRetention, Resource::Object);
            if is_true("x-amz-bypass-governance-retention") {
                actions.add(Action::BypassGovernanceRetention, Resource::Object);
            }
        }
        O::CreateBucket => {
            actions.add(Action::CreateBucket, Resource::Bucket);
            if acl() {
                actions.add(Action::PutBucketAcl, Resource::Bucket);
            }
            if is_true("x-amz-bucket-object-lock-enabled") {
                actions.add(Action::PutBucketObjectLockConfiguration, Resource::Bucket);
                actions.add(Action::PutBucketVersioning, Resource::Bucket);
            }
            if sent("x-amz-object-ownership").is_some() {
                actions.add(Action::PutBucketOwnershipControls, Resource::Bucket);
            }
        }
        O::PutBucketReplication => actions.add(Action::PutReplicationConfiguration, Resource::Bucket),
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
        O::WriteGetObjectResponse => actions.add(Action::ObjectLambdaWriteGetObjectResponse, Resource::Service),
        O::CorsPreflight => {}
        // The table says the rest; a test holds it to that. Should one be missing, nothing but a policy without any
        // statement lets it through: no action is about more than this one.
        _ => actions.add(Action::PutBucketPolicy, Resource::Bucket),
    }
}

#[cfg(test)]
mod tests;
