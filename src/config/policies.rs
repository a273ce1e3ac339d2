//! Reading and compiling the policies that a configuration names: files, documents in rules, and the short form.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::glob;
use super::reader::{Fields, Node};
use super::tree::Value;
use super::types::PolicySource;
use crate::policy::document::Effect;
use crate::policy::pattern::split_arn;
use crate::policy::short::{ShortError, ShortForm};
use crate::policy::{Issue, Issues, Keys, Policy};

/// Reads `policies`.
pub fn policies(node: &Node<'_>) -> Vec<PolicySource> {
    let items = node.items();
    for (i, item) in items.iter().enumerate() {
        if items
            .iter()
            .take(i)
            .any(|earlier| earlier.value == item.value)
        {
            item.error("is there twice");
        }
    }
    items.iter().filter_map(|item| policy(item, None)).collect()
}

/// The bucket and prefix of the rule that a policy stands in: a short form there is about them, whatever it says itself.
pub type Scope<'a> = Option<(&'a str, &'a str)>;

/// Reads a policy: the name of a file, or the document itself.
pub fn policy(node: &Node<'_>, scope: Scope<'_>) -> Option<PolicySource> {
    if let Value::Map(_) = node.value {
        // As it stands: `${aws:username}` in it is the policy's, not the environment's.
        return source(node, scope, node.field.clone(), None, node.value.to_json());
    }
    let name = node.text()?;
    let path = node.file()?;
    match std::fs::read_to_string(&path) {
        Ok(text) => source(node, scope, name, Some(path), text),
        Err(e) => {
            node.unreadable(&path, &e);
            None
        }
    }
}

fn source(
    node: &Node<'_>,
    scope: Scope<'_>,
    name: String,
    path: Option<PathBuf>,
    text: String,
) -> Option<PolicySource> {
    let policy = match compile(&text, scope) {
        Ok(policy) => policy,
        Err(Refused::Issues(issues)) => {
            for issue in issues.0 {
                report(node, path.as_deref(), &issue);
            }
            return None;
        }
        Err(Refused::Short(e)) => {
            match &path {
                Some(path) => node.error_in(path, None, e.to_string()),
                None => node.error(e.to_string()),
            }
            return None;
        }
    };
    Some(PolicySource {
        name,
        path,
        text,
        line: node.line(),
        policy: Arc::new(policy),
    })
}

enum Refused {
    Issues(Issues),
    Short(ShortError),
}

impl From<Issues> for Refused {
    fn from(issues: Issues) -> Self {
        Self::Issues(issues)
    }
}

impl From<ShortError> for Refused {
    fn from(e: ShortError) -> Self {
        Self::Short(e)
    }
}

/// Compiles a bucket policy, or a short form; what is neither gets AWS's words for the former.
fn compile(text: &str, scope: Scope<'_>) -> Result<Policy, Refused> {
    match serde_yaml::from_str(text) {
        Ok(yaml) if ShortForm::is_meant(&yaml) => expand(ShortForm::from_yaml(&yaml)?, scope),
        _ => Ok(Policy::load(text)?),
    }
}

fn expand(mut form: ShortForm, scope: Scope<'_>) -> Result<Policy, Refused> {
    if let Some((bucket, prefix)) = scope {
        bucket.clone_into(&mut form.bucket);
        prefix.clone_into(&mut form.prefix);
    }
    Ok(Policy::compile(form.expand()?, Keys::Known)?)
}

/// An issue at its place: the policy's file, or the field that holds the document.
fn report(node: &Node<'_>, path: Option<&Path>, issue: &Issue) {
    let mut message = String::new();
    if let Some(index) = issue.statement {
        message = match &issue.sid {
            Some(sid) => format!("statement {} ({sid}): ", index + 1),
            None => format!("statement {}: ", index + 1),
        };
    }
    message.push_str(&issue.kind.to_string());
    if !issue.hint.is_empty() {
        message.push_str(": ");
        message.push_str(&issue.hint);
    }
    match path {
        Some(path) => {
            let line = issue.line.and_then(|line| usize::try_from(line).ok());
            node.error_in(path, line, message);
        }
        None => node.error(message),
    }
}

/// Reads a rule's `require`, `deny` and `tls` as one short form for its bucket and prefix.
pub fn short(
    fields: &Fields<'_>,
    bucket: Option<&str>,
    prefix: Option<&str>,
) -> Option<PolicySource> {
    let mut entries = Vec::new();
    let mut line = None;
    let mut good = true;
    for name in ["require", "deny", "tls"] {
        let Some(node) = fields.get(name) else {
            continue;
        };
        line = line.or_else(|| node.line());
        let Some(value) = expanded(&node) else {
            good = false;
            continue;
        };
        let entry = (name.to_owned(), value);
        // Each alone first, so that each has its own error and line.
        if let Err(e) = ShortForm::parse(&Value::Map(vec![entry.clone()]).to_json()) {
            // An empty `deny` alone asks for nothing, which is no error beside the others.
            if !matches!(e, ShortError::Empty) {
                node.error(e.to_string());
                good = false;
            }
        }
        entries.push(entry);
    }
    let (false, true, Some(bucket), Some(prefix)) = (entries.is_empty(), good, bucket, prefix)
    else {
        return None;
    };
    let text = Value::Map(entries).to_json();
    let form = ShortForm::parse(&text).map_err(Refused::from);
    match form.and_then(|form| expand(form, Some((bucket, prefix)))) {
        Ok(policy) => Some(PolicySource {
            name: fields.node.field.clone(),
            path: None,
            text,
            line,
            policy: Arc::new(policy),
        }),
        Err(Refused::Short(e)) => {
            fields.node.error(e.to_string());
            None
        }
        Err(Refused::Issues(issues)) => {
            for issue in &issues.0 {
                report(&fields.node, None, issue);
            }
            None
        }
    }
}

/// The value with the environment put into its texts.
fn expanded(node: &Node<'_>) -> Option<Value> {
    fn walk(node: &Node<'_>, value: &Value) -> Option<Value> {
        Some(match value {
            Value::Text(_) => Value::Text(node.with(value).text()?),
            Value::List(items) => {
                Value::List(items.iter().map(|v| walk(node, v)).collect::<Option<_>>()?)
            }
            Value::Map(entries) => Value::Map(
                entries
                    .iter()
                    .map(|(name, v)| Some((name.clone(), walk(node, v)?)))
                    .collect::<Option<_>>()?,
            ),
            other => other.clone(),
        })
    }
    walk(node, node.value)
}

/// Whether some statement can be about a bucket that the pattern stands for, or its keys that start with the prefix. A "no"
/// is always right.
pub fn speaks_of(policy: &Policy, bucket: &str, prefix: &str) -> bool {
    about(policy, bucket, prefix, |_| true)
}

/// The same for statements that deny.
pub fn denies_in(policy: &Policy, bucket: &str, prefix: &str) -> bool {
    about(policy, bucket, prefix, |effect| effect == Effect::Deny)
}

fn about(policy: &Policy, bucket: &str, prefix: &str, of: impl Fn(Effect) -> bool) -> bool {
    // Characters of the prefix that are wildcards in a pattern stand for themselves, too.
    let keys = format!("{prefix}*");
    policy.document().statements.iter().any(|statement| {
        let named = &statement.resource;
        of(statement.effect)
            && (named.negated
                || named.patterns.iter().any(|resource| {
                    let tail = split_arn(resource).map_or(resource.as_str(), |parts| parts[5]);
                    // A policy variable may become anything.
                    let tail = match tail.split_once('$') {
                        Some((before, _)) => format!("{before}*"),
                        None => tail.to_owned(),
                    };
                    match tail.split_once('/') {
                        Some((named, key)) if !named.contains('*') => {
                            glob::meet(named, bucket) && glob::meet(key, &keys)
                        }
                        // A star takes slashes in.
                        _ => {
                            glob::meet(&tail, bucket)
                                || glob::meet(&tail, &format!("{bucket}/{keys}"))
                        }
                    }
                }))
    })
}
