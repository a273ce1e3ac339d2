//! A bucket policy as it is written: AWS's elements, typed, in order, nothing decided yet.
//!
//! Grammar: IAM user guide, "Grammar of the IAM JSON policy language".

use super::json::write_string;
use super::operator::Operator;

/// The largest policy AWS takes, in bytes of its serialisation without white space.
pub const MAX_BYTES: usize = 20_480;

/// The language's version. It decides whether `${...}` is a variable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// `2008-10-17`, which also counts where none is given: no policy variables.
    V2008,
    /// `2012-10-17`
    V2012,
}

impl Version {
    /// As written in a policy.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::V2008 => "2008-10-17",
            Self::V2012 => "2012-10-17",
        }
    }
}

/// A whole policy.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Document {
    /// `Version`; absent counts as 2008-10-17.
    pub version: Option<Version>,
    /// `Id`
    pub id: Option<String>,
    /// `Statement`, always as a list.
    pub statements: Vec<Statement>,
}

/// `Effect`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Effect {
    Allow,
    Deny,
}

impl Effect {
    /// As written in a policy.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "Allow",
            Self::Deny => "Deny",
        }
    }
}

/// One statement.
#[derive(Debug, Clone)]
pub struct Statement {
    /// Its place in the policy, from 0.
    pub index: usize,
    /// Its line in the file, from 1; 0 where there is no file.
    pub line: u32,
    /// `Sid`
    pub sid: Option<String>,
    /// `Effect`
    pub effect: Effect,
    /// `Principal` or `NotPrincipal`
    pub principal: PrincipalClause,
    /// `Action` or `NotAction`
    pub action: Clause,
    /// `Resource` or `NotResource`
    pub resource: Clause,
    /// `Condition`, one entry an operator and key, in order.
    pub conditions: Vec<Condition>,
    /// Does it say `Condition`, or an operator of it, and then nothing?
    pub says_no_condition: bool,
}

impl Statement {
    /// A Deny for everyone: what the short form and the generator are made of. `index` is its place, from 0.
    pub(super) fn deny(
        index: usize,
        sid: String,
        action: &str,
        resources: Vec<String>,
        conditions: Vec<Condition>,
    ) -> Self {
        Self {
            index,
            line: 0,
            sid: Some(sid),
            effect: Effect::Deny,
            principal: PrincipalClause {
                negated: false,
                who: Principals::Everyone,
            },
            action: Clause {
                negated: false,
                patterns: vec![action.to_owned()],
            },
            resource: Clause {
                negated: false,
                patterns: resources,
            },
            conditions,
            says_no_condition: false,
        }
    }
}

impl PartialEq for Statement {
    // The line is where it stands, and an empty condition how it is written: not what it says.
    fn eq(&self, other: &Self) -> bool {
        self.index == other.index
            && self.sid == other.sid
            && self.effect == other.effect
            && self.principal == other.principal
            && self.action == other.action
            && self.resource == other.resource
            && self.conditions == other.conditions
    }
}

impl Eq for Statement {}

/// `Principal` or `NotPrincipal`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrincipalClause {
    /// `NotPrincipal`
    pub negated: bool,
    /// Who.
    pub who: Principals,
}

/// Who a principal clause names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Principals {
    /// The bare `"*"`.
    Everyone,
    /// An object by kind. `{"AWS": "*"}` is everyone too.
    Listed(Vec<PrincipalEntry>),
}

impl Principals {
    /// True for `"*"` and for a list with `{"AWS": "*"}` in it.
    #[must_use]
    pub fn everyone(&self) -> bool {
        match self {
            Self::Everyone => true,
            Self::Listed(list) => list
                .iter()
                .any(|e| e.kind == PrincipalKind::Aws && e.value == "*"),
        }
    }
}

/// One named principal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrincipalEntry {
    /// The member of the object it stood under.
    pub kind: PrincipalKind,
    /// As written.
    pub value: String,
}

/// The kinds of principals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum PrincipalKind {
    Aws,
    Federated,
    Service,
    CanonicalUser,
}

impl PrincipalKind {
    /// Every kind.
    pub const ALL: [Self; 4] = [
        Self::Aws,
        Self::Federated,
        Self::Service,
        Self::CanonicalUser,
    ];

    /// The member's name in a policy.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Aws => "AWS",
            Self::Federated => "Federated",
            Self::Service => "Service",
            Self::CanonicalUser => "CanonicalUser",
        }
    }
}

/// A list of patterns, or everything but them (`NotAction`, `NotResource`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Clause {
    /// `Not...`
    pub negated: bool,
    /// As written.
    pub patterns: Vec<String>,
}

/// One operator, one key and the values it is compared with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    /// The operator.
    pub operator: Operator,
    /// The key as written.
    pub key: String,
    /// The values in order, at least one.
    pub values: Vec<Scalar>,
}

/// A condition's value. Numbers and booleans may stand without quotes and mean their text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scalar {
    /// `"text"`
    String(String),
    /// A number as written.
    Number(String),
    /// `true` or `false`
    Bool(bool),
}

impl Scalar {
    /// Its text.
    #[must_use]
    pub fn text(&self) -> &str {
        match self {
            Self::String(s) | Self::Number(s) => s,
            Self::Bool(true) => "true",
            Self::Bool(false) => "false",
        }
    }
}

impl From<&str> for Scalar {
    fn from(text: &str) -> Self {
        Self::String(text.to_owned())
    }
}

impl Document {
    /// The version that counts.
    #[must_use]
    pub fn effective_version(&self) -> Version {
        self.version.unwrap_or(Version::V2008)
    }

    /// The policy as JSON, two spaces an indent, single values as plain strings; ends without a line break.
    #[must_use]
    pub fn to_json_pretty(&self) -> String {
        Printer::print(self, true)
    }

    /// The policy as JSON without white space: what AWS measures its size by.
    #[must_use]
    pub fn to_json(&self) -> String {
        Printer::print(self, false)
    }
}

struct Printer {
    out: String,
    pretty: bool,
    depth: usize,
    first: bool,
}

impl Printer {
    fn print(doc: &Document, pretty: bool) -> String {
        let mut p = Self {
            out: String::new(),
            pretty,
            depth: 0,
            first: true,
        };
        p.open('{');
        if let Some(v) = doc.version {
            p.text_member("Version", v.as_str());
        }
        if let Some(id) = &doc.id {
            p.text_member("Id", id);
        }
        p.name("Statement");
        p.open('[');
        for s in &doc.statements {
            p.next();
            p.statement(s);
        }
        p.close(']');
        p.close('}');
        p.out
    }

    fn statement(&mut self, s: &Statement) {
        self.open('{');
        if let Some(sid) = &s.sid {
            self.text_member("Sid", sid);
        }
        self.text_member("Effect", s.effect.as_str());
        self.name(if s.principal.negated {
            "NotPrincipal"
        } else {
            "Principal"
        });
        match &s.principal.who {
            Principals::Everyone => write_string(&mut self.out, "*"),
            Principals::Listed(list) => {
                self.open('{');
                for kind in PrincipalKind::ALL {
                    let values: Vec<&str> = list
                        .iter()
                        .filter(|e| e.kind == kind)
                        .map(|e| e.value.as_str())
                        .collect();
                    if !values.is_empty() {
                        self.name(kind.as_str());
                        self.strings(&values);
                    }
                }
                self.close('}');
            }
        }
        for (clause, name) in [(&s.action, "Action"), (&s.resource, "Resource")] {
            self.name(&if clause.negated {
                format!("Not{name}")
            } else {
                name.to_owned()
            });
            self.strings(
                &clause
                    .patterns
                    .iter()
                    .map(String::as_str)
                    .collect::<Vec<_>>(),
            );
        }
        if !s.conditions.is_empty() {
            self.name("Condition");
            self.open('{');
            let mut done: Vec<Operator> = Vec::new();
            for c in &s.conditions {
                if done.contains(&c.operator) {
                    continue;
                }
                done.push(c.operator);
                self.name(&c.operator.to_string());
                self.open('{');
                for same in s.conditions.iter().filter(|x| x.operator == c.operator) {
                    self.name(&same.key);
                    self.scalars(&same.values);
                }
                self.close('}');
            }
            self.close('}');
        }
        self.close('}');
    }

    fn strings(&mut self, values: &[&str]) {
        if let [one] = values {
            write_string(&mut self.out, one);
            return;
        }
        self.open('[');
        for v in values {
            self.next();
            write_string(&mut self.out, v);
        }
        self.close(']');
    }

    fn scalars(&mut self, values: &[Scalar]) {
        if let [one] = values {
            self.scalar(one);
            return;
        }
        self.open('[');
        for v in values {
            self.next();
            self.scalar(v);
        }
        self.close(']');
    }

    fn scalar(&mut self, value: &Scalar) {
        match value {
            Scalar::String(s) => write_string(&mut self.out, s),
            other => self.out.push_str(other.text()),
        }
    }

    fn text_member(&mut self, name: &str, value: &str) {
        self.name(name);
        write_string(&mut self.out, value);
    }

    fn name(&mut self, name: &str) {
        self.next();
        write_string(&mut self.out, name);
        self.out.push_str(if self.pretty { ": " } else { ":" });
    }

    fn next(&mut self) {
        if !self.first {
            self.out.push(',');
        }
        self.first = false;
        self.line();
    }

    fn open(&mut self, c: char) {
        self.out.push(c);
        self.depth += 1;
        self.first = true;
    }

    fn close(&mut self, c: char) {
        self.depth -= 1;
        if !self.first {
            self.line();
        }
        self.out.push(c);
        self.first = false;
    }

    fn line(&mut self) {
        if self.pretty {
            self.out.push('\n');
            self.out.extend(std::iter::repeat_n("  ", self.depth));
        }
    }
}
