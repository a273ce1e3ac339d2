//! Reading `rules`, and what stands at the top level for all of them.

use super::glob;
use std::collections::HashMap;

use super::policies::{denies_in, policy, short, speaks_of};
use super::reader::{Fields, Node};
use super::types::{Mode, PolicySource, Rule, Unconfirmed};
use crate::policy::Multipart;

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
        if let Some(unconfirmed) = fields.get("unconfirmed").and_then(|n| {
            n.choice(&[
                ("fail", Unconfirmed::Fail),
                ("delete", Unconfirmed::Delete),
                ("report", Unconfirmed::Report),
            ])
        }) {
            self.unconfirmed = unconfirmed;
        }
        self
    }
}

/// Reads `rules`; `always`: the policies that stand beside them.
pub fn rules(node: &Node<'_>, defaults: Defaults, always: &[PolicySource]) -> Vec<Rule> {
    let mut rules: Vec<Rule> = Vec::new();
    // By what their buckets begin with before the first wildcard: a pattern covers nothing that begins otherwise.
    let mut heads: HashMap<String, Vec<usize>> = HashMap::new();
    for (index, node) in node.items().iter().enumerate() {
        let Some(rule) = rule(node, index, defaults, always) else {
            continue;
        };
        let earlier = (0..=rule.bucket.len())
            .filter_map(|end| heads.get(rule.bucket.get(..end)?))
            .filter_map(|places| {
                let mut earlier = places.iter().filter_map(|&at| rules.get(at));
                earlier.find(|earlier| shadows(earlier, &rule))
            })
            .min_by_key(|earlier| earlier.index);
        if let Some(earlier) = earlier {
            node.warn(format!(
                "never applies: rules[{}] ({}) comes first and matches all that it matches; put the narrower rule first",
                earlier.index,
                shown(earlier)
            ));
        }
        let head = rule.bucket.split(['*', '?']).next().unwrap_or_default();
        heads.entry(head.to_owned()).or_default().push(rules.len());
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

fn rule(
    node: &Node<'_>,
    index: usize,
    defaults: Defaults,
    always: &[PolicySource],
) -> Option<Rule> {
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
    let bucket = fields.required("bucket").and_then(|node| {
        let bucket = node.parsed(bucket)?;
        if bucket.contains(|c: char| c.is_ascii_uppercase() || c == '_') {
            node.warn("has an upper-case letter or '_': S3 has no such bucket (but for old ones of us-east-1), and names match as they are written");
        }
        Some(bucket)
    });
    let prefix = match fields.get("prefix") {
        Some(node) => node.text().inspect(|prefix| doubts(&node, prefix)),
        None => Some(String::new()),
    };
    let own = defaults.read(&fields);
    let source = fields.get("policy");
    let policy = source
        .as_ref()
        .and_then(|node| policy(node, bucket.as_deref().zip(prefix.as_deref())));
    let place = bucket.as_deref().zip(prefix.as_deref());
    if let (Some(node), Some(policy), Some((bucket, prefix))) = (&source, &policy, place)
        && !speaks_of(&policy.policy, bucket, prefix)
    {
        let keys = match prefix {
            "" => String::new(),
            prefix => format!(", or keys in it that start with {prefix}"),
        };
        node.warn(format!(
            "says nothing here: no Resource in it names a bucket that matches {bucket}{keys}"
        ));
    }
    if let (Some(node), Some((bucket, prefix))) = (fields.get("mode"), place)
        && own.mode == Mode::Report
        && let Some(source) = always
            .iter()
            .find(|source| denies_in(&source.policy, bucket, prefix))
    {
        node.warn(format!(
            "is report: what the policies at the top level deny ({}) is only reported for this rule, too",
            source.name
        ));
    }
    let short = short(&fields, bucket.as_deref(), prefix.as_deref());
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

/// A prefix that hardly any key has lets the next rule decide.
fn doubts(node: &Node<'_>, prefix: &str) {
    if prefix.starts_with('/') {
        node.warn(
            "starts with '/', and keys do not: they begin behind the bucket's name and its '/'",
        );
    }
    if let Some(sign) = prefix.chars().find(|c| "*?%".contains(*c)) {
        node.warn(format!(
            "is the start of the keys as it stands, and '{sign}' in it stands for itself: write the keys' own characters, without wildcards and %-codes"
        ));
    }
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
