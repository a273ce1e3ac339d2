//! The bucket-policy language: AWS's JSON read, checked, compiled and decided.
//!
//! `json` → [`parse`] → [`document`] is what was written; the rest gives it meaning.

pub mod document;
pub mod issue;
pub mod json;
pub mod key;
pub mod lint;
pub mod operator;
pub mod parse;

pub use document::{Clause, Condition, Document, Effect, PrincipalClause, PrincipalEntry, PrincipalKind, Principals, Scalar, Statement, Version};
pub use issue::{Issue, IssueKind, Issues};
pub use key::{Key, KeyType, NotKnown};
pub use operator::{Comparison, Family, Operator, Quantifier};
