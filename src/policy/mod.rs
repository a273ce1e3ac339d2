//! The bucket-policy language: AWS's JSON read, checked, compiled and decided.
//!
//! [`json`] → [`parse`] → [`document`] is what was written; [`check()`] says what AWS would refuse; [`compiled`] makes it
//! ready; [`evaluate`] decides with the facts of a [`evaluate::Context`].

pub mod action_set;
pub mod cases;
pub mod check;
mod compile;
pub mod compiled;
pub mod context;
pub mod date;
pub mod decimal;
pub mod document;
pub mod evaluate;
pub mod explain;
pub mod generate;
pub mod issue;
pub mod json;
pub mod key;
pub mod lint;
pub mod operator;
pub mod parse;
pub mod pattern;
pub mod principal;
pub mod prove;
pub mod request;
pub mod short;
mod short_error;
pub mod source;

pub use action_set::ActionSet;
pub use check::check;
pub use compiled::{Keys, Policy};
pub use context::{BodyTags, Multipart, RequestContext, Signing, UNKNOWN_TLS};
pub use document::{
    Clause, Condition, Document, Effect, PrincipalClause, PrincipalEntry, PrincipalKind,
    Principals, Scalar, Statement, Version,
};
pub use evaluate::{Context, Decision, Found, Outcome, Target, Value};
pub use explain::{Advice, Explanation};
pub use issue::{Issue, IssueKind, Issues};
pub use key::{Key, KeyType, NotKnown};
pub use operator::{Comparison, Family, Operator, Quantifier};
pub use principal::{NotAPrincipal, Principal, PrincipalType};
pub use request::{Judged, Request, RequestError};
pub use short::{Encryption, Require, ShortError, ShortForm};
pub use source::SourceError;
