//! The query of a request: raw pairs, decoded when asked for.
//!
//! Pairs are separated by `&` alone; `+` and `%20` are spaces (as S3 and the signature's own decoding have it).

use std::borrow::Cow;

/// The query, without its `?`. Its escapes have been checked by the router.
#[derive(Clone, Copy, Default)]
pub struct Query<'a> {
    raw: &'a [u8],
}

impl std::fmt::Debug for Query<'_> {
    // A presigned query is a credential.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Query({} bytes)", self.raw.len())
    }
}

/// A `%` that no two hexadecimal digits follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a percent sign without two hexadecimal digits")]
pub struct BadEscape;

impl<'a> Query<'a> {
    /// The query in these bytes.
    #[must_use]
    pub fn new(raw: &'a [u8]) -> Self {
        Self { raw }
    }

    /// The bytes as received.
    #[must_use]
    pub fn raw(&self) -> &'a [u8] {
        self.raw
    }

    /// The pairs as received, in order: name, and value where there is a `=`. Empty pairs (`a&&b`) are left out.
    pub fn pairs(&self) -> impl Iterator<Item = (&'a [u8], Option<&'a [u8]>)> + use<'a> {
        self.raw
            .split(|&byte| byte == b'&')
            .filter(|pair| !pair.is_empty())
            .map(|pair| match pair.iter().position(|&byte| byte == b'=') {
                Some(at) => (&pair[..at], Some(&pair[at + 1..])),
                None => (pair, None),
            })
    }

    /// The decoded value of the first parameter of this name, in exactly this case; empty where it has none.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Cow<'a, str>> {
        self.find(|raw| name_is(raw, name.as_bytes(), false))
    }

    /// As [`Query::get`], for `x-amz-*` parameters, whose names are read in any case.
    #[must_use]
    pub fn get_any_case(&self, name: &str) -> Option<Cow<'a, str>> {
        self.find(|raw| name_is(raw, name.as_bytes(), true))
    }

    /// Whether a parameter of this name is there, with a value or without.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.pairs()
            .any(|(raw, _)| name_is(raw, name.as_bytes(), false))
    }

    fn find(&self, is: impl Fn(&[u8]) -> bool) -> Option<Cow<'a, str>> {
        let (_, value) = self.pairs().find(|(name, _)| is(name))?;
        // The router has refused values that matter and are no UTF-8.
        Some(
            match decode(value.unwrap_or_default(), true).unwrap_or_default() {
                Cow::Borrowed(bytes) => String::from_utf8_lossy(bytes),
                Cow::Owned(bytes) => Cow::Owned(String::from_utf8(bytes).unwrap_or_else(|error| {
                    String::from_utf8_lossy(error.as_bytes()).into_owned()
                })),
            },
        )
    }
}

/// Undoes percent-encoding, once. With `plus_is_space`, `+` is a space, as in a query; in a path it is itself.
///
/// # Errors
/// A `%` without two hexadecimal digits.
pub fn decode(raw: &[u8], plus_is_space: bool) -> Result<Cow<'_, [u8]>, BadEscape> {
    let Some(first) = raw
        .iter()
        .position(|&byte| byte == b'%' || (plus_is_space && byte == b'+'))
    else {
        return Ok(Cow::Borrowed(raw));
    };
    let mut out = Vec::with_capacity(raw.len());
    out.extend_from_slice(&raw[..first]);
    let mut rest = &raw[first..];
    while let [byte, tail @ ..] = rest {
        rest = tail;
        match byte {
            b'%' => {
                let [high, low, tail @ ..] = tail else {
                    return Err(BadEscape);
                };
                out.push((hex(*high)? << 4) | hex(*low)?);
                rest = tail;
            }
            b'+' if plus_is_space => out.push(b' '),
            _ => out.push(*byte),
        }
    }
    Ok(Cow::Owned(out))
}

/// Percent-encodes as a signature's canonical URI does: `A-Z a-z 0-9 - . _ ~` stay, and `/` where `keep_slash` says so.
#[must_use]
pub fn encode(bytes: &[u8], keep_slash: bool) -> String {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    let mut out = String::with_capacity(bytes.len());
    for &byte in bytes {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) || (keep_slash && byte == b'/') {
            out.push(char::from(byte));
        } else {
            out.push('%');
            out.push(char::from(DIGITS[usize::from(byte >> 4)]));
            out.push(char::from(DIGITS[usize::from(byte & 15)]));
        }
    }
    out
}

fn hex(digit: u8) -> Result<u8, BadEscape> {
    match digit {
        b'0'..=b'9' => Ok(digit - b'0'),
        b'a'..=b'f' => Ok(digit - b'a' + 10),
        b'A'..=b'F' => Ok(digit - b'A' + 10),
        _ => Err(BadEscape),
    }
}

/// Whether a raw name decodes to `name`. Does not allocate for names without escapes.
pub(crate) fn name_is(raw: &[u8], name: &[u8], any_case: bool) -> bool {
    let same = |bytes: &[u8]| {
        if any_case {
            bytes.eq_ignore_ascii_case(name)
        } else {
            bytes == name
        }
    };
    if raw.len() < name.len() {
        return false;
    }
    same(raw) || (raw.len() > name.len() && decode(raw, true).is_ok_and(|decoded| same(&decoded)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn pairs_and_values() {
        let query = Query::new(b"acl&prefix=a%2Fb+c&&empty=&%74agging=1&semi;colon=2");
        assert_eq!(query.get("acl").as_deref(), Some(""));
        assert_eq!(query.get("prefix").as_deref(), Some("a/b c"));
        assert_eq!(query.get("empty").as_deref(), Some(""));
        assert_eq!(query.get("tagging").as_deref(), Some("1"));
        assert_eq!(query.get("semi;colon").as_deref(), Some("2"));
        assert!(!query.has("ACL") && !query.has("colon"));
        assert_eq!(
            Query::new(b"X-Amz-Acl=private")
                .get_any_case("x-amz-acl")
                .as_deref(),
            Some("private")
        );
        assert_eq!(format!("{query:?}"), "Query(51 bytes)");
    }

    #[test]
    fn escapes_without_digits_are_errors() {
        for bad in [&b"%"[..], b"%2", b"%zz", b"a%%20"] {
            assert_eq!(decode(bad, false), Err(BadEscape), "{bad:?}");
        }
        assert_eq!(decode(b"a+b", false).unwrap().as_ref(), b"a+b");
        assert_eq!(decode(b"%252e", false).unwrap().as_ref(), b"%2e");
    }

    proptest! {
        #[test]
        fn decoding_undoes_encoding(bytes: Vec<u8>, keep_slash: bool, plus: bool) {
            let encoded = encode(&bytes, keep_slash);
            let decoded = decode(encoded.as_bytes(), plus).unwrap();
            prop_assert_eq!(decoded.as_ref(), bytes.as_slice());
        }

        #[test]
        fn names_compare_as_they_decode(raw: Vec<u8>, name: Vec<u8>) {
            let decoded = decode(&raw, true);
            prop_assert_eq!(name_is(&raw, &name, false), raw == name || decoded.as_ref().is_ok_and(|d| d.as_ref() == name.as_slice()));
        }
    }
}
