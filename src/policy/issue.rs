//! What is wrong with a policy: AWS's words, where it stands, and what to do.

use std::fmt;

use thiserror::Error;

/// One thing AWS or Sealgate would refuse.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issue {
    /// The statement's place from 0, if it is about one.
    pub statement: Option<usize>,
    /// The statement's `Sid`.
    pub sid: Option<String>,
    /// Line from 1, if known.
    pub line: Option<u32>,
    /// What.
    pub kind: IssueKind,
    /// What it is about and what to write instead.
    pub hint: String,
}

/// The kinds of errors. `Display` gives AWS's message where AWS has one.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum IssueKind {
    /// Not JSON at all.
    #[error("Policies must be valid JSON and the first byte must be '{{'")]
    NotJson,
    /// JSON of another shape, or an element that policies do not have.
    #[error("This policy contains invalid Json")]
    InvalidJson,
    /// `Statement: []`
    #[error("Could not parse the policy: Statement is empty!")]
    EmptyStatement,
    /// An element that must be there.
    #[error("Missing required field {0}")]
    MissingField(&'static str),
    /// Not `Allow` nor `Deny`.
    #[error("Invalid effect: {0}")]
    InvalidEffect(String),
    /// A principal AWS would not take.
    #[error("Invalid principal in policy")]
    InvalidPrincipal,
    /// An action S3 does not have.
    #[error("Policy has invalid action")]
    InvalidAction,
    /// A resource that is not a bucket's.
    #[error("Policy has invalid resource")]
    InvalidResource,
    /// The level of an action meets no resource.
    #[error("Action does not apply to any resource(s) in statement")]
    ActionWithoutResource,
    /// No action of the statement carries the key.
    #[error("Conditions do not apply to combination of actions and resources in statement")]
    ConditionDoesNotApply,
    /// A key that AWS does not have.
    #[error("Policy has an invalid condition key")]
    InvalidConditionKey,
    /// A key that AWS has and a proxy cannot know.
    #[error("Condition key {0} cannot be known by a proxy")]
    UnknowableKey(String),
    /// An operator that AWS does not have.
    #[error("Invalid Condition type : {0}")]
    InvalidOperator(String),
    /// Not an address nor a CIDR range.
    #[error("Invalid IP address in Conditions")]
    InvalidIp,
    /// A value that the operator cannot compare with.
    #[error("Invalid policy syntax.")]
    InvalidSyntax,
    /// Neither 2008-10-17 nor 2012-10-17.
    #[error("The policy must contain a valid version string")]
    InvalidVersion,
    /// Over 20480 bytes.
    #[error("Normalized policy document exceeds the maximum allowed size of 20480 bytes")]
    TooBig,
}

impl IssueKind {
    /// True where the policy still has one clear meaning, though AWS would refuse to store it: recorded cases
    /// can be decided with such a policy, a proxy does not run it.
    #[must_use]
    pub fn still_decidable(&self) -> bool {
        matches!(
            self,
            Self::ActionWithoutResource
                | Self::ConditionDoesNotApply
                | Self::UnknowableKey(_)
                | Self::TooBig
        )
    }
}

impl fmt::Display for Issue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(line) = self.line {
            write!(f, "line {line}: ")?;
        }
        if let Some(index) = self.statement {
            write!(f, "statement {}", index + 1)?;
            if let Some(sid) = &self.sid {
                write!(f, " ({sid})")?;
            }
            f.write_str(": ")?;
        }
        write!(f, "{}", self.kind)?;
        if self.hint.is_empty() {
            Ok(())
        } else {
            write!(f, ": {}", self.hint)
        }
    }
}

/// Everything that is wrong with a policy, in order; never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issues(pub Vec<Issue>);

impl fmt::Display for Issues {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, issue) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{issue}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Issues {}
