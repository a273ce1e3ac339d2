//! Sets of actions as bits, so that a statement's actions are one lookup.

use super::key::Key;
use super::pattern::{Matched, Pattern, Subject, Syntax};
use crate::s3::Action;

const WORDS: usize = 3;

const _: () = assert!(Action::COUNT <= WORDS * 64, "widen ActionSet");

/// A set of actions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ActionSet([u64; WORDS]);

impl ActionSet {
    /// Every action, those of other services included.
    pub const ALL: Self = Self([u64::MAX; WORDS]);

    /// Adds one.
    pub fn insert(&mut self, action: Action) {
        let i = action as usize;
        self.0[i / 64] |= 1 << (i % 64);
    }

    /// Takes one out.
    pub fn remove(&mut self, action: Action) {
        let i = action as usize;
        self.0[i / 64] &= !(1 << (i % 64));
    }

    /// Whether it is in.
    #[must_use]
    pub fn contains(&self, action: Action) -> bool {
        let i = action as usize;
        self.0[i / 64] >> (i % 64) & 1 == 1
    }

    /// All that are not in it.
    #[must_use]
    pub fn complement(self) -> Self {
        Self(self.0.map(|w| !w))
    }

    /// Adds all of another set.
    pub fn extend(&mut self, other: Self) {
        for (a, b) in self.0.iter_mut().zip(other.0) {
            *a |= b;
        }
    }

    /// Whether nothing is in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0 == [0; WORDS]
    }

    /// The `s3:` actions in it, by name.
    pub fn iter(self) -> impl Iterator<Item = Action> {
        Action::ALL
            .iter()
            .copied()
            .filter(move |a| self.contains(*a))
    }

    /// The actions whose requests carry this key: all for `aws:` keys, those of the service authorization reference for the rest.
    #[must_use]
    pub fn carrying(key: &Key) -> Self {
        if key.is_global() {
            return Self::ALL;
        }
        let name = key.table_name();
        let same = |listed: &str| {
            // `s3:ExistingObjectTag/<key>` and `.../${TagKey}` take any parameter.
            match (listed.split_once('/'), name.split_once('/')) {
                (Some((a, _)), Some((b, _))) => a.eq_ignore_ascii_case(b),
                (None, None) => listed.eq_ignore_ascii_case(name),
                _ => false,
            }
        };
        let mut set = Self::default();
        for action in Action::ALL {
            if action.condition_keys().iter().any(|k| same(k)) {
                set.insert(*action);
            }
        }
        set
    }

    /// The actions a pattern of a policy names: `*`, or `s3:` and a name with `*` and `?`, letter case ignored. `None` for what AWS calls invalid,
    /// a pattern that names no action included.
    #[must_use]
    pub fn named(pattern: &str) -> Option<Self> {
        if pattern == "*" {
            return Some(Self::ALL);
        }
        let (vendor, name) = pattern.split_once(':')?;
        if !vendor.eq_ignore_ascii_case("s3")
            || !name
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'*' | b'?'))
        {
            return None;
        }
        let glob = Pattern::compile(
            &name.to_ascii_lowercase(),
            Syntax {
                wildcards: true,
                variables: false,
                recorded: false,
            },
        )
        .ok()?;
        let mut set = Self::default();
        for action in Action::ALL {
            let short = action
                .name()
                .strip_prefix("s3:")
                .unwrap_or_default()
                .to_ascii_lowercase();
            if glob.matches(
                Subject::text(short.as_bytes()),
                *action,
                &super::evaluate::NoContext,
            ) == Matched::Yes
            {
                set.insert(*action);
            }
        }
        (!set.is_empty()).then_some(set)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        assert!(
            ActionSet::named("S3:getobject")
                .unwrap()
                .iter()
                .eq([Action::GetObject])
        );
        assert_eq!(
            ActionSet::named("s3:*").unwrap().iter().count(),
            Action::ALL.len()
        );
        for bad in [
            "",
            "invalid_action",
            "s3",
            "s3:",
            "s4:GetObject",
            ":GetObject",
            "s3GetObject",
            "s3::GetObject",
            "s3:Put-Object",
            "s3:GetObject:",
            "s3:????",
            "s3:Abort?",
            "*GetObject",
        ] {
            assert!(ActionSet::named(bad).is_none(), "{bad}");
        }
        let not_get = ActionSet::named("s3:Get*").unwrap().complement();
        assert!(not_get.contains(Action::PutObject) && !not_get.contains(Action::GetObject));
    }

    #[test]
    fn keys() {
        let tags = ActionSet::carrying(&Key::RequestObjectTag("x".into()));
        assert!(tags.contains(Action::PutObject) && !tags.contains(Action::GetObject));
        assert!(ActionSet::carrying(&Key::VersionId).contains(Action::GetObjectVersion));
        assert!(ActionSet::carrying(&Key::SecureTransport).contains(Action::ListBucket));
    }
}
