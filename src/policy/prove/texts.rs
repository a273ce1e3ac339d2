//! The dimensions that are texts of the client's: headers, tags, the source of a copy.

use super::Question;
use super::classes::{Glob, Shape, classes};
use super::dims::{About, Builder, Part, number, tail};
use crate::policy::{Comparison, Family, Key, Scalar, date};
use crate::s3::query::encode;

impl Builder<'_> {
    /// The headers that the policy asks for.
    pub(super) fn headers(&mut self) {
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
            // A key id is valid only beside SSE-KMS, so what a policy says of it is said of both.
            let beside = *key == Key::Sse && self.asks(&Key::SseKmsKeyId);
            if extra.is_empty() && !self.asks(key) && !beside {
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
    pub(super) fn copies(&mut self) {
        let (mut globs, mut extra) = (Vec::new(), Vec::new());
        self.globs(&Key::CopySource, &mut globs, &mut extra);
        let document = self.document;
        for resource in document
            .statements
            .iter()
            .flat_map(|s| &s.resource.patterns)
        {
            let tail = tail(resource);
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

    /// Tags: each name that the policy tells apart, with its values.
    pub(super) fn tags(&mut self) {
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
