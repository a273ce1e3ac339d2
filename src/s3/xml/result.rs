//! The answer to `DeleteObjects`: one `Error` for each key that was refused.

use std::fmt::Write as _;

use super::tree::allowed;
use super::{DeleteRequest, Element, ObjectId, XmlError};

/// An object that is not deleted, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused<'a> {
    /// The object as the request named it.
    pub object: &'a ObjectId,
    /// S3's code: `AccessDenied` where a policy refused.
    pub code: &'a str,
    /// What the client is told.
    pub message: &'a str,
}

const OPEN: &str = "<DeleteResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">";
const CLOSE: &str = "</DeleteResult>";

/// What is told about the keys that nothing speaks against, where others of the same request are refused. The body is
/// covered by the client's signature, so the request cannot be passed on in part.
const NOT_SENT: &str = "Not deleted: another key of this request was refused by a policy, and a signed request cannot be passed on in part. \
                        Send the request again without the keys whose code is AccessDenied.";

/// A whole `DeleteResult` that names these keys.
#[must_use]
pub fn render(refused: &[Refused<'_>]) -> String {
    let mut out = String::with_capacity(160 + refused.len() * 160);
    out.push_str("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    out.push_str(OPEN);
    errors(&mut out, refused);
    out.push_str(CLOSE);
    out
}

/// A whole `DeleteResult` for a request of which nothing reaches the store: the refused keys with `AccessDenied` and
/// their message, all others with `OperationAborted`, which clients take as: not done, may be sent again.
///
/// `denied` gives the message for an object that a policy refuses.
#[must_use]
pub fn render_all<'a>(
    request: &'a DeleteRequest,
    denied: impl Fn(&ObjectId) -> Option<&'a str>,
) -> String {
    let refused: Vec<Refused<'_>> = request
        .objects
        .iter()
        .map(|object| match denied(object) {
            Some(message) => Refused {
                object,
                code: "AccessDenied",
                message,
            },
            None => Refused {
                object,
                code: "OperationAborted",
                message: NOT_SENT,
            },
        })
        .collect();
    render(&refused)
}

/// A store's `DeleteResult` with the refused keys added, for requests that were signed again without them.
///
/// # Errors
/// [`XmlError`] where the store's answer (at most `limit` bytes) is no `DeleteResult`.
pub fn merge(answer: &[u8], limit: usize, refused: &[Refused<'_>]) -> Result<Vec<u8>, XmlError> {
    let root = Element::parse(answer, limit)?;
    if root.name() != "DeleteResult" {
        return Err(XmlError::Malformed(
            "The store's answer is no DeleteResult.",
        ));
    }
    let mut added = String::new();
    errors(&mut added, refused);
    if let Some(at) = answer.windows(2).rposition(|pair| pair == b"</")
        && !root.children().is_empty()
    {
        let (before, after) = answer.split_at(at);
        let merged = [before, added.as_bytes(), after].concat();
        // A comment behind the root could hold a `</` of its own.
        let whole = Element::parse(&merged, merged.len())?;
        if whole.children().len() != root.children().len() + refused.len() {
            return Err(XmlError::Malformed(
                "The store's answer cannot be added to.",
            ));
        }
        return Ok(merged);
    }
    Ok(render(refused).into_bytes())
}

fn errors(out: &mut String, refused: &[Refused<'_>]) {
    for one in refused {
        out.push_str("<Error><Key>");
        escape(out, &one.object.key);
        out.push_str("</Key>");
        if let Some(version) = &one.object.version_id {
            out.push_str("<VersionId>");
            escape(out, version);
            out.push_str("</VersionId>");
        }
        out.push_str("<Code>");
        escape(out, one.code);
        out.push_str("</Code><Message>");
        escape(out, one.message);
        out.push_str("</Message></Error>");
    }
}

/// Text as XML content. What XML 1.0 cannot hold is percent-encoded; CR is a reference, or readers would make LF of it.
fn escape(out: &mut String, text: &str) {
    for c in text.chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '\r' => out.push_str("&#13;"),
            c if allowed(c) => out.push(c),
            c => {
                for b in c.encode_utf8(&mut [0; 4]).bytes() {
                    let _ = write!(out, "%{b:02X}");
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn id(key: &str, version: Option<&str>) -> ObjectId {
        ObjectId {
            key: key.into(),
            version_id: version.map(str::to_owned),
        }
    }

    #[test]
    fn names_every_key() {
        let request = DeleteRequest {
            objects: vec![id("a<&>\r", Some("v")), id("b", None)],
            quiet: true,
        };
        let body = render_all(&request, |object| (object.key != "b").then_some("no"));
        let root = Element::parse(body.as_bytes(), 9999).unwrap();
        assert_eq!(root.name(), "DeleteResult");
        let errors = root.children();
        assert_eq!(errors.len(), 2);
        assert_eq!(errors[0].one_text("Key").unwrap(), Some("a<&>\r"));
        assert_eq!(errors[0].one_text("VersionId").unwrap(), Some("v"));
        assert_eq!(errors[0].one_text("Code").unwrap(), Some("AccessDenied"));
        assert_eq!(
            errors[1].one_text("Code").unwrap(),
            Some("OperationAborted")
        );
        assert_eq!(errors[1].one_text("VersionId").unwrap(), None);
    }

    #[test]
    fn joins_the_stores_answer() {
        let object = id("k", None);
        let refused = [Refused {
            object: &object,
            code: "AccessDenied",
            message: "Access Denied",
        }];
        for (answer, keys) in [
            (
                "<?xml version=\"1.0\"?><DeleteResult xmlns=\"x\"><Deleted><Key>a</Key></Deleted></DeleteResult>\n",
                2,
            ),
            ("<DeleteResult/>", 1),
            ("<DeleteResult></DeleteResult>", 1),
        ] {
            let merged = merge(answer.as_bytes(), 9999, &refused).unwrap();
            assert_eq!(
                Element::parse(&merged, 9999).unwrap().children().len(),
                keys,
                "{answer}"
            );
        }
        assert!(merge(b"<Error/>", 9999, &refused).is_err());
        assert!(merge(b"", 9999, &refused).is_err());
    }
}
