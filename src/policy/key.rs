//! Condition keys: those a proxy can know, those AWS has but only AWS can know, and the rest.
//!
//! Source: the service authorization reference for S3 and the IAM guide on global condition keys.

use std::fmt;

/// What kind of value a key holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum KeyType {
    String,
    Strings,
    Arn,
    Bool,
    Numeric,
    Date,
    Ip,
}

macro_rules! keys {
    ($($variant:ident $name:literal $kind:ident $header:expr;)*) => {
        /// A condition key whose value a proxy can know. Names compare case-insensitively.
        #[derive(Debug, Clone, PartialEq, Eq, Hash)]
        #[allow(missing_docs)] // each is the AWS name without its punctuation
        pub enum Key {
            $($variant,)*
            /// `s3:RequestObjectTag/<key>`; the tag's name is case-sensitive.
            RequestObjectTag(Box<str>),
            /// A key AWS has and no proxy can know (lower case). Only recorded cases give it a value; a policy with one is never enforced.
            Recorded(Box<str>),
        }

        impl Key {
            /// The keys without a parameter.
            pub const ALL: &'static [Key] = &[$(Key::$variant,)*];

            fn fixed(&self) -> Option<(&'static str, KeyType, Option<&'static str>)> {
                match self {
                    $(Key::$variant => Some(($name, KeyType::$kind, $header)),)*
                    Key::RequestObjectTag(_) | Key::Recorded(_) => None,
                }
            }
        }
    };
}

keys! {
    AuthType "s3:authType" String None;
    SignatureVersion "s3:signatureversion" String None;
    SignatureAge "s3:signatureAge" Numeric None;
    TlsVersion "s3:TlsVersion" Numeric None;
    ContentSha256 "s3:x-amz-content-sha256" String Some("x-amz-content-sha256");
    ResourceAccount "s3:ResourceAccount" String None;
    Sse "s3:x-amz-server-side-encryption" String Some("x-amz-server-side-encryption");
    SseKmsKeyId "s3:x-amz-server-side-encryption-aws-kms-key-id" Arn Some("x-amz-server-side-encryption-aws-kms-key-id");
    SseCustomerAlgorithm "s3:x-amz-server-side-encryption-customer-algorithm" String Some("x-amz-server-side-encryption-customer-algorithm");
    Acl "s3:x-amz-acl" String Some("x-amz-acl");
    GrantRead "s3:x-amz-grant-read" String Some("x-amz-grant-read");
    GrantWrite "s3:x-amz-grant-write" String Some("x-amz-grant-write");
    GrantReadAcp "s3:x-amz-grant-read-acp" String Some("x-amz-grant-read-acp");
    GrantWriteAcp "s3:x-amz-grant-write-acp" String Some("x-amz-grant-write-acp");
    GrantFullControl "s3:x-amz-grant-full-control" String Some("x-amz-grant-full-control");
    CopySource "s3:x-amz-copy-source" String Some("x-amz-copy-source");
    MetadataDirective "s3:x-amz-metadata-directive" String Some("x-amz-metadata-directive");
    StorageClass "s3:x-amz-storage-class" String Some("x-amz-storage-class");
    WebsiteRedirectLocation "s3:x-amz-website-redirect-location" String Some("x-amz-website-redirect-location");
    BucketNamespace "s3:x-amz-bucket-namespace" String Some("x-amz-bucket-namespace");
    ObjectOwnership "s3:x-amz-object-ownership" String Some("x-amz-object-ownership");
    RequestObjectTagKeys "s3:RequestObjectTagKeys" Strings Some("x-amz-tagging");
    ObjectLockMode "s3:object-lock-mode" String Some("x-amz-object-lock-mode");
    ObjectLockRetainUntilDate "s3:object-lock-retain-until-date" Date Some("x-amz-object-lock-retain-until-date");
    ObjectLockRemainingRetentionDays "s3:object-lock-remaining-retention-days" Numeric Some("x-amz-object-lock-retain-until-date");
    ObjectLockLegalHold "s3:object-lock-legal-hold" String Some("x-amz-object-lock-legal-hold");
    IfMatch "s3:if-match" String Some("if-match");
    IfNoneMatch "s3:if-none-match" String Some("if-none-match");
    ObjectCreationOperation "s3:ObjectCreationOperation" Bool None;
    Prefix "s3:prefix" String None;
    Delimiter "s3:delimiter" String None;
    MaxKeys "s3:max-keys" Numeric None;
    VersionId "s3:versionid" String None;
    SecureTransport "aws:SecureTransport" Bool None;
    SourceIp "aws:SourceIp" Ip None;
    UserAgent "aws:UserAgent" String Some("user-agent");
    Referer "aws:Referer" String Some("referer");
    CurrentTime "aws:CurrentTime" Date None;
    EpochTime "aws:EpochTime" Date None;
    PrincipalArn "aws:PrincipalArn" Arn None;
    PrincipalAccount "aws:PrincipalAccount" String None;
    PrincipalType "aws:PrincipalType" String None;
    PrincipalIsAwsService "aws:PrincipalIsAWSService" Bool None;
    Username "aws:username" String None;
    UserId "aws:userid" String None;
    AwsResourceAccount "aws:ResourceAccount" String None;
}

const TAG: &str = "s3:requestobjecttag/";

/// Keys AWS documents that depend on what only AWS knows, each with the reason. A trailing `/` takes any parameter.
const UNKNOWABLE: &[(&str, &str)] = &[
    (
        "s3:existingobjecttag/",
        "it is a tag of the stored object, which is not in the request",
    ),
    (
        "s3:locationconstraint",
        "it stands in the XML body, which is not read",
    ),
    (
        "s3:inventoryaccessibleoptionalfields",
        "it stands in the XML body, which is not read",
    ),
    (
        "s3:isreplicationpauserequest",
        "it stands in the XML body, which is not read",
    ),
    (
        "s3:destinationregion",
        "it belongs to AWS Fault Injection Service",
    ),
    ("s3:accessgrantscope", "it belongs to S3 Access Grants"),
    (
        "s3:accessgrantsinstancearn",
        "it belongs to S3 Access Grants",
    ),
    (
        "s3:accessgrantslocationscope",
        "it belongs to S3 Access Grants",
    ),
    ("s3:accesspointnetworkorigin", "it belongs to access points"),
    ("s3:accesspointtag/", "it belongs to access points"),
    ("s3:dataaccesspointaccount", "it belongs to access points"),
    ("s3:dataaccesspointarn", "it belongs to access points"),
    (
        "s3:buckettag/",
        "it is a tag of the bucket, which is not in the request",
    ),
    (
        "s3:existingjoboperation",
        "it belongs to S3 Batch Operations",
    ),
    (
        "s3:existingjobpriority",
        "it belongs to S3 Batch Operations",
    ),
    ("s3:jobsuspendedcause", "it belongs to S3 Batch Operations"),
    (
        "s3:requestjoboperation",
        "it belongs to S3 Batch Operations",
    ),
    ("s3:requestjobpriority", "it belongs to S3 Batch Operations"),
    (
        "aws:principaltag/",
        "the tags of a principal are kept by IAM",
    ),
    (
        "aws:principalorgid",
        "the organization of a principal is kept by AWS Organizations",
    ),
    (
        "aws:principalorgpaths",
        "the organization of a principal is kept by AWS Organizations",
    ),
    (
        "aws:principalservicename",
        "AWS services do not call through a proxy",
    ),
    (
        "aws:principalservicenameslist",
        "AWS services do not call through a proxy",
    ),
    ("aws:resourcetag/", "the tags of a resource are kept by AWS"),
    (
        "aws:requesttag/",
        "it stands in the XML body, which is not read",
    ),
    (
        "aws:tagkeys",
        "it stands in the XML body, which is not read",
    ),
    (
        "aws:resourceorgid",
        "the organization of a resource is kept by AWS Organizations",
    ),
    (
        "aws:resourceorgpaths",
        "the organization of a resource is kept by AWS Organizations",
    ),
    (
        "aws:sourcevpc",
        "only AWS's network knows the VPC a request comes from",
    ),
    (
        "aws:sourcevpcarn",
        "only AWS's network knows the VPC a request comes from",
    ),
    (
        "aws:sourcevpce",
        "only AWS's network knows the VPC endpoint a request comes through",
    ),
    (
        "aws:vpcsourceip",
        "only AWS's network knows the address inside a VPC",
    ),
    (
        "aws:vpceaccount",
        "only AWS's network knows the VPC endpoint a request comes through",
    ),
    (
        "aws:vpceorgid",
        "only AWS's network knows the VPC endpoint a request comes through",
    ),
    (
        "aws:vpceorgpaths",
        "only AWS's network knows the VPC endpoint a request comes through",
    ),
    (
        "aws:viaawsservice",
        "AWS services do not call through a proxy",
    ),
    ("aws:calledvia", "AWS services do not call through a proxy"),
    (
        "aws:calledviafirst",
        "AWS services do not call through a proxy",
    ),
    (
        "aws:calledvialast",
        "AWS services do not call through a proxy",
    ),
    (
        "aws:calledviaawsmcp",
        "AWS services do not call through a proxy",
    ),
    (
        "aws:viaawsmcpservice",
        "AWS services do not call through a proxy",
    ),
    ("aws:sourcearn", "AWS services do not call through a proxy"),
    (
        "aws:sourceaccount",
        "AWS services do not call through a proxy",
    ),
    (
        "aws:sourceorgid",
        "AWS services do not call through a proxy",
    ),
    (
        "aws:sourceorgpaths",
        "AWS services do not call through a proxy",
    ),
    ("aws:sourceidentity", "it is kept in the session by STS"),
    ("aws:sourceinstancearn", "it is kept in the session by STS"),
    ("aws:federatedprovider", "it is kept in the session by STS"),
    ("aws:tokenissuetime", "it is kept in the session by STS"),
    ("aws:multifactorauthage", "it is kept in the session by STS"),
    (
        "aws:multifactorauthpresent",
        "it is kept in the session by STS",
    ),
    ("aws:chatbotsourcearn", "it is kept in the session by STS"),
    ("aws:assumedroot", "it is kept in the session by STS"),
    (
        "aws:ec2instancesourcevpc",
        "it is kept in the session by STS",
    ),
    (
        "aws:ec2instancesourceprivateipv4",
        "it is kept in the session by STS",
    ),
    (
        "aws:requestedregion",
        "the Region belongs to AWS's endpoint, not to the request",
    ),
    ("ec2:sourceinstancearn", "it is kept in the session by STS"),
    ("ec2:roledelivery", "it is kept in the session by STS"),
    (
        "lambda:sourcefunctionarn",
        "it is kept in the session by STS",
    ),
];

/// What the names of keys begin with that identity providers and STS put into a session.
const OF_SESSIONS: &[&str] = &[
    "accounts.google.com:",
    "cognito-identity.amazonaws.com:",
    "graph.facebook.com:",
    "identitystore:",
    "saml:",
    "sts:",
    "www.amazon.com:",
];

/// Why a name is not a usable key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotKnown {
    /// AWS does not have it either.
    NoSuchKey,
    /// AWS has it; a proxy cannot know its value, for this reason.
    OnlyAws(&'static str),
}

impl Key {
    /// Looks a name up, case-insensitively.
    ///
    /// # Errors
    /// [`NotKnown`] says whether AWS would know it.
    pub fn parse(name: &str) -> Result<Self, NotKnown> {
        if let Some(key) = Self::ALL.iter().find(|k| {
            k.fixed()
                .is_some_and(|(n, ..)| n.eq_ignore_ascii_case(name))
        }) {
            return Ok(key.clone());
        }
        if let (Some(head), Some(tag)) = (name.get(..TAG.len()), name.get(TAG.len()..))
            && head.eq_ignore_ascii_case(TAG)
            && !tag.is_empty()
        {
            return Ok(Self::RequestObjectTag(tag.into()));
        }
        let lower = name.to_ascii_lowercase();
        let hit = UNKNOWABLE.iter().find(|(n, _)| {
            if n.ends_with('/') {
                lower.len() > n.len() && lower.starts_with(n)
            } else {
                lower == *n
            }
        });
        if let Some((_, why)) = hit {
            return Err(NotKnown::OnlyAws(why));
        }
        if OF_SESSIONS
            .iter()
            .any(|p| lower.len() > p.len() && lower.starts_with(p))
        {
            return Err(NotKnown::OnlyAws("it is kept in the session by STS"));
        }
        Err(NotKnown::NoSuchKey)
    }

    /// As [`Key::parse`], but a key that only AWS can know becomes [`Key::Recorded`].
    ///
    /// # Errors
    /// [`NotKnown::NoSuchKey`] alone.
    pub fn parse_recorded(name: &str) -> Result<Self, NotKnown> {
        match Self::parse(name) {
            Err(NotKnown::OnlyAws(_)) => Ok(Self::Recorded(name.to_ascii_lowercase().into())),
            other => other,
        }
    }

    /// What the key holds.
    #[must_use]
    pub fn kind(&self) -> KeyType {
        self.fixed().map_or(KeyType::String, |(_, kind, _)| kind)
    }

    /// The header the value comes from (lower case), if it comes from one.
    #[must_use]
    pub fn header(&self) -> Option<&'static str> {
        match self {
            Self::RequestObjectTag(_) => Some("x-amz-tagging"),
            other => other.fixed().and_then(|(.., header)| header),
        }
    }

    /// True for the three keys on server-side encryption headers.
    #[must_use]
    pub fn is_sse(&self) -> bool {
        matches!(
            self,
            Self::Sse | Self::SseKmsKeyId | Self::SseCustomerAlgorithm
        )
    }

    /// The name in the table of an action's keys (`s3:RequestObjectTag/<key>` for tags), for comparison without case.
    #[must_use]
    pub fn table_name(&self) -> &str {
        match self {
            Self::RequestObjectTag(_) => "s3:RequestObjectTag/<key>",
            Self::Recorded(name) => name,
            other => other.fixed().map_or("", |(name, ..)| name),
        }
    }

    /// True for `aws:` keys and those of sessions, which every action carries.
    #[must_use]
    pub fn is_global(&self) -> bool {
        !self.table_name().starts_with("s3:")
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RequestObjectTag(tag) => write!(f, "s3:RequestObjectTag/{tag}"),
            other => f.write_str(other.table_name()),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn names_come_back_without_case() {
        for key in Key::ALL {
            assert_eq!(
                Key::parse(&key.to_string().to_uppercase()).as_ref(),
                Ok(key)
            );
        }
        assert_eq!(
            Key::parse("S3:requestobjecttag/Owner"),
            Ok(Key::RequestObjectTag("Owner".into()))
        );
        assert_eq!(Key::parse("s3:RequestObjectTag/"), Err(NotKnown::NoSuchKey));
    }

    #[test]
    fn tells_apart_what_aws_knows() {
        assert!(matches!(
            Key::parse("s3:ExistingObjectTag/a"),
            Err(NotKnown::OnlyAws(_))
        ));
        assert!(matches!(
            Key::parse("aws:SourceVpce"),
            Err(NotKnown::OnlyAws(_))
        ));
        assert_eq!(
            Key::parse("s3:x-amz-server-side-encryptoin"),
            Err(NotKnown::NoSuchKey)
        );
    }
}
