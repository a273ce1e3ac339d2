//! The query of a request: raw pairs, and those that mean something decoded once.
//!
//! Pairs are separated by `&` alone; `+` and `%20` are spaces (as S3 and the signature's own decoding have it).

use std::borrow::Cow;
use std::cmp::Ordering;

/// The query, without its `?`.
///
/// The router has read it: what some operation, the signature or a policy may ask for stands here decoded, so that asking
/// costs the same however long the query is, and however many objects a body names.
#[derive(Clone, Default)]
pub struct Query<'a> {
    raw: &'a [u8],
    /// In the order of their names, without case; no two have the same.
    parameters: Vec<Parameter<'a>>,
}

/// A parameter, decoded.
#[derive(Clone)]
pub(crate) struct Parameter<'a> {
    pub name: Cow<'a, [u8]>,
    pub value: Cow<'a, str>,
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
    /// The query in these bytes, of which nothing but `parameters` is ever asked for.
    ///
    /// # Errors
    /// The name that two of them have, in whatever case.
    pub(crate) fn new(
        raw: &'a [u8],
        mut parameters: Vec<Parameter<'a>>,
    ) -> Result<Self, Cow<'a, [u8]>> {
        // Sorted, so that neither finding a name that comes twice nor any look-up compares each with each.
        parameters.sort_unstable_by(|a, b| caseless(&a.name, &b.name));
        let twice = parameters
            .windows(2)
            .position(|pair| caseless(&pair[0].name, &pair[1].name).is_eq());
        match twice {
            Some(at) => Err(parameters.swap_remove(at).name),
            None => Ok(Self { raw, parameters }),
        }
    }

    /// The bytes as received.
    #[must_use]
    pub fn raw(&self) -> &'a [u8] {
        self.raw
    }

    /// Name and value of each parameter that means something, decoded.
    pub fn parameters(&self) -> impl Iterator<Item = (&[u8], &str)> {
        self.parameters
            .iter()
            .map(|parameter| (parameter.name.as_ref(), parameter.value.as_ref()))
    }

    /// The decoded value of the parameter of this name, in exactly this case; empty where it has none.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.find(name)
            .filter(|found| found.name.as_ref() == name.as_bytes())
            .map(|found| found.value.as_ref())
    }

    /// As [`Query::get`], for `x-amz-*` parameters, whose names are read in any case.
    #[must_use]
    pub fn get_any_case(&self, name: &str) -> Option<&str> {
        self.find(name).map(|found| found.value.as_ref())
    }

    /// Whether a parameter of this name is there, with a value or without.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    fn find(&self, name: &str) -> Option<&Parameter<'a>> {
        let at = self
            .parameters
            .binary_search_by(|parameter| caseless(&parameter.name, name.as_bytes()))
            .ok()?;
        self.parameters.get(at)
    }
}

/// The pairs of a query as received, in order: name, and value where there is a `=`. Empty pairs (`a&&b`) are left out.
pub fn pairs(raw: &[u8]) -> impl Iterator<Item = (&[u8], Option<&[u8]>)> {
    raw.split(|&byte| byte == b'&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| match pair.iter().position(|&byte| byte == b'=') {
            Some(at) => (&pair[..at], Some(&pair[at + 1..])),
            None => (pair, None),
        })
}

/// The order of two names without case.
fn caseless(a: &[u8], b: &[u8]) -> Ordering {
    #[cfg(test)]
    super::effort::spent(a.len().min(b.len()));
    a.iter()
        .map(u8::to_ascii_lowercase)
        .cmp(b.iter().map(u8::to_ascii_lowercase))
}

/// Undoes percent-encoding, once. With `plus_is_space`, `+` is a space, as in a query; in a path it is itself.
///
/// # Errors
/// A `%` without two hexadecimal digits.
pub fn decode(raw: &[u8], plus_is_space: bool) -> Result<Cow<'_, [u8]>, BadEscape> {
    #[cfg(test)]
    super::effort::spent(raw.len());
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;
    use proptest::prelude::*;

    fn query(raw: &[u8]) -> Result<Query<'_>, Cow<'_, [u8]>> {
        let text = |bytes| String::from_utf8(decode(bytes, true).unwrap().into_owned()).unwrap();
        let parameters = pairs(raw).map(|(name, value)| Parameter {
            name: decode(name, true).unwrap(),
            value: text(value.unwrap_or_default()).into(),
        });
        Query::new(raw, parameters.collect())
    }

    #[test]
    fn pairs_and_values() {
        let found = query(b"acl&prefix=a%2Fb+c&&empty=&%74agging=1&semi;colon=2").unwrap();
        assert_eq!(found.get("acl"), Some(""));
        assert_eq!(found.get("prefix"), Some("a/b c"));
        assert_eq!(found.get("empty"), Some(""));
        assert_eq!(found.get("tagging"), Some("1"));
        assert_eq!(found.get("semi;colon"), Some("2"));
        assert!(!found.has("ACL") && !found.has("colon"));
        assert_eq!(format!("{found:?}"), "Query(51 bytes)");
        let found = query(b"z&X-Amz-Acl=private&a").unwrap();
        assert_eq!(found.get_any_case("x-amz-acl"), Some("private"));
        assert_eq!(found.get("x-amz-acl"), None);
        assert_eq!(query(b"b=1&a&B=2").unwrap_err().to_ascii_lowercase(), b"b");
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
        fn each_parameter_is_found(names in proptest::collection::btree_set("[a-c]{0,3}", 0..20), other in "[a-d]{0,3}") {
            let raw = names.iter().map(|name| format!("&{name}=v{name}")).collect::<Vec<_>>().concat();
            let found = query(raw.as_bytes()).unwrap();
            for name in &names {
                prop_assert_eq!(found.get(name), Some(&*format!("v{name}")));
                prop_assert_eq!(found.get_any_case(&name.to_uppercase()), found.get(name));
            }
            prop_assert_eq!(found.has(&other), names.contains(&other));
        }
    }
}
