//! Who a caller is: an ARN that IAM or STS would write.
//!
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_principal.html>

use std::fmt;

/// A caller, as an ARN and its pieces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    arn: String,
    /// The length of `arn:PARTITION`.
    partition: usize,
    account: String,
    kind: PrincipalKind,
}

/// What sort of caller an ARN names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PrincipalKind {
    /// `arn:aws:iam::ACCOUNT:root`.
    Root,
    /// `arn:aws:iam::ACCOUNT:user/PATH/NAME`; its name without the path.
    User(String),
    /// `arn:aws:iam::ACCOUNT:role/PATH/NAME`; its name without the path.
    Role(String),
    /// `arn:aws:sts::ACCOUNT:assumed-role/ROLE/SESSION`.
    AssumedRole {
        /// The role's name.
        role: String,
        /// The session's name.
        session: String,
    },
    /// `arn:aws:sts::ACCOUNT:federated-user/NAME`.
    FederatedUser(String),
}

/// Why a text is no principal.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "\"{0}\" is not a principal's ARN: write arn:aws:iam::ACCOUNT:user/NAME, arn:aws:iam::ACCOUNT:role/NAME, arn:aws:iam::ACCOUNT:root, arn:aws:sts::ACCOUNT:assumed-role/ROLE/SESSION or arn:aws:sts::ACCOUNT:federated-user/NAME, ACCOUNT being 12 digits"
)]
pub struct PrincipalError(String);

impl Principal {
    /// Reads an ARN.
    ///
    /// # Errors
    /// The text is not an ARN of one of the kinds of [`PrincipalKind`].
    pub fn parse(text: &str) -> Result<Self, PrincipalError> {
        Self::pieces(text).ok_or_else(|| PrincipalError(text.to_owned()))
    }

    fn pieces(text: &str) -> Option<Self> {
        let (head, rest) = text
            .strip_prefix("arn:")?
            .split_once(':')
            .filter(|(partition, _)| matches!(*partition, "aws" | "aws-cn" | "aws-us-gov"))?;
        let (service, rest) = rest.split_once("::")?;
        let (account, resource) = rest.split_once(':')?;
        if !is_account(account) {
            return None;
        }
        let kind = match (service, resource.split_once('/')) {
            ("iam", None) if resource == "root" => PrincipalKind::Root,
            ("iam", Some(("user", path))) => PrincipalKind::User(last(path)?),
            ("iam", Some(("role", path))) => PrincipalKind::Role(last(path)?),
            ("sts", Some(("assumed-role", path))) => {
                let (role, session) = path.split_once('/')?;
                PrincipalKind::AssumedRole {
                    role: name(role)?,
                    session: name(session)?,
                }
            }
            ("sts", Some(("federated-user", path))) => PrincipalKind::FederatedUser(name(path)?),
            _ => return None,
        };
        Some(Self {
            arn: text.to_owned(),
            partition: "arn:".len() + head.len(),
            account: account.to_owned(),
            kind,
        })
    }

    /// The ARN as it was written.
    #[must_use]
    pub fn arn(&self) -> &str {
        &self.arn
    }

    /// `aws`, `aws-cn` or `aws-us-gov`.
    #[must_use]
    pub fn partition(&self) -> &str {
        self.arn.get("arn:".len()..self.partition).unwrap_or("aws")
    }

    /// The 12 digits of its account.
    #[must_use]
    pub fn account(&self) -> &str {
        &self.account
    }

    /// What sort of caller it is.
    #[must_use]
    pub fn kind(&self) -> &PrincipalKind {
        &self.kind
    }
}

impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.arn)
    }
}

/// Whether a text is an account's id: 12 digits.
#[must_use]
pub fn is_account(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|b| b.is_ascii_digit())
}

/// The characters of IAM names: `\w+=,.@-`.
fn name(text: &str) -> Option<String> {
    let good = |b: u8| b.is_ascii_alphanumeric() || b"_+=,.@-".contains(&b);
    (!text.is_empty() && text.bytes().all(good)).then(|| text.to_owned())
}

/// The name at the end of a path of visible ASCII.
fn last(path: &str) -> Option<String> {
    if !path.bytes().all(|b| b.is_ascii_graphic()) {
        return None;
    }
    path.rsplit('/').next().and_then(name)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn kinds() {
        let user = Principal::parse("arn:aws:iam::111122223333:user/team/app").unwrap();
        assert_eq!(user.kind(), &PrincipalKind::User("app".into()));
        assert_eq!((user.account(), user.partition()), ("111122223333", "aws"));
        let role =
            Principal::parse("arn:aws-cn:sts::111122223333:assumed-role/writer/session1").unwrap();
        assert_eq!(
            role.kind(),
            &PrincipalKind::AssumedRole {
                role: "writer".into(),
                session: "session1".into()
            }
        );
        assert_eq!(role.partition(), "aws-cn");
        assert_eq!(
            Principal::parse("arn:aws:iam::111122223333:root")
                .unwrap()
                .kind(),
            &PrincipalKind::Root
        );
    }

    #[test]
    fn refused() {
        for text in [
            "",
            "*",
            "app",
            "arn:aws:iam::1111:user/app",
            "arn:aws:iam::111122223333:user/",
            "arn:aws:iam::111122223333:user",
            "arn:aws:iam::111122223333:group/app",
            "arn:aws:sts::111122223333:assumed-role/writer",
            "arn:aws:s3:::bucket",
            "arn:aws:iam::111122223333:user/a*",
        ] {
            assert!(Principal::parse(text).is_err(), "{text}");
        }
    }
}
