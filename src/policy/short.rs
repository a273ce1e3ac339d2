//! The short form of a policy: `require`, `deny`, `tls`, for a bucket glob and a prefix. It expands to a [`Document`] like any other.

use serde_yaml::Value as Yaml;

use super::document::{Condition, Document, Scalar, Statement, Version};
use super::operator::{Comparison, Operator};
pub use super::short_error::ShortError;

/// An encryption a write can ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Encryption {
    /// `AES256`: SSE-S3.
    Aes256,
    /// `aws:kms`: SSE-KMS.
    Kms,
    /// `aws:kms:dsse`: dual-layer SSE-KMS.
    KmsDsse,
    /// `sse-c`: a key of the client's.
    SseC,
}

impl Encryption {
    /// Every one.
    pub const ALL: [Self; 4] = [Self::Aes256, Self::Kms, Self::KmsDsse, Self::SseC];

    /// As written in the short form; but for `sse-c`, also the header's value.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Aes256 => "AES256",
            Self::Kms => "aws:kms",
            Self::KmsDsse => "aws:kms:dsse",
            Self::SseC => "sse-c",
        }
    }

    fn parse(text: &str) -> Result<Self, ShortError> {
        Self::ALL
            .into_iter()
            .find(|e| e.as_str() == text)
            .ok_or_else(|| ShortError::Encryption(text.to_owned()))
    }

    fn sid(self) -> &'static str {
        match self {
            Self::Aes256 => "Aes256",
            Self::Kms => "Kms",
            Self::KmsDsse => "KmsDsse",
            Self::SseC => "SseC",
        }
    }
}

/// What a write must be encrypted with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Require {
    /// Any valid encryption header, SSE-C included.
    Any,
    /// One of these; with key ids, one of those too.
    Sse {
        /// At least one; several only without `sse-c`.
        sse: Vec<Encryption>,
        /// The values of `x-amz-server-side-encryption-aws-kms-key-id` that will do; empty for any, the header left out included.
        key_ids: Vec<String>,
    },
}

/// A policy in short.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShortForm {
    /// The bucket, with `*` and `?`; `*` where nothing is said.
    pub bucket: String,
    /// The start of the keys, literally.
    pub prefix: String,
    /// What writes must be encrypted with.
    pub require: Option<Require>,
    /// What they must not be encrypted with.
    pub deny: Vec<Encryption>,
    /// The oldest TLS version that will do: `1.0`, `1.1`, `1.2`, `1.3`.
    pub tls: Option<String>,
}

impl Default for ShortForm {
    fn default() -> Self {
        Self {
            bucket: "*".into(),
            prefix: String::new(),
            require: None,
            deny: Vec::new(),
            tls: None,
        }
    }
}

impl ShortForm {
    /// Reads YAML text.
    ///
    /// # Errors
    /// [`ShortError`] for the first thing that is wrong.
    pub fn parse(text: &str) -> Result<Self, ShortError> {
        Self::from_yaml(&serde_yaml::from_str(text).map_err(|e| ShortError::Yaml(e.to_string()))?)
    }

    /// True for a mapping that means a short form rather than AWS's JSON.
    #[must_use]
    pub fn is_meant(yaml: &Yaml) -> bool {
        yaml.as_mapping().is_some_and(|m| {
            ["require", "deny", "tls"]
                .iter()
                .any(|k| m.contains_key(*k))
                && !m.contains_key("Statement")
        })
    }

    /// Reads a mapping.
    ///
    /// # Errors
    /// As [`ShortForm::parse`].
    pub fn from_yaml(yaml: &Yaml) -> Result<Self, ShortError> {
        let mut form = Self::default();
        for (key, value) in yaml.as_mapping().ok_or(ShortError::Shape)? {
            match key.as_str().unwrap_or_default() {
                "bucket" => value
                    .as_str()
                    .ok_or(ShortError::Type("bucket", "a name or glob"))?
                    .clone_into(&mut form.bucket),
                "prefix" => value
                    .as_str()
                    .ok_or(ShortError::Type("prefix", "a string"))?
                    .clone_into(&mut form.prefix),
                "require" => form.require = Some(require(value)?),
                "deny" => {
                    form.deny = texts(value, "deny")?
                        .iter()
                        .map(|t| Encryption::parse(t))
                        .collect::<Result<_, _>>()?;
                }
                "tls" => {
                    form.tls = Some(
                        scalar(value)
                            .ok_or(ShortError::Type("tls", "a version such as \"1.2\""))?,
                    );
                }
                other => {
                    return Err(ShortError::Key(if other.is_empty() {
                        format!("{key:?}")
                    } else {
                        other.to_owned()
                    }));
                }
            }
        }
        form.validate()?;
        Ok(form)
    }

    fn validate(&self) -> Result<(), ShortError> {
        if self.bucket.is_empty() || self.bucket.contains(['/', '$', '{', ':']) {
            return Err(ShortError::Bucket(self.bucket.clone()));
        }
        if let Some(tls) = &self.tls
            && !["1.0", "1.1", "1.2", "1.3"].contains(&tls.as_str())
        {
            return Err(ShortError::Tls(tls.clone()));
        }
        if self.require.is_none() && self.deny.is_empty() && self.tls.is_none() {
            return Err(ShortError::Empty);
        }
        let passes: &[Encryption] = match &self.require {
            None => return Ok(()),
            Some(Require::Any) => &Encryption::ALL,
            Some(Require::Sse { sse, key_ids }) => {
                if sse.is_empty() {
                    return Err(ShortError::Type("sse", "an encryption or a list of some"));
                }
                if sse.len() > 1 && sse.contains(&Encryption::SseC) {
                    return Err(ShortError::Mixed);
                }
                if let Some(other) = sse
                    .iter()
                    .find(|e| !matches!(e, Encryption::Kms | Encryption::KmsDsse))
                    && !key_ids.is_empty()
                {
                    return Err(ShortError::KeyIds(other.as_str()));
                }
                sse
            }
        };
        match passes
            .iter()
            .all(|e| self.deny.contains(e))
            .then(|| passes.first())
            .flatten()
        {
            Some(first) => Err(ShortError::Contradiction(first.as_str())),
            None => Ok(()),
        }
    }

    /// The document it stands for.
    ///
    /// # Errors
    /// As [`ShortForm::parse`], for forms that were built by hand.
    pub fn expand(&self) -> Result<Document, ShortError> {
        self.validate()?;
        let objects = format!("arn:aws:s3:::{}/{}*", self.bucket, escape(&self.prefix));
        let mut out = Expander {
            objects,
            statements: Vec::new(),
        };
        if let Some(tls) = &self.tls {
            let mut all = vec![out.objects.clone()];
            if self.prefix.is_empty() {
                all.insert(0, format!("arn:aws:s3:::{}", self.bucket));
            }
            out.deny(
                "SealgateRequireTls".into(),
                "s3:*",
                all.clone(),
                vec![condition(
                    Comparison::Bool,
                    "aws:SecureTransport",
                    &["false"],
                )],
            );
            out.deny(
                format!("SealgateRequireTls{}", tls.replace('.', "")),
                "s3:*",
                all,
                vec![condition(
                    Comparison::NumericLessThan,
                    "s3:TlsVersion",
                    &[tls],
                )],
            );
        }
        match &self.require {
            None => {}
            Some(Require::Any) => out.any(),
            Some(Require::Sse { sse, key_ids }) if *sse == [Encryption::SseC] => {
                debug_assert!(key_ids.is_empty());
                out.put(
                    "SealgateRequireSseC".into(),
                    vec![condition(Comparison::StringNotEquals, SSE_C, &["AES256"])],
                );
            }
            Some(Require::Sse { sse, key_ids }) => {
                let values: Vec<&str> = sse.iter().map(|e| e.as_str()).collect();
                let names: String = sse.iter().map(|e| e.sid()).collect();
                // An absent header is not equal either, so SSE-C alone is refused with it.
                out.put(
                    format!("SealgateRequire{names}"),
                    vec![condition(Comparison::StringNotEquals, SSE, &values)],
                );
                if !key_ids.is_empty() {
                    let ids: Vec<String> = key_ids.iter().map(|k| escape(k)).collect();
                    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
                    out.put(
                        "SealgateRequireKmsKey".into(),
                        vec![condition(Comparison::StringNotEquals, SSE_KEY, &ids)],
                    );
                }
            }
        }
        for e in &self.deny {
            let c = match e {
                Encryption::SseC => condition(Comparison::Null, SSE_C, &["false"]),
                other => condition(Comparison::StringEquals, SSE, &[other.as_str()]),
            };
            let sid = format!("SealgateDeny{}", e.sid());
            if out
                .statements
                .iter()
                .all(|s| s.sid.as_deref() != Some(&sid))
            {
                out.put(sid, vec![c]);
            }
        }
        Ok(Document {
            version: Some(Version::V2012),
            id: Some("SealgatePolicy".into()),
            statements: out.statements,
        })
    }
}

const SSE: &str = "s3:x-amz-server-side-encryption";
const SSE_KEY: &str = "s3:x-amz-server-side-encryption-aws-kms-key-id";
const SSE_C: &str = "s3:x-amz-server-side-encryption-customer-algorithm";

struct Expander {
    objects: String,
    statements: Vec<Statement>,
}

impl Expander {
    fn put(&mut self, sid: String, conditions: Vec<Condition>) {
        let objects = vec![self.objects.clone()];
        self.deny(sid, "s3:PutObject", objects, conditions);
    }

    fn deny(
        &mut self,
        sid: String,
        action: &str,
        resources: Vec<String>,
        conditions: Vec<Condition>,
    ) {
        let index = self.statements.len();
        let deny = Statement::deny(index, sid, action, resources, conditions);
        self.statements.push(deny);
    }

    fn any(&mut self) {
        self.put(
            "SealgateRequireAny".into(),
            vec![
                condition(Comparison::Null, SSE, &["true"]),
                condition(Comparison::Null, SSE_C, &["true"]),
            ],
        );
        // Present but no encryption that S3 has: that would be no encryption at a store that does not check.
        self.put(
            "SealgateRequireValidSse".into(),
            vec![
                condition(
                    Comparison::StringNotEquals,
                    SSE,
                    &["AES256", "aws:kms", "aws:kms:dsse"],
                ),
                condition(Comparison::Null, SSE, &["false"]),
            ],
        );
        self.put(
            "SealgateRequireValidSseC".into(),
            vec![
                condition(Comparison::StringNotEquals, SSE_C, &["AES256"]),
                condition(Comparison::Null, SSE_C, &["false"]),
            ],
        );
    }
}

fn condition(comparison: Comparison, key: &str, values: &[&str]) -> Condition {
    Condition {
        operator: Operator::plain(comparison),
        key: key.to_owned(),
        values: values.iter().map(|v| Scalar::from(*v)).collect(),
    }
}

/// Makes text literal in a policy of 2012-10-17.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '*' | '?' | '$' => {
                out.push_str("${");
                out.push(c);
                out.push('}');
            }
            c => out.push(c),
        }
    }
    out
}

fn scalar(value: &Yaml) -> Option<String> {
    match value {
        Yaml::String(s) => Some(s.clone()),
        // `1.0` as a number prints as `1.0`.
        Yaml::Number(n) => Some(n.to_string()),
        _ => None,
    }
}

fn texts(value: &Yaml, name: &'static str) -> Result<Vec<String>, ShortError> {
    let want = ShortError::Type(name, "a string or a list of strings");
    match value {
        Yaml::String(s) => Ok(vec![s.clone()]),
        Yaml::Sequence(list) => list
            .iter()
            .map(|v| v.as_str().map(str::to_owned))
            .collect::<Option<_>>()
            .ok_or(want),
        _ => Err(want),
    }
}

fn require(value: &Yaml) -> Result<Require, ShortError> {
    if let Some(name) = value.as_str() {
        return if name == "any" {
            Ok(Require::Any)
        } else {
            Ok(Require::Sse {
                sse: vec![Encryption::parse(name)?],
                key_ids: Vec::new(),
            })
        };
    }
    let map = value.as_mapping().ok_or(ShortError::Type(
        "require",
        "any, AES256, aws:kms, aws:kms:dsse, sse-c, or a mapping with sse and key_ids",
    ))?;
    let (mut sse, mut key_ids) = (Vec::new(), Vec::new());
    for (key, value) in map {
        match key.as_str().unwrap_or_default() {
            "sse" => sse = texts(value, "sse")?,
            "key_ids" => {
                key_ids = texts(value, "key_ids")?;
                if key_ids.is_empty() || key_ids.iter().any(String::is_empty) {
                    return Err(ShortError::Type("key_ids", "a list of at least one key id"));
                }
            }
            other => return Err(ShortError::RequireKey(other.to_owned())),
        }
    }
    if sse == ["any"] {
        return if key_ids.is_empty() {
            Ok(Require::Any)
        } else {
            Err(ShortError::KeyIds("any"))
        };
    }
    // Key ids alone can only mean SSE-KMS.
    if sse.is_empty() && !key_ids.is_empty() {
        sse.push("aws:kms".to_owned());
    }
    Ok(Require::Sse {
        sse: sse
            .iter()
            .map(|t| Encryption::parse(t))
            .collect::<Result<_, _>>()?,
        key_ids,
    })
}

#[cfg(test)]
#[path = "short_tests.rs"]
mod tests;
