//! Is there a request that a policy lets write what it should not?
//!
//! A policy tells requests apart by the facts it asks for, and each fact by the values it names: absent, one of those, or
//! something else. That makes finitely many classes of requests; all are looked at, each by one concrete request that the
//! router and the evaluator themselves decide. What cannot be looked at whole is never called proved.

mod classes;
mod dims;
mod people;
mod request;
mod search;
mod texts;

use std::fmt;

use super::{Document, Effect, Multipart, Policy, Statement};

pub use request::{Request, Signed};

/// The values of `x-amz-server-side-encryption` that make S3 encrypt.
const VALID_SSE: &[&str] = &["AES256", "aws:kms", "aws:kms:dsse"];

/// What must not get through.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Question {
    /// A write of an object without encryption: neither `x-amz-server-side-encryption` nor SSE-C. (A value that is not valid is no write: it is refused with 400 whatever the policy says.)
    #[default]
    Encryption,
    /// A write that is not encrypted with this KMS key, named as here.
    KeyId(String),
    /// Any write at all.
    Write,
    /// A write over no TLS, or over an older version than this one (`1.0` to `1.3`; `1.0` asks for any TLS).
    Tls(String),
}

impl fmt::Display for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Encryption => f.write_str("no object is written without encryption"),
            Self::Write => f.write_str("no object is written"),
            Self::KeyId(id) => write!(f, "no object is written without the key {id}"),
            Self::Tls(version) => write!(f, "no object is written without TLS {version} or newer"),
        }
    }
}

/// How the policy is used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// The buckets' owner, 12 digits.
    pub account: String,
    /// A request needs an Allow too (`authorize: true`).
    pub authorize: bool,
    /// How later steps of an upload are read.
    pub multipart: Multipart,
    /// How many times the evaluator may be asked before the proof gives up.
    pub max_evaluations: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            account: "111122223333".to_owned(),
            authorize: false,
            multipart: Multipart::default(),
            max_evaluations: 2_000_000,
        }
    }
}

/// The answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// No request of any class gets through.
    Proved {
        /// How many classes there are.
        classes: u128,
        /// How often the evaluator was asked; whole groups of classes fall to one statement.
        looked: u64,
    },
    /// This one does, and none with fewer parts was found.
    Counterexample(Box<Request>),
    /// It cannot be said, for this reason.
    Unknown(String),
}

impl Verdict {
    /// The exit code: 0 where it is proved, else 1.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        u8::from(!matches!(self, Self::Proved { .. }))
    }

    /// What to print; `file` is the policy's name, for the line to paste.
    #[must_use]
    pub fn render(&self, question: &Question, file: &str) -> String {
        match self {
            Self::Proved { classes, looked } => {
                format!("proved: {question} ({classes} classes of requests, {looked} decisions)")
            }
            Self::Counterexample(request) => {
                let operation = request.operation.name();
                format!(
                    "not so: \"{question}\" does not hold; this {operation} gets through:\nsealgate policy test --policy {} {request}",
                    quoted(file)
                )
            }
            Self::Unknown(why) => format!("cannot prove that {question}: {why}"),
        }
    }
}

fn quoted(text: &str) -> String {
    if text
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || "-_./".contains(c))
    {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', "'\\''"))
    }
}

/// Is this a request that the question asks for?
fn bad(question: &Question, request: &Request) -> bool {
    // Whatever a policy says, nothing is written by a request that S3 and Sealgate refuse for its SSE headers.
    if !search::sse_is_valid(request) {
        return false;
    }
    let sse = request
        .header("x-amz-server-side-encryption")
        .unwrap_or_default();
    match question {
        Question::Write => true,
        Question::Encryption => {
            !VALID_SSE.contains(&sse)
                && request.header("x-amz-server-side-encryption-customer-algorithm")
                    != Some("AES256")
        }
        Question::KeyId(id) => {
            !(sse.starts_with("aws:kms")
                && VALID_SSE.contains(&sse)
                && request.header("x-amz-server-side-encryption-aws-kms-key-id") == Some(id))
        }
        Question::Tls(minimum) => request.tls.is_none_or(|version| version < minimum.as_str()),
    }
}

/// Looks for a request that this policy lets through although the question forbids it.
///
/// A statement in doubt, whose requests are too many classes to tell apart, need not stand in the way. A Deny can only deny more:
/// what the others prove without it is proved. An Allow that is needed cannot be left out so; where one is in doubt, what the
/// Denies prove with no Allow needed is proved. And what gets through is asked of the whole policy in any case.
#[must_use]
pub fn prove(policy: &Policy, question: &Question, options: &Options) -> Verdict {
    let scope = policy.document();
    let dims = |document: &Document, options: &Options| {
        dims::Builder::new(document, scope, question, options).build()
    };
    let of = |statements: Vec<Statement>| Document {
        statements,
        ..scope.clone()
    };
    // An Allow says nothing where none is needed.
    let (denies, mut allows): (Vec<_>, Vec<_>) = scope
        .statements
        .iter()
        .cloned()
        .partition(|statement| statement.effect == Effect::Deny);
    if !options.authorize {
        allows.clear();
    }
    let all = of([allows.clone(), denies.clone()].concat());
    let found = dims(&all, options);
    let whole = search::Walked {
        document: &all,
        authorize: options.authorize,
        whole: true,
    };
    if found.doubts.is_empty() {
        return search::search(policy, &whole, question, options, found);
    }

    let mut part_options = options.clone();
    if !dims(&of(allows.clone()), options).doubts.is_empty() {
        allows.clear();
        part_options.authorize = false;
    }
    let clear = |statements: &[Statement]| {
        dims(&of(statements.to_vec()), &part_options)
            .doubts
            .is_empty()
    };
    let mut kept = allows;
    for deny in denies {
        kept.push(deny);
        if !clear(&kept) {
            kept.pop();
        }
    }
    let kept = of(kept);
    let part = search::Walked {
        document: &kept,
        authorize: part_options.authorize,
        whole: false,
    };
    let verdict = search::search(policy, &part, question, options, dims(&kept, &part_options));
    if matches!(verdict, Verdict::Unknown(_)) {
        search::search(policy, &whole, question, options, found)
    } else {
        verdict
    }
}

#[cfg(test)]
mod tests;
