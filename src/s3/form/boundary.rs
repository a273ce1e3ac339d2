//! The `boundary` parameter of the request's `Content-Type` (RFC 2046 section 5.1.1).

use super::FormError;
#[cfg(test)]
use crate::s3::effort;

/// A boundary's greatest length (RFC 2046: "no longer than 70 characters").
const MAX: usize = 70;

/// The delimiter between the parts: `--` and the boundary.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Boundary {
    dashed: Vec<u8>,
}

impl Boundary {
    /// Reads the boundary out of a `Content-Type` value.
    ///
    /// A quoted boundary is refused, as S3 does: readers that do not unquote it would split the body elsewhere.
    ///
    /// # Errors
    /// [`FormError::Boundary`] where the value is not `multipart/form-data` with exactly one unquoted boundary of
    /// 1 to 70 of RFC 2046's characters.
    pub fn from_content_type(value: &[u8]) -> Result<Self, FormError> {
        let value = std::str::from_utf8(value)
            .map_err(|_| FormError::Boundary("The Content-Type is not text."))?;
        let mut pieces = value.split(';');
        let media = pieces.next().unwrap_or_default();
        if !media
            .trim_matches([' ', '\t'])
            .eq_ignore_ascii_case("multipart/form-data")
        {
            return Err(FormError::Boundary(
                "The Content-Type must be multipart/form-data.",
            ));
        }
        let mut found: Option<&str> = None;
        for piece in pieces {
            // A quote could hide a `;`, so that readers disagree on where a parameter ends.
            if piece.contains('"') {
                return Err(FormError::Boundary(
                    "Send the boundary and all other parameters without quotes.",
                ));
            }
            let piece = piece.trim_matches([' ', '\t']);
            let (name, given) = piece.split_once('=').ok_or(FormError::Boundary(
                "A Content-Type parameter has no value.",
            ))?;
            if name.trim_end_matches([' ', '\t']).len() != name.len() || name.contains('*') {
                return Err(FormError::Boundary(
                    "A Content-Type parameter is not plain name=value.",
                ));
            }
            if name.eq_ignore_ascii_case("boundary") && found.replace(given).is_some() {
                return Err(FormError::Boundary("The Content-Type has two boundaries."));
            }
        }
        Self::new(found.ok_or(FormError::Boundary("The Content-Type has no boundary."))?)
    }

    /// A boundary as the text after `boundary=`.
    ///
    /// # Errors
    /// [`FormError::Boundary`] where it is empty, longer than 70 characters or holds others than RFC 2046 allows.
    pub fn new(text: &str) -> Result<Self, FormError> {
        if text.is_empty() || text.len() > MAX {
            return Err(FormError::Boundary("A boundary has 1 to 70 characters."));
        }
        // RFC 2046 bchars without the space, which only a quoted boundary could hold.
        if !text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"'()+_,-./:=?".contains(&b))
        {
            return Err(FormError::Boundary(
                "The boundary holds a character that RFC 2046 does not allow.",
            ));
        }
        Ok(Self {
            dashed: [b"--", text.as_bytes()].concat(),
        })
    }

    /// `--` followed by the boundary, as it stands between the parts.
    #[must_use]
    pub fn dashed(&self) -> &[u8] {
        &self.dashed
    }
}

/// The place of `needle` in `hay`, from `from` on.
pub(super) fn find(hay: &[u8], needle: &[u8], mut from: usize) -> Option<usize> {
    find_on(hay, needle, &mut from)
}

/// As [`find`], in a `hay` that grows: where there is none, `from` goes on to the first place where one may still begin,
/// so that no byte is searched again however small the pieces are that it comes in. Where there is one, `from` is its place.
pub(super) fn find_on(hay: &[u8], needle: &[u8], from: &mut usize) -> Option<usize> {
    let first = *needle.first()?;
    while let Some(step) = hay.get(*from..)?.iter().position(|b| *b == first) {
        *from += step;
        let rest = hay.get(*from..)?;
        #[cfg(test)]
        effort::spent(step + rest.len().min(needle.len()));
        if rest.starts_with(needle) {
            return Some(*from);
        }
        if needle.starts_with(rest) {
            return None;
        }
        *from += 1;
    }
    #[cfg(test)]
    effort::spent(hay.len().saturating_sub(*from));
    *from = hay.len();
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_what_clients_send() {
        for good in [
            "multipart/form-data; boundary=----WebKitFormBoundaryABC123",
            "multipart/form-data;boundary=d74496d66958873e",
            "Multipart/Form-Data; charset=utf-8; Boundary=x",
        ] {
            assert!(
                Boundary::from_content_type(good.as_bytes()).is_ok(),
                "{good}"
            );
        }
    }

    #[test]
    fn refuses_what_can_be_read_in_two_ways() {
        let long = format!("multipart/form-data; boundary={}", "a".repeat(71));
        for bad in [
            "multipart/form-data",
            "multipart/form-data; boundary=",
            "multipart/form-data; boundary=\"abc\"",
            "multipart/form-data; boundary=a; boundary=b",
            "multipart/form-data; boundary=a; BOUNDARY=a",
            "multipart/form-data; boundary =a",
            "multipart/form-data; boundary*=utf-8''a",
            "multipart/form-data; boundary*0=a",
            "multipart/form-data; boundary=a b",
            "multipart/form-data; boundary=a, multipart/form-data; boundary=b",
            "multipart/form-data; x=\"; boundary=a\"; boundary=b",
            "multipart/form-data; boundary=a;",
            "multipart/mixed; boundary=a",
            "text/plain",
            "",
            &long,
        ] {
            assert!(
                Boundary::from_content_type(bad.as_bytes()).is_err(),
                "{bad}"
            );
        }
        assert!(Boundary::from_content_type(b"multipart/form-data; boundary=\xff").is_err());
    }

    #[test]
    fn finds() {
        assert_eq!(find(b"aab--xab--x", b"--x", 0), Some(3));
        assert_eq!(find(b"aab--xab--x", b"--x", 4), Some(8));
        assert_eq!(find(b"---x", b"--x", 0), Some(1));
        assert_eq!(find(b"", b"--x", 0), None);
        assert_eq!(find(b"--x", b"--x", 9), None);
    }

    #[test]
    fn finds_in_pieces_what_it_finds_at_once() {
        for (hay, needle) in [
            (&b"aab--xab--x"[..], &b"--x"[..]),
            (b"------x", b"---x"),
            (b"a\r\r\n\r\n", b"\r\n\r\n"),
            (b"no", b"--x"),
        ] {
            let mut from = 0;
            let found =
                (0..=hay.len()).find_map(|length| find_on(&hay[..length], needle, &mut from));
            assert_eq!(found, find(hay, needle, 0));
            assert!(hay.len() - from <= needle.len() || found == Some(from));
        }
    }
}
