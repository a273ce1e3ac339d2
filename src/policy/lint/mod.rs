//! Warnings about policies that are valid and do not do what their author meant.
//!
//! Each warning has a stable id, says what is wrong and what to write instead. What AWS would refuse is not here: that
//! is an error ([`super::Issue`]). A lint is a function from a `View` to warnings; `ALL` lists them.

mod operators;
mod principal;
mod report;
mod scope;
mod sse;
mod transport;
mod values;
mod view;

use std::fmt;

use super::Document;

pub use report::Report;
use view::View;

/// One trap found in a policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// The lint's name; it does not change between versions.
    pub id: &'static str,
    /// The statement's place from 0, where it is about one.
    pub statement: Option<usize>,
    /// The statement's `Sid`.
    pub sid: Option<String>,
    /// Line from 1, where known.
    pub line: Option<u32>,
    /// What is wrong.
    pub what: String,
    /// What to write instead.
    pub instead: String,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(line) = self.line {
            write!(f, "line {line}: ")?;
        }
        if let Some(index) = self.statement {
            write!(f, "statement {}", index + 1)?;
            if let Some(sid) = &self.sid {
                write!(f, " ({sid})")?;
            }
            f.write_str(": ")?;
        }
        write!(
            f,
            "{} [{}]\n    instead: {}",
            self.what, self.id, self.instead
        )
    }
}

/// Where the policy is to be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Options {
    /// The same policy also stands at the store, which sees Sealgate's connection and not the client's.
    pub also_at_store: bool,
}

/// One lint.
type Lint = fn(&View<'_>, &mut Vec<Warning>);

/// Every lint, in the order of its findings.
const ALL: &[Lint] = &[
    operators::if_exists,
    operators::for_all_values,
    operators::for_any_value,
    operators::not_equals_without_null,
    operators::never_together,
    sse::key_id_alone,
    sse::two_keys,
    sse::null_reversed,
    sse::upload_hole,
    sse::alias,
    values::never_sent,
    values::address_as_text,
    transport::secure_transport_reversed,
    transport::tls_version_alone,
    transport::seen_by_the_store,
    transport::spoofable,
    principal::service,
    principal::service_key,
    principal::not_known,
    principal::not_principal_without_root,
    scope::key_not_carried,
    scope::variables_without_version,
    scope::bucket_form,
    scope::shadowed_allow,
    scope::empty_condition,
    scope::denies_everything,
    scope::denies_nothing,
];

/// The warnings about one policy, by statement.
#[must_use]
pub fn lint(document: &Document, options: Options) -> Vec<Warning> {
    let view = View::new(document, options);
    let mut found = Vec::new();
    for one in ALL {
        one(&view, &mut found);
    }
    found.sort_by_key(|warning| warning.statement.unwrap_or(usize::MAX));
    found
}

#[cfg(test)]
mod tests;
