//! The frame that `aws-chunked` puts around an object
//! (<https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming.html>), followed as far as it tells whether the store
//! has the object, though the request's body has not ended.

use http::{HeaderMap, HeaderValue, header::CONTENT_ENCODING};

use crate::http1::chunked::ChunkedScanner;

/// How `x-amz-content-sha256` begins where the body is framed.
const STREAMING: &[u8] = b"STREAMING-";
const AWS_CHUNKED: &[u8] = b"aws-chunked";

/// See the module.
pub struct Frame {
    scanner: ChunkedScanner,
    /// Bytes of the object that went by.
    data: u64,
    /// `x-amz-decoded-content-length`: bytes of the whole object.
    announced: Option<u64>,
    /// It is not what it should be: what a store makes of it is not known.
    broken: bool,
}

impl Frame {
    /// That of a request with these `headers`; none where its body is the object itself.
    pub fn of(headers: &HeaderMap) -> Option<Self> {
        let announced = headers.get("x-amz-decoded-content-length");
        let is_streaming = headers.get("x-amz-content-sha256").is_some_and(|hash| {
            hash.as_bytes()
                .get(..STREAMING.len())
                .is_some_and(|start| start.eq_ignore_ascii_case(STREAMING))
        });
        let is_coded = headers
            .get_all(CONTENT_ENCODING)
            .iter()
            .any(|codings| names_aws_chunked(codings.as_bytes()));
        if announced.is_none() && !is_streaming && !is_coded {
            return None;
        }
        let length = announced.map(bytes_announced);
        Some(Self {
            scanner: ChunkedScanner::default(),
            data: 0,
            announced: length.flatten(),
            broken: length == Some(None),
        })
    }

    /// Takes the next bytes of the body.
    pub fn follow(&mut self, body: &[u8]) {
        if self.broken {
            return;
        }
        let data = &mut self.data;
        let followed = self.scanner.scan(body, |piece| *data += piece.len() as u64);
        self.broken = followed != Ok(body.len());
    }

    /// Whether the store may have the whole object: all of the length that was announced, or up to the last chunk's size.
    pub fn may_be_whole(&self) -> bool {
        self.broken
            || self.scanner.is_at_last()
            || self.announced.is_some_and(|length| self.data >= length)
    }
}

fn bytes_announced(value: &HeaderValue) -> Option<u64> {
    let text = value.to_str().ok()?;
    if !text.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    text.parse().ok()
}

fn names_aws_chunked(codings: &[u8]) -> bool {
    codings
        .windows(AWS_CHUNKED.len())
        .any(|part| part.eq_ignore_ascii_case(AWS_CHUNKED))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn framed(length: &'static str) -> Frame {
        let name = "x-amz-decoded-content-length";
        Frame::of(&HeaderMap::from_iter([(
            name.parse().unwrap(),
            HeaderValue::from_static(length),
        )]))
        .unwrap()
    }

    #[test]
    fn is_found_by_each_of_its_signs() {
        for (name, value, found) in [
            ("content-length", "6", false),
            ("content-encoding", "gzip", false),
            ("content-encoding", "gzip, AWS-chunked", true),
            ("x-amz-content-sha256", "UNSIGNED-PAYLOAD", false),
            (
                "x-amz-content-sha256",
                "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
                true,
            ),
            ("x-amz-decoded-content-length", "6", true),
        ] {
            let headers =
                HeaderMap::from_iter([(name.parse().unwrap(), HeaderValue::from_static(value))]);
            assert_eq!(Frame::of(&headers).is_some(), found, "{name}: {value}");
        }
    }

    #[test]
    fn the_object_may_be_whole_once_its_end_is_seen() {
        for (length, body, whole) in [
            ("6", "", false),
            ("6", "6\r\nsecre", false),
            ("6", "6\r\nsecret", true),
            ("7", "6\r\nsecret\r\n", false),
            ("7", "6;chunk-signature=00\r\nsecret\r\n0", true),
            ("7", "6\r\nsecret\r\n10\r\n", false),
            ("7", "0;chunk-signature=00", true),
            ("7", "0\r\nx-amz-checksum-crc32:AAAAAA==\r\n", true),
            // Nothing else is known of these.
            ("7", "6\nsecret", true),
            ("7", "0\r\n\r\nmore", true),
            ("+7", "", true),
            ("", "", true),
            ("99999999999999999999", "", true),
            // An empty object is whole at once.
            ("0", "", true),
        ] {
            for cut in 0..=body.len() {
                let mut frame = framed(length);
                frame.follow(&body.as_bytes()[..cut]);
                frame.follow(&body.as_bytes()[cut..]);
                assert_eq!(frame.may_be_whole(), whole, "{length}: {body:?}");
            }
        }
    }
}
