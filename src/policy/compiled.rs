//! A policy made ready: actions as bits, patterns split, values parsed. Whatever cannot be made ready is an [`Issue`].

use ipnet::IpNet;

use super::action_set::ActionSet;
use super::compile::Compiler;
use super::decimal::Decimal;
use super::document::{Document, Effect, Statement};
#[cfg(doc)]
use super::issue::Issue;
use super::issue::Issues;
use super::key::Key;
use super::operator::Operator;
use super::pattern::Pattern;
use super::principal::Principal;
use crate::s3::Action;

/// A policy that can be decided.
#[derive(Debug, Clone)]
pub struct Policy {
    document: Document,
    pub(super) denies: Vec<CompiledStatement>,
    pub(super) allows: Vec<CompiledStatement>,
}

#[derive(Debug, Clone)]
pub(super) struct CompiledStatement {
    pub index: u32,
    pub effect: Effect,
    pub actions: ActionSet,
    pub principals: PrincipalSet,
    /// Equal for statements with the same resources, so that one look serves a run of them; `None` where a variable is in them.
    pub same_resources: Option<u32>,
    pub not_resources: bool,
    /// The parts after `arn:aws:s3:::`.
    pub resources: Vec<Pattern>,
    pub conditions: Vec<CompiledCondition>,
}

#[derive(Debug, Clone)]
pub(super) enum PrincipalSet {
    Everyone,
    /// Only principals that never call a proxy (services, other providers).
    Nobody,
    Of {
        accounts: Vec<Box<str>>,
        named: Vec<Principal>,
    },
    AllBut {
        everyone: bool,
        accounts: Vec<Box<str>>,
        named: Vec<Principal>,
    },
}

#[derive(Debug, Clone)]
pub(super) struct CompiledCondition {
    pub operator: Operator,
    pub key: Key,
    /// The actions that carry the key; for others it is absent.
    pub carried: ActionSet,
    pub test: Test,
}

#[derive(Debug, Clone)]
pub(super) enum Test {
    Null {
        absent: bool,
        present: bool,
    },
    Text(Vec<Pattern>),
    Folded(Vec<Pattern>),
    Numeric(Vec<Decimal<Box<str>>>),
    /// Milliseconds since 1970.
    Date(Vec<i64>),
    Bool {
        yes: bool,
        no: bool,
    },
    Binary(Vec<Vec<u8>>),
    Ip(Vec<IpNet>),
    Arn(Vec<ArnPattern>),
}

#[derive(Debug, Clone)]
pub(super) enum ArnPattern {
    Any,
    Parts(Box<[Pattern; 6]>),
}

/// Which condition keys may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keys {
    /// Those a proxy knows. For policies that are enforced.
    Known,
    /// Those that only AWS knows too, as [`Key::Recorded`]. For recorded cases, which say their values.
    Recorded,
}

impl Policy {
    /// Reads, checks and compiles a policy that is to be enforced.
    ///
    /// # Errors
    /// Every issue of [`super::check::check`] and of shape.
    pub fn load(text: &str) -> Result<Self, Issues> {
        Self::of(super::parse::read(text))
    }

    /// Checks and compiles what was read from a larger text.
    ///
    /// # Errors
    /// As [`Policy::load`].
    pub fn of(parsed: super::parse::Parsed) -> Result<Self, Issues> {
        let mut issues = parsed.issues;
        issues.extend(super::check::check(&parsed.document));
        if !issues.is_empty() {
            issues.sort_by_key(|i| i.statement);
            return Err(Issues(issues));
        }
        Self::compile(parsed.document, Keys::Known)
    }

    /// Compiles without AWS's checks of what applies to what.
    ///
    /// # Errors
    /// Every value that has no meaning.
    pub fn compile(document: Document, keys: Keys) -> Result<Self, Issues> {
        let mut issues = Vec::new();
        let (mut denies, mut allows) = (Vec::new(), Vec::new());
        for s in &document.statements {
            let mut compiler = Compiler::new(&document, s, keys);
            let mut ready = compiler.statement();
            if !ready.resources.iter().any(Pattern::has_variables) {
                let first = document
                    .statements
                    .iter()
                    .position(|o| o.resource == s.resource);
                ready.same_resources = first.and_then(|i| u32::try_from(i).ok());
            }
            issues.append(&mut compiler.issues);
            match s.effect {
                Effect::Deny => denies.push(ready),
                Effect::Allow => allows.push(ready),
            }
        }
        if issues.is_empty() {
            Ok(Self {
                document,
                denies,
                allows,
            })
        } else {
            Err(Issues(issues))
        }
    }

    /// What was written.
    #[must_use]
    pub fn document(&self) -> &Document {
        &self.document
    }

    /// The statement of this index.
    #[must_use]
    pub fn statement(&self, index: u32) -> Option<&Statement> {
        self.document
            .statements
            .iter()
            .find(|s| u32::try_from(s.index) == Ok(index))
    }

    /// Does a statement about `PutObjectTagging` test the tags, which stand in its body?
    #[must_use]
    pub fn asks_body_tags(&self) -> bool {
        self.denies.iter().chain(&self.allows).any(|s| {
            [Action::PutObjectTagging, Action::PutObjectVersionTagging]
                .iter()
                .any(|action| s.actions.contains(*action))
                && s.conditions
                    .iter()
                    .any(|c| matches!(c.key, Key::RequestObjectTag(_) | Key::RequestObjectTagKeys))
        })
    }

    /// The condition keys that its statements test.
    #[must_use]
    pub fn keys(&self) -> Vec<&Key> {
        let mut out: Vec<&Key> = Vec::new();
        for c in self
            .denies
            .iter()
            .chain(&self.allows)
            .flat_map(|s| &s.conditions)
        {
            if !out.contains(&&c.key) {
                out.push(&c.key);
            }
        }
        out
    }
}
