//! What is wrong with a short form, and in which line.

use thiserror::Error;

/// Why a short form cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ShortError {
    /// Not YAML.
    #[error("not YAML: {0}")]
    Yaml(String),
    /// Not a mapping.
    #[error("a policy in short is a mapping with `require`, `deny` or `tls`")]
    Shape,
    /// A key the form does not have.
    #[error("unknown key `{0}`; there are bucket, prefix, require, deny, tls")]
    Key(String),
    /// A key of `require` as a mapping.
    #[error("unknown key `{0}` in `require`; there are sse, key_ids")]
    RequireKey(String),
    /// A value of the wrong type.
    #[error("`{0}` must be {1}")]
    Type(&'static str, &'static str),
    /// No encryption's name.
    #[error(
        "`{0}` is no encryption; write AES256, aws:kms, aws:kms:dsse or sse-c (`require` also takes any)"
    )]
    Encryption(String),
    /// No TLS version.
    #[error("`tls: {0}` is no version; write \"1.0\", \"1.1\", \"1.2\" or \"1.3\"")]
    Tls(String),
    /// Key ids with what has none.
    #[error("`key_ids` go with `sse: aws:kms` or `sse: aws:kms:dsse`, not with {0}")]
    KeyIds(&'static str),
    /// `sse-c` with others in one list.
    #[error(
        "`sse-c` cannot be one of several; `require: any` takes every encryption, and `deny` takes some away"
    )]
    Mixed,
    /// Nothing would pass.
    #[error("`{0}` is both required and denied, so every write would be refused")]
    Contradiction(&'static str),
    /// Nothing is asked.
    #[error("nothing is asked for; write `require`, `deny` or `tls`")]
    Empty,
    /// A bucket with a slash or nothing.
    #[error("`bucket: {0}` is no bucket name or glob")]
    Bucket(String),
    /// One of the others, and where it stands in its file.
    #[error("line {line}: {error}")]
    At {
        /// From 1.
        line: usize,
        /// What.
        error: Box<Self>,
    },
}

impl ShortError {
    /// Says where in `text` it stands, where that can be told.
    #[must_use]
    pub fn at(self, text: &str) -> Self {
        // Is `name` a key of this line, in whatever notation?
        let has = |line: &str, name: &str| {
            line.split(['{', ',', '}']).any(|piece| {
                piece
                    .split_once(':')
                    .is_some_and(|(key, _)| key.trim_matches([' ', '\t', '"', '\'', '-']) == name)
            })
        };
        let uncommented = |line: &str| !line.trim_start().starts_with('#');
        let find = |fits: &dyn Fn(&str) -> bool| {
            text.lines()
                .position(|line| uncommented(line) && fits(line))
        };
        let at = match &self {
            // YAML's own errors say it themselves; the others are about the whole.
            Self::Yaml(_) | Self::Shape | Self::Empty | Self::At { .. } => None,
            Self::Key(name) | Self::RequireKey(name) => find(&|line| has(line, name)),
            Self::Type(name, _) => find(&|line| has(line, name)),
            Self::Encryption(value) => find(&|line| line.contains(value.as_str())),
            Self::Tls(_) => find(&|line| has(line, "tls")),
            Self::KeyIds(_) => find(&|line| has(line, "key_ids")),
            Self::Mixed => {
                find(&|line| has(line, "sse")).or_else(|| find(&|line| has(line, "require")))
            }
            Self::Contradiction(_) => find(&|line| has(line, "deny")),
            Self::Bucket(_) => find(&|line| has(line, "bucket")),
        };
        match at {
            Some(index) => Self::At {
                line: index + 1,
                error: Box::new(self),
            },
            None => self,
        }
    }
}
