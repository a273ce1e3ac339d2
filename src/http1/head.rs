//! The head of an HTTP/1 request: where it ends, and how its body is framed (RFC 9112 sections 2 to 6).

use memchr::memchr;

/// How much of a head is accepted.
#[derive(Clone, Copy, Debug)]
pub struct HeadLimits {
    /// Bytes of the whole head, request line and empty line included.
    pub bytes: usize,
    /// Header fields.
    pub fields: usize,
}

/// How the body that follows is framed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// No body.
    None,
    /// `Content-Length: n`, n in bytes and above 0.
    Length(u64),
    /// `Transfer-Encoding: chunked`.
    Chunked,
}

/// What the client said with `Expect` (RFC 9110 section 10.1.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expectation {
    /// No such header.
    None,
    /// `100-continue`.
    Continue,
    /// Anything else: answered with 417.
    Unknown,
}

/// A head that is complete and unambiguous.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// Empty lines before the request line, in bytes (RFC 9112 section 2.2 has a server skip them).
    pub skip: usize,
    /// Bytes of the head after `skip`, the empty line included.
    pub len: usize,
    /// Whether the request is HTTP/1.1 (otherwise it is 1.0).
    pub http11: bool,
    /// How the body is framed.
    pub framing: Framing,
    /// What the client expects.
    pub expect: Expectation,
}

/// Why a head is refused. Each ends the connection: what follows could be anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeadError {
    /// Longer than [`HeadLimits::bytes`].
    #[error(
        "The request's header section is larger than the {0} bytes that are allowed; send fewer or shorter headers."
    )]
    TooLarge(usize),
    /// More fields than [`HeadLimits::fields`].
    #[error("The request has more than the {0} header fields that are allowed; send fewer.")]
    TooManyFields(usize),
    /// A line that ends in LF alone.
    #[error("A header line ends with LF alone; end every line with CRLF (RFC 9112 section 2.2).")]
    BareLf,
    /// CR, NUL or another control character.
    #[error("The request's head contains a control character; remove it (RFC 9110 section 5.5).")]
    Control,
    /// A request line that is not `method SP target SP HTTP/1.x`.
    #[error(
        "The request line is malformed; it must read: method SP target SP HTTP/1.1 (RFC 9112 section 3)."
    )]
    RequestLine,
    /// A version other than 1.0 and 1.1.
    #[error("The HTTP version is not supported on this connection; use HTTP/1.1.")]
    Version,
    /// A field name with a space, or without a colon.
    #[error(
        "A header field's name is malformed; write `name: value`, with no space before the colon (RFC 9112 section 5.1)."
    )]
    FieldName,
    /// A folded field.
    #[error(
        "A header field is folded over several lines; send it on one line (RFC 9112 section 5.2)."
    )]
    Folded,
    /// `Content-Length` that is no number, or given twice.
    #[error("Content-Length must be one decimal number, sent once (RFC 9112 section 6.3).")]
    Length,
    /// A transfer coding other than a single `chunked`.
    #[error("Transfer-Encoding must be exactly `chunked`, sent once (RFC 9112 section 6.1).")]
    TransferEncoding,
    /// `Content-Length` beside `Transfer-Encoding`.
    #[error(
        "Content-Length and Transfer-Encoding must not be sent together (RFC 9112 section 6.3)."
    )]
    LengthAndTransferEncoding,
    /// No `Host`, several, or one that is no host.
    #[error(
        "A request must carry exactly one Host header, of visible ASCII characters (RFC 9112 section 3.2)."
    )]
    Host,
    /// An `:authority` that is not the `Host` beside it.
    #[error(
        "`:authority` and Host name different hosts; send one of them, or the same in both (RFC 9113 section 8.3.1)."
    )]
    Authority,
    /// `Connection` names what the store would then not see.
    #[error(
        "Connection may name close, keep-alive, upgrade, http2-settings and te only: an intermediary drops what it names (RFC 9110 section 7.6.1)."
    )]
    Connection,
    /// A target that is neither a path nor an http URL, or holds what must be percent-encoded.
    #[error(
        "The request target must be a path or an http:// URL, with everything percent-encoded that cannot stand in one, and without a fragment (RFC 9112 section 3.2)."
    )]
    Target,
    /// `CONNECT`.
    #[error("The specified method is not allowed against this resource.")]
    Method,
    /// `Expect` twice.
    #[error("Expect must be sent once at most (RFC 9110 section 10.1.1).")]
    ExpectTwice,
}

/// Most empty lines (CRLF) that may stand before a request line.
const MAX_LEADING_LINES: usize = 2;

/// Examines the bytes read so far: `Ok(None)` while the head is incomplete.
///
/// # Errors
/// Where the head can be read in two ways, or exceeds `limits`.
pub fn examine(buf: &[u8], limits: &HeadLimits) -> Result<Option<Head>, HeadError> {
    let mut skip = 0;
    while buf[skip..].starts_with(b"\r\n") {
        skip += 2;
        if skip > 2 * MAX_LEADING_LINES {
            return Err(HeadError::RequestLine);
        }
    }
    let head = &buf[skip..];
    let mut fields = Fields::default();
    let mut at = 0;
    let mut first = true;
    while let Some(offset) = memchr(b'\n', &head[at..]) {
        let end = at + offset;
        if end + 1 > limits.bytes {
            return Err(HeadError::TooLarge(limits.bytes));
        }
        if offset == 0 || head[end - 1] != b'\r' {
            return Err(HeadError::BareLf);
        }
        let line = &head[at..end - 1];
        at = end + 1;
        if first {
            fields.http11 = request_line(line)?;
            first = false;
        } else if line.is_empty() {
            let (framing, expect) = fields.finish()?;
            return Ok(Some(Head {
                skip,
                len: at,
                http11: fields.http11,
                framing,
                expect,
            }));
        } else {
            fields.count += 1;
            if fields.count > limits.fields {
                return Err(HeadError::TooManyFields(limits.fields));
            }
            fields.field(line)?;
        }
    }
    if head.len() > limits.bytes {
        return Err(HeadError::TooLarge(limits.bytes));
    }
    Ok(None)
}

/// Checks `method SP target SP HTTP/1.x`; true for 1.1.
fn request_line(line: &[u8]) -> Result<bool, HeadError> {
    if line.iter().any(|&b| b < 0x20 || b == 0x7f) {
        return Err(HeadError::Control);
    }
    let method_end = memchr(b' ', line).ok_or(HeadError::RequestLine)?;
    let rest = &line[method_end + 1..];
    let target_end = memchr(b' ', rest).ok_or(HeadError::RequestLine)?;
    let version = &rest[target_end + 1..];
    if method_end == 0 || target_end == 0 || !line[..method_end].iter().all(|&b| is_tchar(b)) {
        return Err(HeadError::RequestLine);
    }
    let http11 = match version {
        b"HTTP/1.1" => true,
        b"HTTP/1.0" => false,
        v if v.starts_with(b"HTTP/") && !v.contains(&b' ') => return Err(HeadError::Version),
        _ => return Err(HeadError::RequestLine),
    };
    if &line[..method_end] == b"CONNECT" {
        return Err(HeadError::Method);
    }
    check_target(&rest[..target_end])?;
    Ok(http11)
}

/// Bytes that a target rarely has, and that parsers disagree about: worth a closer look.
const ODD: [bool; 256] = {
    let mut table = [false; 256];
    let odd = b"\"#<>\\^`{|}";
    let mut i = 0;
    while i < odd.len() {
        table[odd[i] as usize] = true;
        i += 1;
    }
    let mut b = 0x80;
    while b < 256 {
        table[b] = true;
        b += 1;
    }
    table
};

/// More bytes than `http::Uri` takes.
const LONG_TARGET: usize = 65_534;

/// Whether every reader of the target sees the whole of it.
fn check_target(target: &[u8]) -> Result<(), HeadError> {
    let odd = target.iter().any(|&b| ODD[b as usize]);
    let fragment = odd && target.contains(&b'#');
    if fragment {
        return Err(HeadError::Target);
    }
    let path = target.first() == Some(&b'/');
    if path && !odd && target.len() < LONG_TARGET {
        return Ok(());
    }
    let absolute = [&b"http://"[..], b"https://"]
        .iter()
        .any(|scheme| target.starts_with(scheme));
    if !path && !absolute {
        return Err(HeadError::Target);
    }
    match http::Uri::try_from(target) {
        Ok(uri) if path || uri.authority().is_some_and(|a| !a.as_str().is_empty()) => Ok(()),
        _ => Err(HeadError::Target),
    }
}

/// Whether a `Connection` names nothing but what is between two hops.
fn is_connection(value: &[u8]) -> bool {
    const KNOWN: [&[u8]; 5] = [
        b"close",
        b"keep-alive",
        b"upgrade",
        b"http2-settings",
        b"te",
    ];
    value
        .split(|&b| b == b',')
        .map(<[u8]>::trim_ascii)
        .all(|token| {
            token.is_empty() || KNOWN.iter().any(|known| token.eq_ignore_ascii_case(known))
        })
}

/// The fields that decide on framing, gathered line by line.
#[derive(Default)]
struct Fields {
    count: usize,
    http11: bool,
    hosts: usize,
    length: Option<u64>,
    chunked: bool,
    expect: Option<Expectation>,
}

impl Fields {
    fn field(&mut self, line: &[u8]) -> Result<(), HeadError> {
        if matches!(line[0], b' ' | b'\t') {
            return Err(HeadError::Folded);
        }
        let colon = memchr(b':', line).ok_or(HeadError::FieldName)?;
        let (name, value) = (&line[..colon], &line[colon + 1..]);
        if name.is_empty() || !name.iter().all(|&b| is_tchar(b)) {
            return Err(HeadError::FieldName);
        }
        // No early exit: a loop without one is compiled to vector instructions.
        let control = value.iter().fold(0, |bad, &b| {
            bad | (u8::from(b < 0x20) & u8::from(b != b'\t')) | u8::from(b == 0x7f)
        });
        if control != 0 {
            return Err(HeadError::Control);
        }
        let value = value.trim_ascii();
        match name.len() {
            4 if name.eq_ignore_ascii_case(b"host") => {
                if value.is_empty() || !value.iter().all(u8::is_ascii_graphic) {
                    return Err(HeadError::Host);
                }
                self.hosts += 1;
            }
            6 if name.eq_ignore_ascii_case(b"expect") => {
                if self.expect.is_some() {
                    return Err(HeadError::ExpectTwice);
                }
                self.expect = Some(if value.eq_ignore_ascii_case(b"100-continue") {
                    Expectation::Continue
                } else {
                    Expectation::Unknown
                });
            }
            10 if name.eq_ignore_ascii_case(b"connection") && !is_connection(value) => {
                return Err(HeadError::Connection);
            }
            14 if name.eq_ignore_ascii_case(b"content-length") => {
                if self.length.is_some() {
                    return Err(HeadError::Length);
                }
                self.length = Some(decimal(value).ok_or(HeadError::Length)?);
            }
            17 if name.eq_ignore_ascii_case(b"transfer-encoding") => {
                if self.chunked || !value.eq_ignore_ascii_case(b"chunked") {
                    return Err(HeadError::TransferEncoding);
                }
                self.chunked = true;
            }
            _ => {}
        }
        Ok(())
    }

    fn finish(&self) -> Result<(Framing, Expectation), HeadError> {
        if self.hosts > 1 || (self.http11 && self.hosts == 0) {
            return Err(HeadError::Host);
        }
        let framing = match (self.chunked, self.length) {
            (true, Some(_)) => return Err(HeadError::LengthAndTransferEncoding),
            (true, None) if !self.http11 => return Err(HeadError::TransferEncoding),
            (true, None) => Framing::Chunked,
            (false, Some(n)) if n > 0 => Framing::Length(n),
            (false, _) => Framing::None,
        };
        // RFC 9110 section 10.1.1: an expectation in an HTTP/1.0 request is ignored.
        let expect = match self.expect {
            Some(e) if self.http11 => e,
            _ => Expectation::None,
        };
        Ok((framing, expect))
    }
}

/// Digits only, no sign, at most 2^63 - 1 (some parsers are signed).
pub(super) fn decimal(value: &[u8]) -> Option<u64> {
    if value.is_empty() || value.len() > 19 || !value.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let n = value
        .iter()
        .fold(0u64, |n, &b| n * 10 + u64::from(b - b'0'));
    i64::try_from(n).is_ok().then_some(n)
}

/// `tchar` of RFC 9110 section 5.6.2.
pub(super) const fn is_tchar(b: u8) -> bool {
    b.is_ascii_alphanumeric()
        || matches!(
            b,
            b'!' | b'#'
                | b'$'
                | b'%'
                | b'&'
                | b'\''
                | b'*'
                | b'+'
                | b'-'
                | b'.'
                | b'^'
                | b'_'
                | b'`'
                | b'|'
                | b'~'
        )
}

#[cfg(test)]
#[path = "head_tests.rs"]
mod tests;
