//! The bodies of `PutBucketEncryption` and `UpdateObjectEncryption`: which encryption they set.

use super::{Element, XmlError};

/// What `BlockedEncryptionTypes` of a bucket says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BlockedEncryption {
    /// SSE-C writes are refused by the store.
    SseC,
    /// Nothing is blocked.
    None,
}

/// A bucket's default encryption as `PutBucketEncryption` sets it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BucketEncryption {
    /// `AES256`, `aws:kms` or `aws:kms:dsse`, as sent; absent where the rule only blocks types.
    pub algorithm: Option<String>,
    /// The KMS key, as sent.
    pub key_id: Option<String>,
    /// Is a Bucket Key asked for?
    pub bucket_key: Option<bool>,
    /// What the bucket blocks.
    pub blocked: Option<BlockedEncryption>,
}

impl BucketEncryption {
    /// Parses a body of at most `limit` bytes.
    ///
    /// # Errors
    /// [`XmlError`]: not this document, or not exactly one `Rule` (as S3 has it).
    pub fn parse(body: &[u8], limit: usize) -> Result<Self, XmlError> {
        let root = Element::parse(body, limit)?;
        if root.name() != "ServerSideEncryptionConfiguration" {
            return Err(XmlError::Malformed(
                "Its root must be ServerSideEncryptionConfiguration.",
            ));
        }
        root.only(&["Rule"])?;
        let rule = root
            .one("Rule")?
            .ok_or(XmlError::Malformed("It must have one Rule."))?;
        rule.only(&[
            "ApplyServerSideEncryptionByDefault",
            "BucketKeyEnabled",
            "BlockedEncryptionTypes",
        ])?;
        let (mut algorithm, mut key_id) = (None, None);
        if let Some(default) = rule.one("ApplyServerSideEncryptionByDefault")? {
            default.only(&["SSEAlgorithm", "KMSMasterKeyID"])?;
            let given = default
                .one_text("SSEAlgorithm")?
                .ok_or(XmlError::Malformed("It has no SSEAlgorithm."))?;
            if !["AES256", "aws:kms", "aws:kms:dsse", "aws:fsx"].contains(&given) {
                return Err(XmlError::Malformed(
                    "SSEAlgorithm is AES256, aws:kms or aws:kms:dsse.",
                ));
            }
            algorithm = Some(given.to_owned());
            key_id = default.one_text("KMSMasterKeyID")?.map(str::to_owned);
        }
        let blocked = match rule.one("BlockedEncryptionTypes")? {
            None => None,
            Some(types) => {
                types.only(&["EncryptionType"])?;
                match types.one_text("EncryptionType")? {
                    Some("SSE-C") => Some(BlockedEncryption::SseC),
                    Some("NONE") => Some(BlockedEncryption::None),
                    _ => return Err(XmlError::Malformed("EncryptionType is SSE-C or NONE.")),
                }
            }
        };
        Ok(Self {
            algorithm,
            key_id,
            bucket_key: boolean(rule, "BucketKeyEnabled")?,
            blocked,
        })
    }
}

/// The encryption that `UpdateObjectEncryption` gives an object: always SSE-KMS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectEncryption {
    /// The ARN of the KMS key, as sent.
    pub key_arn: String,
    /// Is a Bucket Key asked for?
    pub bucket_key: Option<bool>,
}

impl ObjectEncryption {
    /// Parses a body of at most `limit` bytes.
    ///
    /// # Errors
    /// [`XmlError`]: not this document, or without a key.
    pub fn parse(body: &[u8], limit: usize) -> Result<Self, XmlError> {
        let root = Element::parse(body, limit)?;
        if root.name() != "ObjectEncryption" {
            return Err(XmlError::Malformed("Its root must be ObjectEncryption."));
        }
        root.only(&["SSE-KMS", "SSEKMS"])?;
        // The wire name is SSE-KMS; the SDKs' member name is taken too, but not both.
        let ((Some(kms), None) | (None, Some(kms))) = (root.one("SSE-KMS")?, root.one("SSEKMS")?)
        else {
            return Err(XmlError::Malformed("It must have one SSE-KMS."));
        };
        kms.only(&["KMSKeyArn", "BucketKeyEnabled"])?;
        let key_arn = kms
            .one_text("KMSKeyArn")?
            .filter(|arn| !arn.is_empty())
            .ok_or(XmlError::Malformed("It has no KMSKeyArn."))?;
        Ok(Self {
            key_arn: key_arn.to_owned(),
            bucket_key: boolean(kms, "BucketKeyEnabled")?,
        })
    }
}

fn boolean(parent: &Element, name: &str) -> Result<Option<bool>, XmlError> {
    match parent.one_text(name)? {
        None => Ok(None),
        Some("true") => Ok(Some(true)),
        Some("false") => Ok(Some(false)),
        Some(_) => Err(XmlError::Malformed("BucketKeyEnabled is true or false.")),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn bucket_encryption() {
        let parse = |body: &str| BucketEncryption::parse(body.as_bytes(), 4096);
        let got = parse(
            "<ServerSideEncryptionConfiguration><Rule><ApplyServerSideEncryptionByDefault><SSEAlgorithm>aws:kms</SSEAlgorithm>\
             <KMSMasterKeyID>k</KMSMasterKeyID></ApplyServerSideEncryptionByDefault><BucketKeyEnabled>true</BucketKeyEnabled>\
             <BlockedEncryptionTypes><EncryptionType>SSE-C</EncryptionType></BlockedEncryptionTypes></Rule></ServerSideEncryptionConfiguration>",
        )
        .unwrap();
        assert_eq!(got.algorithm.as_deref(), Some("aws:kms"));
        assert_eq!(got.key_id.as_deref(), Some("k"));
        assert_eq!(
            (got.bucket_key, got.blocked),
            (Some(true), Some(BlockedEncryption::SseC))
        );
        assert!(parse("<ServerSideEncryptionConfiguration/>").is_err());
        assert!(parse("<ServerSideEncryptionConfiguration><Rule/><Rule/></ServerSideEncryptionConfiguration>").is_err());
    }

    #[test]
    fn object_encryption() {
        let parse = |body: &str| ObjectEncryption::parse(body.as_bytes(), 4096);
        let got = parse(
            "<ObjectEncryption><SSE-KMS><KMSKeyArn>arn:k</KMSKeyArn></SSE-KMS></ObjectEncryption>",
        )
        .unwrap();
        assert_eq!((got.key_arn.as_str(), got.bucket_key), ("arn:k", None));
        assert!(parse("<ObjectEncryption/>").is_err());
        assert!(parse("<ObjectEncryption><SSE-KMS/></ObjectEncryption>").is_err());
        assert!(parse("<ObjectEncryption><SSE-KMS><KMSKeyArn>a</KMSKeyArn></SSE-KMS><SSEKMS><KMSKeyArn>b</KMSKeyArn></SSEKMS></ObjectEncryption>").is_err());
    }
}
