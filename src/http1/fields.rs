//! The lines of a head that was examined, and how a head changes on its way over the hop (RFC 9110 section 7.6.1).

use memchr::memchr;

/// The fields of `head`, in their order: name, value without the white space around it, and the whole line with its CRLF.
///
/// `head` must have been examined: every line ends in CRLF, the first is no field, the last is empty.
pub fn fields(head: &[u8]) -> impl Iterator<Item = Field<'_>> {
    let mut rest = first_line(head).1;
    std::iter::from_fn(move || {
        let end = memchr(b'\n', rest)? + 1;
        let (line, after) = rest.split_at(end);
        rest = after;
        let colon = memchr(b':', line)?;
        Some(Field {
            name: &line[..colon],
            value: line[colon + 1..].trim_ascii(),
            line,
        })
    })
}

/// One field of a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field<'a> {
    /// The name as it was sent.
    pub name: &'a [u8],
    /// The value, trimmed.
    pub value: &'a [u8],
    /// All of it, with its CRLF.
    pub line: &'a [u8],
}

impl Field<'_> {
    /// Whether the field has this name; `name` in lower case.
    #[must_use]
    pub fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name.as_bytes())
    }

    /// Whether the field is for this hop only and never goes on.
    ///
    /// `Transfer-Encoding` is not among them: the body goes on framed as it came.
    #[must_use]
    pub fn is_hop_by_hop(&self) -> bool {
        // By length first: most fields are told by it.
        match self.name.len() {
            2 => self.is("te"),
            7 => self.is("upgrade"),
            10 => self.is("connection") || self.is("keep-alive"),
            14 => self.is("http2-settings"),
            16 => self.is("proxy-connection"),
            _ => false,
        }
    }
}

/// The first line with its CRLF, and what follows it.
#[must_use]
pub fn first_line(head: &[u8]) -> (&[u8], &[u8]) {
    head.split_at(memchr(b'\n', head).map_or(head.len(), |end| end + 1))
}

/// How a request's head goes on.
#[derive(Clone, Copy, Debug, Default)]
pub struct Onward<'a> {
    /// The target, where it is not the one that came (absolute form goes on in origin form, RFC 9112 section 3.2.2).
    pub target: Option<&'a [u8]>,
    /// The `Host` of a request that has none.
    pub host: &'a [u8],
    /// Whether it came as HTTP/1.1.
    pub http11: bool,
}

/// Appends the request head `head` to `out` as it goes on: byte for byte, but for the fields of the hop.
///
/// An HTTP/1.0 request goes on as HTTP/1.1, without `Expect`, which the client does not understand an answer to
/// (RFC 9110 section 10.1.1).
pub fn onward(head: &[u8], how: Onward<'_>, out: &mut impl bytes::BufMut) {
    let line = first_line(head).0;
    if how.http11 && how.target.is_none() && !fields(head).any(|field| field.is_hop_by_hop()) {
        out.put_slice(head);
        return;
    }
    let mut words = line.split(|&b| b == b' ');
    let (method, target) = (
        words.next().unwrap_or_default(),
        words.next().unwrap_or_default(),
    );
    out.put_slice(method);
    out.put_slice(b" ");
    out.put_slice(how.target.unwrap_or(target));
    out.put_slice(b" HTTP/1.1\r\n");
    let mut host = false;
    for field in fields(head) {
        host |= field.is("host");
        if field.is_hop_by_hop() || (!how.http11 && field.is("expect")) {
            continue;
        }
        out.put_slice(field.line);
    }
    if !host {
        out.put_slice(b"Host: ");
        out.put_slice(how.host);
        out.put_slice(b"\r\n");
    }
    out.put_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn sent_on(head: &str, how: Onward<'_>) -> String {
        let mut out = Vec::new();
        onward(head.as_bytes(), how, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_head_goes_on_byte_for_byte() {
        let head = "PUT /b/k?x=%2F HTTP/1.1\r\nhOsT:  h \r\nx-amz-meta-A: \u{e4} b\r\nExpect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n";
        let how = Onward {
            http11: true,
            ..Onward::default()
        };
        assert_eq!(sent_on(head, how), head);
    }

    #[test]
    fn what_is_between_two_hops_does_not() {
        let head = "GET / HTTP/1.1\r\nHost: h\r\nConnection: keep-alive, Upgrade\r\nUpgrade: h2c\r\nHTTP2-Settings: x\r\nTE: trailers\r\nKeep-Alive: 5\r\nProxy-Connection: close\r\nA: b\r\n\r\n";
        let how = Onward {
            http11: true,
            ..Onward::default()
        };
        assert_eq!(
            sent_on(head, how),
            "GET / HTTP/1.1\r\nHost: h\r\nA: b\r\n\r\n"
        );
    }

    #[test]
    fn an_old_request_becomes_a_new_one() {
        let head = "PUT http://h/b HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n";
        let how = Onward {
            target: Some(b"/b"),
            host: b"store:9000",
            http11: false,
        };
        assert_eq!(
            sent_on(head, how),
            "PUT /b HTTP/1.1\r\nContent-Length: 1\r\nHost: store:9000\r\n\r\n"
        );
    }

    #[test]
    fn fields_are_found_in_their_order() {
        let head = b"HTTP/1.1 200 OK\r\nA: 1\r\nb:2 \r\n\r\n";
        let found: Vec<_> = fields(head).map(|f| (f.name, f.value)).collect();
        assert_eq!(found, [(&b"A"[..], &b"1"[..]), (b"b", b"2")]);
    }
}
