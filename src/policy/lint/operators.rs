//! Traps of the operators themselves: `...IfExists`, set operators, `...NotEquals` and `Null`.

use super::Warning;
use super::view::{Cond, NULL, Stmt, View, bare, block};
use crate::policy::{Comparison, KeyType, Operator, operator::Quantifier};

/// What to write where only wrong values are meant, and where absence is meant too.
fn both_ways(cond: &Cond<'_>) -> String {
    let key = cond.raw.key.as_str();
    let values = cond.values();
    let plain = bare(cond.op());
    let present = block(&[(plain, key, &values), (NULL, key, &["false"])]);
    if plain.comparison.negated() {
        format!(
            "{} to deny an absent header too, or {present} to deny only what was sent",
            block(&[(plain, key, &values)])
        )
    } else {
        format!(
            "{} to deny only what was sent",
            block(&[(plain, key, &values)])
        )
    }
}

/// `...IfExists` is true where the key is absent.
pub(super) fn if_exists(view: &View<'_>, out: &mut Vec<Warning>) {
    for stmt in &view.stmts {
        for cond in stmt
            .conds
            .iter()
            .filter(|cond| cond.op().if_exists && !has_null(stmt, cond))
        {
            let (key, op) = (cond.raw.key.as_str(), cond.op());
            if stmt.deny() {
                out.push(stmt.warn(
                    "if-exists-under-deny",
                    format!("`{op}` under Deny also denies where `{key}` is absent: it does not mean \"only if it was sent\""),
                    both_ways(cond),
                ));
            } else {
                let values = cond.values();
                out.push(stmt.warn(
                    "if-exists-under-allow",
                    format!("`{op}` under Allow also allows where `{key}` is absent"),
                    format!(
                        "{} if it must be sent",
                        block(&[(bare(op), key, &values), (NULL, key, &["false"])])
                    ),
                ));
            }
        }
    }
}

/// `ForAllValues:` is true where the key is absent.
pub(super) fn for_all_values(view: &View<'_>, out: &mut Vec<Warning>) {
    for stmt in &view.stmts {
        for cond in stmt.conds.iter().filter(|cond| {
            cond.op().quantifier == Some(Quantifier::ForAllValues)
                && !cond.op().if_exists
                && !has_null(stmt, cond)
        }) {
            let (key, op, values) = (cond.raw.key.as_str(), cond.op(), cond.values());
            let (id, does) = if stmt.deny() {
                ("for-all-values-under-deny", "Deny also denies")
            } else {
                ("for-all-values-under-allow", "Allow also allows")
            };
            let instead = if cond.key.kind() == KeyType::Strings {
                block(&[(op, key, &values), (NULL, key, &["false"])])
            } else if stmt.deny() {
                both_ways(cond)
            } else {
                block(&[(bare(op), key, &values)])
            };
            out.push(stmt.warn(
                id,
                format!("`{op}` under {does} where `{key}` is absent"),
                instead,
            ));
        }
    }
}

/// `ForAnyValue:` on a key with one value: it is false where the key is absent, also when negated.
pub(super) fn for_any_value(view: &View<'_>, out: &mut Vec<Warning>) {
    for stmt in &view.stmts {
        for cond in &stmt.conds {
            let op = cond.op();
            if op.quantifier != Some(Quantifier::ForAnyValue) || cond.key.kind() == KeyType::Strings
            {
                continue;
            }
            let absent = if stmt.deny() && op.comparison.negated() {
                ", so a request without it is not denied"
            } else {
                ""
            };
            let plain = Operator {
                quantifier: None,
                ..op
            };
            out.push(stmt.warn(
                "set-operator-on-single-value",
                format!("`{op}` on `{}`, which has one value: it is false where the key is absent{absent}", cond.raw.key),
                block(&[(plain, &cond.raw.key, &cond.values())]),
            ));
        }
    }
}

/// A Deny with a negated operator counts on absence being true, which not every store reads so.
pub(super) fn not_equals_without_null(view: &View<'_>, out: &mut Vec<Warning>) {
    for stmt in view.denies().filter(|stmt| !stmt.made_here()) {
        for cond in stmt.conds.iter().filter(|cond| {
            let op = cond.op();
            cond.key.is_sse()
                && op.comparison.negated()
                && op.quantifier.is_none()
                && !op.if_exists
                && !has_null(stmt, cond)
        }) {
            let elsewhere = view.denies().any(|other| {
                other.conds.len() == 1
                    && other.on(&cond.key).any(|c| c.is_null(true))
                    && stmt.actions.iter().all(|a| other.actions.contains(a))
            });
            // A key id is only there with aws:kms: key_id_alone speaks about it.
            if elsewhere || (cond.key == crate::policy::Key::SseKmsKeyId && stmt.conds.len() == 1) {
                continue;
            }
            out.push(stmt.warn(
                "not-equals-without-null",
                format!("`{}` denies a request without `{}` on AWS and here; some stores read it as \"only if it was sent\"", cond.op(), cond.raw.key),
                format!("keep it and add a second Deny statement with {}", block(&[(NULL, &cond.raw.key, &["true"])])),
            ));
        }
    }
}

/// Conditions on one key that cannot be true together.
pub(super) fn never_together(view: &View<'_>, out: &mut Vec<Warning>) {
    for stmt in &view.stmts {
        for null in stmt.conds.iter().filter(|cond| cond.is_null(true)) {
            if let Some(other) = stmt.on(&null.key).find(|cond| !cond.when_absent()) {
                out.push(stmt.warn(
                    "never-matches",
                    format!("`Null` demands that `{}` is absent and `{}` that it is there: the statement never applies", null.raw.key, other.op()),
                    "two statements, one with each condition: conditions of one statement must all hold".to_owned(),
                ));
            }
        }
        for null in stmt
            .conds
            .iter()
            .filter(|cond| cond.op().comparison == Comparison::Null)
        {
            let says = |word: &str| null.values().iter().any(|v| v.eq_ignore_ascii_case(word));
            if says("true") && says("false") {
                out.push(stmt.warn(
                    "always-matches",
                    format!(
                        "`Null` of `{}` with both \"true\" and \"false\" is always true",
                        null.raw.key
                    ),
                    block(&[(NULL, &null.raw.key, &["true"])]),
                ));
            }
        }
    }
}

/// Does the same statement say with `Null` what absence means?
fn has_null(stmt: &Stmt<'_>, cond: &Cond<'_>) -> bool {
    stmt.on(&cond.key)
        .any(|other| other.op().comparison == Comparison::Null)
}
