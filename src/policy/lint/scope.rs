//! Traps of what a statement covers: actions, resources, and the policy as a whole.

use super::Warning;
use super::view::{Cond, Stmt, View, glob, textual};
use crate::policy::{Comparison, Effect, Key, Keys, Policy, Scalar, Version, prove};
use crate::s3::Action;

/// Keys that every S3 action carries (service authorization reference), beside all `aws:` keys.
const COMMON: &[Key] = &[
    Key::AuthType,
    Key::SignatureVersion,
    Key::SignatureAge,
    Key::TlsVersion,
    Key::ContentSha256,
    Key::ResourceAccount,
];

fn carries(action: Action, key: &Key) -> bool {
    key.is_global()
        || COMMON.contains(key)
        || action
            .condition_keys()
            .iter()
            .any(|name| name.eq_ignore_ascii_case(key.table_name()))
}

/// A condition key that one of the actions never carries.
pub(super) fn key_not_carried(view: &View<'_>, out: &mut Vec<Warning>) {
    for stmt in &view.stmts {
        for cond in &stmt.conds {
            let with: Vec<Action> = stmt
                .actions
                .iter()
                .copied()
                .filter(|action| carries(*action, &cond.key))
                .collect();
            let without: Vec<&str> = stmt
                .actions
                .iter()
                .copied()
                .filter(|action| !carries(*action, &cond.key))
                .map(Action::name)
                .collect();
            if without.is_empty() || with.is_empty() {
                continue;
            }
            let effect = match (stmt.raw.effect, cond.when_absent()) {
                (Effect::Deny, true) => "denies them always, as far as this condition goes",
                (Effect::Deny, false) => "never denies them",
                (Effect::Allow, true) => "allows them always, as far as this condition goes",
                (Effect::Allow, false) => "never allows them",
            };
            let named = without
                .iter()
                .take(3)
                .copied()
                .collect::<Vec<_>>()
                .join(", ");
            let more = if without.len() > 3 {
                format!(" and {} more", without.len() - 3)
            } else {
                String::new()
            };
            let narrow: Vec<String> = with
                .iter()
                .take(6)
                .map(|action| format!("\"{}\"", action.name()))
                .collect();
            // Where the statement stays silent about the others, a wildcard costs nothing.
            let wild = stmt.raw.action.negated
                || stmt
                    .raw
                    .action
                    .patterns
                    .iter()
                    .any(|p| p.contains(['*', '?']));
            if wild && !cond.when_absent() {
                continue;
            }
            out.push(stmt.warn(
                "key-not-carried",
                format!(
                    "{named}{more} never carry `{}`: the statement {effect}",
                    cond.raw.key
                ),
                format!("\"Action\": [{}]", narrow.join(", ")),
            ));
        }
    }
}

/// `${...}` is plain text in the version that counts where none is given.
pub(super) fn variables_without_version(view: &View<'_>, out: &mut Vec<Warning>) {
    if view.document.effective_version() != Version::V2008 {
        return;
    }
    for stmt in &view.stmts {
        let in_values = stmt
            .conds
            .iter()
            .filter(|c| textual(c.op()))
            .flat_map(|c| c.raw.values.iter().map(Scalar::text));
        if let Some(text) = stmt
            .raw
            .resource
            .patterns
            .iter()
            .map(String::as_str)
            .chain(in_values)
            .find(|text| text.contains("${"))
        {
            out.push(stmt.warn(
                "variable-without-version",
                format!("`{text}` is read letter by letter: variables need the policy's Version"),
                "\"Version\": \"2012-10-17\" at the top of the policy".to_owned(),
            ));
        }
    }
}

/// Resources that cover other buckets, or nothing.
pub(super) fn bucket_form(view: &View<'_>, out: &mut Vec<Warning>) {
    for stmt in view.stmts.iter().filter(|stmt| !stmt.made_here()) {
        for resource in &stmt.raw.resource.patterns {
            let Some(path) = resource.splitn(6, ':').nth(5) else {
                continue;
            };
            let (bucket, key) = path
                .split_once('/')
                .map_or((path, None), |(bucket, key)| (bucket, Some(key)));
            let what = if bucket.contains(['*', '?']) {
                if key.is_none() && bucket.ends_with('*') && bucket.len() > 1 {
                    "covers every bucket whose name begins so, and all their objects"
                } else {
                    "has a wildcard in the bucket's name: AWS refuses it in a bucket policy, and here it covers every bucket that fits"
                }
            } else if key == Some("") {
                "names an object with an empty key, which does not exist"
            } else {
                continue;
            };
            let name = bucket.trim_end_matches(['*', '?']);
            let name = if name.is_empty() { "BUCKET" } else { name };
            out.push(stmt.warn(
                "bucket-form",
                format!("`{resource}` {what}"),
                format!("\"Resource\": [\"arn:aws:s3:::{name}\", \"arn:aws:s3:::{name}/*\"]"),
            ));
        }
    }
}

/// An Allow of which a Deny without conditions takes everything.
pub(super) fn shadowed_allow(view: &View<'_>, out: &mut Vec<Warning>) {
    for stmt in view.stmts.iter().filter(|stmt| !stmt.deny()) {
        let covered = |deny: &&Stmt<'_>| {
            deny.raw.conditions.is_empty()
                && everyone(deny)
                && stmt.actions.iter().all(|action| deny.actions.contains(action))
                && !stmt.raw.resource.negated
                && !deny.raw.resource.negated
                // Matching the pattern's own text is enough: what `*` stands for on the left, `*` takes on the right.
                && stmt.raw.resource.patterns.iter().all(|r| deny.raw.resource.patterns.iter().any(|d| !d.contains("${") && glob(d, r)))
        };
        if let Some(deny) = view.denies().find(covered) {
            out.push(stmt.warn(
                "shadowed-allow",
                format!("statement {} denies everything that this one allows: an explicit Deny wins", deny.raw.index + 1),
                "leave this statement out, or give the Deny a condition or a NotPrincipal".to_owned(),
            ));
        }
    }
}

fn everyone(stmt: &Stmt<'_>) -> bool {
    !stmt.raw.principal.negated && stmt.raw.principal.who.everyone()
}

/// `Condition` with nothing in it is no condition.
pub(super) fn empty_condition(view: &View<'_>, out: &mut Vec<Warning>) {
    for stmt in view.stmts.iter().filter(|stmt| stmt.raw.says_no_condition) {
        let (does, rest) = if stmt.deny() {
            (
                "denies",
                "an example is \"Condition\": {\"Bool\":{\"aws:SecureTransport\":\"false\"}}",
            )
        } else {
            ("allows", "or leave `Condition` out, if all of it is meant")
        };
        let what = if stmt.raw.conditions.is_empty() {
            format!("its `Condition` is empty: it {does} everything that the statement matches")
        } else {
            "an operator of its `Condition` has no key: it asks for nothing".to_owned()
        };
        out.push(stmt.warn(
            "empty-condition",
            what,
            format!("the condition that is meant; {rest}"),
        ));
    }
}

/// A Deny that nothing escapes.
pub(super) fn denies_everything(view: &View<'_>, out: &mut Vec<Warning>) {
    for stmt in view
        .denies()
        .filter(|stmt| everyone(stmt) && stmt.raw.conditions.is_empty())
    {
        let whole = Action::ALL
            .iter()
            .filter(|a| a.level() != crate::s3::ActionLevel::Other)
            .all(|a| stmt.actions.contains(a));
        let objects = !stmt.raw.resource.negated
            && stmt
                .raw
                .resource
                .patterns
                .iter()
                .any(|r| r == "*" || r.ends_with("/*") || r.ends_with(":*"));
        if whole && objects {
            out.push(stmt.warn(
                "denies-everything",
                "it denies every action to everybody, without a condition",
                "a condition, for example \"Condition\": {\"Bool\":{\"aws:SecureTransport\":\"false\"}}, or the actions that are meant".to_owned(),
            ));
        }
    }
    // Demands that exclude each other deny every write, though none does alone.
    let plain = |stmt: &Stmt<'_>| stmt.writes() && stmt.raw.conditions.is_empty();
    if out.iter().any(|warning| warning.id == "denies-everything")
        || !view.denies().any(Stmt::writes)
        || view.denies().any(plain)
    {
        return;
    }
    let Ok(policy) = Policy::compile(view.document.clone(), Keys::Known) else {
        return;
    };
    let options = prove::Options {
        max_evaluations: 50_000,
        ..prove::Options::default()
    };
    if let prove::Verdict::Proved { .. } = prove::prove(&policy, &prove::Question::Write, &options)
    {
        out.push(Warning {
            id: "denies-everything",
            statement: None,
            sid: None,
            line: None,
            what: "together its statements deny every write: no header fits them all".to_owned(),
            instead: format!(
                "one statement that lists all values that are good: {}",
                super::view::block(&[(
                    crate::policy::Operator::plain(Comparison::StringNotEquals),
                    "s3:x-amz-server-side-encryption",
                    &["AES256", "aws:kms"]
                )])
            ),
        });
    }
}

/// A policy without a Deny, or whose Denies cannot apply.
pub(super) fn denies_nothing(view: &View<'_>, out: &mut Vec<Warning>) {
    let dead = |stmt: &Stmt<'_>| {
        stmt.actions.is_empty()
            || stmt
                .conds
                .iter()
                .filter(|c| c.is_null(true))
                .any(|null| stmt.on(&null.key).any(|c: &Cond<'_>| !c.when_absent()))
    };
    if view.denies().all(dead) {
        out.push(Warning {
            id: "denies-nothing",
            statement: None,
            sid: None,
            line: None,
            what: "no statement of this policy denies anything, and Sealgate by itself only acts on Deny".to_owned(),
            instead: "a statement with \"Effect\": \"Deny\"; or `authorize: true` in the rule, so that what no statement allows is refused".to_owned(),
        });
    }
}
