//! Reading `policies` and `rules`.

use super::glob;
use super::reader::{Fields, Node};
use super::tree::Value;
use super::types::{Mode, Multipart, PolicySource, Rule, Unconfirmed};

const INJECT: &str = "injecting headers is not available in this version";
const ENCRYPT: &str = "encrypting in the proxy is not available in this version";

/// What stands at the top level for all rules.
#[derive(Clone, Copy, Default)]
pub struct Defaults {
    mode: Mode,
    multipart: Multipart,
    authorize: bool,
    unconfirmed: Unconfirmed,
}

impl Defaults {
    /// What the fields say; what they leave out stays.
    pub fn read(mut self, fields: &Fields<'_>) -> Self {
        if let Some(mode) = fields
            .get("mode")
            .and_then(|n| n.choice(&[("enforce", Mode::Enforce), ("report", Mode::Report)]))
        {
            self.mode = mode;
        }
        if let Some(multipart) = fields.get("multipart").and_then(|n| {
            n.choice(&[
                ("inherit", Multipart::Inherit),
                ("literal", Multipart::Literal),
            ])
        }) {
            self.multipart = multipart;
        }
        if let Some(authorize) = fields.get("authorize").and_then(|n| n.flag()) {
            self.authorize = authorize;
        }
        if let Some(node) = fields.get("unconfirmed")
            && let Some(unconfirmed) = node.choice(&[
                ("fail", Unconfirmed::Fail),
                ("delete", Unconfirmed::Delete),
                ("report", Unconfirmed::Report),
            ])
        {
            node.warn("has no effect in this version: what the store answers is not checked yet");
            self.unconfirmed = unconfirmed;
        }
        self
    }
}

/// Reads `policies`.
pub fn policies(node: &Node<'_>) -> Vec<PolicySource> {
    let items = node.items();
    let found: Vec<_> = items.iter().filter_map(policy).collect();
    for (i, item) in items.iter().enumerate() {
        if items
            .iter()
            .take(i)
            .any(|earlier| earlier.value == item.value)
        {
            item.error("is there twice");
        }
    }
    found
}

/// Reads `rules`.
pub fn rules(node: &Node<'_>, defaults: Defaults) -> Vec<Rule> {
    let mut rules: Vec<Rule> = Vec::new();
    for (index, node) in node.items().iter().enumerate() {
        let Some(rule) = rule(node, index, defaults) else {
            continue;
        };
        if let Some(earlier) = rules.iter().find(|earlier| shadows(earlier, &rule)) {
            node.warn(format!(
                "never applies: rules[{}] ({}) comes first and matches all that it matches; put the narrower rule first",
                earlier.index,
                shown(earlier)
            ));
        }
        rules.push(rule);
    }
    rules
}

fn shadows(earlier: &Rule, later: &Rule) -> bool {
    later.prefix.starts_with(&earlier.prefix) && glob::covers(&earlier.bucket, &later.bucket)
}

fn shown(rule: &Rule) -> String {
    if rule.prefix.is_empty() {
        format!("bucket {}", rule.bucket)
    } else {
        format!("bucket {}, prefix {}", rule.bucket, rule.prefix)
    }
}

fn rule(node: &Node<'_>, index: usize, defaults: Defaults) -> Option<Rule> {
    if node.is_null() {
        node.error("is empty: a rule needs at least bucket");
        return None;
    }
    let fields = node.fields(&[
        "bucket",
        "prefix",
        "policy",
        "require",
        "deny",
        "tls",
        "mode",
        "multipart",
        "authorize",
        "unconfirmed",
        "inject",
        "encrypt",
        "evaluate",
    ])?;
    fields.refuse("inject", None, INJECT);
    fields.refuse("encrypt", None, ENCRYPT);
    fields.refuse("evaluate", None, "is not available in this version");
    let bucket = fields.required("bucket").and_then(|n| n.parsed(bucket));
    let prefix = match fields.get("prefix") {
        Some(node) => node.text(),
        None => Some(String::new()),
    };
    let own = defaults.read(&fields);
    let policy = fields.get("policy").and_then(|n| policy(&n));
    let short = short(&fields);
    if own.authorize && fields.get("authorize").is_some() && policy.is_none() {
        node.warn("authorize needs an Allow and the rule has no policy of its own: only `policies` can allow");
    }
    Some(Rule {
        index,
        bucket: bucket?,
        prefix: prefix?,
        policy,
        short,
        mode: own.mode,
        multipart: own.multipart,
        authorize: own.authorize,
        unconfirmed: own.unconfirmed,
    })
}

/// The characters of bucket names, old ones of us-east-1 included, and the two wildcards.
fn bucket(text: &str) -> Result<String, String> {
    let good = |b: u8| b.is_ascii_alphanumeric() || b"._-*?".contains(&b);
    if !text.is_empty() && text.len() <= 255 && text.bytes().all(good) {
        Ok(text.to_owned())
    } else {
        Err("is not a bucket's name: letters, digits, '.', '-', '_', with * for any characters and ? for one".into())
    }
}

/// A policy: the name of a file, or the document itself.
fn policy(node: &Node<'_>) -> Option<PolicySource> {
    if let Value::Map(_) = node.value {
        return Some(PolicySource {
            name: node.field.clone(),
            path: None,
            // As it stands: `${aws:username}` in it is the policy's, not the environment's.
            text: node.value.to_json(),
            line: node.line(),
        });
    }
    let name = node.text()?;
    let path = node.reading.resolve(&name);
    match std::fs::read_to_string(&path) {
        Ok(text) => Some(PolicySource {
            name,
            path: Some(path),
            text,
            line: node.line(),
        }),
        Err(e) => {
            node.error(format!("cannot read {}: {e}", path.display()));
            None
        }
    }
}

/// `require`, `deny` and `tls` as one short-form document.
fn short(fields: &Fields<'_>) -> Option<PolicySource> {
    let mut entries = Vec::new();
    let mut line = None;
    for name in ["require", "deny", "tls"] {
        if let Some(node) = fields.get(name) {
            line = line.or_else(|| node.line());
            entries.push((name.to_owned(), expanded(&node)?));
        }
    }
    (!entries.is_empty()).then(|| PolicySource {
        name: fields.node.field.clone(),
        path: None,
        text: Value::Map(entries).to_json(),
        line,
    })
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
