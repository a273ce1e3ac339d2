//! The body of `DeleteObjects`: `Delete/{Quiet?, Object{Key, VersionId?, ...}+}`.

use super::{Element, XmlError};
use crate::s3::address::check_key;

/// How many objects one request may name.
pub const MAX_OBJECTS: usize = 1000;

/// One object to delete.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ObjectId {
    /// The key, as the store will read it.
    pub key: String,
    /// The version, where one is named; then the action is `s3:DeleteObjectVersion`.
    pub version_id: Option<String>,
}

/// What a `DeleteObjects` body asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeleteRequest {
    /// The objects in their order; one may stand twice.
    pub objects: Vec<ObjectId>,
    /// With quiet, the answer names only what failed.
    pub quiet: bool,
}

impl DeleteRequest {
    /// Parses a body of at most `limit` bytes.
    ///
    /// # Errors
    /// [`XmlError`]: not this document, no object, more than 1000 of them, an empty or over-long key.
    pub fn parse(body: &[u8], limit: usize) -> Result<Self, XmlError> {
        let root = Element::parse(body, limit)?;
        if root.name() != "Delete" {
            return Err(XmlError::Malformed("Its root must be Delete."));
        }
        root.only(&["Quiet", "Object"])?;
        let quiet = match root.one_text("Quiet")?.map(str::trim) {
            None | Some("" | "false") => false,
            Some("true") => true,
            Some(_) => return Err(XmlError::Malformed("Quiet is true or false.")),
        };
        let objects = root
            .children()
            .iter()
            .filter(|child| child.name() == "Object")
            .map(object)
            .collect::<Result<Vec<_>, _>>()?;
        if objects.is_empty() || objects.len() > MAX_OBJECTS {
            return Err(XmlError::Malformed("It must name 1 to 1000 objects."));
        }
        Ok(Self { objects, quiet })
    }
}

fn object(element: &Element) -> Result<ObjectId, XmlError> {
    element.only(&["Key", "VersionId", "ETag", "LastModifiedTime", "Size"])?;
    let key = element.one_text("Key")?.unwrap_or_default();
    if key.is_empty() || check_key(key.as_bytes()).is_err() {
        return Err(XmlError::Malformed(
            "A key has 1 to 1024 bytes and does not climb out of its bucket with `..`.",
        ));
    }
    // An empty VersionId is read as none by some stores and as a version by others; what is no id some make a path of.
    let version_id = element.one_text("VersionId")?;
    if version_id.is_some_and(|version| !crate::s3::address::is_id(version)) {
        return Err(XmlError::Malformed(
            "A VersionId is empty or no version id; leave it out, or send it as the store gave it.",
        ));
    }
    Ok(ObjectId {
        key: key.to_owned(),
        version_id: version_id.map(str::to_owned),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::s3::xml::XML_BYTES;

    fn parse(body: &str) -> Result<DeleteRequest, XmlError> {
        DeleteRequest::parse(body.as_bytes(), XML_BYTES)
    }

    #[test]
    fn reads_what_clients_send() {
        let got = parse(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\r\n<Delete xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">\r\n  \
             <Object><Key>a &amp; b&#13;</Key></Object>\r\n  <Object><Key> <![CDATA[<k>]]></Key><VersionId>v1</VersionId></Object>\
             <Quiet>true</Quiet></Delete>\n",
        )
        .unwrap();
        assert!(got.quiet);
        assert_eq!(
            got.objects[0],
            ObjectId {
                key: "a & b\r".into(),
                version_id: None
            }
        );
        assert_eq!(
            got.objects[1],
            ObjectId {
                key: " <k>".into(),
                version_id: Some("v1".into())
            }
        );
    }

    #[test]
    fn refuses_what_can_be_read_in_two_ways() {
        for bad in [
            "",
            "x",
            "<Delete/>",
            "<Delete></Delete>",
            "<delete><Object><Key>k</Key></Object></delete>",
            "<Delete><Object><Key>k</Key></Object>",
            "<Delete><Object><Key>k</Key></Object></Delete><Delete/>",
            "<Delete><Object><Key>k</Key></Object></Delete>x",
            "<Delete><Object><Key>k</Key><Key>l</Key></Object></Delete>",
            "<Delete><Object><Key></Key></Object></Delete>",
            "<Delete><Object></Object></Delete>",
            "<Delete><Object><Key>../other/k</Key></Object></Delete>",
            "<Delete><Object><Key>k</Key><VersionId/></Object></Delete>",
            "<Delete><Object><Key>a\rb</Key></Object></Delete>",
            "<Delete><Object><Key>a<!-- c -->b</Key></Object></Delete>",
            "<Delete><Object><Key>a<b/></Key></Object></Delete>",
            "<Delete><Object><Key>&e;</Key></Object></Delete>",
            "<Delete><Object><Key>&#1;</Key></Object></Delete>",
            "<Delete><Object><Key>&#0;</Key></Object></Delete>",
            "<Delete><Object><s3:Key>k</s3:Key></Object></Delete>",
            "<Delete><Object><Key>k</Key></Object><Other/></Delete>",
            "<Delete><Object><Key>k</Key></Object><Quiet>yes</Quiet></Delete>",
            "<!DOCTYPE d [<!ENTITY e \"x\">]><Delete><Object><Key>&e;</Key></Object></Delete>",
            "<?xml version=\"1.0\" encoding=\"UTF-16\"?><Delete><Object><Key>k</Key></Object></Delete>",
            "<?php x?><Delete><Object><Key>k</Key></Object></Delete>",
            "<Delete><Object><Key>k</Object></Key></Delete>",
        ] {
            assert!(matches!(parse(bad), Err(XmlError::Malformed(_))), "{bad}");
        }
    }

    #[test]
    fn is_bounded() {
        let many = |n: usize| {
            format!(
                "<Delete>{}</Delete>",
                "<Object><Key>k</Key></Object>".repeat(n)
            )
        };
        assert_eq!(parse(&many(1000)).unwrap().objects.len(), 1000);
        assert!(parse(&many(1001)).is_err());
        assert!(parse(&"<a>".repeat(100_000)).is_err());
        assert_eq!(
            DeleteRequest::parse(&[b' '; 11], 10),
            Err(XmlError::TooLong { limit: 10 })
        );
        assert!(
            parse(&format!(
                "<Delete><Object><Key>{}</Key></Object></Delete>",
                "k".repeat(1025)
            ))
            .is_err()
        );
    }
}
