//! `x-amz-copy-source`: the object that a copy reads.
//!
//! `[/]bucket/key[?versionId=v]`, URL-encoded, the slash after the bucket too if the client likes.
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/API_CopyObject.html>

use std::borrow::Cow;

use super::address::{self, AddressError};
use super::query::decode;

/// The source of a copy, decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CopySource<'a> {
    /// Its bucket.
    pub bucket: Cow<'a, str>,
    /// Its key, decoded once, `+` as itself.
    pub key: Cow<'a, [u8]>,
    /// Its version, where one is named.
    pub version_id: Option<Cow<'a, str>>,
    /// The key as a store reads it that takes a raw `+` for a space; only where there is one. Both must be allowed.
    pub key_with_spaces: Option<Vec<u8>>,
}

/// Why a copy source cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CopySourceError {
    /// An ARN: an access point, which no store behind a proxy resolves the same way.
    #[error("a copy source must be bucket/key: access point ARNs are not supported")]
    Arn,
    /// Not the form that S3 documents.
    #[error("a copy source must be bucket/key, URL-encoded, with at most ?versionId=... behind it")]
    Malformed,
    /// The bucket or the key is none.
    #[error(transparent)]
    Address(#[from] AddressError),
}

impl<'a> CopySource<'a> {
    /// Reads the value of the header.
    ///
    /// # Errors
    /// Whatever two stores could read differently is refused: see [`CopySourceError`].
    pub fn parse(value: &'a str) -> Result<Self, CopySourceError> {
        // S3 decodes before it looks for the slash at the start.
        let value = ["/", "%2F", "%2f"]
            .iter()
            .find_map(|slash| value.strip_prefix(slash))
            .unwrap_or(value);
        let (path, version) = match value.split_once('?') {
            Some((path, suffix)) => (
                path,
                Some(
                    suffix
                        .strip_prefix("versionId=")
                        .ok_or(CopySourceError::Malformed)?,
                ),
            ),
            None => (value, None),
        };
        if value.contains('#') || path.bytes().any(|byte| byte < 0x20 || byte == 0x7f) {
            return Err(CopySourceError::Malformed);
        }
        let version_id = match version {
            None => None,
            Some(version) => Some(
                text(version, false)?
                    .filter(|v| address::is_id(v))
                    .ok_or(CopySourceError::Malformed)?,
            ),
        };
        if version.is_some_and(|version| version.contains(['&', ';', '+', '?'])) {
            return Err(CopySourceError::Malformed);
        }
        let (bucket, key) = split(path, false)?;
        let key_with_spaces = if path.contains('+') {
            let (other, key) = split(path, true)?;
            // A bucket's name has no space: with one the first reading already failed.
            (other == bucket).then(|| key.into_owned())
        } else {
            None
        };
        Ok(Self {
            bucket,
            key,
            version_id,
            key_with_spaces,
        })
    }

    /// The source of `RenameObject` (`x-amz-rename-source`): a key of the same bucket, with or without `/bucket/` before it.
    ///
    /// # Errors
    /// As for [`CopySource::parse`].
    pub fn parse_rename(value: &'a str, bucket: &'a str) -> Result<Self, CopySourceError> {
        let bare = value.strip_prefix('/').unwrap_or(value);
        let bare = bare
            .strip_prefix(bucket)
            .and_then(|rest| rest.strip_prefix('/'))
            .unwrap_or(bare);
        if bare.contains(['?', '#', '+']) || bare.is_empty() {
            return Err(CopySourceError::Malformed);
        }
        let key = decode(bare.as_bytes(), false).map_err(|_| CopySourceError::Malformed)?;
        address::check_key(&key)?;
        Ok(Self {
            bucket: Cow::Borrowed(bucket),
            key,
            version_id: None,
            key_with_spaces: None,
        })
    }

    /// Every reading of the key that a store may have; a copy is allowed only if each of them is.
    pub fn keys(&self) -> impl Iterator<Item = &[u8]> {
        std::iter::once(self.key.as_ref()).chain(self.key_with_spaces.as_deref())
    }
}

fn text(raw: &str, plus_is_space: bool) -> Result<Option<Cow<'_, str>>, CopySourceError> {
    Ok(
        match decode(raw.as_bytes(), plus_is_space).map_err(|_| CopySourceError::Malformed)? {
            Cow::Borrowed(_) => Some(Cow::Borrowed(raw)),
            Cow::Owned(bytes) => String::from_utf8(bytes).ok().map(Cow::Owned),
        },
    )
}

fn split(
    path: &str,
    plus_is_space: bool,
) -> Result<(Cow<'_, str>, Cow<'_, [u8]>), CopySourceError> {
    let bucket_end = |bytes: &[u8]| {
        bytes
            .iter()
            .position(|&byte| byte == b'/')
            .ok_or(CopySourceError::Malformed)
    };
    let decoded = decode(path.as_bytes(), plus_is_space).map_err(|_| CopySourceError::Malformed)?;
    if decoded
        .get(..4)
        .is_some_and(|start| start.eq_ignore_ascii_case(b"arn:"))
    {
        return Err(CopySourceError::Arn);
    }
    let at = bucket_end(&decoded)?;
    let (bucket, key): (Cow<'_, str>, Cow<'_, [u8]>) = match decoded {
        Cow::Borrowed(_) => (
            Cow::Borrowed(&path[..at]),
            Cow::Borrowed(&path.as_bytes()[at + 1..]),
        ),
        Cow::Owned(bytes) => {
            let bucket =
                String::from_utf8(bytes[..at].to_vec()).map_err(|_| CopySourceError::Malformed)?;
            (Cow::Owned(bucket), Cow::Owned(bytes[at + 1..].to_vec()))
        }
    };
    address::check_bucket(bucket.as_bytes())?;
    if key.is_empty() {
        return Err(CopySourceError::Malformed);
    }
    address::check_key(&key)?;
    Ok((bucket, key))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    #[test]
    fn readings() {
        for (value, bucket, key, version) in [
            ("b/k", "b", "k", None),
            ("/bucket/a/b", "bucket", "a/b", None),
            ("bucket%2Fa%2Fb", "bucket", "a/b", None),
            ("%2Fbucket%2Fa", "bucket", "a", None),
            ("%2fbucket/a", "bucket", "a", None),
            (
                "/bucket/a%20b%3Fc?versionId=v1",
                "bucket",
                "a b?c",
                Some("v1"),
            ),
            ("bucket/%25", "bucket", "%", None),
            ("bucket//k", "bucket", "/k", None),
            ("bucket/x/../k", "bucket", "x/../k", None),
        ] {
            let source = CopySource::parse(value).unwrap();
            assert_eq!(
                (
                    source.bucket.as_ref(),
                    source.key.as_ref(),
                    source.version_id.as_deref()
                ),
                (bucket, key.as_bytes(), version),
                "{value}"
            );
            assert_eq!(source.keys().count(), 1);
        }
    }

    #[test]
    fn a_raw_plus_has_two_readings() {
        let source = CopySource::parse("b/secret+stuff%2Bx").unwrap();
        assert_eq!(
            source.keys().collect::<Vec<_>>(),
            [b"secret+stuff+x".as_slice(), b"secret stuff+x"]
        );
    }

    #[test]
    fn what_stores_read_differently_is_refused() {
        for value in [
            "",
            "/",
            "bucket",
            "bucket/",
            "/bucket",
            "//bucket/k",
            "/%2Fbucket/k",
            "%2F/bucket/k",
            "b/k?",
            "b/k?versionId=",
            "b/k?foo",
            "b/k?versionId=a&versionId=b",
            "b/k?versionId=a?b",
            "b/k?versionId=../../other/key",
            "b/k?versionId=%2e%2e",
            "b/k?versionId=a%2Fb",
            "b/k#x",
            "b/k%2",
            "b/%ff",
            "../b/k",
            "b/../c/k",
            "./b/k",
            "b/k\u{1}",
            "b/%00",
            "b u/k",
            "http://b/k",
            "b%2f",
        ] {
            assert!(CopySource::parse(value).is_err(), "{value:?}");
        }
        let arn = "arn:aws:s3:us-east-1:111122223333:accesspoint/ap/object/k";
        assert_eq!(CopySource::parse(arn), Err(CopySourceError::Arn));
        assert_eq!(
            CopySource::parse("arn%3Aaws%3As3:::b/k"),
            Err(CopySourceError::Arn)
        );
    }

    #[test]
    fn renaming_stays_in_its_bucket() {
        for value in ["k", "/k", "b/k", "/b/k"] {
            assert_eq!(
                CopySource::parse_rename(value, "b").unwrap().key.as_ref(),
                b"k",
                "{value}"
            );
        }
        assert!(CopySource::parse_rename("../k", "b").is_err());
    }
}
