//! IAM actions, generated from `data/s3-actions.json`, and the list of those that a request needs.

mod needed;

pub use needed::{actions, deletion, post_actions};

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
        let same = |row: &&ActionRow| {
            row.name.eq_ignore_ascii_case(name)
                || row
                    .name
                    .strip_prefix("s3:")
                    .is_some_and(|short| short.eq_ignore_ascii_case(name))
        };
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
    /// The object that is copied (or renamed) from: [`Routed::copy_source`](super::Routed::copy_source).
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
        Self {
            list: [Needed {
                action: Action::PutObject,
                on: Resource::Service,
                certain: true,
            }; CAPACITY],
            len: 0,
        }
    }

    fn add(&mut self, action: Action, on: Resource) {
        self.push(Needed {
            action,
            on,
            certain: true,
        });
    }

    fn maybe(&mut self, action: Action, on: Resource) {
        self.push(Needed {
            action,
            on,
            certain: false,
        });
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
