//! A policy as the lints look at it: keys and actions resolved.

use serde_json::{Map, Value};

use super::{Options, Warning};
use crate::policy::{Comparison, Condition, Document, Effect, Family, Key, Operator, Statement};
use crate::s3::{Action, ActionLevel};

/// One condition with its key looked up.
pub(super) struct Cond<'a> {
    pub raw: &'a Condition,
    pub key: Key,
}

impl Cond<'_> {
    pub fn op(&self) -> Operator {
        self.raw.operator
    }

    pub fn values(&self) -> Vec<&str> {
        self.raw
            .values
            .iter()
            .map(crate::policy::Scalar::text)
            .collect()
    }

    /// `Null` with this value alone.
    pub fn is_null(&self, absent: bool) -> bool {
        self.op().comparison == Comparison::Null
            && self
                .values()
                .iter()
                .all(|v| v.eq_ignore_ascii_case(if absent { "true" } else { "false" }))
    }

    /// Is it true where the request does not carry the key?
    pub fn when_absent(&self) -> bool {
        match self.op().comparison {
            Comparison::Null => self.values().iter().any(|v| v.eq_ignore_ascii_case("true")),
            _ => self.op().when_absent(),
        }
    }
}

/// One statement, resolved.
pub(super) struct Stmt<'a> {
    pub raw: &'a Statement,
    pub conds: Vec<Cond<'a>>,
    /// The bucket and object actions that its `Action` or `NotAction` covers.
    pub actions: Vec<Action>,
}

/// The whole policy.
pub(super) struct View<'a> {
    pub document: &'a Document,
    pub options: Options,
    pub stmts: Vec<Stmt<'a>>,
}

impl<'a> View<'a> {
    pub fn new(document: &'a Document, options: Options) -> Self {
        let stmts = document.statements.iter().map(Stmt::new).collect();
        Self {
            document,
            options,
            stmts,
        }
    }

    pub fn denies(&self) -> impl Iterator<Item = &Stmt<'a>> {
        self.stmts.iter().filter(|stmt| stmt.deny())
    }
}

impl<'a> Stmt<'a> {
    fn new(raw: &'a Statement) -> Self {
        let conds = raw
            .conditions
            .iter()
            .filter_map(|raw| {
                Some(Cond {
                    raw,
                    key: Key::parse_recorded(&raw.key).ok()?,
                })
            })
            .collect();
        let named = |action: &Action| {
            raw.action.patterns.iter().any(|pattern| {
                glob(
                    &pattern.to_ascii_lowercase(),
                    &action.name().to_ascii_lowercase(),
                )
            })
        };
        let actions = Action::ALL
            .iter()
            .copied()
            .filter(|action| {
                action.level() != ActionLevel::Other && named(action) != raw.action.negated
            })
            .collect();
        Self {
            raw,
            conds,
            actions,
        }
    }

    pub fn deny(&self) -> bool {
        self.raw.effect == Effect::Deny
    }

    /// Did Sealgate make the statement itself, from the short form? It then stands in no file, and goes to no store.
    pub fn made_here(&self) -> bool {
        self.raw.line == 0
    }

    pub fn writes(&self) -> bool {
        self.actions.contains(&Action::PutObject)
    }

    /// The conditions on one key.
    pub fn on<'s>(&'s self, key: &'s Key) -> impl Iterator<Item = &'s Cond<'a>> {
        self.conds.iter().filter(move |cond| cond.key == *key)
    }

    /// A warning about this statement.
    pub fn warn(
        &self,
        id: &'static str,
        what: impl Into<String>,
        instead: impl Into<String>,
    ) -> Warning {
        Warning {
            id,
            statement: Some(self.raw.index),
            sid: self.raw.sid.clone(),
            line: (self.raw.line > 0).then_some(self.raw.line),
            what: what.into(),
            instead: instead.into(),
        }
    }
}

/// A `Condition` block as JSON text, ready to paste.
pub(super) fn block(entries: &[(Operator, &str, &[&str])]) -> String {
    let mut operators = Map::new();
    for (operator, key, values) in entries {
        let value = match values {
            [one] => Value::from(*one),
            many => Value::from(many.to_vec()),
        };
        if let Value::Object(keys) = operators
            .entry(operator.to_string())
            .or_insert_with(|| Value::Object(Map::new()))
        {
            keys.insert((*key).to_owned(), value);
        }
    }
    format!("\"Condition\": {}", Value::Object(operators))
}

/// The operator without prefix and suffix.
pub(super) fn bare(operator: Operator) -> Operator {
    Operator::plain(operator.comparison)
}

/// `Null`
pub(super) const NULL: Operator = Operator::plain(Comparison::Null);

/// Does the operator compare texts, so that a value can be looked at as a pattern or as it is?
pub(super) fn textual(operator: Operator) -> bool {
    matches!(operator.comparison.family(), Family::String | Family::Arn)
}

/// `*` is any run, `?` one character.
pub(super) fn glob(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) =
        (pattern.chars().collect(), text.chars().collect());
    let (mut p, mut t, mut back) = (0, 0, None);
    while let Some(c) = text.get(t) {
        match pattern.get(p) {
            Some('*') => {
                back = Some((p + 1, t));
                p += 1;
            }
            Some(q) if *q == '?' || q == c => {
                p += 1;
                t += 1;
            }
            _ => match back {
                Some((star, from)) => {
                    back = Some((star, from + 1));
                    p = star;
                    t = from + 1;
                }
                None => return false,
            },
        }
    }
    pattern.iter().skip(p).all(|c| *c == '*')
}
