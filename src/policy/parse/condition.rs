//! The `Condition` block of a statement.

use super::Parser;
use crate::policy::document::{Condition, Scalar};
use crate::policy::issue::IssueKind;
use crate::policy::json::{Json, Node};
use crate::policy::operator::{Comparison, Operator};

impl Parser {
    pub(super) fn conditions(&mut self, node: &Node) -> Vec<Condition> {
        let mut out: Vec<Condition> = Vec::new();
        let Some(block) = node.get("Condition") else {
            return out;
        };
        self.line = Some(block.line);
        let Some(operators) = block.members() else {
            self.issue(
                IssueKind::InvalidJson,
                "`Condition` is an object: {\"Operator\": {\"key\": \"value\"}}",
            );
            return out;
        };
        for op in operators {
            self.line = Some(op.line);
            let operator = Operator::parse(&op.name);
            if operator.is_none() {
                self.issue(
                    IssueKind::InvalidOperator(op.name.clone()),
                    operator_hint(&op.name),
                );
            }
            let Some(keys) = op.node.members() else {
                self.issue(
                    IssueKind::InvalidJson,
                    format!("`{}` is an object of keys: {{\"key\": \"value\"}}", op.name),
                );
                continue;
            };
            for (i, key) in keys.iter().enumerate() {
                self.line = Some(key.line);
                if keys[..i]
                    .iter()
                    .any(|k| k.name.eq_ignore_ascii_case(&key.name))
                {
                    self.issue(
                        IssueKind::InvalidJson,
                        format!(
                            "`{}` stands twice under `{}` (letter case does not count); keep one",
                            key.name, op.name
                        ),
                    );
                }
                let Some(values) = scalars(&key.node) else {
                    self.issue(
                        IssueKind::InvalidSyntax,
                        format!(
                            "the values of `{}` are strings, numbers or booleans",
                            key.name
                        ),
                    );
                    continue;
                };
                if values.is_empty() {
                    self.issue(
                        IssueKind::InvalidSyntax,
                        format!("`{}` has no value to compare with", key.name),
                    );
                    continue;
                }
                if let Some(operator) = operator {
                    out.push(Condition {
                        operator,
                        key: key.name.clone(),
                        values,
                    });
                }
            }
        }
        self.line = Some(node.line);
        out
    }
}

fn operator_hint(name: &str) -> String {
    if name.ends_with("Null") || name == "NullIfExists" {
        return "`Null` takes no prefix or suffix".to_owned();
    }
    let base = name
        .strip_prefix("ForAllValues:")
        .or_else(|| name.strip_prefix("ForAnyValue:"))
        .unwrap_or(name);
    let base = base.strip_suffix("IfExists").unwrap_or(base);
    match Comparison::all().find(|c| c.name().eq_ignore_ascii_case(base)) {
        Some(c) if c.name() != base => format!("letter case counts: write `{}`", c.name()),
        _ => format!(
            "operators are {}",
            Comparison::all()
                .map(Comparison::name)
                .collect::<Vec<_>>()
                .join(", ")
        ),
    }
}

fn scalar(node: &Node) -> Option<Scalar> {
    match &node.value {
        Json::String(s) => Some(Scalar::String(s.clone())),
        Json::Number(n) => Some(Scalar::Number(n.clone())),
        Json::Bool(b) => Some(Scalar::Bool(*b)),
        _ => None,
    }
}

fn scalars(node: &Node) -> Option<Vec<Scalar>> {
    match &node.value {
        Json::Array(list) => list.iter().map(scalar).collect(),
        _ => scalar(node).map(|s| vec![s]),
    }
}
