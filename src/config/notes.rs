//! What an operator should know of a configuration that is good.

use super::policies::denies_in;
use super::types::{Config, Mode, Rule, Unconfirmed};
use crate::policy::{Context, Found, Key, Outcome, Policy, Principal, Target};
use crate::s3::Action;

impl Config {
    /// Sentences for the operator; unlike warnings they speak of nothing that would want changing in itself.
    #[must_use]
    pub fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        let demands = self
            .rules
            .iter()
            .filter(|rule| rule.mode == Mode::Enforce && rule.unconfirmed != Unconfirmed::Report)
            .any(|rule| {
                let own = [&rule.policy, &rule.short].into_iter().flatten();
                own.chain(&self.policies)
                    .any(|source| demands(&source.policy))
            });
        if demands && self.store.credentials.is_none() {
            notes.push(
                "rules demand encryption and there are no store.credentials, so only what the store's answer itself confirms passes: \
                 where a store leaves that out (MinIO does for multipart uploads, copies and POST forms) the client gets 501, \
                 and one that reports an error is believed to have written nothing (versitygw may have); \
                 with store.credentials Sealgate looks at what was written"
                    .to_owned(),
            );
        }
        let reported = |rule: &&Rule| {
            let mut always = self.policies.iter();
            rule.mode == Mode::Report
                && always.any(|source| denies_in(&source.policy, &rule.bucket, &rule.prefix))
        };
        let reported: Vec<_> = self.rules.iter().filter(reported).collect();
        if let Some(first) = reported.first() {
            notes.push(format!(
                "what `policies` denies is only reported, too, where a rule reports: rules[{}]{}",
                first.index,
                match reported.len() - 1 {
                    0 => String::new(),
                    more => format!(" and {more} more"),
                }
            ));
        }
        notes
    }
}

/// Whether some `PutObject` is denied for nothing but its lack of encryption.
fn demands(policy: &Policy) -> bool {
    let statements = &policy.document().statements;
    statements
        .iter()
        .flat_map(|statement| &statement.resource.patterns)
        .filter_map(|arn| {
            let (_, rest) = arn.split_once(":::")?;
            rest.split_once('/')
        })
        .any(|(bucket, key)| {
            let some = |pattern: &str| pattern.replace(['*', '?'], "x");
            let key = some(key);
            let bucket = some(bucket);
            let target = Target::Object(&bucket, key.as_bytes());
            let denied = |encrypted| {
                let decision = policy.denies(Action::PutObject, target, &Bare { encrypted });
                decision.outcome == Outcome::Denied
            };
            denied(false) && !denied(true)
        })
}

/// A request of which nothing counts but whether it asks for encryption as it should.
struct Bare {
    encrypted: bool,
}

impl Context for Bare {
    fn value(&self, _: Action, key: &Key) -> Found<'_> {
        match key {
            Key::Sse | Key::SseKmsKeyId | Key::SseCustomerAlgorithm if !self.encrypted => {
                Found::Absent
            }
            _ => Found::Inherited,
        }
    }

    fn principal(&self) -> Option<&Principal> {
        None
    }

    fn account(&self) -> &'static str {
        ""
    }
}
