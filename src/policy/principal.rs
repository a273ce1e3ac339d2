//! Who calls: an AWS principal, named by its ARN.

use std::fmt;

use thiserror::Error;

/// A caller.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Principal {
    arn: Box<str>,
    partition: Box<str>,
    account: Box<str>,
    kind: PrincipalType,
}

/// What kind of caller it is, with the names that policies can ask for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum PrincipalType {
    /// The account itself.
    Root,
    /// An IAM user; the name without its path.
    User(Box<str>),
    /// A role, named by its own ARN; the name without its path.
    Role(Box<str>),
    /// A session of a role.
    Session {
        /// The role's name, without its path.
        role: Box<str>,
        /// The session's name.
        session: Box<str>,
    },
    /// A federated user.
    Federated(Box<str>),
}

/// The text is no principal's ARN.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "`{0}` is not the ARN of a principal: write arn:aws:iam::ACCOUNT:root, arn:aws:iam::ACCOUNT:user/NAME, arn:aws:iam::ACCOUNT:role/NAME, arn:aws:sts::ACCOUNT:assumed-role/ROLE/SESSION or arn:aws:sts::ACCOUNT:federated-user/NAME, with 12 digits as ACCOUNT"
)]
pub struct NotAPrincipal(pub String);

/// True for the 12 digits of an AWS account.
#[must_use]
pub fn is_account(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|b| b.is_ascii_digit())
}

impl Principal {
    /// Reads an ARN.
    ///
    /// # Errors
    /// [`NotAPrincipal`] for anything but the forms it lists; wildcards are none.
    pub fn parse(arn: &str) -> Result<Self, NotAPrincipal> {
        Self::read(arn).ok_or_else(|| NotAPrincipal(arn.to_owned()))
    }

    fn read(arn: &str) -> Option<Self> {
        let mut parts = arn.splitn(6, ':');
        let (prefix, partition, service, region, account, resource) = (
            parts.next()?,
            parts.next()?,
            parts.next()?,
            parts.next()?,
            parts.next()?,
            parts.next()?,
        );
        if prefix != "arn"
            || !partition.starts_with("aws")
            || !region.is_empty()
            || !is_account(account)
            || arn.contains(['*', '?'])
        {
            return None;
        }
        let last = |path: &str| {
            path.rsplit('/')
                .next()
                .filter(|n| !n.is_empty())
                .map(Box::<str>::from)
        };
        let kind = match (service, resource.split_once('/')) {
            ("iam", None) if resource == "root" => PrincipalType::Root,
            ("iam", Some(("user", path))) => PrincipalType::User(last(path)?),
            ("iam", Some(("role", path))) => PrincipalType::Role(last(path)?),
            ("sts", Some(("assumed-role", rest))) => {
                let (role, session) = rest.split_once('/')?;
                if role.is_empty() || session.is_empty() {
                    return None;
                }
                PrincipalType::Session {
                    role: role.into(),
                    session: session.into(),
                }
            }
            ("sts", Some(("federated-user", name))) if !name.is_empty() => {
                PrincipalType::Federated(name.into())
            }
            _ => return None,
        };
        Some(Self {
            arn: arn.into(),
            partition: partition.into(),
            account: account.into(),
            kind,
        })
    }

    /// Its ARN, as given.
    #[must_use]
    pub fn arn(&self) -> &str {
        &self.arn
    }

    /// Its account, 12 digits.
    #[must_use]
    pub fn account(&self) -> &str {
        &self.account
    }

    /// What kind it is.
    #[must_use]
    pub fn kind(&self) -> &PrincipalType {
        &self.kind
    }

    /// `aws:PrincipalArn`: the ARN, but a session's is its role's (IAM guide, global condition keys). A role's path is not in its sessions' ARNs.
    #[must_use]
    pub fn condition_arn(&self) -> std::borrow::Cow<'_, str> {
        match &self.kind {
            PrincipalType::Session { role, .. } => {
                format!("arn:{}:iam::{}:role/{role}", self.partition, self.account).into()
            }
            _ => (&*self.arn).into(),
        }
    }

    /// `aws:PrincipalType`
    #[must_use]
    pub fn condition_type(&self) -> &'static str {
        match self.kind {
            PrincipalType::Root => "Account",
            PrincipalType::User(_) => "User",
            PrincipalType::Role(_) | PrincipalType::Session { .. } => "AssumedRole",
            PrincipalType::Federated(_) => "FederatedUser",
        }
    }

    /// `aws:username`, which only IAM users have.
    #[must_use]
    pub fn username(&self) -> Option<&str> {
        match &self.kind {
            PrincipalType::User(name) => Some(name),
            _ => None,
        }
    }

    /// Whether `named`, standing in a policy, is this caller or the role that this session belongs to.
    #[must_use]
    pub fn is_named_by(&self, named: &Principal) -> bool {
        if self.arn == named.arn {
            return true;
        }
        match (&self.kind, &named.kind) {
            (PrincipalType::Session { role, .. }, PrincipalType::Role(name)) => {
                role == name && self.account == named.account && self.partition == named.partition
            }
            _ => false,
        }
    }
}

impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.arn)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn kinds() {
        let p = |s: &str| Principal::parse(s).unwrap();
        assert_eq!(
            p("arn:aws:iam::111122223333:user/a/b/dave").username(),
            Some("dave")
        );
        assert_eq!(
            p("arn:aws:iam::111122223333:root").condition_type(),
            "Account"
        );
        let s = p("arn:aws:sts::111122223333:assumed-role/R/S");
        assert_eq!(s.condition_arn(), "arn:aws:iam::111122223333:role/R");
        assert!(s.is_named_by(&p("arn:aws:iam::111122223333:role/path/R")));
        assert!(!s.is_named_by(&p("arn:aws:iam::999999999999:role/R")));
        assert!(!s.is_named_by(&p("arn:aws:sts::111122223333:assumed-role/R/T")));
        for bad in [
            "",
            "*",
            "dave",
            "arn:aws:iam::1:user/x",
            "arn:aws:iam::111122223333:user/*",
            "arn:aws:iam::111122223333:user/",
            "arn:aws:s3:::b",
            "arn:aws:sts::111122223333:assumed-role/R",
        ] {
            assert!(Principal::parse(bad).is_err(), "{bad}");
        }
    }
}
