//! What a store's answer says of encryption, and whether that is what was asked for.
//!
//! The header names are those of the request; see `x-amz-server-side-encryption` in
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObject.html#API_PutObject_ResponseSyntax>.

use super::headers::{CUSTOMER_ALGORITHM, CUSTOMER_KEY_MD5, KMS_KEY_ID, SSE, SseRequest};

/// A way in which a store encrypts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// SSE-S3.
    Aes256,
    /// SSE-KMS.
    Kms,
    /// DSSE-KMS.
    Dsse,
    /// SSE-C.
    Customer,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 4] = [Self::Aes256, Self::Kms, Self::Dsse, Self::Customer];

    /// Its name in audit lines and, but for SSE-C, in `x-amz-server-side-encryption`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Aes256 => "AES256",
            Self::Kms => "aws:kms",
            Self::Dsse => "aws:kms:dsse",
            Self::Customer => "sse-c",
        }
    }

    fn of(value: &str) -> Option<Self> {
        [Self::Aes256, Self::Kms, Self::Dsse]
            .into_iter()
            .find(|kind| kind.as_str() == value)
    }

    fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// Some kinds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Kinds(u8);

impl Kinds {
    /// With one more.
    #[must_use]
    pub fn with(self, kind: Kind) -> Self {
        Self(self.0 | kind.bit())
    }

    /// Whether it is among them.
    #[must_use]
    pub fn has(self, kind: Kind) -> bool {
        self.0 & kind.bit() != 0
    }
}

/// What the store must say.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Wanted {
    /// `x-amz-server-side-encryption` of this kind and, where one was named, this KMS key.
    Managed {
        /// The kind; never [`Kind::Customer`].
        kind: Kind,
        /// The key as the request named it.
        key_id: Option<String>,
    },
    /// SSE-C with the key whose MD5, in base64, this is.
    Customer {
        /// `x-amz-server-side-encryption-customer-key-MD5`
        key_md5: String,
    },
    /// One of these: the request itself could not say which.
    OneOf(Kinds),
}

impl Wanted {
    /// What a request asks for that [`validate`](super::validate()) accepts; `None` where it asks for nothing.
    #[must_use]
    pub fn of(request: &SseRequest<'_>) -> Option<Self> {
        if request.customer.any() {
            return Some(Self::Customer {
                key_md5: request
                    .customer
                    .key_md5
                    .as_deref()
                    .unwrap_or_default()
                    .into(),
            });
        }
        Some(match Kind::of(request.sse.as_deref()?) {
            Some(kind) => Self::Managed {
                kind,
                key_id: request.kms_key_id.as_deref().map(str::to_owned),
            },
            // A value that is none of these is never confirmed.
            None => Self::OneOf(Kinds::default()),
        })
    }
}

/// What a response says, as it stands there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Echo<'a> {
    sse: Option<&'a [u8]>,
    key_id: Option<&'a [u8]>,
    customer_algorithm: Option<&'a [u8]>,
    customer_key_md5: Option<&'a [u8]>,
    /// A field came twice with different values.
    contradicts: bool,
}

impl<'a> Echo<'a> {
    /// Takes in one field of the response; all names are looked at, only four are noted.
    pub fn note(&mut self, name: &[u8], value: &'a [u8]) {
        let is = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
        let slot = if is(SSE) {
            &mut self.sse
        } else if is(KMS_KEY_ID) {
            &mut self.key_id
        } else if is(CUSTOMER_ALGORITHM) {
            &mut self.customer_algorithm
        } else if is(CUSTOMER_KEY_MD5) {
            &mut self.customer_key_md5
        } else {
            return;
        };
        self.contradicts |= slot.is_some_and(|before| before != value);
        *slot = Some(value);
    }

    /// Whether it says anything of encryption.
    #[must_use]
    pub fn says_something(&self) -> bool {
        self.sse.is_some() || self.customer_algorithm.is_some()
    }

    /// The kind that it says, where it is one.
    #[must_use]
    pub fn kind(&self) -> Option<Kind> {
        if self.contradicts {
            return None;
        }
        match self.sse {
            Some(value) => Kind::of(std::str::from_utf8(value).ok()?),
            None if self.customer_algorithm == Some(b"AES256") => Some(Kind::Customer),
            None => None,
        }
    }

    /// Whether it is what was wanted.
    #[must_use]
    pub fn confirms(&self, wanted: &Wanted) -> bool {
        let Some(said) = self.kind() else {
            return false;
        };
        match wanted {
            Wanted::OneOf(kinds) => kinds.has(said),
            Wanted::Customer { key_md5 } => {
                said == Kind::Customer && self.customer_key_md5 == Some(key_md5.as_bytes())
            }
            Wanted::Managed { kind, key_id } => {
                said == *kind
                    && key_id.as_deref().is_none_or(|asked| {
                        self.key_id
                            .and_then(|said| std::str::from_utf8(said).ok())
                            .is_some_and(|said| is_same_key(asked, said))
                    })
            }
        }
    }
}

/// Whether the key that a response names can be the one that was asked for. A request may name a key's id, its ARN, an
/// alias or an alias' ARN; AWS answers with the key's ARN, `MinIO` with `arn:aws:kms:` and the key's name. Which key an
/// alias stands for is known to the key service alone, so any key is believed then.
fn is_same_key(asked: &str, said: &str) -> bool {
    if asked == said {
        return true;
    }
    let (asked, said) = (Key::of(asked), Key::of(said));
    if said.name.is_empty() {
        return false;
    }
    if asked.alias {
        return true;
    }
    // Two whole ARNs that differ name two keys.
    asked.name == said.name && (asked.home.is_none() || said.home.is_none())
}

/// A key's name, and the partition, region and account where they are said.
struct Key<'a> {
    home: Option<&'a str>,
    name: &'a str,
    alias: bool,
}

impl<'a> Key<'a> {
    fn of(text: &'a str) -> Self {
        let (home, name) = match text.strip_prefix("arn:") {
            None => (None, text),
            Some(rest) => match rest.rsplit_once(':') {
                // `aws:kms` alone is no home: MinIO's form.
                Some((home, name)) if home.split(':').count() > 2 => (Some(home), name),
                Some((_, name)) => (None, name),
                None => (None, rest),
            },
        };
        Self {
            home,
            alias: name.starts_with("alias/"),
            name: name.strip_prefix("key/").unwrap_or(name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ARN: &str = "arn:aws:kms:us-east-2:111122223333:key/01234567-89ab-cdef-0123-456789abcdef";

    fn echo<'a>(fields: &[(&str, &'a str)]) -> Echo<'a> {
        let mut echo = Echo::default();
        for (name, value) in fields {
            echo.note(name.as_bytes(), value.as_bytes());
        }
        echo
    }

    fn managed(kind: Kind, key_id: Option<&str>) -> Wanted {
        Wanted::Managed {
            kind,
            key_id: key_id.map(str::to_owned),
        }
    }

    #[test]
    fn the_kind_must_be_the_one_asked_for() {
        for kind in Kind::ALL {
            for value in ["AES256", "aws:kms", "aws:kms:dsse", "", "aes256", "none"] {
                let said = echo(&[("X-Amz-Server-Side-Encryption", value)]);
                assert_eq!(
                    said.confirms(&managed(kind, None)),
                    kind.as_str() == value,
                    "{kind:?} {value}"
                );
                assert_eq!(
                    said.confirms(&Wanted::OneOf(Kinds::default().with(kind))),
                    kind.as_str() == value
                );
            }
        }
        assert!(!echo(&[]).confirms(&managed(Kind::Aes256, None)));
        assert!(!echo(&[(SSE, "AES256"), (SSE, "none")]).confirms(&managed(Kind::Aes256, None)));
        assert!(echo(&[(SSE, "AES256"), (SSE, "AES256")]).confirms(&managed(Kind::Aes256, None)));
    }

    #[test]
    fn the_key_is_compared_as_stores_write_it() {
        for (asked, said, same) in [
            ("main", "arn:aws:kms:main", true),
            ("arn:aws:kms:main", "arn:aws:kms:main", true),
            ("main", "arn:aws:kms:other", false),
            ("01234567-89ab-cdef-0123-456789abcdef", ARN, true),
            (ARN, ARN, true),
            (
                "arn:aws:kms:us-east-1:111122223333:key/01234567-89ab-cdef-0123-456789abcdef",
                ARN,
                false,
            ),
            ("76543210-89ab-cdef-0123-456789abcdef", ARN, false),
            ("alias/mine", ARN, true),
            ("arn:aws:kms:us-east-2:111122223333:alias/mine", ARN, true),
            ("alias/mine", "", false),
            ("main", "", false),
        ] {
            let said = echo(&[(SSE, "aws:kms"), (KMS_KEY_ID, said)]);
            assert_eq!(
                said.confirms(&managed(Kind::Kms, Some(asked))),
                same,
                "{asked} {said:?}"
            );
        }
        let unnamed = echo(&[(SSE, "aws:kms")]);
        assert!(!unnamed.confirms(&managed(Kind::Kms, Some("main"))));
        assert!(unnamed.confirms(&managed(Kind::Kms, None)));
    }

    #[test]
    fn a_customers_key_is_known_by_its_md5() {
        let wanted = Wanted::Customer {
            key_md5: "abc=".into(),
        };
        assert!(
            echo(&[(CUSTOMER_ALGORITHM, "AES256"), (CUSTOMER_KEY_MD5, "abc=")]).confirms(&wanted)
        );
        assert!(
            !echo(&[(CUSTOMER_ALGORITHM, "AES256"), (CUSTOMER_KEY_MD5, "abd=")]).confirms(&wanted)
        );
        assert!(!echo(&[(CUSTOMER_ALGORITHM, "AES256")]).confirms(&wanted));
        assert!(!echo(&[(SSE, "AES256"), (CUSTOMER_KEY_MD5, "abc=")]).confirms(&wanted));
        assert!(
            echo(&[(CUSTOMER_ALGORITHM, "AES256")])
                .confirms(&Wanted::OneOf(Kinds::default().with(Kind::Customer)))
        );
    }
}
