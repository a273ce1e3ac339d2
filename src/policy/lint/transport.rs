//! Traps of the conditions on the connection.

use super::Warning;
use super::view::{View, block};
use crate::policy::{Comparison, Key, Operator};

const BOOL: Operator = Operator::plain(Comparison::Bool);

/// `aws:SecureTransport` "true" under Deny refuses TLS.
pub(super) fn secure_transport_reversed(view: &View<'_>, out: &mut Vec<Warning>) {
    for stmt in &view.stmts {
        for cond in stmt.on(&Key::SecureTransport) {
            let wrong = if stmt.deny() { "true" } else { "false" };
            let positive = matches!(
                cond.op().comparison,
                Comparison::Bool
                    | Comparison::StringEquals
                    | Comparison::StringLike
                    | Comparison::StringEqualsIgnoreCase
            );
            if positive && cond.values().iter().any(|v| v.eq_ignore_ascii_case(wrong)) {
                let (does, right) = if stmt.deny() {
                    ("refuses requests over TLS", "false")
                } else {
                    ("allows requests without TLS", "true")
                };
                out.push(stmt.warn(
                    "secure-transport-reversed",
                    format!(
                        "`aws:SecureTransport` \"{wrong}\" under {} {does}",
                        stmt.raw.effect.as_str()
                    ),
                    block(&[(BOOL, "aws:SecureTransport", &[right])]),
                ));
            }
        }
    }
}

/// `s3:TlsVersion` is absent over plain HTTP, so a Deny on old versions lets plain HTTP through.
pub(super) fn tls_version_alone(view: &View<'_>, out: &mut Vec<Warning>) {
    let plain_denied = |stmt: &super::view::Stmt<'_>| {
        view.denies().any(|other| {
            other.conds.len() == 1
                && other.conds.iter().any(|c| {
                    (c.key == Key::SecureTransport
                        && c.values().iter().any(|v| v.eq_ignore_ascii_case("false")))
                        || (c.key == Key::TlsVersion && c.is_null(true))
                })
                && stmt
                    .actions
                    .iter()
                    .all(|action| other.actions.contains(action))
        })
    };
    for stmt in view.denies() {
        for cond in stmt.on(&Key::TlsVersion) {
            match cond.op().comparison {
                Comparison::NumericLessThan
                | Comparison::NumericLessThanEquals
                | Comparison::NumericEquals
                    if !cond.when_absent() && !plain_denied(stmt) =>
                {
                    out.push(stmt.warn(
                        "tls-version-alone",
                        "`s3:TlsVersion` is absent over plain HTTP, so this Deny refuses old TLS and lets requests without TLS through",
                        format!("keep it and add a Deny statement with {}", block(&[(BOOL, "aws:SecureTransport", &["false"])])),
                    ));
                }
                Comparison::NumericGreaterThan | Comparison::NumericGreaterThanEquals => {
                    out.push(stmt.warn(
                        "tls-version-reversed",
                        format!(
                            "`{}` of `s3:TlsVersion` under Deny refuses the newer versions",
                            cond.op()
                        ),
                        block(&[(
                            Operator::plain(Comparison::NumericLessThan),
                            "s3:TlsVersion",
                            &["1.2"],
                        )]),
                    ));
                }
                _ => {}
            }
        }
    }
}

/// At the store these keys are about Sealgate's own connection.
pub(super) fn seen_by_the_store(view: &View<'_>, out: &mut Vec<Warning>) {
    if !view.options.also_at_store {
        return;
    }
    for stmt in &view.stmts {
        for cond in stmt.conds.iter().filter(|c| {
            matches!(
                c.key,
                Key::SecureTransport | Key::TlsVersion | Key::SourceIp
            )
        }) {
            out.push(stmt.warn(
                "store-sees-the-proxy",
                format!("at the store `{}` is that of the proxy's connection, not of the client's", cond.raw.key),
                "this statement in Sealgate's policy alone, and at the store one that admits only the proxy".to_owned(),
            ));
        }
    }
}

/// What every client can write as it likes.
pub(super) fn spoofable(view: &View<'_>, out: &mut Vec<Warning>) {
    for stmt in &view.stmts {
        for cond in stmt
            .conds
            .iter()
            .filter(|c| matches!(c.key, Key::UserAgent | Key::Referer))
        {
            out.push(stmt.warn(
                "client-writes-it",
                format!("`{}` is a header that every client can write as it likes: it keeps nobody out", cond.raw.key),
                "a condition on who calls or from where: \"Condition\": {\"NotIpAddress\":{\"aws:SourceIp\":\"192.0.2.0/24\"}}, or a Principal".to_owned(),
            ));
        }
    }
}
