//! The head of an HTTP/1 response: where it ends, and how its body is framed (RFC 9112 sections 4 and 6.3).

use memchr::memchr;

use super::{fields::fields, head::is_tchar};

/// How a response's body is framed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// No body.
    None,
    /// So many bytes, above 0.
    Length(u64),
    /// `Transfer-Encoding: chunked`.
    Chunked,
    /// All until the connection closes.
    Close,
}

/// A response's head, complete and unambiguous.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResponseHead {
    /// Bytes of the head, the empty line included.
    pub len: usize,
    /// The status code, 100 to 999.
    pub status: u16,
    /// Whether a reason phrase stands behind it.
    pub has_reason: bool,
    /// How the body is framed.
    pub framing: Framing,
    /// Whether the connection can serve another request.
    pub keep: bool,
}

impl ResponseHead {
    /// Whether it is interim (1xx): the final response is still to come.
    #[must_use]
    pub fn is_interim(&self) -> bool {
        self.status < 200
    }
}

/// Why a store's response is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ResponseError {
    /// Longer than is read.
    #[error("the store's response head has more than {0} bytes")]
    TooLarge(usize),
    /// Not `HTTP/1.x SP code`.
    #[error("the store does not answer in HTTP/1: check store.endpoint, its port and its scheme")]
    StatusLine,
    /// A line that is no field, or does not end in CRLF.
    #[error("the store's response head has a malformed line")]
    Field,
    /// Its end can be read in two ways.
    #[error("the store's response frames its body in two ways (RFC 9112 section 6.3)")]
    Framing,
}

/// Examines what was read so far: `Ok(None)` while the head is incomplete.
///
/// `to_head`: the request was a `HEAD`, so that no body follows whatever the fields say.
///
/// # Errors
/// It is no response that can be read in one way only, or it is longer than `limit` bytes.
pub fn examine(
    buf: &[u8],
    limit: usize,
    to_head: bool,
) -> Result<Option<ResponseHead>, ResponseError> {
    let Some(len) = end_of(buf, limit)? else {
        return Ok(None);
    };
    let head = &buf[..len];
    let (status, http11, has_reason) = status_line(head).ok_or(ResponseError::StatusLine)?;
    let mut length = None;
    let mut chunked = false;
    let (mut close, mut keep_alive) = (false, false);
    for field in fields(head) {
        match field.name.len() {
            10 if field.is("connection") => {
                for token in field.value.split(|&b| b == b',') {
                    let token = token.trim_ascii();
                    close |= token.eq_ignore_ascii_case(b"close");
                    keep_alive |= token.eq_ignore_ascii_case(b"keep-alive");
                }
            }
            14 if field.is("content-length") => {
                let n = super::head::decimal(field.value).ok_or(ResponseError::Framing)?;
                if length.is_some_and(|before| before != n) {
                    return Err(ResponseError::Framing);
                }
                length = Some(n);
            }
            17 if field.is("transfer-encoding") => {
                if chunked || !field.value.eq_ignore_ascii_case(b"chunked") {
                    return Err(ResponseError::Framing);
                }
                chunked = true;
            }
            _ => {}
        }
    }
    // RFC 9112 section 6.1: chunks in HTTP/1.0 are a mistake of somebody on the way.
    if chunked && (length.is_some() || !http11) {
        return Err(ResponseError::Framing);
    }
    let framing = match (chunked, length) {
        _ if to_head || status < 200 || matches!(status, 204 | 304) => Framing::None,
        (true, _) => Framing::Chunked,
        (false, Some(0)) => Framing::None,
        (false, Some(n)) => Framing::Length(n),
        (false, None) => Framing::Close,
    };
    Ok(Some(ResponseHead {
        len,
        status,
        has_reason,
        framing,
        keep: framing != Framing::Close && !close && (http11 || keep_alive),
    }))
}

/// Finds the empty line; every line before it must be a field, and none longer than `limit` bytes in all.
fn end_of(buf: &[u8], limit: usize) -> Result<Option<usize>, ResponseError> {
    let mut at = 0;
    while let Some(offset) = memchr(b'\n', &buf[at..]) {
        let end = at + offset;
        if end >= limit {
            return Err(ResponseError::TooLarge(limit));
        }
        if offset == 0 || buf[end - 1] != b'\r' {
            return Err(if at == 0 {
                ResponseError::StatusLine
            } else {
                ResponseError::Field
            });
        }
        let line = &buf[at..end - 1];
        if at > 0 {
            if line.is_empty() {
                return Ok(Some(end + 1));
            }
            if !is_field(line) {
                return Err(ResponseError::Field);
            }
        }
        at = end + 1;
    }
    if at == 0 && !could_be_status_line(buf) {
        return Err(ResponseError::StatusLine);
    }
    if buf.len() > limit {
        return Err(ResponseError::TooLarge(limit));
    }
    Ok(None)
}

fn is_field(line: &[u8]) -> bool {
    let Some(colon) = memchr(b':', line) else {
        return false;
    };
    let (name, value) = (&line[..colon], &line[colon + 1..]);
    !name.is_empty()
        && name.iter().all(|&b| is_tchar(b))
        && !value.iter().any(|&b| (b < 0x20 && b != b'\t') || b == 0x7f)
}

/// So that what speaks another protocol is found out at its first bytes.
fn could_be_status_line(buf: &[u8]) -> bool {
    const BEGIN: &[u8] = b"HTTP/1.";
    let n = buf.len().min(BEGIN.len());
    buf[..n] == BEGIN[..n]
}

/// Status, whether the version is 1.1, whether there is a reason phrase.
fn status_line(head: &[u8]) -> Option<(u16, bool, bool)> {
    let line = super::fields::first_line(head).0.strip_suffix(b"\r\n")?;
    if line.iter().any(|&b| (b < 0x20 && b != b'\t') || b == 0x7f) {
        return None;
    }
    let http11 = match line.get(..9)? {
        b"HTTP/1.1 " => true,
        b"HTTP/1.0 " => false,
        _ => return None,
    };
    let code = line.get(9..12)?;
    let status = super::head::decimal(code).filter(|s| (100..=999).contains(s))?;
    let reason = match line.get(12..)? {
        [] => b"",
        [b' ', reason @ ..] => reason,
        _ => return None,
    };
    Some((
        u16::try_from(status).ok()?,
        http11,
        !reason.trim_ascii().is_empty(),
    ))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn read(text: &str) -> Result<Option<ResponseHead>, ResponseError> {
        examine(text.as_bytes(), 1024, false)
    }

    fn framing(fields: &str) -> Framing {
        let text = format!("HTTP/1.1 200 OK\r\n{fields}\r\n");
        read(&text).unwrap().unwrap().framing
    }

    #[test]
    fn the_body_is_framed_as_the_rfc_says() {
        assert_eq!(framing("content-length: 5\r\n"), Framing::Length(5));
        assert_eq!(
            framing("Content-Length: 5\r\nContent-Length: 5\r\n"),
            Framing::Length(5)
        );
        assert_eq!(framing("Content-Length: 0\r\n"), Framing::None);
        assert_eq!(framing("Transfer-Encoding: Chunked\r\n"), Framing::Chunked);
        assert_eq!(framing("A: b\r\n"), Framing::Close);
        let not_modified = "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n";
        assert_eq!(read(not_modified).unwrap().unwrap().framing, Framing::None);
        let head = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n";
        let to_head = examine(head, 1024, true).unwrap().unwrap();
        assert_eq!((to_head.framing, to_head.keep), (Framing::None, true));
    }

    #[test]
    fn the_connection_is_kept_where_both_sides_can() {
        for (text, keep) in [
            ("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", true),
            (
                "HTTP/1.1 200 OK\r\nConnection: x, Close\r\nContent-Length: 0\r\n\r\n",
                false,
            ),
            ("HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", false),
            (
                "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n",
                true,
            ),
            ("HTTP/1.1 200 OK\r\n\r\n", false),
        ] {
            assert_eq!(read(text).unwrap().unwrap().keep, keep, "{text}");
        }
    }

    #[test]
    fn what_can_be_read_in_two_ways_is_not_believed() {
        use ResponseError::{Field, Framing, StatusLine, TooLarge};
        for (text, error) in [
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
                Framing,
            ),
            ("HTTP/1.1 200 OK\r\nContent-Length: 5, 5\r\n\r\n", Framing),
            ("HTTP/1.1 200 OK\r\nContent-Length: +5\r\n\r\n", Framing),
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
                Framing,
            ),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
                Framing,
            ),
            (
                "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
                Framing,
            ),
            ("HTTP/1.1 200 OK\r\nA: b\n\r\n", Field),
            ("HTTP/1.1 200 OK\r\n folded\r\n\r\n", Field),
            ("HTTP/1.1 200 OK\r\nA : b\r\n\r\n", Field),
            ("HTTP/1.1 200 OK\r\nA: b\0\r\n\r\n", Field),
            ("HTTP/1.1 2000 OK\r\n\r\n", StatusLine),
            ("HTTP/1.1 099 OK\r\n\r\n", StatusLine),
            ("HTTP/2 200 OK\r\n\r\n", StatusLine),
            ("HTTP/1.1 200 OK\n\r\n", StatusLine),
            ("SSH-2.0", StatusLine),
        ] {
            assert_eq!(read(text), Err(error), "{text:?}");
        }
        let long = format!("HTTP/1.1 200 OK\r\nA: {}\r\n\r\n", "b".repeat(2000));
        assert_eq!(read(&long), Err(TooLarge(1024)));
        assert_eq!(read(&long[..1500]), Err(TooLarge(1024)));
    }

    #[test]
    fn a_reason_phrase_may_be_missing() {
        for (line, has_reason) in [("200 OK", true), ("200 ", false), ("200", false)] {
            let head = read(&format!("HTTP/1.1 {line}\r\n\r\n")).unwrap().unwrap();
            assert_eq!((head.status, head.has_reason), (200, has_reason));
        }
        assert!(
            read("HTTP/1.1 100 Continue\r\n\r\n")
                .unwrap()
                .unwrap()
                .is_interim()
        );
    }

    proptest::proptest! {
        #[test]
        fn never_panics(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
            let _ = examine(&bytes, 100, false);
        }

        #[test]
        fn every_prefix_waits_for_more(cut in 0..50_usize) {
            let text = "HTTP/1.1 200 OK\r\nContent-Length: 12\r\nA: b\r\n\r\n";
            if cut < text.len() {
                proptest::prop_assert_eq!(read(&text[..cut]), Ok(None));
            }
        }
    }
}
