//! Whether a write had to be encrypted by the store, so that the store's word for it is needed.

use super::{Facts, Keeper, keeper::Rule};
use crate::{
    config::{Mode, Unconfirmed},
    policy::{Context, Found, Key, Multipart, Outcome, Principal, RequestContext, Target, Value},
    s3::{Action, Operation, Resource},
    sse::{Kind, Kinds, SseRequest, Wanted},
};

/// An encryption that policy or rule demanded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Demand {
    /// What the store must say.
    pub wanted: Wanted,
    /// What is done where it does not.
    pub unconfirmed: Unconfirmed,
}

/// The facts of a request with other encryption than it asks for.
struct Otherwise<'a> {
    inner: RequestContext<'a>,
    kind: Option<Kind>,
}

impl Otherwise<'_> {
    /// Whether the object only comes of it later.
    fn is_early_step(&self) -> bool {
        matches!(
            self.inner.routed.operation,
            Operation::CreateMultipartUpload | Operation::UploadPart | Operation::UploadPartCopy
        )
    }
}

impl Context for Otherwise<'_> {
    fn value(&self, action: Action, key: &Key) -> Found<'_> {
        match (key, self.kind) {
            (Key::Sse, Some(Kind::Customer) | None)
            | (Key::SseCustomerAlgorithm | Key::SseKmsKeyId, None)
            | (Key::SseKmsKeyId, Some(Kind::Customer | Kind::Aes256)) => Found::Absent,
            (Key::Sse, Some(kind)) => Found::text(Some(kind.as_str())),
            // Which key it is was decided when it was named.
            (Key::SseKmsKeyId, Some(Kind::Kms | Kind::Dsse)) => Found::Inherited,
            (Key::SseCustomerAlgorithm, Some(Kind::Customer)) => Found::text(Some("AES256")),
            (Key::SseCustomerAlgorithm, Some(_)) => Found::Absent,
            // It is asked for the object that comes of it; the conditions that only its last step carries are not.
            (Key::ObjectCreationOperation, _) => Found::One(Value::Bool(true)),
            (Key::IfMatch | Key::IfNoneMatch, _) if self.is_early_step() => Found::Inherited,
            _ => self.inner.value(action, key),
        }
    }

    fn principal(&self) -> Option<&Principal> {
        self.inner.principal
    }

    fn account(&self) -> &str {
        self.inner.account
    }
}

impl Keeper {
    /// What the store must confirm of a request that was allowed, in enforce mode, and that would have been denied
    /// without encryption; `None` where nothing demands any. `key` is that of a POST form.
    ///
    /// For the later steps of an upload and for copies a `PutObject` of the same key is asked for.
    #[must_use]
    pub fn demand(
        &self,
        facts: &Facts<'_>,
        asked: &SseRequest<'_>,
        key: Option<&[u8]>,
    ) -> Option<Demand> {
        let operation = facts.routed.operation;
        if !operation.chooses_encryption() && !operation.continues_upload() {
            return None;
        }
        let bucket = facts.routed.bucket.as_deref()?;
        for (_, key) in super::keeper::things(facts, Resource::Object, key) {
            let Some(key) = key else { continue };
            let Some(rule) = self.rule(bucket, Some(&key)) else {
                continue;
            };
            let refused = |kind| self.would_refuse(facts, rule, Target::Object(bucket, &key), kind);
            if rule.mode != Mode::Enforce || !refused(None) {
                continue;
            }
            let wanted = if let Some(wanted) = Wanted::of(asked) {
                wanted
            } else {
                let good = Kind::ALL.into_iter().filter(|kind| !refused(Some(*kind)));
                let kinds = good.fold(Kinds::default(), Kinds::with);
                if kinds == Kinds::default() {
                    // No encryption would do, so it is not encryption that is demanded.
                    continue;
                }
                Wanted::OneOf(kinds)
            };
            return Some(Demand {
                wanted,
                unconfirmed: rule.unconfirmed,
            });
        }
        None
    }

    /// Whether a `PutObject` with this encryption, or none, would be refused.
    fn would_refuse(
        &self,
        facts: &Facts<'_>,
        rule: &Rule,
        target: Target<'_>,
        kind: Option<Kind>,
    ) -> bool {
        if self.policies_of(rule).next().is_none() {
            return rule.authorize;
        }
        let context = Otherwise {
            inner: self.context(facts, Multipart::Literal),
            kind,
        };
        let mut allowed = !rule.authorize;
        for policy in self.policies_of(rule) {
            let decision = if allowed {
                policy.denies(Action::PutObject, target, &context)
            } else {
                policy.decide(Action::PutObject, target, &context)
            };
            match decision.outcome {
                Outcome::Denied => return true,
                Outcome::Allowed => allowed = true,
                Outcome::NoMatch => {}
            }
        }
        !allowed
    }
}

/// Whether the answer to an operation names an encryption on every store that encrypts, so that its silence is an answer.
/// `MinIO` leaves it out on all others, although it encrypts.
#[must_use]
pub fn always_echoes(operation: Operation) -> bool {
    matches!(operation, Operation::PutObject | Operation::UploadPart)
}

#[cfg(test)]
#[path = "demand_tests.rs"]
mod tests;
