//! Values that no request can have.

use super::Warning;
use super::view::{View, block, glob, textual};
use crate::policy::{Comparison, Family, Key, Operator};

/// The values that a key can have, where AWS lists them.
fn possible(key: &Key) -> Option<&'static [&'static str]> {
    Some(match key {
        Key::Sse => &["AES256", "aws:kms", "aws:kms:dsse", "aws:fsx"],
        Key::SseCustomerAlgorithm => &["AES256"],
        Key::AuthType => &["REST-HEADER", "REST-QUERY-STRING", "POST"],
        Key::SignatureVersion => &["AWS", "AWS4-HMAC-SHA256", "AWS4-ECDSA-P256-SHA256"],
        Key::Acl => &[
            "private",
            "public-read",
            "public-read-write",
            "authenticated-read",
            "aws-exec-read",
            "bucket-owner-read",
            "bucket-owner-full-control",
            "log-delivery-write",
        ],
        Key::MetadataDirective => &["COPY", "REPLACE"],
        Key::ObjectLockMode => &["GOVERNANCE", "COMPLIANCE"],
        Key::ObjectLockLegalHold => &["ON", "OFF"],
        Key::PrincipalType => &[
            "Account",
            "User",
            "AssumedRole",
            "FederatedUser",
            "Anonymous",
        ],
        Key::TlsVersion => &["1.0", "1.1", "1.2", "1.3"],
        Key::ObjectCreationOperation | Key::SecureTransport | Key::PrincipalIsAwsService => {
            &["true", "false"]
        }
        _ => return None,
    })
}

/// The value that was meant.
fn meant(key: &Key, value: &str, possible: &[&'static str]) -> Option<&'static str> {
    let squeeze = |text: &str| {
        text.chars()
            .filter(char::is_ascii_alphanumeric)
            .collect::<String>()
            .to_ascii_lowercase()
    };
    let given = squeeze(value);
    if let Some(same) = possible.iter().copied().find(|p| squeeze(p) == given) {
        return Some(same);
    }
    if *key == Key::Sse {
        return match given {
            g if g.contains("dsse") => Some("aws:kms:dsse"),
            g if g.contains("kms") => Some("aws:kms"),
            g if g.contains("aes") || g.contains("s3") => Some("AES256"),
            _ => None,
        };
    }
    None
}

/// `aws:SourceIp` as text: a range is no text that an address equals.
pub(super) fn address_as_text(view: &View<'_>, out: &mut Vec<Warning>) {
    for stmt in &view.stmts {
        for cond in stmt.on(&Key::SourceIp).filter(|cond| textual(cond.op())) {
            let op = cond.op();
            let plain = Operator::plain(if op.comparison.negated() {
                Comparison::NotIpAddress
            } else {
                Comparison::IpAddress
            });
            out.push(stmt.warn(
                "address-as-text",
                format!(
                    "`{op}` compares `{}` as text: no range ever fits, and an address only as it is written",
                    cond.raw.key
                ),
                block(&[(plain, &cond.raw.key, &cond.values())]),
            ));
        }
    }
}

/// A value that is never sent: the condition is then always or never true.
pub(super) fn never_sent(view: &View<'_>, out: &mut Vec<Warning>) {
    for stmt in &view.stmts {
        for cond in &stmt.conds {
            let Some(possible) = possible(&cond.key) else {
                continue;
            };
            let op = cond.op();
            let numeric = matches!(
                op.comparison,
                Comparison::NumericEquals | Comparison::NumericNotEquals
            );
            if !textual(op) && !numeric && op.comparison.family() != Family::Bool {
                continue;
            }
            for value in cond.values() {
                let fits = |p: &&&str| match op.comparison {
                    Comparison::StringLike | Comparison::StringNotLike => glob(value, p),
                    Comparison::StringEqualsIgnoreCase
                    | Comparison::StringNotEqualsIgnoreCase
                    | Comparison::Bool => p.eq_ignore_ascii_case(value),
                    Comparison::NumericEquals | Comparison::NumericNotEquals => {
                        p.parse::<f64>().ok() == value.parse::<f64>().ok()
                    }
                    _ => **p == value,
                };
                if value.contains("${") || possible.iter().any(|p| fits(&p)) {
                    continue;
                }
                let id = if cond.key.is_sse() {
                    "impossible-sse-value"
                } else {
                    "value-never-matches"
                };
                let effect = if op.comparison.negated() {
                    "always true"
                } else {
                    "never true"
                };
                let instead = meant(&cond.key, value, possible).map_or_else(
                    || format!("one of {}", possible.join(", ")),
                    |meant| block(&[(op, &cond.raw.key, &[meant])]),
                );
                out.push(stmt.warn(id, format!("`{}` is never `{value}` in a request that is accepted, so for this value `{op}` is {effect}", cond.raw.key), instead));
            }
        }
    }
}
