//! What AWS checks when a bucket policy is stored, beyond its shape: that values mean something and that actions,
//! resources and conditions fit each other.

use super::action_set::ActionSet;
use super::compile::Compiler;
use super::compiled::Keys;
use super::document::{Document, Statement};
use super::issue::{Issue, IssueKind};
use super::key::Key;
use super::pattern::split_arn;
use crate::s3::{Action, ActionLevel};

/// Everything that is wrong with a document, in the order of its statements.
///
/// Buckets may have wildcards: one file may serve many buckets.
#[must_use]
pub fn check(document: &Document) -> Vec<Issue> {
    let mut issues = Vec::new();
    for s in &document.statements {
        let mut c = Compiler::new(document, s, Keys::Known);
        let compiled = c.statement();
        if s.resource.patterns.iter().any(|r| r == "*") {
            c.issue(
                IssueKind::InvalidResource,
                "`*` names no bucket: write arn:aws:s3:::BUCKET and arn:aws:s3:::BUCKET/*",
            );
        }
        if c.issues.is_empty() {
            levels(s, &mut c);
            applies(s, compiled.actions, &mut c);
        }
        issues.append(&mut c.issues);
    }
    issues
}

/// Which levels the resources of a statement reach: (buckets, objects).
#[must_use]
pub fn reach(statement: &Statement) -> (bool, bool) {
    if statement.resource.negated {
        return (true, true);
    }
    let (mut buckets, mut objects) = (false, false);
    for r in &statement.resource.patterns {
        let tail = split_arn(r).map_or(r.as_str(), |p| p[5]);
        if tail.contains('/') {
            objects = true;
            // `*/x` matches no bucket, for a bucket has no slash; `*` before the slash changes nothing.
        } else {
            buckets = true;
            // A `*` takes the slash too.
            objects |= tail.contains('*');
        }
    }
    (buckets, objects)
}

fn fits(action: Action, (buckets, objects): (bool, bool)) -> bool {
    match action.level() {
        ActionLevel::Bucket => buckets,
        ActionLevel::Object => objects,
        ActionLevel::Other => false,
    }
}

fn levels(s: &Statement, c: &mut Compiler<'_>) {
    if s.action.negated || s.resource.negated {
        return;
    }
    let reach = reach(s);
    for pattern in &s.action.patterns {
        let Some(mut set) = ActionSet::named(pattern) else {
            continue;
        };
        if pattern.contains(['*', '?']) {
            // A permission of replication that no request needs: a wildcard that meets it by its name alone does not mean it.
            set.remove(Action::ObjectOwnerOverrideToBucketOwner);
        }
        if set.iter().any(|a| fits(a, reach)) {
            continue;
        }
        let (mut bucket, mut object) = (false, false);
        for a in set.iter() {
            bucket |= a.level() == ActionLevel::Bucket;
            object |= a.level() == ActionLevel::Object;
        }
        let hint = match (bucket, object) {
            (_, true) => format!(
                "{pattern} is about objects: object actions need a resource such as {}",
                example(s, true)
            ),
            (true, false) => format!(
                "{pattern} is about the bucket: bucket actions need a resource such as {}",
                example(s, false)
            ),
            (false, false) => format!(
                "{pattern} is about no bucket and no object: it belongs in an identity policy"
            ),
        };
        c.issue(IssueKind::ActionWithoutResource, hint);
    }
}

fn example(s: &Statement, object: bool) -> String {
    let bucket = s
        .resource
        .patterns
        .first()
        .and_then(|r| split_arn(r))
        .and_then(|p| {
            p[5].split('/')
                .next()
                .filter(|b| !b.is_empty())
                .map(str::to_owned)
        });
    let bucket = bucket.unwrap_or_else(|| "BUCKET".to_owned());
    if object {
        format!("arn:aws:s3:::{bucket}/*")
    } else {
        format!("arn:aws:s3:::{bucket}")
    }
}

fn applies(s: &Statement, actions: ActionSet, c: &mut Compiler<'_>) {
    let reach = reach(s);
    for condition in &s.conditions {
        let Ok(key) = Key::parse(&condition.key) else {
            continue;
        };
        let carrying = ActionSet::carrying(&key);
        if key.is_global()
            || actions
                .iter()
                .any(|a| carrying.contains(a) && fits(a, reach))
        {
            continue;
        }
        // Where nothing fits at all, that is what was said already.
        if !actions.iter().any(|a| fits(a, reach)) {
            continue;
        }
        let carriers: Vec<&str> = carrying
            .iter()
            .filter(|a| a.level() != ActionLevel::Other)
            .map(Action::name)
            .take(4)
            .collect();
        c.issue(
            IssueKind::ConditionDoesNotApply,
            format!("no action of this statement carries {key}, so the condition would always see it as absent; it belongs to {}", carriers.join(", ")),
        );
    }
}

#[cfg(test)]
#[path = "check_tests.rs"]
mod tests;
