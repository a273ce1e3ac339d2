//! What a policy can tell requests apart by: one dimension a fact, each with the values that stand for all.

use std::net::IpAddr;

use ipnet::IpNet;

use super::classes::{Glob, Shape, classes};
use super::people;
use super::request::{Request, Signed};
use super::{Options, Question};
use crate::policy::{Condition, Document, Family, Key, Principal, Scalar, Version, date};
use crate::s3::Operation;

/// What a dimension is about.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum About {
    Operation,
    Target,
    Who,
    Tls,
    Ip,
    Time,
    Signing,
    Header(&'static str),
    Tag(String),
}

/// One value of a dimension.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Part {
    Operation(Operation),
    Target(String, String),
    Who(Option<Principal>),
    Tls(Option<&'static str>),
    Ip(Option<IpAddr>),
    Time(Option<i64>),
    Signed(Option<Signed>),
    Header(&'static str, Option<String>),
    Tag(String, Option<String>),
}

impl Part {
    pub fn put(&self, request: &mut Request) {
        match self {
            Self::Operation(operation) => request.operation = *operation,
            Self::Target(bucket, key) => {
                (request.bucket, request.key) = (bucket.clone(), key.clone());
            }
            Self::Who(who) => request.principal.clone_from(who),
            Self::Tls(version) => request.tls = *version,
            Self::Ip(ip) => request.ip = *ip,
            Self::Time(now) => request.now_ms = *now,
            Self::Signed(signed) => request.signed = *signed,
            Self::Header(name, value) => {
                request.headers.retain(|(have, _)| have != name);
                request.headers.extend(
                    value
                        .iter()
                        .map(|value| ((*name).to_owned(), value.clone())),
                );
            }
            Self::Tag(name, value) => {
                request.tags.retain(|(have, _)| have != name);
                request
                    .tags
                    .extend(value.iter().map(|value| (name.clone(), value.clone())));
            }
        }
    }
}

/// One dimension; its values by what they cost a reader, the cheapest first.
#[derive(Debug, Clone)]
pub(super) struct Dim {
    pub about: About,
    pub choices: Vec<(u32, Part)>,
}

/// All dimensions, and why they may not stand for all requests.
#[derive(Debug, Default)]
pub(super) struct Dims {
    pub dims: Vec<Dim>,
    pub doubts: Vec<String>,
}

pub(super) const VERSIONS: [&str; 4] = ["1.3", "1.2", "1.1", "1.0"];

/// Builds the dimensions of one document.
pub(super) struct Builder<'a> {
    pub(super) document: &'a Document,
    /// Whose buckets are asked about.
    scope: &'a Document,
    pub(super) question: &'a Question,
    pub(super) options: &'a Options,
    /// Are `${*}` and its like escapes?
    pub(super) escapes: bool,
    out: Dims,
}

impl<'a> Builder<'a> {
    /// Of what `document` asks for, in the buckets that `scope` names.
    pub fn new(
        document: &'a Document,
        scope: &'a Document,
        question: &'a Question,
        options: &'a Options,
    ) -> Self {
        Self {
            document,
            scope,
            question,
            options,
            escapes: document.effective_version() == Version::V2012,
            out: Dims::default(),
        }
    }

    pub fn build(mut self) -> Dims {
        let who = people::people(&mut self);
        self.operations();
        self.targets(&who);
        let people = who
            .into_iter()
            .map(|(cost, who)| (cost, Part::Who(who)))
            .collect();
        self.push(About::Who, people);
        self.tls();
        self.addresses();
        self.times();
        self.signing();
        self.headers();
        self.copies();
        self.tags();
        self.out
    }

    pub(super) fn doubt(&mut self, why: impl Into<String>) {
        let why = why.into();
        if !self.out.doubts.contains(&why) {
            self.out.doubts.push(why);
        }
    }

    pub(super) fn push(&mut self, about: About, mut choices: Vec<(u32, Part)>) {
        choices.sort_by_key(|(cost, _)| *cost);
        self.out.dims.push(Dim { about, choices });
    }

    /// All conditions on one key.
    pub(super) fn on(&self, key: &Key) -> Vec<&'a Condition> {
        let document = self.document;
        document
            .statements
            .iter()
            .flat_map(|s| &s.conditions)
            .filter(|c| Key::parse(&c.key).as_ref() == Ok(key))
            .collect()
    }

    pub(super) fn asks(&self, key: &Key) -> bool {
        !self.on(key).is_empty()
    }

    pub(super) fn statements(&self) -> &'a [crate::policy::Statement] {
        &self.document.statements
    }

    fn operations(&mut self) {
        let mut all = vec![
            (0, Operation::PutObject),
            (1, Operation::CreateMultipartUpload),
            (1, Operation::CopyObject),
            (2, Operation::PostObject),
        ];
        if matches!(self.question, Question::Tls(_)) {
            all.extend([
                (2, Operation::UploadPart),
                (3, Operation::UploadPartCopy),
                (2, Operation::CompleteMultipartUpload),
            ]);
        }
        let choices = all
            .into_iter()
            .map(|(cost, operation)| (cost, Part::Operation(operation)))
            .collect();
        self.push(About::Operation, choices);
    }

    fn targets(&mut self, who: &[(u32, Option<Principal>)]) {
        let names: Vec<&str> = who
            .iter()
            .filter_map(|(_, who)| who.as_ref()?.username())
            .collect();
        let (mut globs, mut buckets) = (Vec::new(), Vec::new());
        let document = self.document;
        for resource in document
            .statements
            .iter()
            .flat_map(|s| &s.resource.patterns)
        {
            let tail = tail(resource);
            if self.variable(tail) {
                self.doubt(format!(
                    "the resource {resource} has a variable, whose values are without end"
                ));
                globs.extend(
                    names.iter().map(|name| {
                        Glob::like(&tail.replace("${aws:username}", name), self.escapes)
                    }),
                );
            } else {
                globs.push(Glob::like(tail, self.escapes));
            }
        }
        for resource in self
            .scope
            .statements
            .iter()
            .flat_map(|s| &s.resource.patterns)
        {
            let tail = tail(resource);
            let bucket = tail.split_once('/').map_or(tail, |(bucket, _)| bucket);
            let bucket = if self.variable(bucket) { "*" } else { bucket };
            buckets.push(Glob::like(&format!("{bucket}/*"), self.escapes));
        }
        let patterns = globs.len();
        globs.append(&mut buckets);
        let Some(found) = classes(&globs, Shape::Object) else {
            self.doubt("its resources overlap in too many ways");
            self.push(
                About::Target,
                vec![(0, Part::Target("bucket".into(), "key".into()))],
            );
            return;
        };
        let mut choices = Vec::new();
        for class in found {
            let Some((bucket, key)) = class.witness.split_once('/') else {
                continue;
            };
            if crate::s3::address::check_key(key.as_bytes()).is_err()
                || crate::s3::address::check_bucket(bucket.as_bytes()).is_err()
            {
                self.doubt(format!(
                    "no key is known that fits its resources as {} does",
                    class.witness
                ));
                continue;
            }
            // A bucket that no statement names is not this policy's: nothing is asked about it.
            if class.fits.iter().skip(patterns).any(|fits| *fits) {
                choices.push((
                    u32::from(!class.fits.iter().take(patterns).any(|fits| *fits)),
                    Part::Target(bucket.to_owned(), key.to_owned()),
                ));
            }
        }
        self.push(About::Target, choices);
    }

    /// Has the text a variable that is no escape?
    pub(super) fn variable(&self, text: &str) -> bool {
        self.escapes
            && text
                .replace("${*}", "")
                .replace("${?}", "")
                .replace("${$}", "")
                .contains("${")
    }

    fn tls(&mut self) {
        let minimum = match self.question {
            Question::Tls(minimum) => Some(minimum.as_str()),
            _ => None,
        };
        let mut choices = vec![(0, Part::Tls(Some("1.3")))];
        if minimum.is_some() || self.asks(&Key::TlsVersion) || self.asks(&Key::SecureTransport) {
            choices.extend(
                VERSIONS
                    .iter()
                    .skip(1)
                    .map(|version| (1, Part::Tls(Some(*version)))),
            );
            choices.push((1, Part::Tls(None)));
        }
        if let Some(minimum) = minimum {
            choices.retain(|(_, part)| matches!(part, Part::Tls(version) if version.is_none_or(|version| version < minimum)));
        }
        self.push(About::Tls, choices);
    }

    fn addresses(&mut self) {
        let conditions = self.on(&Key::SourceIp);
        if conditions.is_empty() {
            return;
        }
        let mut all: Vec<IpAddr> = vec![
            IpAddr::from([198, 51, 100, 7]),
            IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, 7]),
        ];
        for condition in conditions {
            if !matches!(
                condition.operator.comparison.family(),
                Family::Ip | Family::Null
            ) {
                self.doubt("aws:SourceIp is compared as something other than an address");
            }
            for range in condition.values.iter().map(Scalar::text) {
                let Some(range) = range
                    .parse::<IpNet>()
                    .ok()
                    .or_else(|| range.parse::<IpAddr>().ok().map(IpNet::from))
                else {
                    continue;
                };
                // Ranges begin and end here: between two such places nothing changes.
                all.extend([range.network(), range.broadcast()]);
                all.extend(neighbour(range.network(), false));
                all.extend(neighbour(range.broadcast(), true));
            }
        }
        all.sort_unstable();
        all.dedup();
        let choices = all.into_iter().map(|ip| (1, Part::Ip(Some(ip)))).collect();
        self.push(About::Ip, choices);
    }

    fn times(&mut self) {
        let mut points = Vec::new();
        for key in [Key::CurrentTime, Key::EpochTime] {
            for condition in self.on(&key) {
                for value in condition.values.iter().map(Scalar::text) {
                    match condition.operator.comparison.family() {
                        Family::Date => points.extend(date::parse(value)),
                        Family::Numeric => points.extend(
                            number(value)
                                .into_iter()
                                .flat_map(|n| [n * 1000, (n + 1) * 1000]),
                        ),
                        Family::Null => points.push(0),
                        _ => self.doubt("the time is compared as text"),
                    }
                }
            }
        }
        if points.is_empty() {
            return;
        }
        let mut all: Vec<i64> = points
            .iter()
            .flat_map(|p| [p - 1000, p - 1, *p, p + 1, p + 1000])
            .collect();
        all.sort_unstable();
        all.dedup();
        let choices = all
            .into_iter()
            .map(|now| (1, Part::Time(Some(now))))
            .collect();
        self.push(About::Time, choices);
    }

    fn signing(&mut self) {
        let ages = self.on(&Key::SignatureAge);
        if ages.is_empty() && !self.asks(&Key::AuthType) && !self.asks(&Key::SignatureVersion) {
            return;
        }
        let mut points = vec![0];
        for condition in ages {
            match condition.operator.comparison.family() {
                Family::Numeric => {
                    points.extend(
                        condition
                            .values
                            .iter()
                            .filter_map(|v| number(v.text()))
                            .flat_map(|n| [n - 1, n, n + 1])
                            .filter(|n| *n >= 0),
                    );
                }
                Family::Null => {}
                _ => self.doubt("s3:signatureAge is compared as something other than a number"),
            }
        }
        points.sort_unstable();
        points.dedup();
        // Which of them an operation can have, the search knows.
        let mut choices = Vec::new();
        for version in ["AWS4-HMAC-SHA256", "AWS", "AWS4-ECDSA-P256-SHA256"] {
            choices.push((
                1,
                Part::Signed(Some(Signed {
                    auth: "REST-HEADER",
                    version,
                    age_ms: None,
                })),
            ));
            for auth in ["REST-QUERY-STRING", "POST"] {
                let ages = if version == "AWS" {
                    &points[..1]
                } else {
                    &points[..]
                };
                choices.extend(ages.iter().map(|age| {
                    (
                        2,
                        Part::Signed(Some(Signed {
                            auth,
                            version,
                            age_ms: Some(*age),
                        })),
                    )
                }));
            }
        }
        self.push(About::Signing, choices);
    }
}

/// Bucket and key of a resource.
pub(super) fn tail(resource: &str) -> &str {
    if resource == "*" {
        "*"
    } else {
        resource.splitn(6, ':').nth(5).unwrap_or_default()
    }
}

/// A decimal's whole part, rounded down.
pub(super) fn number(text: &str) -> Option<i64> {
    let text = text.trim();
    text.parse::<i64>().ok().or_else(|| {
        let value = text.parse::<f64>().ok()?.floor();
        // Far beyond any age, day or second.
        (value.abs() < 1e15)
            .then(|| format!("{value:.0}").parse().ok())
            .flatten()
    })
}

fn neighbour(ip: IpAddr, after: bool) -> Option<IpAddr> {
    match ip {
        IpAddr::V4(ip) => {
            let bits = if after {
                ip.to_bits().checked_add(1)
            } else {
                ip.to_bits().checked_sub(1)
            }?;
            Some(std::net::Ipv4Addr::from_bits(bits).into())
        }
        IpAddr::V6(ip) => {
            let bits = if after {
                ip.to_bits().checked_add(1)
            } else {
                ip.to_bits().checked_sub(1)
            }?;
            Some(std::net::Ipv6Addr::from_bits(bits).into())
        }
    }
}

/// Which dimensions a key's value comes from.
pub(super) fn sources(key: &Key) -> Vec<About> {
    match key {
        Key::SecureTransport | Key::TlsVersion => vec![About::Tls],
        Key::SourceIp => vec![About::Ip],
        Key::CurrentTime | Key::EpochTime => vec![About::Time],
        Key::AuthType | Key::SignatureVersion | Key::SignatureAge => vec![About::Signing],
        Key::ObjectLockRemainingRetentionDays => vec![
            About::Time,
            About::Header("x-amz-object-lock-retain-until-date"),
        ],
        Key::RequestObjectTag(name) => vec![About::Tag(name.to_string())],
        other => other.header().map(About::Header).into_iter().collect(),
    }
}
