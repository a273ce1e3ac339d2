//! A denial in words: which condition fired, and what the client must send instead. Built only when asked for.

use std::fmt::Write as _;

use super::compiled::{CompiledCondition, Policy};
use super::document::Effect;
use super::evaluate::{Context, Decision, Found, Outcome};
use super::key::Key;
use super::operator::{Comparison, Family};
use crate::s3::Action;

/// Why a decision was what it was.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Explanation {
    /// The index of the statement, from 0.
    pub statement: Option<u32>,
    /// Its `Sid`.
    pub sid: Option<String>,
    /// The conditions that were true, in words: `s3:x-amz-server-side-encryption is absent (StringNotEquals aws:kms)`. Empty for an unconditional statement.
    pub conditions: Vec<String>,
    /// What would avoid the denial.
    pub advice: Option<Advice>,
}

/// What a client can do about a denial.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Advice {
    /// Send this header with this value (or one of these).
    Set {
        /// Lower-case name.
        header: &'static str,
        /// The values that would do; empty for any.
        values: Vec<String>,
    },
    /// Leave this header out.
    LeaveOut {
        /// Lower-case name.
        header: &'static str,
    },
    /// Something that is no header.
    Other(String),
}

impl std::fmt::Display for Advice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Set { header, values } if values.is_empty() => {
                write!(f, "set the header `{header}`")
            }
            Self::Set { header, values } => {
                f.write_str("set ")?;
                for (i, v) in values.iter().enumerate() {
                    write!(f, "{}`{header}: {v}`", if i > 0 { " or " } else { "" })?;
                }
                Ok(())
            }
            Self::LeaveOut { header } => write!(f, "leave out the header `{header}`"),
            Self::Other(text) => f.write_str(text),
        }
    }
}

impl std::fmt::Display for Explanation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Some(index) = self.statement else {
            return f.write_str("no statement matches");
        };
        match &self.sid {
            Some(sid) => write!(f, "statement {} ({sid})", index + 1)?,
            None => write!(f, "statement {}", index + 1)?,
        }
        if !self.conditions.is_empty() {
            write!(f, ": {}", self.conditions.join(" and "))?;
        }
        if let Some(advice) = &self.advice {
            write!(f, "; {advice}")?;
        }
        Ok(())
    }
}

impl Policy {
    /// Puts a decision in words. `context` must be the one that was decided on.
    pub fn explain<C: Context + ?Sized>(
        &self,
        decision: &Decision,
        action: Action,
        context: &C,
    ) -> Explanation {
        let Some(index) = decision.statement else {
            return Explanation::default();
        };
        let Some(compiled) = self
            .denies
            .iter()
            .chain(&self.allows)
            .find(|s| s.index == index)
        else {
            return Explanation::default();
        };
        let written = self.statement(index);
        let mut out = Explanation {
            statement: Some(index),
            sid: written.and_then(|s| s.sid.clone()),
            ..Explanation::default()
        };
        let mut advices = Vec::new();
        for (i, c) in compiled.conditions.iter().enumerate() {
            let values: Vec<&str> = written
                .and_then(|s| s.conditions.get(i))
                .map(|w| w.values.iter().map(super::document::Scalar::text).collect())
                .unwrap_or_default();
            let found = if c.carried.contains(action) {
                context.value(action, &c.key)
            } else {
                Found::Absent
            };
            out.conditions.push(in_words(c, &found, &values));
            if decision.outcome == Outcome::Denied {
                advices.extend(self.advise(c, &found, &values, action));
            }
        }
        // A header the client can change is the better advice; one that says a value, better still.
        out.advice = advices.into_iter().min_by_key(|a| match a {
            Advice::Set { values, .. } if !values.is_empty() => 0,
            Advice::Set { .. } | Advice::LeaveOut { .. } => 1,
            Advice::Other(_) => 2,
        });
        out
    }

    /// Whether every condition of the statement that decided fired on a key's absence. Then its explanation for this action
    /// is always the same, and can be kept.
    pub fn decided_on_absence<C: Context + ?Sized>(
        &self,
        decision: &Decision,
        action: Action,
        context: &C,
    ) -> bool {
        self.denies
            .iter()
            .find(|s| Some(s.index) == decision.statement)
            .is_some_and(|s| {
                s.conditions.iter().all(|c| {
                    !c.carried.contains(action)
                        || matches!(context.value(action, &c.key), Found::Absent)
                })
            })
    }

    /// One of these conditions made false makes the statement silent: how.
    fn advise(
        &self,
        c: &CompiledCondition,
        found: &Found<'_>,
        values: &[&str],
        action: Action,
    ) -> Option<Advice> {
        let absent = matches!(found, Found::Absent);
        let comparison = c.operator.comparison;
        match (&c.key, c.key.header()) {
            (Key::SecureTransport, _) => Some(Advice::Other(
                if values.contains(&"true") {
                    "use plain HTTP"
                } else {
                    "use HTTPS"
                }
                .into(),
            )),
            (Key::TlsVersion, _) => Some(Advice::Other(format!(
                "use HTTPS with TLS {}",
                values.first().map_or("1.2", |v| v)
            ))),
            (Key::SignatureVersion, _) => {
                Some(Advice::Other(format!("sign with {}", values.join(" or "))))
            }
            (Key::AuthType, _) if comparison.negated() => Some(Advice::Other(format!(
                "authenticate by {}",
                values.join(" or ")
            ))),
            (Key::SignatureAge, _) => {
                Some(Advice::Other("sign anew: the signature is too old".into()))
            }
            (Key::SourceIp, _) => Some(Advice::Other("call from another address".into())),
            // It stands in no header of this request.
            (_, _) if matches!(found, Found::Unknown) => None,
            (Key::RequestObjectTag(_) | Key::RequestObjectTagKeys, _)
                if matches!(
                    action,
                    Action::PutObjectTagging | Action::PutObjectVersionTagging
                ) =>
            {
                Some(Advice::Other(
                    "change the tags in the request's body".into(),
                ))
            }
            (_, Some(header)) => {
                if comparison == Comparison::Null {
                    return Some(if absent {
                        Advice::Set {
                            header,
                            values: self.accepted(&c.key, action),
                        }
                    } else {
                        Advice::LeaveOut { header }
                    });
                }
                if c.operator.comparison.negated() {
                    // Only what is set exactly can be copied; a pattern with variables is told as it stands.
                    return Some(Advice::Set {
                        header,
                        values: values.iter().map(|v| (*v).to_owned()).collect(),
                    });
                }
                if absent {
                    // Only ...IfExists and ForAllValues are true of what is absent: any other value will do.
                    return Some(Advice::Set {
                        header,
                        values: self.accepted(&c.key, action),
                    });
                }
                Some(Advice::LeaveOut { header })
            }
            _ => None,
        }
    }

    /// The values of a key that this policy's other Deny statements let pass, or S3's own for encryption.
    fn accepted(&self, key: &Key, action: Action) -> Vec<String> {
        for s in self
            .denies
            .iter()
            .filter(|s| s.effect == Effect::Deny && s.actions.contains(action))
        {
            for (i, c) in s.conditions.iter().enumerate() {
                if c.key == *key && c.operator.comparison.negated() {
                    let written = self.statement(s.index).and_then(|w| w.conditions.get(i));
                    return written
                        .map(|w| w.values.iter().map(|v| v.text().to_owned()).collect())
                        .unwrap_or_default();
                }
            }
        }
        match key {
            Key::Sse => vec!["AES256".into(), "aws:kms".into()],
            Key::SseCustomerAlgorithm => vec!["AES256".into()],
            _ => Vec::new(),
        }
    }
}

fn in_words(c: &CompiledCondition, found: &Found<'_>, values: &[&str]) -> String {
    let mut out = c.key.to_string();
    match found {
        Found::Absent => out.push_str(" is absent"),
        Found::Unknown => out.push_str(" is not in the request's head"),
        Found::Inherited => out.push_str(" was decided when the upload was created"),
        Found::One(v) => {
            let _ = write!(out, " is `{}`", short(&v.text()));
        }
        Found::Many(list) => {
            let all: Vec<String> = list.iter().map(|v| short(&v.text())).collect();
            let _ = write!(out, " is [{}]", all.join(", "));
        }
    }
    let family = c.operator.comparison.family();
    if family != Family::Null || !matches!(found, Found::Absent) {
        let _ = write!(out, " ({} {})", c.operator, values.join(", "));
    } else {
        let _ = write!(out, " (Null {})", values.join(", "));
    }
    out
}

/// A value cut to what fits a line, control characters escaped.
fn short(text: &str) -> String {
    let mut out: String = text
        .chars()
        .take(120)
        .flat_map(|c| {
            if c.is_control() {
                c.escape_default().collect::<Vec<_>>()
            } else {
                vec![c]
            }
        })
        .collect();
    if text.chars().count() > 120 {
        out.push_str("...");
    }
    out
}

#[cfg(test)]
#[path = "explain_tests.rs"]
mod tests;
