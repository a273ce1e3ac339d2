//! What the store's answer to a write says of what was written.

use super::judge::known_sse;
use crate::{
    http1::fields::fields,
    s3::xml::Element,
    sse::{
        Kind,
        headers::{CUSTOMER_ALGORITHM, SSE},
    },
};

/// What the store answered.
#[derive(Debug, Default)]
pub struct Answered {
    /// The version that was written, where the store keeps versions.
    pub version_id: Option<String>,
    etag: Option<String>,
    /// The encryption that it names, and that is not the one demanded.
    pub said: Option<String>,
    /// The body, without its framing.
    pub body: Vec<u8>,
}

impl Answered {
    /// By the head of the answer, whose body is still to come.
    pub fn of(raw: &[u8]) -> Self {
        let mut answered = Self::default();
        for field in fields(raw) {
            let text = || {
                std::str::from_utf8(field.value)
                    .ok()
                    .filter(|text| !text.is_empty())
                    .map(str::to_owned)
            };
            if field.is("x-amz-version-id") {
                // Of a bucket whose versioning is suspended, anybody's object may be the one called null.
                answered.version_id = text().filter(|id| id != "null");
            } else if field.is("etag") {
                answered.etag = text().map(|etag| bare(&etag).to_owned());
            } else if field.is(SSE) {
                answered.said = Some(known_sse(&text().unwrap_or_default()).to_owned());
            } else if field.is(CUSTOMER_ALGORITHM) && answered.said.is_none() {
                answered.said = Some(Kind::Customer.as_str().to_owned());
            }
        }
        answered
    }

    /// The body, where it is XML.
    pub fn document(&self) -> Option<Element> {
        Element::parse(self.body.trim_ascii(), usize::MAX).ok()
    }

    /// The text of a child of the body's root.
    fn text(&self, name: &str) -> Option<String> {
        let root = self.document()?;
        let child = root.one(name).ok()??;
        Some(child.text().to_owned())
    }

    /// The upload that was created.
    pub fn upload_id(&self) -> Option<String> {
        self.text("UploadId")
    }

    /// The `ETag` of what was written.
    pub fn written(&self) -> Option<String> {
        self.etag
            .clone()
            .or_else(|| self.text("ETag").map(|etag| bare(&etag).to_owned()))
            .filter(|etag| !etag.is_empty())
    }
}

/// An `ETag` without its quotes.
pub fn bare(etag: &str) -> &str {
    etag.trim().trim_matches('"')
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn an_answer_is_read_for_what_it_wrote() {
        let raw = b"HTTP/1.1 200 OK\r\nETag: \"abc\"\r\nx-amz-version-id: v1\r\n\r\n";
        let answered = Answered::of(raw);
        assert_eq!(answered.version_id.as_deref(), Some("v1"));
        assert_eq!(answered.written().as_deref(), Some("abc"));
        let raw = b"HTTP/1.1 200 OK\r\nx-amz-version-id: null\r\nx-amz-server-side-encryption: AES256\r\n\r\n";
        let mut answered = Answered::of(raw);
        assert_eq!(answered.version_id, None);
        assert_eq!(answered.said.as_deref(), Some("AES256"));
        answered.body = b"  \n<?xml version=\"1.0\"?>\n  <R><ETag>&quot;d&quot;</ETag><UploadId>u</UploadId></R>".to_vec();
        assert_eq!(answered.written().as_deref(), Some("d"));
        assert_eq!(answered.upload_id().as_deref(), Some("u"));
        answered.body = b"<R><ETag>a</ETag><ETag>b</ETag></R>".to_vec();
        assert_eq!(answered.written(), None);
        answered.body = b"<R".to_vec();
        assert!(answered.document().is_none());
    }
}
