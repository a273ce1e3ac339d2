//! The body of `PutObjectTagging` and `PutBucketTagging`, and the form field `tagging`: `Tagging/TagSet/Tag{Key, Value}*`.

use super::{Element, XmlError};

/// A bucket's greatest number of tags; an object has 10, which the store checks.
const MAX_TAGS: usize = 50;

/// A set of tags.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tagging {
    tags: Vec<(String, String)>,
}

impl Tagging {
    /// Parses a body of at most `limit` bytes.
    ///
    /// # Errors
    /// [`XmlError`]: not this document, more than 50 tags, a key twice (readers would take either value).
    pub fn parse(body: &[u8], limit: usize) -> Result<Self, XmlError> {
        let root = Element::parse(body, limit)?;
        if root.name() != "Tagging" {
            return Err(XmlError::Malformed("Its root must be Tagging."));
        }
        root.only(&["TagSet"])?;
        let set = root
            .one("TagSet")?
            .ok_or(XmlError::Malformed("It has no TagSet."))?;
        set.only(&["Tag"])?;
        if set.children().len() > MAX_TAGS {
            return Err(XmlError::Malformed("It has too many tags."));
        }
        let mut tags: Vec<(String, String)> = Vec::with_capacity(set.children().len());
        for tag in set.children() {
            tag.only(&["Key", "Value"])?;
            let key = tag
                .one_text("Key")?
                .filter(|key| !key.is_empty())
                .ok_or(XmlError::Malformed("A tag has no Key."))?;
            let value = tag.one_text("Value")?.unwrap_or_default();
            if tags.iter().any(|(seen, _)| seen == key) {
                return Err(XmlError::Malformed("Two tags have the same Key."));
            }
            tags.push((key.to_owned(), value.to_owned()));
        }
        Ok(Self { tags })
    }

    /// The tags in their order.
    #[must_use]
    pub fn tags(&self) -> &[(String, String)] {
        &self.tags
    }

    /// Gives up the tags.
    #[must_use]
    pub fn into_tags(self) -> Vec<(String, String)> {
        self.tags
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn reads_and_refuses() {
        let got = Tagging::parse(b"<Tagging><TagSet><Tag><Key>a</Key><Value>1</Value></Tag><Tag><Key>b</Key></Tag></TagSet></Tagging>", 999).unwrap();
        assert_eq!(
            got.tags(),
            [("a".into(), "1".into()), ("b".into(), String::new())]
        );
        assert!(
            Tagging::parse(b"<Tagging><TagSet/></Tagging>", 999)
                .unwrap()
                .tags()
                .is_empty()
        );
        for bad in [
            "<Tagging/>",
            "<TagSet/>",
            "<Tagging><TagSet/><TagSet/></Tagging>",
            "<Tagging><TagSet><Tag><Value>1</Value></Tag></TagSet></Tagging>",
            "<Tagging><TagSet><Tag><Key>a</Key></Tag><Tag><Key>a</Key></Tag></TagSet></Tagging>",
        ] {
            assert!(Tagging::parse(bad.as_bytes(), 999).is_err(), "{bad}");
        }
    }
}
