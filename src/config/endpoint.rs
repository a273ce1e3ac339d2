//! The store's endpoint and other host names.

use super::types::Endpoint;

/// Reads `http://host:port` or `https://host:port`.
///
/// # Errors
/// What is wrong; the text is not repeated, as it may hold a password.
pub fn endpoint(text: &str) -> Result<Endpoint, String> {
    let uri: http::Uri = text
        .parse()
        .map_err(|_| "is not a URL: write http://HOST:PORT or https://HOST:PORT")?;
    let tls = match uri.scheme_str() {
        Some("http") => false,
        Some("https") => true,
        _ => return Err("is not an http:// or https:// URL".into()),
    };
    let authority = uri
        .authority()
        .ok_or("has no host: write http://HOST:PORT or https://HOST:PORT")?;
    if authority.as_str().contains('@') {
        return Err("holds a user name or password: an endpoint is scheme, host and port".into());
    }
    if !matches!(uri.path(), "" | "/") {
        return Err("has a path: an endpoint is scheme, host and port".into());
    }
    if uri.query().is_some() || text.contains(['?', '#']) {
        return Err("has a query or fragment: an endpoint is scheme, host and port".into());
    }
    let port = match authority.as_str().strip_prefix(authority.host()) {
        Some("") => None,
        Some(port) => Some(
            port.strip_prefix(':')
                .and_then(|port| port.parse::<u16>().ok())
                .filter(|&port| port != 0)
                .ok_or("has a port that is not 1 to 65535")?,
        ),
        None => return Err("has no host".into()),
    };
    let host = authority.host().to_ascii_lowercase();
    let bare = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    let host = match bare {
        Some(v6) if v6.parse::<std::net::Ipv6Addr>().is_ok() => v6.to_owned(),
        Some(_) => return Err("has an IPv6 address that is none".into()),
        None if is_host(&host) => host,
        None => return Err("has a host that is no host name".into()),
    };
    Ok(Endpoint {
        tls,
        host,
        port: port.unwrap_or(if tls { 443 } else { 80 }),
    })
}

/// Whether a text can be a host name (RFC 1123 section 2.1; underscores too, as container names have them).
pub fn is_host(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 253
        && text.split('.').all(|label| {
            (1..=63).contains(&label.len())
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
        })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn endpoints() {
        for (text, tls, host, port, authority) in [
            (
                "http://127.0.0.1:9000",
                false,
                "127.0.0.1",
                9000,
                "127.0.0.1:9000",
            ),
            (
                "https://S3.Example",
                true,
                "s3.example",
                443,
                "s3.example:443",
            ),
            ("http://minio_1/", false, "minio_1", 80, "minio_1:80"),
            ("http://[::1]:9000", false, "::1", 9000, "[::1]:9000"),
        ] {
            let got = endpoint(text).unwrap();
            assert_eq!((got.tls, got.host.as_str(), got.port), (tls, host, port));
            assert_eq!(got.authority(), authority);
        }
        assert!(endpoint("http://[::1]:9000").unwrap().is_loopback());
        assert!(endpoint("http://localhost").unwrap().is_loopback());
        assert!(!endpoint("http://10.0.0.1").unwrap().is_loopback());
    }

    #[test]
    fn refused() {
        for text in [
            "",
            "127.0.0.1:9000",
            "/path",
            "ftp://host",
            "http://",
            "http://host/path",
            "http://host/?q",
            "http://host?q",
            "http://host#f",
            "http://user:secret@host",
            "http://host:0",
            "http://host:99999",
            "http://host:",
            "http://-host",
            "http://a..b",
        ] {
            let message = endpoint(text).unwrap_err();
            assert!(!message.contains("secret"), "{message}");
        }
    }
}
