//! Whom a client's certificate names, and how a configuration writes that.

use std::fmt;

/// A name that a configuration gives in `clients[].certificate`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CertificateName {
    /// A URI of the subject's alternative names, as `spiffe://example/app`: equal byte for byte.
    Uri(String),
    /// A DNS name of them, in lower case. A wildcard stands for itself.
    Dns(String),
    /// Attributes of the subject, as `CN=app` or `CN=app,O=Example`.
    Subject(Vec<(String, String)>),
}

/// What a certificate says of its owner.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// URIs of its subject's alternative names.
    pub uris: Vec<String>,
    /// DNS names of them, in lower case.
    pub dns: Vec<String>,
    /// Attributes of its subject in their order, types by their short names (RFC 4514 section 3) or OIDs.
    pub subject: Vec<(String, String)>,
    /// When its certificate expires: seconds since 1970.
    pub not_after: i64,
}

impl CertificateName {
    /// Reads what a configuration writes: what begins with an attribute and `=` is a subject, what has a `:` is a URI, else it is a DNS name.
    ///
    /// # Errors
    /// It is none of the three; the message follows the text in quotes.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = || {
            "is not a certificate's name: a URI (spiffe://example/app), a DNS name, or a subject (CN=app; several attributes with commas)"
                .to_owned()
        };
        let attribute = |text: &str| {
            let (kind, value) = text.split_once('=')?;
            let known = kind
                .trim()
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'.');
            (known && !kind.trim().is_empty() && !value.trim().is_empty())
                .then(|| (short_name(kind.trim()), value.trim().to_owned()))
        };
        let before_equals = text.split_once('=').map(|(kind, _)| kind);
        if before_equals.is_some_and(|kind| !kind.contains([':', '/'])) {
            let attributes: Option<Vec<_>> =
                split(text).iter().map(|part| attribute(part)).collect();
            return attributes.map(Self::Subject).ok_or_else(wrong);
        }
        if text.split_once(':').is_some_and(|(scheme, rest)| {
            !scheme.is_empty() && !rest.is_empty() && text.bytes().all(|b| b.is_ascii_graphic())
        }) {
            return Ok(Self::Uri(text.to_owned()));
        }
        let label = |label: &str| {
            (1..=63).contains(&label.len())
                && label
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
        };
        if text
            .strip_prefix("*.")
            .unwrap_or(text)
            .split('.')
            .all(label)
        {
            return Ok(Self::Dns(text.to_ascii_lowercase()));
        }
        Err(wrong())
    }

    /// Whether a certificate bears the name. Of a subject, each type that is written must have exactly the values that are written.
    #[must_use]
    pub fn matches(&self, identity: &Identity) -> bool {
        match self {
            Self::Uri(uri) => identity.uris.contains(uri),
            Self::Dns(name) => identity.dns.contains(name),
            Self::Subject(wanted) => wanted.iter().all(|(kind, _)| {
                let of = |all: &[(String, String)]| -> Vec<String> {
                    all.iter()
                        .filter(|(k, _)| k == kind)
                        .map(|(_, value)| value.clone())
                        .collect()
                };
                of(wanted) == of(&identity.subject)
            }),
        }
    }
}

impl fmt::Display for CertificateName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Uri(name) | Self::Dns(name) => f.write_str(name),
            Self::Subject(attributes) => {
                for (i, (kind, value)) in attributes.iter().enumerate() {
                    let comma = if i == 0 { "" } else { "," };
                    write!(f, "{comma}{kind}={}", value.replace(',', "\\,"))?;
                }
                Ok(())
            }
        }
    }
}

/// At commas, save those behind a backslash.
fn split(text: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            ',' => parts.push(String::new()),
            c => {
                let c = if c == '\\' {
                    chars.next().unwrap_or(c)
                } else {
                    c
                };
                if let Some(part) = parts.last_mut() {
                    part.push(c);
                }
            }
        }
    }
    parts
}

/// The name by which a type of attribute goes here: short names in their usual spelling, OIDs as they are.
#[must_use]
pub fn short_name(kind: &str) -> String {
    const KNOWN: [(&str, &str); 11] = [
        ("CN", "2.5.4.3"),
        ("serialNumber", "2.5.4.5"),
        ("C", "2.5.4.6"),
        ("L", "2.5.4.7"),
        ("ST", "2.5.4.8"),
        ("STREET", "2.5.4.9"),
        ("O", "2.5.4.10"),
        ("OU", "2.5.4.11"),
        ("UID", "0.9.2342.19200300.100.1.1"),
        ("DC", "0.9.2342.19200300.100.1.25"),
        ("emailAddress", "1.2.840.113549.1.9.1"),
    ];
    KNOWN
        .iter()
        .find(|(short, oid)| short.eq_ignore_ascii_case(kind) || *oid == kind)
        .map_or_else(|| kind.to_owned(), |(short, _)| (*short).to_owned())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn identity() -> Identity {
        let subject = [
            ("C", "DE"),
            ("O", "Example, Inc"),
            ("OU", "a"),
            ("OU", "b"),
            ("CN", "app"),
        ];
        Identity {
            uris: vec!["spiffe://example/app".into()],
            dns: vec!["app.example".into(), "*.wild.example".into()],
            subject: subject.map(|(k, v)| (k.to_owned(), v.to_owned())).into(),
            not_after: 0,
        }
    }

    #[test]
    fn names_match_exactly() {
        for (name, is) in [
            ("spiffe://example/app", true),
            ("spiffe://example/app/", false),
            ("spiffe://Example/app", false),
            ("App.Example", true),
            ("x.wild.example", false),
            ("*.wild.example", true),
            ("CN=app", true),
            ("cn = app", true),
            ("2.5.4.3=app", true),
            ("CN=App", false),
            ("CN=app,O=Example\\, Inc", true),
            ("CN=app,O=Example", false),
            ("OU=a", false),
            ("OU=a,OU=b,CN=app", true),
            ("ST=x", false),
            ("app", false),
        ] {
            let name = CertificateName::parse(name).unwrap();
            assert_eq!(name.matches(&identity()), is, "{name}");
            assert_eq!(CertificateName::parse(&name.to_string()), Ok(name));
        }
        let mut twice = identity();
        twice.subject.push(("CN".into(), "root".into()));
        assert!(!CertificateName::parse("CN=app").unwrap().matches(&twice));
    }

    #[test]
    fn what_is_no_name() {
        for text in [
            "",
            "a b",
            "CN=",
            "=app",
            "CN=app,",
            "spiffe://a b",
            ":x",
            "a..b",
            "C N=x",
        ] {
            assert!(CertificateName::parse(text).is_err(), "{text}");
        }
    }
}
