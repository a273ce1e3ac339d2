//! JSON to [`Document`]: the shape of a policy, every error at once.

mod condition;

use super::document::{
    Clause, Document, Effect, MAX_BYTES, PrincipalClause, PrincipalEntry, PrincipalKind,
    Principals, Statement, Version,
};
use super::issue::{Issue, IssueKind, Issues};
use super::json::{self, Json, JsonError, Node};

/// What could be read and what was wrong with the rest.
#[derive(Debug, Clone, Default)]
pub struct Parsed {
    /// The statements that could be read whole; where there are issues, some may be missing.
    pub document: Document,
    /// Every error of shape.
    pub issues: Vec<Issue>,
}

impl Parsed {
    /// The document, if it has the shape of a policy.
    ///
    /// # Errors
    /// All issues.
    pub fn into_result(self) -> Result<Document, Issues> {
        if self.issues.is_empty() {
            Ok(self.document)
        } else {
            Err(Issues(self.issues))
        }
    }
}

impl Document {
    /// Reads the shape of a policy; what its values mean is [`super::check()`]'s.
    ///
    /// # Errors
    /// All issues of shape.
    pub fn parse(text: &str) -> Result<Self, Issues> {
        read(text).into_result()
    }
}

/// Reads a policy from JSON text.
#[must_use]
pub fn read(text: &str) -> Parsed {
    match json::parse(text) {
        Ok(node) => read_node(&node),
        Err(e) => {
            let kind = if matches!(e, JsonError::Duplicate { .. }) {
                IssueKind::InvalidJson
            } else {
                IssueKind::NotJson
            };
            let line = Some(e.line());
            let hint = match e {
                JsonError::Syntax { column, what, .. } => format!("column {column}: {what}"),
                JsonError::Duplicate { name, .. } => format!(
                    "`{name}` stands twice in the same object; readers differ on which one counts, so keep one"
                ),
            };
            Parsed {
                issues: vec![Issue {
                    statement: None,
                    sid: None,
                    line,
                    kind,
                    hint,
                }],
                ..Parsed::default()
            }
        }
    }
}

/// Reads a policy that stands in a larger JSON text.
#[must_use]
pub fn read_node(node: &Node) -> Parsed {
    let mut p = Parser {
        issues: Vec::new(),
        statement: None,
        sid: None,
        line: Some(node.line),
    };
    let document = p.document(node);
    if p.issues.is_empty() {
        let size = document.to_json().len();
        if size > MAX_BYTES {
            p.issue(
                IssueKind::TooBig,
                format!("it has {size}; split it into several policies"),
            );
        }
    }
    Parsed {
        document,
        issues: p.issues,
    }
}

struct Parser {
    issues: Vec<Issue>,
    statement: Option<usize>,
    sid: Option<String>,
    line: Option<u32>,
}

impl Parser {
    fn issue(&mut self, kind: IssueKind, hint: impl Into<String>) {
        self.issues.push(Issue {
            statement: self.statement,
            sid: self.sid.clone(),
            line: self.line,
            kind,
            hint: hint.into(),
        });
    }

    fn document(&mut self, node: &Node) -> Document {
        let mut doc = Document::default();
        let Some(members) = node.members() else {
            self.issue(IssueKind::NotJson, "a policy is an object");
            return doc;
        };
        for m in members {
            self.line = Some(m.line);
            match m.name.as_str() {
                "Version" => match m.node.as_str() {
                    Some("2012-10-17") => doc.version = Some(Version::V2012),
                    Some("2008-10-17") => doc.version = Some(Version::V2008),
                    _ => self.issue(
                        IssueKind::InvalidVersion,
                        "`Version` is the language's, not yours to number: write \"2012-10-17\"",
                    ),
                },
                "Id" => match m.node.as_str() {
                    Some(id) => doc.id = Some(id.to_owned()),
                    None => self.issue(IssueKind::InvalidJson, "`Id` must be a string"),
                },
                "Statement" => {}
                other => self.unknown(other, &["Version", "Id", "Statement"]),
            }
        }
        let Some(statement) = node.get("Statement") else {
            self.line = Some(node.line);
            self.issue(
                IssueKind::MissingField("Statement"),
                "write \"Statement\": [ ... ]",
            );
            return doc;
        };
        self.line = Some(statement.line);
        let single = std::slice::from_ref(statement);
        let list = match &statement.value {
            Json::Object(_) => single,
            Json::Array(list) => list.as_slice(),
            _ => {
                self.issue(
                    IssueKind::InvalidJson,
                    "`Statement` is an object or an array of objects",
                );
                return doc;
            }
        };
        if list.is_empty() {
            self.issue(IssueKind::EmptyStatement, "write at least one statement");
        }
        for (index, s) in list.iter().enumerate() {
            self.statement = Some(index);
            self.line = Some(s.line);
            self.sid = s.get("Sid").and_then(Node::as_str).map(str::to_owned);
            if let Some(sid) = &self.sid
                && let Some(first) = list[..index]
                    .iter()
                    .position(|o| o.get("Sid").and_then(Node::as_str) == Some(sid))
            {
                self.issue(
                    IssueKind::InvalidSyntax,
                    format!(
                        "statement {} has the same Sid; a Sid names one statement",
                        first + 1
                    ),
                );
            }
            if let Some(s) = self.statement(index, s) {
                doc.statements.push(s);
            }
        }
        self.statement = None;
        self.sid = None;
        self.line = Some(node.line);
        doc
    }

    fn unknown(&mut self, name: &str, allowed: &[&str]) {
        let near = allowed.iter().find(|a| a.eq_ignore_ascii_case(name));
        let hint = match near {
            Some(a) => format!("there is no element `{name}`: write `{a}`"),
            None => format!(
                "there is no element `{name}`; there are {}",
                allowed.join(", ")
            ),
        };
        self.issue(IssueKind::InvalidJson, hint);
    }

    fn statement(&mut self, index: usize, node: &Node) -> Option<Statement> {
        const ALLOWED: [&str; 9] = [
            "Sid",
            "Effect",
            "Principal",
            "NotPrincipal",
            "Action",
            "NotAction",
            "Resource",
            "NotResource",
            "Condition",
        ];
        let before = self.issues.len();
        let Some(members) = node.members() else {
            self.issue(IssueKind::InvalidJson, "a statement is an object");
            return None;
        };
        for m in members {
            self.line = Some(m.line);
            if !ALLOWED.contains(&m.name.as_str()) {
                self.unknown(&m.name, &ALLOWED);
            }
            if m.name == "Sid" && m.node.as_str().is_none() {
                self.issue(IssueKind::InvalidJson, "`Sid` must be a string");
            }
        }
        self.line = Some(node.line);
        let effect = match node.get("Effect").map(|e| (e.line, e.scalar())) {
            None => {
                self.issue(
                    IssueKind::MissingField("Effect"),
                    "write \"Effect\": \"Deny\" or \"Allow\"",
                );
                None
            }
            Some((_, Some("Deny"))) => Some(Effect::Deny),
            Some((_, Some("Allow"))) => Some(Effect::Allow),
            Some((line, other)) => {
                self.line = Some(line);
                self.issue(
                    IssueKind::InvalidEffect(other.unwrap_or("not a string").to_owned()),
                    "write \"Deny\" or \"Allow\", in this case of letters",
                );
                None
            }
        };
        let principal = self.principal(node);
        let action = self.clause(
            node,
            "Action",
            "NotAction",
            &IssueKind::InvalidAction,
            "for example \"s3:PutObject\"",
        );
        let resource = self.clause(
            node,
            "Resource",
            "NotResource",
            &IssueKind::InvalidResource,
            "for example \"arn:aws:s3:::BUCKET/*\"",
        );
        let conditions = self.conditions(node);
        if self.issues.len() > before {
            return None;
        }
        Some(Statement {
            index,
            line: node.line,
            sid: self.sid.clone(),
            effect: effect?,
            principal: principal?,
            action: action?,
            resource: resource?,
            conditions,
            says_no_condition: node.get("Condition").and_then(Node::members).is_some_and(
                |operators| {
                    operators.is_empty()
                        || operators
                            .iter()
                            .any(|op| op.node.members().is_some_and(<[_]>::is_empty))
                },
            ),
        })
    }

    /// The member of one of two names that exclude each other.
    fn one_of<'n>(
        &mut self,
        node: &'n Node,
        plain: &'static str,
        not: &'static str,
    ) -> Option<(bool, &'n Node)> {
        self.line = Some(node.line);
        match (node.get(plain), node.get(not)) {
            (Some(n), None) => Some((false, n)),
            (None, Some(n)) => Some((true, n)),
            (Some(_), Some(n)) => {
                self.line = Some(n.line);
                self.issue(
                    IssueKind::InvalidJson,
                    format!("`{plain}` and `{not}` exclude each other: keep one"),
                );
                None
            }
            (None, None) => {
                let hint = match plain {
                    "Principal" => "a bucket policy says whom it is about: write \"Principal\": \"*\" for everyone".to_owned(),
                    _ => format!("write \"{plain}\""),
                };
                self.issue(IssueKind::MissingField(plain), hint);
                None
            }
        }
    }

    fn clause(
        &mut self,
        node: &Node,
        plain: &'static str,
        not: &'static str,
        bad: &IssueKind,
        example: &str,
    ) -> Option<Clause> {
        let (negated, value) = self.one_of(node, plain, not)?;
        self.line = Some(value.line);
        let Some(patterns) = strings(value) else {
            self.issue(
                bad.clone(),
                format!("`{plain}` is a string or an array of strings, {example}"),
            );
            return None;
        };
        if patterns.is_empty() {
            self.issue(
                bad.clone(),
                format!("`{plain}` is empty; write at least one, {example}"),
            );
            return None;
        }
        Some(Clause { negated, patterns })
    }

    fn principal(&mut self, node: &Node) -> Option<PrincipalClause> {
        let (negated, value) = self.one_of(node, "Principal", "NotPrincipal")?;
        self.line = Some(value.line);
        let who = match &value.value {
            Json::String(s) if s == "*" => Principals::Everyone,
            Json::Object(members) => {
                let mut list = Vec::new();
                for m in members {
                    let Some(kind) = PrincipalKind::ALL
                        .into_iter()
                        .find(|k| k.as_str() == m.name)
                    else {
                        self.issue(IssueKind::InvalidPrincipal, format!("there is no kind `{}`; there are AWS, Federated, Service, CanonicalUser", m.name));
                        return None;
                    };
                    let Some(values) = strings(&m.node) else {
                        self.issue(
                            IssueKind::InvalidPrincipal,
                            "a principal is a string or an array of strings",
                        );
                        return None;
                    };
                    list.extend(
                        values
                            .into_iter()
                            .map(|value| PrincipalEntry { kind, value }),
                    );
                }
                if list.is_empty() {
                    self.issue(
                        IssueKind::InvalidPrincipal,
                        "it names nobody; write \"*\" for everyone",
                    );
                    return None;
                }
                Principals::Listed(list)
            }
            _ => {
                self.issue(
                    IssueKind::InvalidPrincipal,
                    "write \"*\" or {\"AWS\": \"arn:aws:iam::ACCOUNT:user/NAME\"}",
                );
                return None;
            }
        };
        Some(PrincipalClause { negated, who })
    }
}

fn strings(node: &Node) -> Option<Vec<String>> {
    match &node.value {
        Json::String(s) => Some(vec![s.clone()]),
        Json::Array(list) => list.iter().map(|n| n.as_str().map(str::to_owned)).collect(),
        _ => None,
    }
}

#[cfg(test)]
#[path = "parse_tests.rs"]
mod tests;
