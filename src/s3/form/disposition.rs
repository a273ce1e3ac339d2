//! The headers of one part: `Content-Disposition: form-data; name="..."; filename="..."` (RFC 7578 section 4.2).

use super::FormError;

/// What the headers of a part say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PartHead {
    /// The field's name, lower-case ASCII.
    pub name: String,
    /// The `filename` parameter as it stands between its quotes.
    pub filename: Option<Vec<u8>>,
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
    let mut found = None;
    let mut rest = block;
    loop {
        let (line, after) = match super::boundary::find(rest, b"\r\n", 0) {
            Some(at) => (&rest[..at], Some(&rest[at + 2..])),
            None => (rest, None),
        };
        if line.iter().any(|b| matches!(b, b'\r' | b'\n' | 0)) {
            return bad("Lines of a part's header end in CRLF.");
        }
        header(line, &mut found)?;
        match after {
            Some(after) => rest = after,
            None => break,
        }
    }
    found.ok_or(FormError::Malformed("A part has no Content-Disposition."))
}

fn header(line: &[u8], found: &mut Option<PartHead>) -> Result<(), FormError> {
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

fn disposition(value: &[u8]) -> Result<PartHead, FormError> {
    let kind = value.iter().position(|b| *b == b';').unwrap_or(value.len());
    if !trim(&value[..kind]).eq_ignore_ascii_case(b"form-data") {
        return bad("A part's Content-Disposition must be form-data.");
    }
    let (mut name, mut filename) = (None, None);
    let mut rest = &value[kind..];
    while let Some((b';', after)) = rest.split_first() {
        let after = trim_start(after);
        let Some(equals) = after.iter().position(|b| *b == b'=') else {
            return bad("A Content-Disposition parameter has no value.");
        };
        let param = &after[..equals];
        let (given, left) = parameter_value(&after[equals + 1..])?;
        rest = trim_start(left);
        let slot = if param.eq_ignore_ascii_case(b"name") {
            &mut name
        } else if param.eq_ignore_ascii_case(b"filename") {
            &mut filename
        } else {
            // `filename*` and `name*` among them: RFC 7578 section 4.2 forbids them in forms.
            return bad("Only name and filename may stand in a part's Content-Disposition.");
        };
        if slot.replace(given).is_some() {
            return bad("A parameter stands twice in a part's Content-Disposition.");
        }
    }
    if !rest.is_empty() {
        return bad("A part's Content-Disposition cannot be read.");
    }
    let Some(name) = name else {
        return bad("A part has no name.");
    };
    Ok(PartHead {
        name: field_name(name)?,
        filename: filename.map(<[u8]>::to_vec),
    })
}

/// A token or a quoted string; what it stands for, and what follows.
fn parameter_value(text: &[u8]) -> Result<(&[u8], &[u8]), FormError> {
    let Some((b'"', quoted)) = text.split_first() else {
        let end = text.iter().position(|b| !token(*b)).unwrap_or(text.len());
        return if end == 0 {
            bad("A Content-Disposition parameter is empty.")
        } else {
            Ok((&text[..end], &text[end..]))
        };
    };
    let Some(end) = quoted.iter().position(|b| *b == b'"') else {
        return bad("A quoted string in a part's Content-Disposition does not end.");
    };
    // `\"`: some readers unescape it, to others the string ends here.
    if quoted[..end].ends_with(b"\\") {
        return bad("Escape a quote in a file's name as %22 (RFC 7578 section 4.2).");
    }
    Ok((&quoted[..end], &quoted[end + 1..]))
}

/// Field names are compared without case; all of S3's are ASCII, and letters that only Unicode's case rules make
/// equal to ASCII ones must not come through.
fn field_name(name: &[u8]) -> Result<String, FormError> {
    if name.is_empty() {
        return bad("A part's name is empty.");
    }
    if !name.iter().all(|b| matches!(b, 0x21..=0x7e) && *b != b'\\') {
        return bad("A part's name holds other than printable ASCII characters.");
    }
    Ok(name
        .iter()
        .map(|b| char::from(b.to_ascii_lowercase()))
        .collect())
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
        let head = parse(b"Content-Disposition:form-data;filename=\"\";name=key").unwrap();
        assert_eq!(
            (head.name.as_str(), head.filename.as_deref()),
            ("key", Some(&b""[..]))
        );
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
}
