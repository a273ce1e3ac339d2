//! Document to [`Policy`]'s statements: whatever a value cannot mean is an [`Issue`] that says what would do.

use std::collections::BTreeSet;
use std::net::IpAddr;

use base64::Engine as _;
use ipnet::IpNet;

use super::action_set::ActionSet;
#[cfg(doc)]
use super::compiled::Policy;
use super::compiled::{ArnPattern, CompiledCondition, CompiledStatement, Keys, PrincipalSet, Test};
use super::date;
use super::decimal::Decimal;
use super::document::{
    Condition, Document, Effect, PrincipalClause, PrincipalKind, Principals, Statement, Version,
};
use super::issue::{Issue, IssueKind};
use super::key::{Key, NotKnown};
use super::operator::{Comparison, Family};
use super::pattern::{Pattern, PatternError, Syntax, split_arn};
use super::principal::{Principal, PrincipalType, is_account};

pub(super) struct Compiler<'a> {
    statement: &'a Statement,
    variables: bool,
    keys: Keys,
    pub issues: Vec<Issue>,
}

impl<'a> Compiler<'a> {
    pub fn new(document: &Document, statement: &'a Statement, keys: Keys) -> Self {
        Self {
            statement,
            variables: document.effective_version() == Version::V2012,
            keys,
            issues: Vec::new(),
        }
    }

    pub fn issue(&mut self, kind: IssueKind, hint: impl Into<String>) {
        let s = self.statement;
        let line = (s.line > 0).then_some(s.line);
        self.issues.push(Issue {
            statement: Some(s.index),
            sid: s.sid.clone(),
            line,
            kind,
            hint: hint.into(),
        });
    }

    fn syntax(&self, wildcards: bool) -> Syntax {
        Syntax {
            wildcards,
            variables: self.variables,
            recorded: self.keys == Keys::Recorded,
        }
    }

    pub fn statement(&mut self) -> CompiledStatement {
        let s = self.statement;
        CompiledStatement {
            index: u32::try_from(s.index).unwrap_or(u32::MAX),
            effect: s.effect,
            actions: self.actions(),
            principals: self.principals(&s.principal),
            same_resources: None,
            not_resources: s.resource.negated,
            resources: s
                .resource
                .patterns
                .iter()
                .filter_map(|r| self.resource(r))
                .collect(),
            conditions: s
                .conditions
                .iter()
                .filter_map(|c| self.condition(c))
                .collect(),
        }
    }

    fn actions(&mut self) -> ActionSet {
        let clause = &self.statement.action;
        let mut set = ActionSet::default();
        for pattern in &clause.patterns {
            match ActionSet::named(pattern) {
                Some(named) => set.extend(named),
                None => self.issue(IssueKind::InvalidAction, action_hint(pattern)),
            }
        }
        if clause.negated {
            set.complement()
        } else {
            set
        }
    }

    fn principals(&mut self, clause: &PrincipalClause) -> PrincipalSet {
        if clause.negated && self.statement.effect == Effect::Allow {
            self.issue(IssueKind::InvalidPrincipal, "NotPrincipal with Allow would allow everyone else, anonymous callers included: write Principal with those you mean");
        }
        let Principals::Listed(list) = &clause.who else {
            return if clause.negated {
                PrincipalSet::AllBut {
                    everyone: true,
                    accounts: Vec::new(),
                    named: Vec::new(),
                }
            } else {
                PrincipalSet::Everyone
            };
        };
        let (mut accounts, mut named) = (Vec::new(), Vec::new());
        let everyone = clause.who.everyone();
        for entry in list {
            let value = entry.value.as_str();
            match entry.kind {
                PrincipalKind::Aws if value == "*" => {
                    if list.iter().filter(|e| e.kind == PrincipalKind::Aws).count() > 1 {
                        self.issue(
                            IssueKind::InvalidPrincipal,
                            "`*` is everyone already: remove the others",
                        );
                    }
                }
                PrincipalKind::Aws if is_account(value) => accounts.push(value.into()),
                PrincipalKind::Aws => match Principal::parse(value) {
                    Ok(p) if matches!(p.kind(), PrincipalType::Root) => {
                        accounts.push(p.account().into());
                    }
                    Ok(p) => named.push(p),
                    Err(e) if value.contains(['*', '?']) => {
                        self.issue(IssueKind::InvalidPrincipal, format!("{e}; principals take no wildcards: test aws:PrincipalArn with ArnLike instead"));
                    }
                    Err(e) => self.issue(IssueKind::InvalidPrincipal, e.to_string()),
                },
                PrincipalKind::Service if !value.contains('.') => {
                    self.issue(
                        IssueKind::InvalidPrincipal,
                        format!(
                            "`{value}` is no service: they are named like logging.s3.amazonaws.com"
                        ),
                    );
                }
                PrincipalKind::Service
                | PrincipalKind::Federated
                | PrincipalKind::CanonicalUser => {
                    if value.is_empty() {
                        self.issue(IssueKind::InvalidPrincipal, "it names nobody");
                    }
                }
            }
        }
        if clause.negated {
            PrincipalSet::AllBut {
                everyone,
                accounts,
                named,
            }
        } else if everyone {
            PrincipalSet::Everyone
        } else if accounts.is_empty() && named.is_empty() {
            PrincipalSet::Nobody
        } else {
            PrincipalSet::Of { accounts, named }
        }
    }

    fn resource(&mut self, text: &str) -> Option<Pattern> {
        if text == "*" {
            // Refused by `check`; its meaning is plain all the same.
            return Pattern::compile("*", self.syntax(true)).ok();
        }
        let parts = split_arn(text);
        let Some(["arn", partition, "s3", "", "", tail]) = parts else {
            let hint = match parts {
                Some(["arn", _, "s3", ..]) => format!(
                    "`{text}` names a Region or account: buckets are arn:aws:s3:::BUCKET (access points are not served here)"
                ),
                _ => format!(
                    "`{text}` is not a bucket's ARN: write arn:aws:s3:::BUCKET, or arn:aws:s3:::BUCKET/* for its objects"
                ),
            };
            self.issue(IssueKind::InvalidResource, hint);
            return None;
        };
        if !partition.starts_with("aws")
            || !partition
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b == b'-')
            || tail.is_empty()
            || tail.starts_with('/')
        {
            self.issue(IssueKind::InvalidResource, format!("`{text}` is not a bucket's ARN: write arn:aws:s3:::BUCKET, or arn:aws:s3:::BUCKET/* for its objects"));
            return None;
        }
        let compiled = Pattern::compile(tail, self.syntax(true));
        self.pattern(compiled, text, &IssueKind::InvalidResource)
    }

    fn pattern(
        &mut self,
        compiled: Result<Pattern, PatternError>,
        text: &str,
        bad: &IssueKind,
    ) -> Option<Pattern> {
        match compiled {
            Ok(p) => Some(p),
            Err(PatternError::Syntax) => {
                self.issue(bad.clone(), format!("`{text}` has a variable that is not ${{key}} or ${{key, 'default'}}; a literal $ is ${{$}}"));
                None
            }
            Err(PatternError::ManyValues(name)) => {
                self.issue(
                    bad.clone(),
                    format!("${{{name}}} has many values and cannot be a variable"),
                );
                None
            }
            Err(PatternError::Key(name, why)) => {
                self.unusable(&name, why);
                None
            }
        }
    }

    fn unusable(&mut self, name: &str, why: NotKnown) {
        match why {
            NotKnown::NoSuchKey => self.issue(IssueKind::InvalidConditionKey, key_hint(name)),
            NotKnown::OnlyAws(reason) => {
                self.issue(
                    IssueKind::UnknowableKey(name.to_owned()),
                    format!("{reason}; enforce this statement at AWS and remove it here"),
                );
            }
        }
    }

    fn condition(&mut self, c: &Condition) -> Option<CompiledCondition> {
        let found = match self.keys {
            Keys::Known => Key::parse(&c.key),
            Keys::Recorded => Key::parse_recorded(&c.key),
        };
        let test = self.test(c);
        match found {
            Ok(key) => Some(CompiledCondition {
                operator: c.operator,
                carried: ActionSet::carrying(&key),
                key,
                test: test?,
            }),
            Err(why) => {
                self.unusable(&c.key, why);
                None
            }
        }
    }

    /// Parses every value with `read`; the first that fails says what would do.
    fn values<T>(
        &mut self,
        c: &Condition,
        kind: &IssueKind,
        want: &str,
        read: impl Fn(&str) -> Option<T>,
    ) -> Option<Vec<T>> {
        let mut out = Vec::with_capacity(c.values.len());
        for v in &c.values {
            match read(v.text()) {
                Some(v) => out.push(v),
                None => self.issue(
                    kind.clone(),
                    format!(
                        "`{}` under {} of {} is not {want}",
                        v.text(),
                        c.operator,
                        c.key
                    ),
                ),
            }
        }
        (out.len() == c.values.len()).then_some(out)
    }

    fn patterns(&mut self, c: &Condition, wildcards: bool) -> Option<Vec<Pattern>> {
        let syntax = self.syntax(wildcards);
        let mut out = Vec::with_capacity(c.values.len());
        for v in &c.values {
            out.push(self.pattern(
                Pattern::compile(v.text(), syntax),
                v.text(),
                &IssueKind::InvalidSyntax,
            )?);
        }
        Some(out)
    }

    fn test(&mut self, c: &Condition) -> Option<Test> {
        let syntax = IssueKind::InvalidSyntax;
        Some(match c.operator.comparison.family() {
            Family::Null => {
                let values: BTreeSet<bool> = self
                    .values(c, &syntax, "true or false", boolean)?
                    .into_iter()
                    .collect();
                Test::Null {
                    absent: values.contains(&true),
                    present: values.contains(&false),
                }
            }
            Family::Bool => {
                let values: BTreeSet<bool> = self
                    .values(c, &syntax, "true or false", boolean)?
                    .into_iter()
                    .collect();
                Test::Bool {
                    yes: values.contains(&true),
                    no: values.contains(&false),
                }
            }
            Family::String => match c.operator.comparison {
                Comparison::StringLike | Comparison::StringNotLike => {
                    Test::Text(self.patterns(c, true)?)
                }
                Comparison::StringEqualsIgnoreCase | Comparison::StringNotEqualsIgnoreCase => {
                    Test::Folded(self.patterns(c, false)?)
                }
                _ => Test::Text(self.patterns(c, false)?),
            },
            Family::Numeric => Test::Numeric(self.values(
                c,
                &syntax,
                "a decimal number such as 600000 or 1.2",
                |t| Decimal::parse(t).map(Decimal::into_owned),
            )?),
            Family::Date => Test::Date(self.values(
                c,
                &syntax,
                "a date such as 2026-01-01T00:00:00Z, or seconds since 1970",
                date::parse,
            )?),
            Family::Binary => Test::Binary(self.values(c, &syntax, "base64", |t| {
                base64::engine::general_purpose::STANDARD.decode(t).ok()
            })?),
            Family::Ip => Test::Ip(self.values(
                c,
                &IssueKind::InvalidIp,
                "an address or a range such as 192.0.2.0/24 or 2001:db8::/32",
                range,
            )?),
            Family::Arn => {
                let syntax = self.syntax(true);
                let mut out = Vec::with_capacity(c.values.len());
                for v in &c.values {
                    if v.text() == "*" {
                        out.push(ArnPattern::Any);
                        continue;
                    }
                    let Some(parts) = split_arn(v.text()).filter(|p| p[0] == "arn" || p[0] == "*")
                    else {
                        if self.keys == Keys::Recorded {
                            // What is no ARN equals none.
                            continue;
                        }
                        let hint = "is not an ARN (arn:partition:service:region:account:resource); compare other text with StringLike";
                        self.issue(
                            IssueKind::InvalidSyntax,
                            format!("`{}` under {} of {} {hint}", v.text(), c.operator, c.key),
                        );
                        return None;
                    };
                    let mut compiled = Vec::with_capacity(6);
                    for part in parts {
                        compiled.push(self.pattern(
                            Pattern::compile(part, syntax),
                            v.text(),
                            &IssueKind::InvalidSyntax,
                        )?);
                    }
                    out.push(ArnPattern::Parts(
                        Box::<[Pattern; 6]>::try_from(compiled.into_boxed_slice()).ok()?,
                    ));
                }
                Test::Arn(out)
            }
        })
    }
}

fn boolean(text: &str) -> Option<bool> {
    if text.eq_ignore_ascii_case("true") {
        Some(true)
    } else if text.eq_ignore_ascii_case("false") {
        Some(false)
    } else {
        None
    }
}

fn range(text: &str) -> Option<IpNet> {
    text.parse::<IpNet>()
        .ok()
        .or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from))
}

fn action_hint(pattern: &str) -> String {
    if let Some(name) = pattern
        .get(..10)
        .filter(|p| p.eq_ignore_ascii_case("s3express:"))
    {
        return format!(
            "`{pattern}`: {name}* belongs to directory buckets, whose policies are not read here"
        );
    }
    if pattern
        .split_once(':')
        .is_some_and(|(vendor, _)| !vendor.eq_ignore_ascii_case("s3"))
    {
        return format!("`{pattern}` is another service's; a bucket policy takes s3: actions");
    }
    if ActionSet::named(&format!("s3:{pattern}")).is_some() {
        return format!("write `s3:{pattern}`");
    }
    if pattern.contains(['*', '?']) {
        format!("`{pattern}` names no action of S3")
    } else {
        format!("`{pattern}` is no action of S3, such as s3:PutObject")
    }
}

fn key_hint(name: &str) -> String {
    let lower = name.to_ascii_lowercase();
    let best = Key::ALL
        .iter()
        .map(|k| (distance(&lower, &k.to_string().to_ascii_lowercase()), k))
        .min_by_key(|(d, _)| *d);
    match best {
        Some((d, key)) if d <= 3 => {
            format!("`{name}` is no condition key of S3; did you mean `{key}`?")
        }
        _ if Key::ALL.iter().any(|k| k.header() == Some(lower.as_str())) => {
            format!("`{name}` is a header: as a key it is `s3:{lower}`")
        }
        _ => format!("`{name}` is no condition key of S3"),
    }
}

/// Levenshtein's distance in bytes.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        if let Some(first) = row.first_mut() {
            *first = left;
        }
        for (cell, y) in row.iter_mut().skip(1).zip(b.bytes()) {
            let best = (diagonal + usize::from(x != y))
                .min(*cell + 1)
                .min(left + 1);
            diagonal = *cell;
            *cell = best;
            left = best;
        }
    }
    row.last().copied().unwrap_or_default()
}
