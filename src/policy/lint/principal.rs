//! Traps of `Principal` and `NotPrincipal`.

use super::Warning;
use super::view::View;
use crate::policy::{Key, PrincipalEntry, PrincipalKind, Principals};

fn entries(who: &Principals) -> &[PrincipalEntry] {
    match who {
        Principals::Everyone => &[],
        Principals::Listed(list) => list,
    }
}

/// AWS's services call the store directly.
pub(super) fn service(view: &View<'_>, out: &mut Vec<Warning>) {
    for stmt in &view.stmts {
        for entry in entries(&stmt.raw.principal.who)
            .iter()
            .filter(|e| e.kind == PrincipalKind::Service)
        {
            let what = format!(
                "the service `{}` never calls through a proxy: it calls AWS itself",
                entry.value
            );
            let instead = if stmt.raw.principal.negated {
                "\"Principal\": \"*\"; nothing must be left out for a service".to_owned()
            } else if stmt.deny() {
                "\"Principal\": \"*\" if everybody is meant".to_owned()
            } else {
                "leave the statement out here, and keep it in the bucket's own policy on AWS"
                    .to_owned()
            };
            out.push(stmt.warn("service-principal", what, instead));
        }
    }
}

/// `aws:PrincipalIsAWSService` is absent for anonymous requests.
pub(super) fn service_key(view: &View<'_>, out: &mut Vec<Warning>) {
    for stmt in &view.stmts {
        if stmt
            .on(&Key::PrincipalIsAwsService)
            .any(|c| !c.when_absent())
        {
            out.push(stmt.warn(
                "service-principal",
                "`aws:PrincipalIsAWSService` is absent for anonymous requests, so this condition is not true for them; and no service calls through a proxy",
                "leave this condition out: the statement then also speaks about anonymous requests".to_owned(),
            ));
        }
    }
}

/// Kinds of principals that Sealgate's `clients` do not have.
pub(super) fn not_known(view: &View<'_>, out: &mut Vec<Warning>) {
    for stmt in &view.stmts {
        for entry in entries(&stmt.raw.principal.who).iter().filter(|e| {
            matches!(
                e.kind,
                PrincipalKind::Federated | PrincipalKind::CanonicalUser
            )
        }) {
            out.push(stmt.warn(
                "unknown-principal-kind",
                format!("{} `{}` is never the caller here: callers are known by the ARN that `clients` gives them", entry.kind.as_str(), entry.value),
                "\"Principal\": {\"AWS\": \"arn:aws:iam::ACCOUNT:user/NAME\"}".to_owned(),
            ));
        }
    }
}

/// `NotPrincipal` with Deny also denies the account of the user that it leaves out, and by that the user.
pub(super) fn not_principal_without_root(view: &View<'_>, out: &mut Vec<Warning>) {
    for stmt in view.stmts.iter().filter(|stmt| stmt.raw.principal.negated) {
        let list = entries(&stmt.raw.principal.who);
        let mut missing: Vec<&str> = Vec::new();
        for account in list
            .iter()
            .filter(|e| e.kind == PrincipalKind::Aws)
            .filter_map(|e| e.value.split(':').nth(4))
        {
            let root = list.iter().any(|e| {
                e.value == account
                    || (e.value.ends_with(":root") && e.value.split(':').nth(4) == Some(account))
            });
            if !root && !missing.contains(&account) {
                missing.push(account);
            }
        }
        for account in missing {
            out.push(stmt.warn(
                "not-principal-without-root",
                format!("`NotPrincipal` does not name the root of account {account}: on AWS the Deny then reaches the users it leaves out, through their account"),
                format!("add \"arn:aws:iam::{account}:root\"; or \"Principal\": \"*\" with \"Condition\": {{\"ArnNotEquals\":{{\"aws:PrincipalArn\":\"arn:aws:iam::{account}:user/NAME\"}}}}"),
            ));
        }
    }
}
