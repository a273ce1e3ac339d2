//! What a policy can tell requests apart by: one dimension a fact, each with the values that stand for all.

use std::net::IpAddr;

use ipnet::IpNet;

use super::classes::{Glob, Shape, classes};
use super::people;
use super::request::{Request, Signed};
use super::{Options, Question};
use crate::policy::{
    Comparison, Condition, Document, Family, Key, Principal, Scalar, Version, date,
};
use crate::s3::Operation;
use crate::s3::query::encode;

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
                (request.bucket, request.key) = (bucket.clone(), key.clone())
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
    document: &'a Document,
    question: &'a Question,
    pub(super) options: &'a Options,
    /// Are `${*}` and its like escapes?
    pub(super) escapes: bool,
    out: Dims,
}

impl<'a> Builder<'a> {
    pub fn new(document: &'a Document, question: &'a Question, options: &'a Options) -> Self {
        Self {
            document,
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

    fn push(&mut self, about: About, mut choices: Vec<(u32, Part)>) {
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

    fn asks(&self, key: &Key) -> bool {
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
            let tail = if resource == "*" {
                "*"
            } else {
                resource.splitn(6, ':').nth(5).unwrap_or_default()
            };
            let bucket = tail.split_once('/').map_or(tail, |(bucket, _)| bucket);
            buckets.push(Glob::like(&format!("{bucket}/*"), self.escapes));
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

    fn headers(&mut self) {
        for key in Key::ALL {
            let Some(name) = key.header() else { continue };
            // Tags and copies have dimensions of their own; the days are those of the date's header.
            if matches!(
                key,
                Key::RequestObjectTagKeys | Key::ObjectLockRemainingRetentionDays | Key::CopySource
            ) {
                continue;
            }
            let mut globs: Vec<Glob> = match (key, self.question) {
                (Key::Sse, _) => super::VALID_SSE
                    .iter()
                    .map(|value| Glob::exact(value))
                    .collect(),
                (Key::SseKmsKeyId, Question::KeyId(id)) => vec![Glob::exact(id)],
                (Key::SseCustomerAlgorithm, _) => vec![Glob::exact("AES256")],
                _ => Vec::new(),
            };
            let mut extra = Vec::new();
            if *key == Key::ObjectLockRetainUntilDate {
                extra = self.lock_dates();
            }
            if extra.is_empty() && !self.asks(key) {
                continue;
            }
            let named = self.globs(key, &mut globs, &mut extra);
            let mut choices = vec![(0, Part::Header(name, None))];
            match classes(&globs, Shape::Header) {
                Some(found) => {
                    for class in found {
                        let cost = if class.witness.is_empty() {
                            3
                        } else {
                            1 + u32::from(!named.contains(&class.witness))
                        };
                        choices.push((cost, Part::Header(name, Some(class.witness))));
                    }
                }
                None => self.doubt(format!("the values of {key} overlap in too many ways")),
            }
            choices.extend(
                extra
                    .into_iter()
                    .map(|value| (2, Part::Header(name, Some(value)))),
            );
            self.push(About::Header(name), choices);
        }
    }

    /// What a copy reads: each class of objects, with a version and without, for both are actions of their own.
    fn copies(&mut self) {
        let (mut globs, mut extra) = (Vec::new(), Vec::new());
        self.globs(&Key::CopySource, &mut globs, &mut extra);
        let document = self.document;
        for resource in document
            .statements
            .iter()
            .flat_map(|s| &s.resource.patterns)
        {
            let tail = if resource == "*" {
                "*"
            } else {
                resource.splitn(6, ':').nth(5).unwrap_or_default()
            };
            if !self.variable(tail) {
                globs.push(Glob::like(tail, self.escapes));
            }
        }
        let name = "x-amz-copy-source";
        let mut choices = vec![(0, Part::Header(name, None))];
        match classes(&globs, Shape::Object) {
            Some(found) => {
                for class in found {
                    let (path, version) = class
                        .witness
                        .split_once("?versionId=")
                        .unwrap_or((&class.witness, ""));
                    let path = encode(path.as_bytes(), true);
                    if version.is_empty() {
                        choices.push((1, Part::Header(name, Some(path.clone()))));
                    }
                    let version = if version.is_empty() { "v" } else { version };
                    choices.push((
                        2,
                        Part::Header(name, Some(format!("{path}?versionId={version}"))),
                    ));
                }
            }
            None => self.doubt("the sources of copies overlap in too many ways"),
        }
        self.push(About::Header(name), choices);
        // Without REPLACE a copy may read and write tags too.
        let directive = "x-amz-tagging-directive";
        self.push(
            About::Header(directive),
            vec![
                (0, Part::Header(directive, None)),
                (1, Part::Header(directive, Some("REPLACE".to_owned()))),
            ],
        );
    }

    /// The patterns that the policy compares a key of text with; values for other operators go to `extra`.
    fn globs(&mut self, key: &Key, globs: &mut Vec<Glob>, extra: &mut Vec<String>) -> Vec<String> {
        let mut named: Vec<String> = super::VALID_SSE
            .iter()
            .map(|value| (*value).to_owned())
            .collect();
        for condition in self.on(key) {
            for value in condition.values.iter().map(Scalar::text) {
                let family = condition.operator.comparison.family();
                if matches!(family, Family::String | Family::Arn) && self.variable(value) {
                    self.doubt(format!(
                        "a value of {key} has a variable, whose values are without end"
                    ));
                    continue;
                }
                named.push(value.to_owned());
                match family {
                    Family::String => globs.push(text_glob(
                        condition.operator.comparison,
                        value,
                        self.escapes,
                    )),
                    Family::Arn => globs.extend(Glob::arn(value, self.escapes)),
                    Family::Bool => globs.push(Glob::folded(value)),
                    Family::Null => {}
                    Family::Date if *key == Key::ObjectLockRetainUntilDate => {}
                    Family::Numeric | Family::Date | Family::Binary | Family::Ip => {
                        extra.push(value.to_owned());
                        self.doubt(format!(
                            "{key} is text and is compared with {}",
                            condition.operator
                        ));
                    }
                }
            }
        }
        named
    }

    /// Values of the retention date: around each date and each number of days that the policy names.
    fn lock_dates(&mut self) -> Vec<String> {
        let mut points: Vec<i64> = Vec::new();
        for condition in self.on(&Key::ObjectLockRetainUntilDate) {
            match condition.operator.comparison.family() {
                Family::Date => points.extend(
                    condition
                        .values
                        .iter()
                        .filter_map(|v| date::parse(v.text()))
                        .flat_map(|p| [p - 1, p, p + 1]),
                ),
                Family::Null => points.push(super::request::SOME_TIME),
                _ => self.doubt("a retention date is compared as text"),
            }
        }
        let days = self.on(&Key::ObjectLockRemainingRetentionDays);
        if !days.is_empty() && (self.asks(&Key::CurrentTime) || self.asks(&Key::EpochTime)) {
            self.doubt("the days of retention and the time are both asked for");
        }
        for condition in days {
            match condition.operator.comparison.family() {
                Family::Numeric => {
                    let around = condition
                        .values
                        .iter()
                        .filter_map(|v| number(v.text()))
                        .flat_map(|n| [n - 1, n, n + 1, n + 2]);
                    points.extend(around.map(|n| super::request::SOME_TIME + n * 86_400_000));
                }
                Family::Null => points.push(super::request::SOME_TIME),
                _ => self.doubt("the days of retention are compared as text"),
            }
        }
        if points.is_empty() {
            return Vec::new();
        }
        points.sort_unstable();
        points.dedup();
        let dates = points
            .into_iter()
            .filter_map(|ms| jiff::Timestamp::from_millisecond(ms).ok())
            .map(|time| time.to_string());
        // What is no date compares with none.
        dates.chain(["never".to_owned()]).collect()
    }

    fn tags(&mut self) {
        let document = self.document;
        let mut names: Vec<String> = Vec::new();
        let mut keys: Vec<Key> = Vec::new();
        for condition in document.statements.iter().flat_map(|s| &s.conditions) {
            if let Ok(key @ Key::RequestObjectTag(_)) = Key::parse(&condition.key)
                && !keys.contains(&key)
            {
                keys.push(key);
            }
        }
        for key in &keys {
            if let Key::RequestObjectTag(name) = key {
                names.push(name.to_string());
            }
        }
        let mut globs: Vec<Glob> = names.iter().map(|name| Glob::exact(name)).collect();
        let by_name = self.asks(&Key::RequestObjectTagKeys);
        if by_name {
            let mut extra = Vec::new();
            self.globs(&Key::RequestObjectTagKeys, &mut globs, &mut extra);
            match classes(&globs, Shape::Text) {
                Some(found) => {
                    for class in found.into_iter().filter(|class| !class.witness.is_empty()) {
                        if !names.contains(&class.witness) {
                            names.push(class.witness);
                        }
                    }
                }
                None => self.doubt("the names of tags overlap in too many ways"),
            }
        }
        for name in names {
            let key = Key::RequestObjectTag(name.as_str().into());
            let (mut globs, mut extra) = (Vec::new(), Vec::new());
            let mut choices = vec![(0, Part::Tag(name.clone(), None))];
            if keys.contains(&key) {
                self.globs(&key, &mut globs, &mut extra);
            }
            match classes(&globs, Shape::Text) {
                Some(found) => extra.extend(found.into_iter().map(|class| class.witness)),
                None => self.doubt(format!("the values of {key} overlap in too many ways")),
            }
            choices.extend(
                extra
                    .into_iter()
                    .map(|value| (1, Part::Tag(name.clone(), Some(value)))),
            );
            self.push(About::Tag(name), choices);
        }
    }
}

/// The pattern of a string operator.
pub(super) fn text_glob(comparison: Comparison, value: &str, escapes: bool) -> Glob {
    let literal = |text: &str| {
        if escapes {
            text.replace("${*}", "*")
                .replace("${?}", "?")
                .replace("${$}", "$")
        } else {
            text.to_owned()
        }
    };
    match comparison {
        Comparison::StringLike | Comparison::StringNotLike => Glob::like(value, escapes),
        Comparison::StringEqualsIgnoreCase | Comparison::StringNotEqualsIgnoreCase => {
            Glob::folded(&literal(value))
        }
        _ => Glob::exact(&literal(value)),
    }
}

/// A decimal's whole part, rounded down.
fn number(text: &str) -> Option<i64> {
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
