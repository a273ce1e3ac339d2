//! The callers that a policy can tell apart.

use super::classes::{Glob, Shape, classes};
use super::dims::Builder;
use super::texts::text_glob;
use crate::policy::principal::is_account;
use crate::policy::{Family, Key, Principal, PrincipalKind, PrincipalType, Principals, Scalar};

/// Accounts, of which one is named by no policy.
const FOREIGN: [&str; 3] = ["999999999999", "888888888888", "777777777777"];

/// What a policy asks of its callers.
#[derive(Default)]
struct Asked {
    /// Principals that it names.
    principals: Vec<Principal>,
    /// Accounts: the owner's first.
    accounts: Vec<String>,
    /// What it compares `aws:PrincipalArn` with.
    arns: Vec<Glob>,
    /// What it compares `aws:username` with.
    names: Vec<Glob>,
    /// Does it ask for anything but whether there is a caller?
    anything: bool,
}

/// One caller for each class, with what it costs; anonymous is `None`.
pub(super) fn people(builder: &mut Builder<'_>) -> Vec<(u32, Option<Principal>)> {
    let asked = Asked::of(builder);
    let mut out: Vec<(u32, Option<Principal>)> = vec![(1, None)];
    let mut add = |cost: u32, arn: &str| {
        if let Ok(principal) = Principal::parse(arn)
            && !out
                .iter()
                .any(|(_, have)| have.as_ref() == Some(&principal))
        {
            out.push((cost, Some(principal)));
        }
    };
    if !asked.anything && !builder.options.authorize {
        add(
            0,
            &format!("arn:aws:iam::{}:user/someone", builder.options.account),
        );
        return out;
    }
    for principal in &asked.principals {
        add(0, principal.arn());
        if let PrincipalType::Role(name) = principal.kind() {
            add(
                1,
                &format!(
                    "arn:aws:sts::{}:assumed-role/{name}/session",
                    principal.account()
                ),
            );
        }
    }
    for (at, account) in asked.accounts.iter().enumerate() {
        let cost = u32::from(at > 0);
        for kind in ["user", "role"] {
            for principal in of_kind(
                builder,
                &asked,
                &format!("arn:aws:iam::{account}:{kind}/"),
                kind == "user",
            ) {
                add(cost, principal.arn());
                if let PrincipalType::Role(name) = principal.kind() {
                    add(
                        cost,
                        &format!("arn:aws:sts::{account}:assumed-role/{name}/session"),
                    );
                }
            }
        }
        add(cost + 1, &format!("arn:aws:iam::{account}:root"));
        add(
            cost + 1,
            &format!("arn:aws:sts::{account}:federated-user/someone"),
        );
    }
    out
}

/// One user or role of each class in one account; whom the policy names are classes of their own.
fn of_kind(builder: &mut Builder<'_>, asked: &Asked, prefix: &str, users: bool) -> Vec<Principal> {
    let mut globs = asked.arns.clone();
    globs.push(Glob::like(&format!("{prefix}?*"), true));
    globs.extend(
        asked
            .principals
            .iter()
            .map(|principal| Glob::exact(principal.arn())),
    );
    if users {
        globs.extend(asked.names.iter().map(|name| name.after(prefix)));
    }
    let Some(found) = classes(&globs, Shape::Header) else {
        builder.doubt("the principals overlap in too many ways");
        return Vec::new();
    };
    let mut out = Vec::new();
    for class in found
        .into_iter()
        .filter(|class| class.fits.get(asked.arns.len()) == Some(&true))
    {
        match Principal::parse(&class.witness) {
            Ok(principal) => out.push(principal),
            Err(_) => builder.doubt(format!(
                "no principal is known that fits as {} does",
                class.witness
            )),
        }
    }
    out
}

impl Asked {
    fn of(builder: &mut Builder<'_>) -> Self {
        let mut asked = Self {
            accounts: vec![builder.options.account.clone()],
            ..Self::default()
        };
        asked.elements(builder);
        asked.arns(builder);
        asked.accounts(builder);
        asked.names(builder);
        asked.anything |= [Key::PrincipalType, Key::PrincipalIsAwsService]
            .iter()
            .any(|key| !builder.on(key).is_empty());
        asked.accounts.extend(
            asked
                .principals
                .iter()
                .map(|principal| principal.account().to_owned()),
        );
        let foreign = FOREIGN
            .iter()
            .find(|account| !asked.accounts.iter().any(|have| have == *account));
        match foreign {
            Some(account) => asked.accounts.push((*account).to_owned()),
            None => builder.doubt("no account is left that it does not name"),
        }
        let mut seen = std::collections::HashSet::new();
        asked
            .accounts
            .retain(|account| seen.insert(account.clone()));
        // A user's path is part of the one and not of the other.
        if !asked.names.is_empty() && !asked.arns.is_empty() {
            builder.doubt("aws:username and aws:PrincipalArn are both asked for");
        }
        asked
    }

    /// `Principal` and `NotPrincipal`.
    fn elements(&mut self, builder: &Builder<'_>) {
        for statement in builder.statements() {
            let clause = &statement.principal;
            self.anything |= clause.negated || !clause.who.everyone();
            let Principals::Listed(list) = &clause.who else {
                continue;
            };
            for entry in list
                .iter()
                .filter(|entry| entry.kind == PrincipalKind::Aws && entry.value != "*")
            {
                match Principal::parse(&entry.value) {
                    Ok(principal) => self.principals.push(principal),
                    Err(_) => self.accounts.push(entry.value.clone()),
                }
            }
        }
    }

    fn arns(&mut self, builder: &mut Builder<'_>) {
        for condition in builder.on(&Key::PrincipalArn) {
            self.anything = true;
            for value in condition.values.iter().map(Scalar::text) {
                if builder.variable(value) {
                    builder.doubt("a value of aws:PrincipalArn has a variable");
                    continue;
                }
                match condition.operator.comparison.family() {
                    Family::Arn => self.arns.extend(Glob::arn(value, builder.escapes)),
                    Family::String => self.arns.push(text_glob(
                        condition.operator.comparison,
                        value,
                        builder.escapes,
                    )),
                    Family::Null => {}
                    _ => builder.doubt(
                        "aws:PrincipalArn is compared as something other than an ARN or text",
                    ),
                }
                self.principals.extend(Principal::parse(value));
                let account = value.split(':').nth(4);
                match account {
                    Some(account) if is_account(account) => self.accounts.push(account.to_owned()),
                    Some(account) if !account.is_empty() && account != "*" => builder
                        .doubt("aws:PrincipalArn is compared with a part of an account's number"),
                    _ => {}
                }
            }
        }
    }

    fn accounts(&mut self, builder: &mut Builder<'_>) {
        for key in [Key::PrincipalAccount, Key::UserId] {
            for condition in builder.on(&key) {
                self.anything = true;
                for value in condition.values.iter().map(Scalar::text) {
                    if is_account(value) {
                        self.accounts.push(value.to_owned());
                    } else if condition.operator.comparison.family() != Family::Null
                        && (key != Key::UserId || value != "anonymous")
                    {
                        builder.doubt(format!("{key} is compared with what is no account"));
                    }
                }
            }
        }
    }

    fn names(&mut self, builder: &mut Builder<'_>) {
        for condition in builder.on(&Key::Username) {
            self.anything = true;
            for value in condition.values.iter().map(Scalar::text) {
                match condition.operator.comparison.family() {
                    Family::String if !builder.variable(value) => self.names.push(text_glob(
                        condition.operator.comparison,
                        value,
                        builder.escapes,
                    )),
                    Family::Null => {}
                    _ => builder.doubt("aws:username is compared with more than plain text"),
                }
            }
        }
    }
}
