//! Traps of the conditions on server-side encryption.

use super::Warning;
use super::view::{Cond, NULL, View, block};
use crate::policy::{Comparison, Family, Key, Operator};

const KMS_ARN: &str = "arn:aws:kms:REGION:ACCOUNT:key/ID";
const NOT_EQUALS: Operator = Operator::plain(Comparison::StringNotEquals);
const SSE: &str = "s3:x-amz-server-side-encryption";

/// A Deny on the key id alone also denies SSE-S3 and the AWS-managed key, which send no key id.
pub(super) fn key_id_alone(view: &View<'_>, out: &mut Vec<Warning>) {
    let kms_demanded = view.denies().any(|stmt| {
        stmt.writes()
            && stmt.on(&Key::Sse).any(|c| {
                c.op().comparison.negated()
                    && c.when_absent()
                    && c.values().iter().all(|v| v.starts_with("aws:kms"))
            })
    });
    for stmt in view.denies() {
        let alone = stmt
            .conds
            .iter()
            .all(|cond| cond.key == Key::SseKmsKeyId || !cond.key.is_sse());
        let Some(cond) = stmt.on(&Key::SseKmsKeyId).next() else {
            continue;
        };
        if alone && !kms_demanded && stmt.on(&Key::SseKmsKeyId).all(Cond::when_absent) {
            let values = cond.values();
            let key = cond.raw.key.as_str();
            let only_wrong = if cond.op().comparison == Comparison::Null {
                block(&[
                    (NULL, key, &["true"]),
                    (Operator::plain(Comparison::StringEquals), SSE, &["aws:kms"]),
                ])
            } else {
                block(&[(cond.op(), key, &values), (NULL, key, &["false"])])
            };
            out.push(stmt.warn(
                "key-id-alone",
                format!("a Deny on `{key}` alone refuses every request without a key id: SSE-S3 (AES256) too, and aws:kms with the AWS-managed key"),
                format!(
                    "{only_wrong} to leave SSE-S3 alone; or keep it and add a Deny with {} to say that SSE-KMS is demanded",
                    block(&[(NOT_EQUALS, SSE, &["aws:kms"])])
                ),
            ));
        }
    }
}

/// Conditions of one statement must all hold: two demands in one Deny are weaker than either.
pub(super) fn two_keys(view: &View<'_>, out: &mut Vec<Warning>) {
    for stmt in view.denies() {
        let demands: Vec<&Cond<'_>> = stmt
            .conds
            .iter()
            .filter(|c| c.key.is_sse() && (c.op().comparison.negated() || c.is_null(true)))
            .collect();
        let Some((first, second)) = demands.iter().enumerate().find_map(|(at, a)| {
            demands
                .iter()
                .skip(at + 1)
                .find(|b| b.key != a.key)
                .map(|b| (*a, *b))
        }) else {
            continue;
        };
        // "Neither encrypted by the store nor with the customer's key" wants both in one statement.
        let either = [first, second]
            .iter()
            .any(|c| c.key == Key::SseCustomerAlgorithm && c.is_null(true))
            && [first, second].iter().any(|c| c.key == Key::Sse);
        if !either {
            let alone = |c: &Cond<'_>| block(&[(c.op(), &c.raw.key, &c.values())]);
            out.push(stmt.warn(
                "two-sse-keys",
                format!("`{}` and `{}` stand in one statement: it denies only if both differ, and lets through what fits one of them", first.raw.key, second.raw.key),
                format!("two Deny statements, one with {} and one with {}", alone(first), alone(second)),
            ));
        }
    }
}

/// `Null` is about absence: "false" under Deny refuses those who do send the header.
pub(super) fn null_reversed(view: &View<'_>, out: &mut Vec<Warning>) {
    for stmt in view.denies() {
        for cond in stmt
            .conds
            .iter()
            .filter(|c| matches!(c.key, Key::Sse | Key::SseKmsKeyId) && c.is_null(false))
        {
            if stmt.on(&cond.key).count() == 1
                && stmt.conds.iter().filter(|c| c.key.is_sse()).count() == 1
            {
                out.push(stmt.warn(
                    "null-reversed",
                    format!(
                        "`Null` \"false\" under Deny refuses the requests that do send `{}`",
                        cond.raw.key
                    ),
                    format!(
                        "{} to refuse those that do not",
                        block(&[(NULL, &cond.raw.key, &["true"])])
                    ),
                ));
            }
        }
    }
}

/// `s3:ObjectCreationOperation` is false for `CreateMultipartUpload`, where an upload's encryption is chosen.
pub(super) fn upload_hole(view: &View<'_>, out: &mut Vec<Warning>) {
    for stmt in view.denies() {
        let creation = stmt
            .on(&Key::ObjectCreationOperation)
            .any(|c| c.values().iter().any(|v| v.eq_ignore_ascii_case("true")));
        if creation && stmt.conds.iter().any(|c| c.key.is_sse()) {
            let rest: Vec<(Operator, &str, Vec<&str>)> = stmt
                .conds
                .iter()
                .filter(|c| c.key != Key::ObjectCreationOperation)
                .map(|c| (c.op(), c.raw.key.as_str(), c.values()))
                .collect();
            let rest: Vec<(Operator, &str, &[&str])> = rest
                .iter()
                .map(|(op, key, values)| (*op, *key, values.as_slice()))
                .collect();
            out.push(stmt.warn(
                "multipart-hole",
                "`s3:ObjectCreationOperation` is false for CreateMultipartUpload, which chooses an upload's encryption: multipart uploads are not asked for it",
                format!("{} and `multipart: inherit` in the rule, which keeps such a Deny away from the later parts", block(&rest)),
            ));
        }
    }
}

/// A key id is compared as the client sent it: an alias or a bare id is not the key's ARN.
pub(super) fn alias(view: &View<'_>, out: &mut Vec<Warning>) {
    for stmt in &view.stmts {
        for cond in stmt
            .on(&Key::SseKmsKeyId)
            .filter(|c| matches!(c.op().comparison.family(), Family::Arn | Family::String))
        {
            for value in cond.values() {
                let what = if value.contains("alias/") {
                    format!(
                        "`{value}` names an alias; the header is compared as it was sent, so a client that names the key itself does not fit, and an alias can be moved to another key"
                    )
                } else if cond.op().comparison.family() == Family::Arn
                    && !value.contains('*')
                    && !value.contains('$')
                    && value.split(':').count() < 6
                {
                    format!(
                        "`{value}` is no ARN, and `{}` compares ARNs: it never fits",
                        cond.op()
                    )
                } else {
                    continue;
                };
                out.push(stmt.warn(
                    "key-alias",
                    what,
                    format!(
                        "the key's own ARN, and clients that send it: {}",
                        block(&[(cond.op(), &cond.raw.key, &[KMS_ARN])])
                    ),
                ));
            }
        }
    }
}
