//! Where a request points: target and `Host` -> bucket, key, query.
//!
//! The key is decoded once and not normalised: `.`, `..` and `//` are bytes of it like others. Refused is what a store could read as
//! another bucket: escapes in the bucket's name, keys whose `..` climb out of it, keys of which nothing is left once a store
//! has cleaned the path. The first rule is S3's own: "the cumulative count of relative path elements never exceeds the number of
//! non-relative path elements" (<https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html>).

use std::borrow::Cow;

use super::query::decode;

/// The longest key, in bytes of UTF-8.
pub const MAX_KEY_BYTES: usize = 1024;

/// Why a target, a host, a bucket or a key is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// A raw control character, space or `#`, or neither origin form nor absolute form.
    #[error(
        "the request target must be a path, or an http URL, without raw spaces, control characters and '#'"
    )]
    Target,
    /// The absolute form names another host than the `Host` header.
    #[error("the request target and the Host header name different hosts")]
    HostsDiffer,
    /// A `Host` that is none.
    #[error("the Host header is not a host name with an optional port")]
    Host,
    /// AWS would read a bucket from the host, and no base domain says so.
    #[error(
        "the Host header names a bucket under a domain that is not among base_domains: add it there"
    )]
    ForeignDomain,
    /// A name under a base domain, in upper case: host names have no case, but stores compare them byte for byte.
    #[error("the Host header must be in lower case where it is, or is under, a base domain")]
    HostCase,
    /// A base domain stands in the middle of the name, where some stores find a bucket and others do not.
    #[error("the Host header may hold a base domain at its very end only")]
    HostTwoWays,
    /// Not among the configured `hosts`.
    #[error(
        "the Host header names a host that is not served here: add it to hosts, or to base_domains"
    )]
    HostNotServed,
    /// Below the store's own name, which is no base domain.
    #[error(
        "the Host header names a host below the store's own name, and it is not known whether the store reads a bucket there: if it does, add the store's name to base_domains"
    )]
    BelowTheStore,
    /// The store's own name of one label stands in it, which some stores cut the bucket off at; it may be a namespace's, too.
    #[error(
        "the Host header holds the store's own name, before which a store may read a bucket: if yours does, add that name to base_domains; if it does not, list this host in hosts"
    )]
    HoldsTheStore,
    /// The store would take the whole host for a bucket, as Amazon S3 does.
    #[error(
        "the store takes this Host header for a bucket's name, as Amazon S3 does: name the store's endpoint, or a host below base_domains"
    )]
    BucketByHost,
    /// In virtual-host style `/minio/` is a path that `MinIO` may serve its administration on, and `/rustfs/` one of `RustFS`.
    #[error("keys below 'minio/' and 'rustfs/' can be used in path style only")]
    Administration,
    /// Not a bucket name.
    #[error("The specified bucket is not valid.")]
    Bucket,
    /// A percent sign without two hexadecimal digits, or bytes that are not UTF-8.
    #[error("the key must be UTF-8, percent-encoded")]
    Encoding,
    /// A NUL in the key.
    #[error("a key cannot contain a NUL")]
    Nul,
    /// Empty segments or dots that lead out of the bucket.
    #[error(
        "the key's '..' must not outnumber the names before them, and a name must be left when they are resolved"
    )]
    Climbs,
    /// The key has more bytes than S3 takes: this many.
    #[error("Your key is too long")]
    KeyTooLong(usize),
}

/// How the bucket was named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// In the path: `/bucket/key`.
    Path,
    /// In the host: `bucket.s3.example.test`.
    VirtualHost,
}

/// A target taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address<'a> {
    /// The bucket, where one is named.
    pub bucket: Option<Cow<'a, str>>,
    /// The decoded key, where one is named; never empty.
    pub key: Option<Cow<'a, [u8]>>,
    /// How the bucket was named.
    pub style: Style,
    /// The path as received.
    pub path: &'a [u8],
    /// The query as received, without `?`.
    pub query: &'a [u8],
}

/// Takes a request's target and host apart.
///
/// # Errors
/// See [`AddressError`].
pub fn parse<'a>(
    target: &'a [u8],
    host: Option<&'a str>,
    domains: &[String],
) -> Result<Address<'a>, AddressError> {
    if target
        .iter()
        .any(|&byte| byte <= b' ' || byte == 0x7f || byte == b'#')
    {
        return Err(AddressError::Target);
    }
    let (host, rest) = match absolute(target) {
        None => (host, target),
        Some((authority, rest)) => {
            let authority = std::str::from_utf8(authority).map_err(|_| AddressError::Target)?;
            // To the byte: `Host` is what the store reads, the authority is what is decided on here.
            if host.is_some_and(|host| host != authority) {
                return Err(AddressError::HostsDiffer);
            }
            if authority.is_empty() {
                return Err(AddressError::Target);
            }
            (Some(authority), rest)
        }
    };
    let (path, query) = match rest.iter().position(|&byte| byte == b'?') {
        Some(at) => (&rest[..at], &rest[at + 1..]),
        None => (rest, &[][..]),
    };
    let Some(inner) = (if path.is_empty() && rest.len() < target.len() {
        Some(path)
    } else {
        path.strip_prefix(b"/")
    }) else {
        return Err(AddressError::Target);
    };
    let named = host.map_or(Ok(None), |host| bucket_of_host(host, domains))?;
    let (bucket, raw_key, style) = match named {
        Some(bucket) => (Some(bucket), inner, Style::VirtualHost),
        None if inner.is_empty() => (None, inner, Style::Path),
        None => {
            let end = inner
                .iter()
                .position(|&byte| byte == b'/')
                .unwrap_or(inner.len());
            let bucket = &inner[..end];
            check_bucket(bucket)?;
            let bucket = std::str::from_utf8(bucket).map_err(|_| AddressError::Bucket)?;
            (
                Some(Cow::Borrowed(bucket)),
                inner.get(end + 1..).unwrap_or_default(),
                Style::Path,
            )
        }
    };
    let key = if raw_key.is_empty() {
        None
    } else {
        let key = decode(raw_key, false).map_err(|_| AddressError::Encoding)?;
        check_key(&key)?;
        if style == Style::VirtualHost
            && (is_administration(&key)
                || other_readings(&key)
                    .iter()
                    .any(|key| is_administration(key)))
        {
            return Err(AddressError::Administration);
        }
        Some(key)
    };
    Ok(Address {
        bucket,
        key,
        style,
        path,
        query,
    })
}

/// Authority and the rest of an absolute-form target.
fn absolute(target: &[u8]) -> Option<(&[u8], &[u8])> {
    let scheme = [&b"http://"[..], b"https://"].into_iter().find(|scheme| {
        target
            .get(..scheme.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(scheme))
    })?;
    let rest = &target[scheme.len()..];
    let end = rest
        .iter()
        .position(|&byte| byte == b'/' || byte == b'?')
        .unwrap_or(rest.len());
    Some(rest.split_at(end))
}

/// The bucket that a host names under one of the base domains; `None` is path style. The longest domain that fits counts.
fn bucket_of_host<'a>(
    host: &'a str,
    domains: &[String],
) -> Result<Option<Cow<'a, str>>, AddressError> {
    if let Some(address) = host.strip_prefix('[') {
        // An IPv6 address: never a name under a domain.
        let inside = address.split_once(']').ok_or(AddressError::Host)?;
        let fine = inside
            .0
            .bytes()
            .all(|b| b.is_ascii_hexdigit() || b == b':' || b == b'.')
            && (inside.1.is_empty() || inside.1.strip_prefix(':').is_some_and(is_port));
        return if fine {
            Ok(None)
        } else {
            Err(AddressError::Host)
        };
    }
    let name = match host.split_once(':') {
        Some((name, port)) if is_port(port) => name,
        Some(_) => return Err(AddressError::Host),
        None => host,
    };
    if !name
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
        || name.starts_with('.')
        || name.ends_with('.')
    {
        return Err(AddressError::Host);
    }
    if domains.iter().any(|domain| stands_inside(name, domain)) {
        return Err(AddressError::HostTwoWays);
    }
    let mut best: Option<(usize, &str)> = None;
    for domain in domains {
        if let Some(label) = below(name, domain)
            && best.is_none_or(|(length, _)| domain.len() > length)
        {
            best = Some((domain.len(), label));
        }
    }
    match best {
        // `Host` counts there even if no base domain is configured here.
        None if names_a_bucket_at_aws(name) == Some(true) => Err(AddressError::ForeignDomain),
        // Host names have no case, buckets do, and stores compare domains byte for byte: which bucket they would see is open.
        Some(_) if name.bytes().any(|byte| byte.is_ascii_uppercase()) => {
            Err(AddressError::HostCase)
        }
        None | Some((_, "")) => Ok(None),
        Some((_, label)) => {
            check_bucket(label.as_bytes())?;
            Ok(Some(Cow::Borrowed(label)))
        }
    }
}

/// What stands before a domain in a host's name: nothing where it is the domain itself, `None` where it is not below it.
pub(crate) fn below<'a>(name: &'a str, domain: &str) -> Option<&'a str> {
    let (labels, end) = name.split_at_checked(name.len().checked_sub(domain.len())?)?;
    if domain.is_empty() || !end.eq_ignore_ascii_case(domain) {
        None
    } else if labels.is_empty() {
        Some(labels)
    } else {
        labels.strip_suffix('.')
    }
}

/// Whether a domain stands in a host anywhere but at its end. Some stores cut the bucket off at the first place where they find it, and
/// versitygw whatever comes behind it.
pub(super) fn stands_inside(name: &str, domain: &str) -> bool {
    let domain = domain.as_bytes();
    if name.len() <= domain.len() {
        return false;
    }
    let at = |start: usize| {
        name.as_bytes()
            .get(start..start + domain.len())
            .is_some_and(|part| part.eq_ignore_ascii_case(domain))
    };
    let last = name.len() - domain.len();
    // One label at the begin may be a bucket's, or what a bucket begins with.
    (domain.contains(&b'.') && at(0))
        || (1..last).any(|start| name.as_bytes()[start - 1] == b'.' && at(start))
}

/// A host without its port; an IPv6 address keeps its brackets.
pub(super) fn host_name(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if is_port(port) && (!host.starts_with('[') || name.ends_with(']')) => {
            name
        }
        _ => host,
    }
}

/// The host that a request names: `Host`, or where there is none the authority of an absolute target.
pub(super) fn named_host<'a>(target: &'a [u8], host: Option<&'a str>) -> Option<&'a str> {
    host.or_else(|| std::str::from_utf8(absolute(target)?.0).ok())
}

/// Whether a text can be the id of an upload or a version, as stores make them: 1 to 1024 of `A-Z a-z 0-9 . _ ~ = + -`, no `.` first and no `..`.
/// Stores over a file system make paths of these.
#[must_use]
pub fn is_id(text: &str) -> bool {
    (1..=1024).contains(&text.len())
        && !text.starts_with('.')
        && !text.contains("..")
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"._~=+-".contains(&byte))
}

/// Buckets that stores cannot have: `MinIO` and `RustFS` serve their administration below these paths, the latter writes of its own kind, too.
const ADMINISTRATION: [&[u8]; 2] = [b"minio", b"rustfs"];

/// Whether these bytes begin with a path of a store's administration.
fn is_administration(path: &[u8]) -> bool {
    let end = path.iter().position(|&byte| byte == b'/');
    ADMINISTRATION.contains(&&path[..end.unwrap_or(path.len())])
}

/// What AWS's names are below.
const AWS: [&str; 4] = [
    "amazonaws.com",
    "amazonaws.com.cn",
    "amazonaws.eu",
    "api.aws",
];

/// Whether a name is one of AWS's, and then whether AWS reads a bucket from it.
///
/// Path style are `s3.amazonaws.com`, `s3.REGION...`, `s3-REGION...`, `s3-fips.dualstack.REGION...`: "s3" comes first and only there.
pub(super) fn names_a_bucket_at_aws(name: &str) -> Option<bool> {
    let labels = AWS.iter().find_map(|domain| below(name, domain))?;
    let mut labels = labels.split('.').map(|label| {
        label
            .get(..2)
            .is_some_and(|start| start.eq_ignore_ascii_case("s3"))
    });
    Some(labels.next() != Some(true) || labels.any(|s3| s3))
}

fn is_port(text: &str) -> bool {
    text.len() <= 5 && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Whether these bytes are the name of a bucket as stores read it literally: 1 to 255 of `A-Z a-z 0-9 . _ -` that start with a letter or a digit.
/// That is wider than today's rules (3 to 63, lower case), for buckets older than them. `minio` and `rustfs` are no buckets: those stores serve their administration there.
///
/// # Errors
/// [`AddressError::Bucket`].
pub fn check_bucket(name: &[u8]) -> Result<(), AddressError> {
    let fine = (1..=255).contains(&name.len())
        && name
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(byte))
        && name.first().is_some_and(u8::is_ascii_alphanumeric)
        && !ADMINISTRATION.contains(&name);
    if fine {
        Ok(())
    } else {
        Err(AddressError::Bucket)
    }
}

/// Whether these (decoded) bytes are a key that every store finds in the bucket it was sent to.
///
/// # Errors
/// [`AddressError::KeyTooLong`], `Encoding`, `Nul` or `Climbs`.
pub fn check_key(key: &[u8]) -> Result<(), AddressError> {
    if key.len() > MAX_KEY_BYTES {
        return Err(AddressError::KeyTooLong(key.len()));
    }
    if std::str::from_utf8(key).is_err() {
        return Err(AddressError::Encoding);
    }
    if key.contains(&0) {
        return Err(AddressError::Nul);
    }
    stays(key)?;
    slashed(key).map_or(Ok(()), |key| stays(&key))
}

/// Whether `..` leads nowhere out of the bucket, and something is left.
fn stays(key: &[u8]) -> Result<(), AddressError> {
    let mut depth = 0_usize;
    for segment in key.split(|&byte| byte == b'/') {
        match segment {
            b"" | b"." => {}
            b".." => depth = depth.checked_sub(1).ok_or(AddressError::Climbs)?,
            _ => depth += 1,
        }
    }
    if depth == 0 {
        Err(AddressError::Climbs)
    } else {
        Ok(())
    }
}

/// The key as a store sees it to which a backslash is a slash (`SeaweedFS`); `None` where there is none.
fn slashed(key: &[u8]) -> Option<Vec<u8>> {
    key.contains(&b'\\').then(|| {
        key.iter()
            .map(|&byte| if byte == b'\\' { b'/' } else { byte })
            .collect()
    })
}

/// What other keys stores may take this one for: they clean paths, or take a backslash for a slash, or do both.
#[must_use]
pub fn other_readings(key: &[u8]) -> Vec<Vec<u8>> {
    let mut readings: Vec<Vec<u8>> = cleaned(key).into_iter().collect();
    if let Some(slashed) = slashed(key) {
        readings.extend(cleaned(&slashed));
        readings.push(slashed);
    }
    readings
}

/// The key as a store sees it that cleans paths (`a//b`, `a/./b`, `a/x/../b`); `None` where that is the same key.
///
/// Stores differ here: Garage keeps such keys, `MinIO` refuses them, gateways over a file system may resolve them.
/// `MinIO` keeps the key `a/` under the name `a__XLDIR__`, and takes the one for the other.
fn cleaned(key: &[u8]) -> Option<Vec<u8>> {
    let mut names: Vec<&[u8]> = Vec::new();
    let mut changed = false;
    let mut segments = key.split(|&byte| byte == b'/').peekable();
    while let Some(segment) = segments.next() {
        match segment {
            // A slash at the end stays: it names a folder.
            b"" if segments.peek().is_none() => names.push(b""),
            b"" | b"." => changed = true,
            b".." => {
                changed = true;
                names.pop();
            }
            _ => names.push(segment),
        }
    }
    let folder = names
        .last()
        .and_then(|name| name.strip_suffix(b"__XLDIR__"));
    if let Some(folder) = folder {
        names.pop();
        if !folder.is_empty() {
            names.push(folder);
        }
        names.push(b"");
        changed = true;
    }
    changed.then(|| names.join(&b'/'))
}

#[cfg(test)]
#[path = "address_tests.rs"]
mod tests;
