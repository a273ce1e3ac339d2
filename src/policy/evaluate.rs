//! Decides: one action on one resource, with the facts that a [`Context`] gives.
//!
//! IAM user guide, "Policy evaluation logic" and "Condition operators"; where AWS leaves a choice, a Deny fires and an Allow does not.

use std::borrow::Cow;
use std::net::IpAddr;

use super::compiled::{
    ArnPattern, CompiledCondition, CompiledStatement, Policy, PrincipalSet, Test,
};
use super::date;
use super::decimal::Decimal;
use super::document::Effect;
use super::key::Key;
use super::operator::{Comparison, Operator, Quantifier};
use super::pattern::{Matched, Subject, split_value};
use super::principal::Principal;
use crate::s3::Action;

/// A value of a condition key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value<'a> {
    /// Text, a header's for example.
    Text(Cow<'a, str>),
    /// A fact that is true or false.
    Bool(bool),
    /// A whole number; dates in seconds.
    Number(i64),
    /// An address.
    Ip(IpAddr),
    /// Milliseconds since 1970.
    Time(i64),
}

impl<'a> From<&'a str> for Value<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(Cow::Borrowed(text))
    }
}

impl Value<'_> {
    /// As text; allocates only for numbers, addresses and times.
    #[must_use]
    pub fn text(&self) -> Cow<'_, str> {
        match self {
            Self::Text(text) => Cow::Borrowed(text),
            Self::Bool(true) => Cow::Borrowed("true"),
            Self::Bool(false) => Cow::Borrowed("false"),
            Self::Number(n) => Cow::Owned(n.to_string()),
            Self::Ip(ip) => Cow::Owned(ip.to_string()),
            Self::Time(ms) => Cow::Owned(
                jiff::Timestamp::from_second(ms.div_euclid(1000))
                    .map_or_else(|_| ms.to_string(), |t| t.to_string()),
            ),
        }
    }
}

/// What a context knows of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found<'a> {
    /// The request does not carry it.
    Absent,
    /// One value; an empty header is a value.
    One(Value<'a>),
    /// A key of many values; none is absent.
    Many(Vec<Value<'a>>),
    /// An SSE key of a later step of an upload: it was decided when the upload was created, so a Deny does not fire on it and an Allow takes it as met.
    Inherited,
    /// The request carries it where it is not read (an XML body), or may: a Deny fires, an Allow does not.
    Unknown,
}

impl<'a> Found<'a> {
    /// One value of text, or absent.
    #[must_use]
    pub fn text(value: Option<impl Into<Cow<'a, str>>>) -> Self {
        value.map_or(Self::Absent, |v| Self::One(Value::Text(v.into())))
    }
}

/// The facts a decision rests on. Called only for keys that the action carries and a statement tests.
pub trait Context {
    /// The value of a key.
    fn value(&self, action: Action, key: &Key) -> Found<'_>;
    /// The caller; `None` for anonymous.
    fn principal(&self) -> Option<&Principal>;
    /// The account that owns the bucket.
    fn account(&self) -> &str;
}

/// A context that knows nothing, for an anonymous caller.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoContext;

impl Context for NoContext {
    fn value(&self, _: Action, _: &Key) -> Found<'_> {
        Found::Absent
    }

    fn principal(&self) -> Option<&Principal> {
        None
    }

    fn account(&self) -> &'static str {
        ""
    }
}

/// What an action is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target<'a> {
    /// The service itself: only the resource `*` names it.
    Service,
    /// A bucket.
    Bucket(&'a str),
    /// An object: bucket and decoded key.
    Object(&'a str, &'a [u8]),
}

impl<'a> Target<'a> {
    fn subject(self) -> Subject<'a> {
        match self {
            Self::Service => Subject::text(b""),
            Self::Bucket(bucket) => Subject::text(bucket.as_bytes()),
            Self::Object(bucket, key) => Subject::pair(bucket.as_bytes(), key),
        }
    }

    /// Its ARN in the partition `aws`; bytes of a key that are no UTF-8 are replaced.
    #[must_use]
    pub fn arn(self) -> String {
        match self {
            Self::Service => "*".to_owned(),
            Self::Bucket(bucket) => format!("arn:aws:s3:::{bucket}"),
            Self::Object(bucket, key) => {
                format!("arn:aws:s3:::{bucket}/{}", String::from_utf8_lossy(key))
            }
        }
    }
}

/// What a policy says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// A statement denies.
    Denied,
    /// A statement allows and none denies.
    Allowed,
    /// No statement speaks.
    NoMatch,
}

impl Outcome {
    /// `D`, `A` or `N`, as recorded cases write it.
    #[must_use]
    pub fn letter(self) -> char {
        match self {
            Self::Denied => 'D',
            Self::Allowed => 'A',
            Self::NoMatch => 'N',
        }
    }
}

/// A decision. Small and `Copy`; [`Policy::explain`] puts it in words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decision {
    /// What.
    pub outcome: Outcome,
    /// The index of the statement that decided, as in the document.
    pub statement: Option<u32>,
}

impl Policy {
    /// Decides one action on one target. The first Deny that fits denies, else the first Allow that fits allows.
    pub fn decide<C: Context + ?Sized>(
        &self,
        action: Action,
        target: Target<'_>,
        context: &C,
    ) -> Decision {
        let denied = self.denies(action, target, context);
        if denied.outcome == Outcome::Denied {
            return denied;
        }
        first_fit(&self.allows, Outcome::Allowed, action, target, context)
    }

    /// As [`Policy::decide`], without a look at what is allowed: [`Outcome::Denied`] or [`Outcome::NoMatch`].
    pub fn denies<C: Context + ?Sized>(
        &self,
        action: Action,
        target: Target<'_>,
        context: &C,
    ) -> Decision {
        first_fit(&self.denies, Outcome::Denied, action, target, context)
    }
}

fn first_fit<C: Context + ?Sized>(
    list: &[CompiledStatement],
    outcome: Outcome,
    action: Action,
    target: Target<'_>,
    context: &C,
) -> Decision {
    // Statements of one policy are mostly about the same resources: the last answer is kept.
    let mut kept: Option<(u32, bool)> = None;
    for s in list {
        if !s.actions.contains(action)
            || !s
                .principals
                .contains(context.principal(), context.account(), s.effect)
        {
            continue;
        }
        let about = match (s.same_resources, kept) {
            (Some(id), Some((known, answer))) if id == known => answer,
            (id, _) => {
                let answer = s.resource_fits(action, target, context);
                kept = id.map(|id| (id, answer)).or(kept);
                answer
            }
        };
        if about
            && s.conditions
                .iter()
                .all(|c| c.holds(action, s.effect, context))
        {
            return Decision {
                outcome,
                statement: Some(s.index),
            };
        }
    }
    Decision {
        outcome: Outcome::NoMatch,
        statement: None,
    }
}

impl CompiledStatement {
    fn resource_fits<C: Context + ?Sized>(
        &self,
        action: Action,
        target: Target<'_>,
        context: &C,
    ) -> bool {
        let subject = target.subject();
        let mut unknown = false;
        let hit = self
            .resources
            .iter()
            .any(|p| match p.matches(subject, action, context) {
                Matched::Yes => true,
                Matched::No => false,
                Matched::Unknown => {
                    unknown = true;
                    false
                }
            });
        if unknown && !hit {
            return self.effect == Effect::Deny;
        }
        hit != self.not_resources
    }
}

impl PrincipalSet {
    fn contains(&self, caller: Option<&Principal>, owner: &str, effect: Effect) -> bool {
        match self {
            Self::Everyone => true,
            Self::Nobody => false,
            Self::Of { accounts, named } => {
                let Some(caller) = caller else { return false };
                // An account named in a same-account Allow only lets its own identity policies decide; it does not grant.
                let delegates = effect == Effect::Allow
                    && caller.account() == owner
                    && !matches!(caller.kind(), super::principal::PrincipalType::Root);
                (!delegates && accounts.iter().any(|a| **a == *caller.account()))
                    || named.iter().any(|n| caller.is_named_by(n))
            }
            Self::AllBut {
                everyone,
                accounts,
                named,
            } => {
                if *everyone {
                    return false;
                }
                let Some(caller) = caller else { return true };
                // Who is to be spared must be named, and so must its account: it would be denied as part of that.
                let account = accounts.iter().any(|a| **a == *caller.account());
                let itself = matches!(caller.kind(), super::principal::PrincipalType::Root)
                    || named.iter().any(|n| caller.is_named_by(n));
                !(account && itself)
            }
        }
    }
}

impl CompiledCondition {
    /// Whether the condition is true of this request.
    pub(super) fn holds<C: Context + ?Sized>(
        &self,
        action: Action,
        effect: Effect,
        context: &C,
    ) -> bool {
        let found = if self.carried.contains(action) {
            context.value(action, &self.key)
        } else {
            Found::Absent
        };
        self.judge(&found, action, effect, context)
    }

    pub(super) fn judge<C: Context + ?Sized>(
        &self,
        found: &Found<'_>,
        action: Action,
        effect: Effect,
        context: &C,
    ) -> bool {
        let one = |v: &Value<'_>| match self.test.matches(self.operator, v, action, context) {
            Matched::Yes => !self.operator.comparison.negated(),
            Matched::No => self.operator.comparison.negated(),
            Matched::Unknown => effect == Effect::Deny,
        };
        match found {
            Found::Unknown => effect == Effect::Deny,
            Found::Inherited => effect == Effect::Allow,
            Found::Many(list) if list.is_empty() => self.absent(),
            Found::Absent => self.absent(),
            _ if matches!(self.test, Test::Null { .. }) => {
                matches!(self.test, Test::Null { present: true, .. })
            }
            Found::One(v) => one(v),
            Found::Many(list) => {
                // Without a prefix, a negated operator means that none of the values may fit, any other that one must.
                let every = self
                    .operator
                    .quantifier
                    .map_or(self.operator.comparison.negated(), |q| {
                        q == Quantifier::ForAllValues
                    });
                if every {
                    list.iter().all(one)
                } else {
                    list.iter().any(one)
                }
            }
        }
    }

    fn absent(&self) -> bool {
        match self.test {
            Test::Null { absent, .. } => absent,
            _ => self.operator.when_absent(),
        }
    }
}

impl Test {
    /// Whether the value fits one of the policy's, negation left aside. A value the operator cannot read fits none;
    /// where the operator is negated that is unknown, so that only a Deny fires on it.
    fn matches<C: Context + ?Sized>(
        &self,
        operator: Operator,
        value: &Value<'_>,
        action: Action,
        context: &C,
    ) -> Matched {
        let unreadable = if operator.comparison.negated() {
            Matched::Unknown
        } else {
            Matched::No
        };
        match self {
            Self::Null { .. } => Matched::No,
            Self::Text(patterns) => {
                let text = value.text();
                any(patterns
                    .iter()
                    .map(|p| p.matches(Subject::text(text.as_bytes()), action, context)))
            }
            Self::Folded(patterns) => {
                let text = value.text();
                any(patterns
                    .iter()
                    .map(|p| p.equals_ignoring_case(&text, action, context)))
            }
            Self::Numeric(values) => {
                let number = match value {
                    Value::Time(ms) => Cow::Owned(ms.div_euclid(1000).to_string()),
                    other => other.text(),
                };
                Decimal::parse(number.trim()).map_or(unreadable, |n| {
                    values
                        .iter()
                        .any(|v| ordered(operator.comparison, n.compare(v)))
                        .into()
                })
            }
            Self::Date(values) => {
                let time = match value {
                    Value::Time(ms) => Some(*ms),
                    Value::Number(seconds) => seconds.checked_mul(1000),
                    other => date::parse(&other.text()),
                };
                time.map_or(unreadable, |t| {
                    values
                        .iter()
                        .any(|v| ordered(operator.comparison, t.cmp(v)))
                        .into()
                })
            }
            Self::Bool { yes, no } => match value {
                Value::Bool(b) => if *b { *yes } else { *no }.into(),
                other => {
                    let text = other.text();
                    ((*yes && text.eq_ignore_ascii_case("true"))
                        || (*no && text.eq_ignore_ascii_case("false")))
                    .into()
                }
            },
            Self::Binary(values) => {
                use base64::Engine as _;
                let bytes =
                    base64::engine::general_purpose::STANDARD.decode(value.text().as_bytes());
                bytes.map_or(unreadable, |b| values.iter().any(|v| **v == *b).into())
            }
            Self::Ip(ranges) => {
                let ip = match value {
                    Value::Ip(ip) => Some(*ip),
                    other => other.text().parse::<IpAddr>().ok(),
                };
                ip.map_or(unreadable, |ip| {
                    let ip = ip.to_canonical();
                    ranges.iter().any(|r| r.contains(&ip)).into()
                })
            }
            Self::Arn(patterns) => {
                let text = value.text();
                any(patterns.iter().map(|p| p.matches(&text, action, context)))
            }
        }
    }
}

impl ArnPattern {
    fn matches<C: Context + ?Sized>(&self, text: &str, action: Action, context: &C) -> Matched {
        match self {
            Self::Any => Matched::Yes,
            Self::Parts(patterns) => {
                let Some(parts) = split_value(text) else {
                    return Matched::No;
                };
                let mut result = Matched::Yes;
                for (pattern, part) in patterns.iter().zip(parts) {
                    match pattern.matches(Subject::text(part.as_bytes()), action, context) {
                        Matched::No => return Matched::No,
                        Matched::Unknown => result = Matched::Unknown,
                        Matched::Yes => {}
                    }
                }
                result
            }
        }
    }
}

fn any(results: impl Iterator<Item = Matched>) -> Matched {
    let mut out = Matched::No;
    for r in results {
        match r {
            Matched::Yes => return Matched::Yes,
            Matched::Unknown => out = Matched::Unknown,
            Matched::No => {}
        }
    }
    out
}

fn ordered(comparison: Comparison, order: std::cmp::Ordering) -> bool {
    use Comparison as C;
    match comparison {
        C::NumericLessThan | C::DateLessThan => order.is_lt(),
        C::NumericLessThanEquals | C::DateLessThanEquals => order.is_le(),
        C::NumericGreaterThan | C::DateGreaterThan => order.is_gt(),
        C::NumericGreaterThanEquals | C::DateGreaterThanEquals => order.is_ge(),
        _ => order.is_eq(),
    }
}

#[cfg(test)]
#[path = "evaluate_tests.rs"]
mod tests;
