//! What a form says once its fields are known: headers, key, tags, and what it claims of its signer.

use http::{HeaderMap, HeaderName, HeaderValue};

use super::FormError;
use crate::s3::address::{AddressError, MAX_KEY_BYTES, check_key};
use crate::s3::extension::is_foreign;
use crate::s3::xml::{Tagging, XML_BYTES};

/// What S3 puts the file's name in place of.
const FILENAME: &[u8] = b"${filename}";

/// One field before the file. Its `Debug` shows the name only: values may be signatures or keys.
#[derive(Clone, PartialEq, Eq)]
pub struct Field {
    name: String,
    value: Vec<u8>,
}

impl Field {
    pub(super) fn new(name: String, value: Vec<u8>) -> Self {
        Self { name, value }
    }

    /// The name, lower-case ASCII.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The value, byte for byte.
    #[must_use]
    pub fn value(&self) -> &[u8] {
        &self.value
    }
}

impl std::fmt::Debug for Field {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}({} bytes)", self.name, self.value.len())
    }
}

/// The head of the part named `file`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilePart {
    filename: Option<Vec<u8>>,
    offset: usize,
}

impl FilePart {
    pub(super) fn new(filename: Option<Vec<u8>>, offset: usize) -> Self {
        Self { filename, offset }
    }

    /// The name the client gave the file, byte for byte.
    #[must_use]
    pub fn filename(&self) -> Option<&[u8]> {
        self.filename.as_deref()
    }
}

/// A form read up to its file.
pub struct Form {
    fields: Vec<Field>,
    file: FilePart,
    key: String,
    headers: HeaderMap,
    tags: Vec<(String, String)>,
}

impl std::fmt::Debug for Form {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Form")
            .field("key", &self.key)
            .field("fields", &self.fields)
            .finish_non_exhaustive()
    }
}

/// Fields that S3 takes as the header named beside them; `x-amz-*` fields are headers under their own name.
const HEADER_FIELDS: &[(&str, &str)] = &[
    ("acl", "x-amz-acl"),
    ("cache-control", "cache-control"),
    ("content-disposition", "content-disposition"),
    ("content-encoding", "content-encoding"),
    ("content-type", "content-type"),
    ("expires", "expires"),
];

/// `x-amz-*` fields that say who signed, not what is to be stored.
const CLAIM_FIELDS: &[&str] = &[
    "x-amz-algorithm",
    "x-amz-credential",
    "x-amz-date",
    "x-amz-signature",
    "x-amz-security-token",
];

impl Form {
    pub(super) fn new(fields: Vec<Field>, file: FilePart) -> Result<Self, FormError> {
        let key = key(&fields, &file)?;
        let (headers, tags) = headers(&fields)?;
        Ok(Self {
            fields,
            file,
            key,
            headers,
            tags,
        })
    }

    /// The fields in the order they came.
    #[must_use]
    pub fn fields(&self) -> &[Field] {
        &self.fields
    }

    /// The value of one field; `name` in lower case.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&[u8]> {
        self.fields
            .iter()
            .find(|field| field.name == name)
            .map(Field::value)
    }

    /// A field's value where it is text: `policy`, `x-amz-credential`, `awsaccesskeyid` and the like.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        self.field(name)
            .and_then(|value| std::str::from_utf8(value).ok())
    }

    /// The file part's head.
    #[must_use]
    pub fn file(&self) -> &FilePart {
        &self.file
    }

    /// Where the file's first byte stands in [`super::FormReader::raw`].
    #[must_use]
    pub fn file_offset(&self) -> usize {
        self.file.offset
    }

    /// The key of the object, the file's name put in place of `${filename}`: the key that the store will see.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The fields that count as headers of a PUT would. SSE-C keys are among them and marked sensitive.
    /// `tagging` stands here as `x-amz-tagging`, `acl` as `x-amz-acl`. What says who signed is not among them: see
    /// [`claim_of_form`](crate::sigv4::claim_of_form).
    #[must_use]
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// The tags of the field `tagging`, in their order.
    #[must_use]
    pub fn tags(&self) -> &[(String, String)] {
        &self.tags
    }
}

fn invalid(name: &str, why: &'static str) -> FormError {
    FormError::Invalid {
        name: name.to_owned(),
        why,
    }
}

/// Whether a value decides something and begins or ends in what some readers take away (Ceph RGW white space, others control
/// characters too). Of a key, of what policies ask for and of who signed, all must see the same.
fn is_trimmed(name: &str, value: &[u8]) -> bool {
    let decides = match name.strip_prefix("x-amz-") {
        Some(rest) => !rest.starts_with("meta-"),
        None => matches!(name, "key" | "acl" | "awsaccesskeyid" | "signature"),
    };
    let text = String::from_utf8_lossy(value);
    // A byte order mark at the begin is taken away, too.
    let kept = |c: char| !c.is_whitespace() && !c.is_control() && c != '\u{feff}';
    decides && text.trim_matches(|c| !kept(c)) != text
}

/// What is said of a value that is trimmed by some.
const TRIMMED: &str =
    "it must not begin or end with white space, a byte order mark or a control character.";

fn key(fields: &[Field], file: &FilePart) -> Result<String, FormError> {
    let given = fields
        .iter()
        .find(|field| field.name == "key")
        .ok_or(FormError::NoKey)?;
    let mut key = Vec::new();
    let mut rest = given.value.as_slice();
    let mut name = None;
    while let Some(at) = super::boundary::find(rest, FILENAME, 0) {
        let (before, after) = rest.split_at(at);
        let name = match name {
            Some(name) => name,
            None => *name.insert(substitute(file)?),
        };
        key.extend_from_slice(before);
        key.extend_from_slice(name);
        // Many names of a long one are told before they are written out.
        if key.len() > MAX_KEY_BYTES {
            return Err(FormError::KeyTooLong);
        }
        rest = after.get(FILENAME.len()..).unwrap_or_default();
    }
    key.extend_from_slice(rest);
    if key.is_empty() {
        return Err(FormError::NoKey);
    }
    if is_trimmed("key", &key) {
        return Err(invalid("key", TRIMMED));
    }
    match check_key(&key) {
        Ok(()) => {}
        Err(AddressError::KeyTooLong(_)) => return Err(FormError::KeyTooLong),
        Err(_) => {
            return Err(invalid(
                "key",
                "it must be UTF-8 without NUL and must not climb out of its bucket with `..`.",
            ));
        }
    }
    String::from_utf8(key).map_err(|_| invalid("key", "a key is UTF-8 text."))
}

/// The file's name as `${filename}` takes it. S3 keeps what follows the last `/` or `\`, others keep all of it: where
/// they would differ the key cannot be known.
fn substitute(file: &FilePart) -> Result<&[u8], FormError> {
    let name = file.filename().unwrap_or_default();
    if name.is_empty() {
        return Err(invalid(
            "key",
            "it asks for ${filename} and the file has no name.",
        ));
    }
    if name
        .iter()
        .any(|b| matches!(b, b'/' | b'\\' | b'%' | b';') || b.is_ascii_control())
        || super::boundary::find(name, FILENAME, 0).is_some()
    {
        return Err(invalid(
            "key",
            "the file's name, which ${filename} asks for, must hold none of / \\ % ; and no control characters.",
        ));
    }
    Ok(name)
}

/// The headers that the fields make, and the tags.
type Headers = (HeaderMap, Vec<(String, String)>);

fn headers(fields: &[Field]) -> Result<Headers, FormError> {
    let mut headers = HeaderMap::new();
    let mut tags = Vec::new();
    for field in fields {
        if is_foreign(field.name.as_bytes()) {
            return Err(FormError::Extension(field.name.clone()));
        }
        if is_trimmed(&field.name, &field.value) {
            return Err(invalid(&field.name, TRIMMED));
        }
        if field.name == "tagging" {
            tags = Tagging::parse(&field.value, XML_BYTES)
                .map_err(|_| {
                    invalid(
                        "tagging",
                        "it must be a Tagging document of at most 10 tags.",
                    )
                })?
                .into_tags();
            let encoded = HeaderValue::from_str(&encode_tags(&tags))
                .map_err(|_| invalid("tagging", "it cannot be a header."))?;
            insert(
                &mut headers,
                HeaderName::from_static("x-amz-tagging"),
                encoded,
            )?;
            continue;
        }
        let Some(name) = header_name(&field.name)? else {
            continue;
        };
        // No store is known to put the file's name into anything but the key; if one did, it would see another value.
        if name.as_str().starts_with("x-amz-")
            && !name.as_str().starts_with("x-amz-meta-")
            && super::boundary::find(&field.value, FILENAME, 0).is_some()
        {
            return Err(invalid(
                &field.name,
                "${filename} may stand in the key only.",
            ));
        }
        let mut value = HeaderValue::from_bytes(&field.value)
            .map_err(|_| invalid(&field.name, "it holds control characters."))?;
        value.set_sensitive(
            name.as_str().ends_with("-customer-key") || name == "x-amz-security-token",
        );
        insert(&mut headers, name, value)?;
    }
    Ok((headers, tags))
}

fn header_name(field: &str) -> Result<Option<HeaderName>, FormError> {
    if let Some((_, header)) = HEADER_FIELDS.iter().find(|(name, _)| *name == field) {
        return Ok(Some(HeaderName::from_static(header)));
    }
    if !field.starts_with("x-amz-") || CLAIM_FIELDS.contains(&field) {
        return Ok(None);
    }
    HeaderName::from_bytes(field.as_bytes())
        .map(Some)
        .map_err(|_| invalid(field, "its name cannot be a header's."))
}

fn insert(headers: &mut HeaderMap, name: HeaderName, value: HeaderValue) -> Result<(), FormError> {
    if headers.contains_key(&name) {
        return Err(FormError::Duplicate(name.as_str().to_owned()));
    }
    headers
        .try_insert(name, value)
        .map_err(|_| FormError::Malformed("It has too many fields."))?;
    Ok(())
}

/// Tags in the encoding of `x-amz-tagging`: `a=b&c=d`, percent-encoded.
fn encode_tags(tags: &[(String, String)]) -> String {
    use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
    let pairs: Vec<String> = tags
        .iter()
        .map(|(key, value)| {
            format!(
                "{}={}",
                utf8_percent_encode(key, NON_ALPHANUMERIC),
                utf8_percent_encode(value, NON_ALPHANUMERIC)
            )
        })
        .collect();
    pairs.join("&")
}
