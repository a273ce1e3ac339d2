//! The headers of one part: `Content-Disposition: form-data; name="..."; filename="..."` (RFC 7578 section 4.2).
//!
//! Read as clients write them and no other way, as stores' own readers differ: Ceph RGW parts at a `;` within quotes and knows names of
//! parameters in lower case only, and Garage's takes the first `name=` that it finds, in whatever it stands.

use super::FormError;

/// What the headers of a part say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PartHead {
    /// The field's name, lower-case ASCII.
    pub name: String,
    /// The `filename` parameter as it stands between its quotes.
    pub filename: Option<Vec<u8>>,
    /// In which character set a reader may take a value.
    pub charset: Charset,
}

/// The `charset` of a part's `Content-Type`, which Garage obeys for fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Charset {
    /// UTF-8, or none is named.
    Utf8,
    /// One in which ASCII is what it is in UTF-8.
    Ascii,
    /// Another one, in which the same bytes may be another text.
    Other,
}

impl Charset {
    /// Whether these bytes are the same text in it as in UTF-8.
    pub(super) fn is_plain(self, value: &[u8]) -> bool {
        match self {
            Self::Utf8 => true,
            Self::Ascii => value.is_ascii(),
            Self::Other => false,
        }
    }
}

const fn bad<T>(why: &'static str) -> Result<T, FormError> {
    Err(FormError::Malformed(why))
}

/// Parses a part's header block, without the empty line that ends it.
///
/// # Errors
/// [`FormError::Malformed`] for all that two readers could understand differently: bare CR or LF, folded lines,
/// two `Content-Disposition`, two `name`s, `filename*`, escapes, a transfer encoding.
pub(super) fn parse(block: &[u8]) -> Result<PartHead, FormError> {
    let (mut found, mut charset) = (None, None);
    let mut rest = block;
    loop {
        let (line, after) = match super::boundary::find(rest, b"\r\n", 0) {
            Some(at) => (&rest[..at], Some(&rest[at + 2..])),
            None => (rest, None),
        };
        if line.iter().any(|b| matches!(b, b'\r' | b'\n' | 0)) {
            return bad("Lines of a part's header end in CRLF.");
        }
        header(line, &mut found, &mut charset)?;
        match after {
            Some(after) => rest = after,
            None => break,
        }
    }
    let charset = charset.unwrap_or(Charset::Utf8);
    let (name, filename) =
        found.ok_or(FormError::Malformed("A part has no Content-Disposition."))?;
    Ok(PartHead {
        name,
        filename,
        charset,
    })
}

/// The name of a field, and of a file.
type Named = (String, Option<Vec<u8>>);

fn header(
    line: &[u8],
    found: &mut Option<Named>,
    charset: &mut Option<Charset>,
) -> Result<(), FormError> {
    let Some(colon) = line.iter().position(|b| *b == b':') else {
        return bad("A header line of a part has no colon.");
    };
    let (name, value) = (&line[..colon], trim(&line[colon + 1..]));
    // A token only: this refuses folded lines and the space before a colon.
    if name.is_empty() || !name.iter().all(|b| token(*b)) {
        return bad("A header name of a part is not a token.");
    }
    if name.eq_ignore_ascii_case(b"content-disposition") {
        if found.replace(disposition(value)?).is_some() {
            return bad("A part has two Content-Disposition headers.");
        }
    } else if name.eq_ignore_ascii_case(b"content-type") {
        if charset.replace(charset_of(value)).is_some() {
            return bad("A part has two Content-Type headers.");
        }
    } else if name.eq_ignore_ascii_case(b"content-transfer-encoding")
        && !["binary", "8bit", "7bit"]
            .iter()
            .any(|plain| value.eq_ignore_ascii_case(plain.as_bytes()))
    {
        return bad(
            "A Content-Transfer-Encoding other than binary is not supported (RFC 7578 section 4.7).",
        );
    }
    Ok(())
}

fn disposition(value: &[u8]) -> Result<Named, FormError> {
    let Some(rest) = value.strip_prefix(b"form-data") else {
        return bad("A part's Content-Disposition must be form-data.");
    };
    let Some((name, rest)) = parameter(rest, b"name=\"")? else {
        return bad(
            "After form-data a part's Content-Disposition must have its name, in quotes and without escapes.",
        );
    };
    let name = field_name(name)?;
    let filename = match parameter(rest, b"filename=\"")? {
        None if rest.is_empty() => None,
        Some((filename, [])) => Some(file_name(filename)?),
        // `filename*` and `name*` among them: RFC 7578 section 4.2 forbids them in forms.
        _ => {
            return bad(
                "After its name only one filename, in quotes, may stand in a part's Content-Disposition.",
            );
        }
    };
    Ok((name, filename))
}

/// A text that stood in quotes, and what follows it.
type Quoted<'t> = (&'t [u8], &'t [u8]);

/// What stands between the quotes of the next parameter, and what follows it; `None`: this one does not come next.
fn parameter<'t>(text: &'t [u8], begin: &[u8]) -> Result<Option<Quoted<'t>>, FormError> {
    let Some((b';', after)) = text.split_first() else {
        return Ok(None);
    };
    let Some(quoted) = trim_start(after).strip_prefix(begin) else {
        return Ok(None);
    };
    let Some(end) = quoted.iter().position(|b| *b == b'"') else {
        return bad("A quoted string in a part's Content-Disposition does not end.");
    };
    // `\"`: some readers unescape it, to others the string ends here.
    if quoted[..end].ends_with(b"\\") {
        return bad("Escape a quote in a file's name as %22 (RFC 7578 section 4.2).");
    }
    Ok(Some((&quoted[..end], &quoted[end + 1..])))
}

/// Field names are compared without case; all of S3's are ASCII, and letters that only Unicode's case rules make
/// equal to ASCII ones must not come through.
fn field_name(name: &[u8]) -> Result<String, FormError> {
    if name.is_empty() {
        return bad("A part's name is empty.");
    }
    if !name
        .iter()
        .all(|b| matches!(b, 0x21..=0x7e) && !b"\\;=".contains(b))
    {
        return bad("A part's name must be printable ASCII without spaces, '\\', ';' and '='.");
    }
    let lower: String = name
        .iter()
        .map(|b| char::from(b.to_ascii_lowercase()))
        .collect();
    // To MinIO every other part is a field, and the file is still to come.
    if lower == "file" && name != b"file" {
        return bad("The file's part must be named file, in lower case.");
    }
    Ok(lower)
}

fn file_name(name: &[u8]) -> Result<Vec<u8>, FormError> {
    if name.iter().any(u8::is_ascii_control) {
        return bad("A file's name must be without control characters.");
    }
    // A parameter to who parts at each ';'.
    let mut pieces = name.split(|b| *b == b';').skip(1);
    if pieces.any(|piece| piece.contains(&b'=')) {
        return bad("A file's name must not have '=' after ';'.");
    }
    Ok(name.to_vec())
}

fn charset_of(media_type: &[u8]) -> Charset {
    let text = String::from_utf8_lossy(media_type).to_ascii_lowercase();
    let mut named = text.split("charset").skip(1).peekable();
    if named.peek().is_none() {
        return Charset::Utf8;
    }
    named.fold(Charset::Utf8, |known, rest| {
        let value = rest.trim_start_matches([' ', '\t', '=', '"']);
        let end = value.find([';', '"', ' ', '\t']).unwrap_or(value.len());
        match (known, &value[..end]) {
            (known, "utf-8" | "utf8") => known,
            (Charset::Utf8 | Charset::Ascii, "us-ascii" | "iso-8859-1") => Charset::Ascii,
            _ => Charset::Other,
        }
    })
}

/// RFC 9110 `tchar`.
fn token(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b)
}

fn trim_start(text: &[u8]) -> &[u8] {
    let start = text
        .iter()
        .position(|b| !matches!(b, b' ' | b'\t'))
        .unwrap_or(text.len());
    &text[start..]
}

fn trim(text: &[u8]) -> &[u8] {
    let text = trim_start(text);
    let end = text
        .iter()
        .rposition(|b| !matches!(b, b' ' | b'\t'))
        .map_or(0, |at| at + 1);
    &text[..end]
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn reads_what_clients_send() {
        let head = parse(b"Content-Disposition: form-data; name=\"X-Amz-Credential\"").unwrap();
        assert_eq!(
            (head.name.as_str(), head.filename),
            ("x-amz-credential", None)
        );
        let head = parse(b"content-type: image/png\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a b.png\"").unwrap();
        assert_eq!(
            (head.name.as_str(), head.filename.as_deref()),
            ("file", Some(&b"a b.png"[..]))
        );
        let head = parse(b"Content-Disposition:form-data;name=\"key\";filename=\"\"").unwrap();
        assert_eq!(
            (head.name.as_str(), head.filename.as_deref()),
            ("key", Some(&b""[..]))
        );
        for (name, filename) in [("user[x]", "a; b.txt"), ("x-amz-meta-a+b", "a=b;c")] {
            let text =
                format!("Content-Disposition: form-data; name=\"{name}\"; filename=\"{filename}\"");
            let head = parse(text.as_bytes()).unwrap();
            assert_eq!(
                (head.name.as_str(), head.filename.as_deref()),
                (name, Some(filename.as_bytes()))
            );
        }
        let head = parse(b"Content-Disposition: form-data; name=\"file\"; filename=\"C:\\x.txt\"")
            .unwrap();
        assert_eq!(head.filename.as_deref(), Some(&b"C:\\x.txt"[..]));
    }

    #[test]
    fn refuses_what_can_be_read_in_two_ways() {
        for bad in [
            &b""[..],
            b"Content-Type: text/plain",
            b"Content-Disposition: form-data",
            b"Content-Disposition: form-data; name=\"\"",
            b"Content-Disposition: attachment; name=\"key\"",
            b"Content-Disposition: form-data; name=\"a\"; name=\"b\"",
            b"Content-Disposition: form-data; name=\"a\"; NAME=\"a\"",
            b"Content-Disposition: form-data; NAME=\"key\"",
            b"Content-Disposition: Form-Data; name=\"key\"",
            b"Content-Disposition: form-data ; name=\"key\"",
            b"Content-Disposition: form-data; name =\"key\"",
            b"Content-Disposition: form-data; name=key",
            b"Content-Disposition: form-data; name=\"x;name=key;y\"",
            b"Content-Disposition: form-data; name=\"x=y\"",
            b"Content-Type: text/plain; charset=x\r\nContent-Type: text/plain\r\nContent-Disposition: form-data; name=\"a\"",
            b"Content-Disposition: form-data; name=\"File\"",
            b"Content-Disposition: form-data; filename=\"x; name=key; y\"; name=\"file\"",
            b"Content-Disposition: form-data; name=\"file\"; filename=\"x;name=key\"",
            b"Content-Disposition: form-data; name=\"file\"; filename=\"x\ty\"",
            b"Content-Disposition: form-data; name=\"file\"; filename=\"x\"; filename=\"y\"",
            b"Content-Disposition: form-data; name=\"a\"\r\nContent-Disposition: form-data; name=\"b\"",
            b"Content-Disposition: form-data; name=\"file\"; filename*=utf-8''x",
            b"Content-Disposition: form-data; name=\"file\"; filename=\"a\\\"b\"",
            b"Content-Disposition: form-data; name=\"a\xff\"",
            b"Content-Disposition: form-data; name=\" key\"",
            b"Content-Disposition: form-data; name=\"x-amz-\xe2\x84\xaaey\"",
            b"Content-Disposition: form-data; name=\"a\" x",
            b"Content-Disposition: form-data; name=\"a",
            b"Content-Disposition : form-data; name=\"a\"",
            b"Content-Disposition: form-data;\r\n name=\"a\"",
            b"Content-Disposition: form-data; name=\"a\"\nX: y",
            b"Content-Disposition: form-data; name=\"a\"\r\nContent-Transfer-Encoding: base64",
            b"Content-Disposition: form-data; name=\"a\"\r\nContent-Transfer-Encoding: quoted-printable",
            b"Content-Disposition",
        ] {
            assert!(parse(bad).is_err(), "{}", String::from_utf8_lossy(bad));
        }
    }

    #[test]
    fn charsets() {
        for (said, expect) in [
            ("text/plain", Charset::Utf8),
            ("text/plain; charset=utf-8", Charset::Utf8),
            ("text/plain;CharSet=\"UTF-8\"", Charset::Utf8),
            ("text/plain; charset=us-ascii", Charset::Ascii),
            ("text/plain; charset=ISO-8859-1; x=y", Charset::Ascii),
            ("text/plain; charset=iso-2022-jp", Charset::Other),
            ("text/plain; charset=utf-8; charset=utf-16", Charset::Other),
            ("text/plain; charset", Charset::Other),
            ("text/plain; charset*=utf-8''x", Charset::Other),
        ] {
            let head =
                format!("Content-Type: {said}\r\nContent-Disposition: form-data; name=\"key\"");
            assert_eq!(parse(head.as_bytes()).unwrap().charset, expect, "{said}");
        }
        assert!(Charset::Ascii.is_plain(b"k") && !Charset::Ascii.is_plain("\u{e4}".as_bytes()));
    }
}
