//! Recorded requests and what a policy should say of them: what `policy test` runs.
//!
//! A file is `{"entries":[{"id","policy","cases":[{"name","request","expect"}]}]}`; `expect` is `D`, `A` or `N`. The decision is that of
//! the bucket policy alone, on the request's main action (of a copy: the writing).

use thiserror::Error;

use super::compiled::{Keys, Policy};
use super::context::Multipart;
use super::evaluate::Outcome;
use super::issue::Issues;
use super::json::{self, Json, JsonError, Node};
use super::parse::read_node;
pub use super::request::{Judged, Request, RequestError, tls_version};
use super::short::ShortForm;

/// The account that owns the buckets where nothing else is said.
pub const DEFAULT_ACCOUNT: &str = "111122223333";

/// A file of cases.
#[derive(Debug, Clone)]
pub struct CaseFile {
    /// Its entries.
    pub entries: Vec<Entry>,
}

/// A policy and its cases.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Its name.
    pub id: String,
    /// The policy, or why it cannot be decided with.
    pub policy: Result<Policy, String>,
    /// What would keep the policy from being enforced, though it can be decided with.
    pub notes: Vec<String>,
    /// Its cases.
    pub cases: Vec<Case>,
}

/// A request and what is expected of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Case {
    /// Its name.
    pub name: String,
    /// The request.
    pub request: Request,
    /// What the policy should say.
    pub expect: Outcome,
}

/// Why a file of cases cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum CasesError {
    /// Not JSON.
    #[error(transparent)]
    Json(#[from] JsonError),
    /// JSON of another shape.
    #[error("line {line}: {what}")]
    Shape {
        /// From 1.
        line: u32,
        /// What was expected.
        what: String,
    },
}

fn shape(node: &Node, what: impl Into<String>) -> CasesError {
    CasesError::Shape {
        line: node.line,
        what: what.into(),
    }
}

/// A case that did not come out as expected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The entry.
    pub entry: String,
    /// The case.
    pub case: String,
    /// What it should be.
    pub expected: Outcome,
    /// What it is; `None` where nothing could be decided.
    pub got: Option<Outcome>,
    /// Why.
    pub reason: String,
}

impl std::fmt::Display for Difference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} / {}: expected {}, got ",
            self.entry,
            self.case,
            self.expected.letter()
        )?;
        match self.got {
            Some(o) => write!(f, "{}", o.letter())?,
            None => f.write_str("an error")?,
        }
        write!(f, " ({})", self.reason)
    }
}

/// What came of a file of cases. `Display` gives a line for each difference, then `N passed, N failed`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Report {
    /// The cases that differ, in order.
    pub differences: Vec<Difference>,
    /// How many came out as expected.
    pub passed: usize,
}

impl std::fmt::Display for Report {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for d in &self.differences {
            writeln!(f, "{d}")?;
        }
        write!(
            f,
            "{} passed, {} failed",
            self.passed,
            self.differences.len()
        )
    }
}

impl CaseFile {
    /// Reads a file.
    ///
    /// # Errors
    /// [`CasesError`] for what is no file of cases; a policy that is wrong fails its cases instead.
    pub fn parse(text: &str) -> Result<Self, CasesError> {
        let root = json::parse(text)?;
        let list = root
            .get("entries")
            .and_then(Node::elements)
            .ok_or_else(|| shape(&root, "a file of cases is {\"entries\": [...]}"))?;
        Ok(Self {
            entries: list.iter().map(entry).collect::<Result<_, _>>()?,
        })
    }

    /// Decides every case.
    #[must_use]
    pub fn run(&self, multipart: Multipart, account: &str) -> Report {
        let mut report = Report::default();
        for entry in &self.entries {
            for case in &entry.cases {
                let (got, reason) = match &entry.policy {
                    Err(e) => (None, e.replace('\n', "; ")),
                    Ok(policy) => match case.request.decide(policy, multipart, account) {
                        Err(e) => (None, e.to_string()),
                        Ok(list) => match list.first() {
                            Some(j) => (
                                Some(j.decision.outcome),
                                format!("{} on {}: {}", j.action, j.resource, j.explanation),
                            ),
                            None => (None, "the request needs no action".to_owned()),
                        },
                    },
                };
                if got == Some(case.expect) {
                    report.passed += 1;
                } else {
                    report.differences.push(Difference {
                        entry: entry.id.clone(),
                        case: case.name.clone(),
                        expected: case.expect,
                        got,
                        reason,
                    });
                }
            }
        }
        report
    }
}

fn entry(node: &Node) -> Result<Entry, CasesError> {
    let id = node
        .get("id")
        .and_then(Node::scalar)
        .ok_or_else(|| shape(node, "an entry has an `id`"))?
        .to_owned();
    let cases = node
        .get("cases")
        .and_then(Node::elements)
        .ok_or_else(|| shape(node, format!("{id}: an entry has a list of `cases`")))?;
    let policy = node
        .get("policy")
        .ok_or_else(|| shape(node, format!("{id}: an entry has a `policy`")))?;
    let (policy, notes) = read_policy(policy);
    Ok(Entry {
        policy,
        notes,
        cases: cases
            .iter()
            .map(|c| case(c, &id))
            .collect::<Result<_, _>>()?,
        id,
    })
}

/// A policy in JSON, as JSON text, or in short.
fn read_policy(node: &Node) -> (Result<Policy, String>, Vec<String>) {
    let owned;
    let node = match node.as_str() {
        Some(text) if text.trim_start().starts_with('{') => match json::parse(text) {
            Ok(n) => {
                owned = n;
                &owned
            }
            Err(e) => return (Err(e.to_string()), Vec::new()),
        },
        Some(text) => return (short(ShortForm::parse(text)), Vec::new()),
        None => node,
    };
    let yaml = to_yaml(node);
    if ShortForm::is_meant(&yaml) {
        return (short(ShortForm::from_yaml(&yaml)), Vec::new());
    }
    let parsed = read_node(node);
    // A statement that cannot be read is not in the document: to decide without it would be another policy.
    let (mut notes, fatal): (Vec<_>, Vec<_>) = parsed
        .issues
        .into_iter()
        .partition(|i| i.kind.still_decidable());
    if !fatal.is_empty() {
        return (Err(Issues(fatal).to_string()), Vec::new());
    }
    notes.extend(super::check::check(&parsed.document));
    let policy = Policy::compile(parsed.document, Keys::Recorded).map_err(|e| e.to_string());
    (policy, notes.iter().map(ToString::to_string).collect())
}

fn short(form: Result<ShortForm, super::short::ShortError>) -> Result<Policy, String> {
    let document = form.and_then(|f| f.expand()).map_err(|e| e.to_string())?;
    Policy::compile(document, Keys::Known).map_err(|e| e.to_string())
}

fn to_yaml(node: &Node) -> serde_yaml::Value {
    use serde_yaml::Value as Y;
    match &node.value {
        Json::Null => Y::Null,
        Json::Bool(b) => Y::Bool(*b),
        Json::Number(s) | Json::String(s) => Y::String(s.clone()),
        Json::Array(list) => Y::Sequence(list.iter().map(to_yaml).collect()),
        Json::Object(members) => Y::Mapping(
            members
                .iter()
                .map(|m| (Y::String(m.name.clone()), to_yaml(&m.node)))
                .collect(),
        ),
    }
}

fn case(node: &Node, id: &str) -> Result<Case, CasesError> {
    let name = node
        .get("name")
        .and_then(Node::scalar)
        .unwrap_or("unnamed")
        .to_owned();
    let expect = match node.get("expect").and_then(Node::as_str) {
        Some("D") => Outcome::Denied,
        Some("A") => Outcome::Allowed,
        Some("N") => Outcome::NoMatch,
        _ => {
            return Err(shape(
                node,
                format!("{id} / {name}: `expect` is \"D\", \"A\" or \"N\""),
            ));
        }
    };
    let request = node
        .get("request")
        .ok_or_else(|| shape(node, format!("{id} / {name}: a case has a `request`")))?;
    Ok(Case {
        request: read_request(request, &format!("{id} / {name}"))?,
        name,
        expect,
    })
}

fn read_request(node: &Node, whose: &str) -> Result<Request, CasesError> {
    const KNOWN: [&str; 11] = [
        "method",
        "path",
        "headers",
        "tls",
        "auth",
        "sig",
        "ip",
        "principal",
        "age_ms",
        "ua",
        "extra",
    ];
    let members = node
        .members()
        .ok_or_else(|| shape(node, format!("{whose}: a request is an object")))?;
    if let Some(m) = members.iter().find(|m| !KNOWN.contains(&m.name.as_str())) {
        return Err(shape(
            &m.node,
            format!(
                "{whose}: a request has no `{}`; it has {}",
                m.name,
                KNOWN.join(", ")
            ),
        ));
    }
    let optional = |name: &str| match node.get(name) {
        None => Ok(None),
        Some(n) if n.is_null() => Ok(None),
        Some(n) => n
            .scalar()
            .map(|s| Some(s.to_owned()))
            .ok_or_else(|| shape(n, format!("{whose}: `{name}` is a string or null"))),
    };
    let needed = |name: &str| {
        optional(name)?.ok_or_else(|| shape(node, format!("{whose}: a request has a `{name}`")))
    };
    let principal = optional("principal")?;
    // Left out is not null: who is named signs, unless the case says how.
    let signed = |name: &str, value: &str| {
        if node.get(name).is_none() && principal.is_some() {
            Ok(Some(value.to_owned()))
        } else {
            optional(name)
        }
    };
    let mut headers = Vec::new();
    for (name, values) in lists(node, "headers", whose)? {
        // As HTTP has it, blanks around a value are none of it (RFC 9110 section 5.5).
        let trimmed = |v: String| v.trim_matches([' ', '\t']).to_owned();
        headers.extend(values.into_iter().map(|v| (name.clone(), trimmed(v))));
    }
    let method = needed("method")?;
    let form = method == "POST"
        && headers.iter().any(|(name, value)| {
            name.eq_ignore_ascii_case("content-type") && value.starts_with("multipart/form-data")
        });
    let tls = match optional("tls")? {
        None => None,
        Some(text) => tls_version(&text)
            .map_err(|why| {
                shape(
                    node.get("tls").unwrap_or(node),
                    format!("{whose}: `tls`: {why}"),
                )
            })?
            .map(str::to_owned),
    };
    let age_ms = match optional("age_ms")? {
        None => None,
        Some(text) => Some(text.parse().map_err(|_| {
            shape(
                node,
                format!("{whose}: `age_ms` is a whole number of milliseconds or null"),
            )
        })?),
    };
    Ok(Request {
        method,
        path: needed("path")?,
        headers,
        tls,
        auth: signed("auth", if form { "POST" } else { "REST-HEADER" })?,
        sig: signed("sig", "AWS4-HMAC-SHA256")?,
        ip: optional("ip")?,
        principal,
        age_ms,
        tags: None,
        ua: optional("ua")?,
        extra: lists(node, "extra", whose)?,
        now_ms: None,
        recorded: true,
    })
}

/// An object of names with a value, many or none (`null`).
fn lists(node: &Node, name: &str, whose: &str) -> Result<Vec<(String, Vec<String>)>, CasesError> {
    let Some(object) = node.get(name).filter(|n| !n.is_null()) else {
        return Ok(Vec::new());
    };
    let wrong = |n: &Node| shape(n, format!("{whose}: `{name}` is an object of strings"));
    let mut out = Vec::new();
    for m in object.members().ok_or_else(|| wrong(object))? {
        let values = match (m.node.elements(), m.node.scalar()) {
            (Some(list), _) => list
                .iter()
                .map(|n| n.scalar().map(str::to_owned))
                .collect::<Option<Vec<_>>>()
                .ok_or_else(|| wrong(&m.node))?,
            (None, Some(one)) => vec![one.to_owned()],
            (None, None) if m.node.is_null() => Vec::new(),
            (None, None) => return Err(wrong(&m.node)),
        };
        out.push((m.name.clone(), values));
    }
    Ok(out)
}

#[cfg(test)]
#[path = "cases_tests.rs"]
mod tests;
