//! A policy from a few choices: the part of AWS's policy generator that is about encryption and transport.
//!
//! What comes out passes [`super::check()`] and [`super::lint`] without a word, and [`super::prove`] for what was asked.

use super::document::{
    Clause, Condition, Document, Effect, PrincipalClause, PrincipalEntry, PrincipalKind,
    Principals, Scalar, Statement, Version,
};
use super::operator::{Comparison, Operator};
use super::principal::{Principal, is_account};
use super::{Issue, Issues, check};

const SSE: &str = "s3:x-amz-server-side-encryption";
const KEY_ID: &str = "s3:x-amz-server-side-encryption-aws-kms-key-id";
const SSE_C: &str = "s3:x-amz-server-side-encryption-customer-algorithm";

/// Which encryption writes must ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Require {
    /// Any that S3 has, SSE-C among them.
    Any,
    /// SSE-S3: `AES256`
    Aes256,
    /// SSE-KMS: `aws:kms`
    Kms,
    /// DSSE-KMS: `aws:kms:dsse`
    KmsDsse,
    /// The customer's own keys.
    SseC,
}

impl std::str::FromStr for Require {
    type Err = GenerateError;

    fn from_str(text: &str) -> Result<Self, GenerateError> {
        Ok(match text {
            "any" => Self::Any,
            "AES256" => Self::Aes256,
            "aws:kms" => Self::Kms,
            "aws:kms:dsse" => Self::KmsDsse,
            "sse-c" => Self::SseC,
            other => return Err(GenerateError::Require(other.to_owned())),
        })
    }
}

/// The choices.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Choices {
    /// The bucket.
    pub bucket: String,
    /// Only keys that begin so, for what is about encryption; empty for all.
    pub prefix: String,
    /// What writes must ask for.
    pub require: Option<Require>,
    /// The KMS keys that may be named, by their ARNs; one of them must be.
    pub key_ids: Vec<String>,
    /// Refuse SSE-C.
    pub deny_sse_c: bool,
    /// The oldest version of TLS, `1.0` to `1.3`; `1.0` asks for any.
    pub tls: Option<String>,
    /// Who may use the bucket: accounts or ARNs of users and roles. Everybody else is denied.
    pub allow_principals: Vec<String>,
    /// From where, as addresses or CIDR ranges. Everywhere else is denied.
    pub source_ips: Vec<String>,
}

/// Why the choices make no policy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GenerateError {
    /// No such encryption.
    #[error("`{0}` is no encryption: write any, AES256, aws:kms, aws:kms:dsse or sse-c")]
    Require(String),
    /// No bucket's name.
    #[error(
        "`{0}` is not the name of a bucket: 3 to 63 lower-case letters, digits, dots and hyphens"
    )]
    Bucket(String),
    /// A prefix that is a pattern.
    #[error(
        "`{0}` has a character that means something in a policy (* ? $): name the prefix itself"
    )]
    Prefix(String),
    /// A key that is not named by its ARN.
    #[error(
        "`{0}` is not a KMS key's ARN: write arn:aws:kms:REGION:ACCOUNT:key/ID, for the header is compared as it is sent"
    )]
    KeyId(String),
    /// A key id without KMS.
    #[error("key ids go with aws:kms or aws:kms:dsse: set what is required to one of them")]
    KeyIdWithoutKms,
    /// SSE-C is demanded and refused.
    #[error("SSE-C cannot be required and denied at once")]
    SseC,
    /// No version of TLS.
    #[error("`{0}` is no version of TLS: write 1.0, 1.1, 1.2 or 1.3")]
    Tls(String),
    /// No principal.
    #[error(
        "`{0}` is no principal: write an account's 12 digits, or an ARN such as arn:aws:iam::ACCOUNT:user/NAME"
    )]
    Principal(String),
    /// No address.
    #[error("`{0}` is no address and no range: write 192.0.2.0/24 or 2001:db8::/32")]
    SourceIp(String),
    /// Nothing was chosen.
    #[error("nothing was asked for: choose an encryption, TLS, principals or addresses")]
    Nothing,
    /// What was made would be refused: the choices do not go together.
    #[error("these choices make no valid policy: {0}")]
    Refused(Issues),
}

/// Makes the policy.
///
/// # Errors
/// [`GenerateError`], the first that is found.
pub fn generate(choices: &Choices) -> Result<Document, GenerateError> {
    let mut maker = Maker::new(choices)?;
    maker.encryption()?;
    maker.transport()?;
    maker.callers()?;
    if maker.statements.is_empty() {
        return Err(GenerateError::Nothing);
    }
    let document = Document {
        version: Some(Version::V2012),
        id: None,
        statements: maker.statements,
    };
    let issues: Vec<Issue> = check::check(&document);
    if issues.is_empty() {
        Ok(document)
    } else {
        Err(GenerateError::Refused(Issues(issues)))
    }
}

struct Maker<'a> {
    choices: &'a Choices,
    /// The bucket and all its objects.
    whole: Vec<String>,
    /// The objects that the encryption is about.
    objects: Vec<String>,
    statements: Vec<Statement>,
}

impl<'a> Maker<'a> {
    fn new(choices: &'a Choices) -> Result<Self, GenerateError> {
        let bucket = &choices.bucket;
        let good = (3..=63).contains(&bucket.len())
            && bucket
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'.' || b == b'-')
            && bucket.starts_with(|c: char| c.is_ascii_alphanumeric())
            && bucket.ends_with(|c: char| c.is_ascii_alphanumeric());
        if !good {
            return Err(GenerateError::Bucket(bucket.clone()));
        }
        if choices.prefix.contains(['*', '?', '$']) || choices.prefix.chars().any(char::is_control)
        {
            return Err(GenerateError::Prefix(choices.prefix.clone()));
        }
        let arn = format!("arn:aws:s3:::{bucket}");
        Ok(Self {
            choices,
            objects: vec![format!("{arn}/{}*", choices.prefix)],
            whole: vec![arn.clone(), format!("{arn}/*")],
            statements: Vec::new(),
        })
    }

    fn deny(
        &mut self,
        sid: &str,
        action: &str,
        resources: Vec<String>,
        conditions: Vec<Condition>,
    ) {
        let index = self.statements.len();
        let deny = Statement::deny(index, sid.to_owned(), action, resources, conditions);
        self.statements.push(deny);
    }

    fn write(&mut self, sid: &str, conditions: Vec<Condition>) {
        self.deny(sid, "s3:PutObject", self.objects.clone(), conditions);
    }

    fn encryption(&mut self) -> Result<(), GenerateError> {
        let choices = self.choices;
        let kms = matches!(choices.require, Some(Require::Kms | Require::KmsDsse));
        if !choices.key_ids.is_empty() && !kms {
            return Err(GenerateError::KeyIdWithoutKms);
        }
        if choices.deny_sse_c && choices.require == Some(Require::SseC) {
            return Err(GenerateError::SseC);
        }
        match choices.require {
            None => {}
            Some(Require::Any) => {
                self.write(
                    "DenyUnencryptedWrites",
                    vec![null(SSE, true), null(SSE_C, true)],
                );
                self.write(
                    "DenyUnknownEncryption",
                    vec![
                        is(
                            Comparison::StringNotEquals,
                            SSE,
                            &["AES256", "aws:kms", "aws:kms:dsse"],
                        ),
                        null(SSE, false),
                    ],
                );
                self.write(
                    "DenyUnknownCustomerAlgorithm",
                    vec![
                        is(Comparison::StringNotEquals, SSE_C, &["AES256"]),
                        null(SSE_C, false),
                    ],
                );
            }
            Some(Require::Aes256) => self.header("AES256"),
            Some(Require::Kms) => self.header("aws:kms"),
            Some(Require::KmsDsse) => self.header("aws:kms:dsse"),
            Some(Require::SseC) => {
                self.write("DenyWritesWithoutCustomerKey", vec![null(SSE_C, true)]);
                self.write(
                    "DenyWrongCustomerAlgorithm",
                    vec![is(Comparison::StringNotEquals, SSE_C, &["AES256"])],
                );
            }
        }
        if !choices.key_ids.is_empty() {
            for id in &choices.key_ids {
                let parts: Vec<&str> = id.splitn(6, ':').collect();
                let good = matches!(parts[..], ["arn", _, "kms", region, account, key] if !region.is_empty() && is_account(account) && key.strip_prefix("key/").is_some_and(|k| !k.is_empty()))
                    && !id.contains(['*', '?', '$']);
                if !good {
                    return Err(GenerateError::KeyId(id.clone()));
                }
            }
            let ids: Vec<&str> = choices.key_ids.iter().map(String::as_str).collect();
            self.write("DenyWritesWithoutKeyId", vec![null(KEY_ID, true)]);
            self.write(
                "DenyOtherKeys",
                vec![is(Comparison::StringNotEquals, KEY_ID, &ids)],
            );
        }
        if choices.deny_sse_c {
            self.write("DenyCustomerKeys", vec![null(SSE_C, false)]);
        }
        Ok(())
    }

    /// Two statements, so that stores that read `StringNotEquals` otherwise than AWS agree.
    fn header(&mut self, value: &str) {
        self.write("DenyWritesWithoutEncryption", vec![null(SSE, true)]);
        self.write(
            "DenyWrongEncryption",
            vec![is(Comparison::StringNotEquals, SSE, &[value])],
        );
    }

    fn transport(&mut self) -> Result<(), GenerateError> {
        let Some(version) = &self.choices.tls else {
            return Ok(());
        };
        if !["1.0", "1.1", "1.2", "1.3"].contains(&version.as_str()) {
            return Err(GenerateError::Tls(version.clone()));
        }
        self.deny(
            "DenyPlainHttp",
            "s3:*",
            self.whole.clone(),
            vec![is(Comparison::Bool, "aws:SecureTransport", &["false"])],
        );
        if version != "1.0" {
            self.deny(
                "DenyOldTls",
                "s3:*",
                self.whole.clone(),
                vec![is(Comparison::NumericLessThan, "s3:TlsVersion", &[version])],
            );
        }
        Ok(())
    }

    fn callers(&mut self) -> Result<(), GenerateError> {
        let choices = self.choices;
        if !choices.allow_principals.is_empty() {
            let mut values: Vec<String> = Vec::new();
            let mut entries: Vec<PrincipalEntry> = Vec::new();
            let mut accounts: Vec<&str> = Vec::new();
            for given in &choices.allow_principals {
                if is_account(given) {
                    accounts.push(given.as_str());
                } else {
                    let principal = Principal::parse(given)
                        .map_err(|_| GenerateError::Principal(given.clone()))?;
                    values.push(principal.condition_arn().into_owned());
                }
                entries.push(PrincipalEntry {
                    kind: PrincipalKind::Aws,
                    value: given.clone(),
                });
            }
            // Who is neither of one of the accounts nor one of the named.
            let mut conditions = Vec::new();
            if !accounts.is_empty() {
                conditions.push(is(
                    Comparison::StringNotEquals,
                    "aws:PrincipalAccount",
                    &accounts,
                ));
            }
            if !values.is_empty() {
                let values: Vec<&str> = values.iter().map(String::as_str).collect();
                conditions.push(is(Comparison::ArnNotEquals, "aws:PrincipalArn", &values));
            }
            self.deny("DenyOtherCallers", "s3:*", self.whole.clone(), conditions);
            self.statements.push(Statement {
                index: self.statements.len(),
                line: 0,
                sid: Some("AllowCallers".to_owned()),
                effect: Effect::Allow,
                principal: PrincipalClause {
                    negated: false,
                    who: Principals::Listed(entries),
                },
                action: Clause {
                    negated: false,
                    patterns: vec!["s3:*".to_owned()],
                },
                resource: Clause {
                    negated: false,
                    patterns: self.whole.clone(),
                },
                conditions: Vec::new(),
                says_no_condition: false,
            });
        }
        if !choices.source_ips.is_empty() {
            for range in &choices.source_ips {
                if range.parse::<ipnet::IpNet>().is_err()
                    && range.parse::<std::net::IpAddr>().is_err()
                {
                    return Err(GenerateError::SourceIp(range.clone()));
                }
            }
            let ranges: Vec<&str> = choices.source_ips.iter().map(String::as_str).collect();
            self.deny(
                "DenyOtherAddresses",
                "s3:*",
                self.whole.clone(),
                vec![is(Comparison::NotIpAddress, "aws:SourceIp", &ranges)],
            );
        }
        Ok(())
    }
}

fn is(comparison: Comparison, key: &str, values: &[&str]) -> Condition {
    Condition {
        operator: Operator::plain(comparison),
        key: key.to_owned(),
        values: values.iter().map(|value| Scalar::from(*value)).collect(),
    }
}

fn null(key: &str, absent: bool) -> Condition {
    is(
        Comparison::Null,
        key,
        &[if absent { "true" } else { "false" }],
    )
}

#[cfg(test)]
#[path = "generate_tests.rs"]
mod tests;
