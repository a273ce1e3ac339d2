//! The callers that a policy can tell apart.

use super::classes::{Glob, Shape, classes};
use super::dims::{Builder, text_glob};
use crate::policy::{Family, Key, Principal, PrincipalKind, PrincipalType, Principals, Scalar};

/// An account that no policy names.
const FOREIGN: [&str; 3] = ["999999999999", "888888888888", "777777777777"];

/// One caller for each class, with what it costs; anonymous is `None`.
pub(super) fn people(builder: &mut Builder<'_>) -> Vec<(u32, Option<Principal>)> {
    let owner = builder.options.account.clone();
    let mut named: Vec<Principal> = Vec::new();
    let mut accounts: Vec<String> = vec![owner.clone()];
    let mut everyone = true;
    for statement in builder.statements() {
        let Principals::Listed(list) = &statement.principal.who else {
            everyone &= !statement.principal.negated;
            continue;
        };
        everyone &= !statement.principal.negated && statement.principal.who.everyone();
        for entry in list.iter().filter(|entry| entry.kind == PrincipalKind::Aws) {
            match Principal::parse(&entry.value) {
                Ok(principal) => named.push(principal),
                Err(_) if entry.value != "*" => accounts.push(entry.value.clone()),
                Err(_) => {}
            }
        }
    }
    let mut globs: Vec<Glob> = Vec::new();
    let mut asked = false;
    for condition in builder.on(&Key::PrincipalArn) {
        asked = true;
        for value in condition.values.iter().map(Scalar::text) {
            if builder.variable(value) {
                builder.doubt("a value of aws:PrincipalArn has a variable");
                continue;
            }
            match condition.operator.comparison.family() {
                Family::Arn => globs.extend(Glob::arn(value, builder.escapes)),
                Family::String => globs.push(text_glob(condition.operator.comparison, value, builder.escapes)),
                Family::Null => {}
                _ => builder.doubt("aws:PrincipalArn is compared as something other than an ARN or text"),
            }
            named.extend(Principal::parse(value));
            accounts.extend(value.split(':').nth(4).filter(|account| crate::policy::principal::is_account(account)).map(str::to_owned));
        }
    }
    for key in [Key::PrincipalAccount, Key::UserId] {
        for condition in builder.on(&key) {
            asked = true;
            for value in condition.values.iter().map(Scalar::text) {
                if crate::policy::principal::is_account(value) {
                    accounts.push(value.to_owned());
                } else if condition.operator.comparison.family() != Family::Null && (key != Key::UserId || value != "anonymous") {
                    builder.doubt(format!("{key} is compared with what is no account"));
                }
            }
        }
    }
    let mut names: Vec<Glob> = Vec::new();
    for condition in builder.on(&Key::Username) {
        asked = true;
        for value in condition.values.iter().map(Scalar::text) {
            match condition.operator.comparison.family() {
                Family::String if !builder.variable(value) => {
                    names.push(text_glob(condition.operator.comparison, value, builder.escapes));
                }
                Family::Null => {}
                _ => builder.doubt("aws:username is compared with more than plain text"),
            }
        }
    }
    asked |= [Key::PrincipalType, Key::PrincipalIsAwsService].iter().any(|key| !builder.on(key).is_empty());
    accounts.extend(named.iter().map(|principal| principal.account().to_owned()));
    accounts.extend(FOREIGN.iter().map(|account| (*account).to_owned()).find(|account| !accounts.contains(account)));
    dedup(&mut accounts);

    let user = Principal::parse(&format!("arn:aws:iam::{owner}:user/someone")).ok();
    if everyone && !asked && !builder.options.authorize {
        return vec![(0, user), (1, None)];
    }
    let mut out: Vec<(u32, Option<Principal>)> = vec![(1, None)];
    let mut add = |cost: u32, arn: &str| {
        if let Ok(principal) = Principal::parse(arn)
            && !out.iter().any(|(_, have)| have.as_ref() == Some(&principal))
        {
            out.push((cost, Some(principal)));
        }
    };
    // Users of each class of names, in each account; whom the policy names are classes of their own.
    let user_names: Vec<String> = match classes(&names, Shape::Header) {
        Some(found) => found.into_iter().map(|class| class.witness).collect(),
        None => {
            builder.doubt("the values of aws:username overlap in too many ways");
            Vec::new()
        }
    };
    for (at, account) in accounts.iter().enumerate() {
        let cost = u32::from(at > 0);
        for kind in ["user", "role"] {
            let prefix = format!("arn:aws:iam::{account}:{kind}/");
            let mut shaped = globs.clone();
            shaped.push(Glob::like(&format!("{prefix}?*"), true));
            shaped.extend(named.iter().map(|principal| Glob::exact(principal.arn())));
            if kind == "user" {
                // Names may stand behind a path: a user of each class of names without one is enough where ARNs name none.
                shaped.extend(user_names.iter().map(|name| Glob::exact(&format!("{prefix}{name}"))));
            }
            let Some(found) = classes(&shaped, Shape::Header) else {
                builder.doubt("the principals overlap in too many ways");
                continue;
            };
            for class in found.into_iter().filter(|class| class.fits.get(globs.len()) == Some(&true)) {
                match Principal::parse(&class.witness) {
                    Ok(principal) => {
                        add(cost, principal.arn());
                        if let PrincipalType::Role(name) = principal.kind() {
                            add(cost, &format!("arn:aws:sts::{account}:assumed-role/{name}/session"));
                        }
                    }
                    Err(_) => builder.doubt(format!("no principal is known that fits as {} does", class.witness)),
                }
            }
        }
        add(cost + 1, &format!("arn:aws:iam::{account}:root"));
        add(cost + 1, &format!("arn:aws:sts::{account}:federated-user/someone"));
    }
    if !names.is_empty() && !globs.is_empty() {
        builder.doubt("aws:username and aws:PrincipalArn are both asked for");
    }
    for principal in &named {
        add(0, principal.arn());
        if let PrincipalType::Role(name) = principal.kind() {
            add(1, &format!("arn:aws:sts::{}:assumed-role/{name}/session", principal.account()));
        }
    }
    out
}

fn dedup(list: &mut Vec<String>) {
    let mut seen = std::collections::HashSet::new();
    list.retain(|one| seen.insert(one.clone()));
}
