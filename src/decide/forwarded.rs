//! The client's address and TLS behind proxies that are trusted.

use std::net::{IpAddr, SocketAddr};

use http::HeaderMap;
use ipnet::IpNet;

use crate::policy::UNKNOWN_TLS;

/// Where a request comes from: the socket's peer or, where that is a trusted proxy, the right-most address of
/// `X-Forwarded-For` that is not trusted. What cannot be read ends the walk: beyond it nothing can be believed.
#[must_use]
pub fn source_ip(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> IpAddr {
    let is_trusted = |ip: IpAddr| trusted.iter().any(|net| net.contains(&ip));
    if trusted.is_empty() || !is_trusted(peer) {
        return peer;
    }
    let mut nearest = peer;
    let lines: Vec<_> = headers.get_all("x-forwarded-for").iter().collect();
    for line in lines.into_iter().rev() {
        // Byte by byte from the right: what a client has put before its proxy's own entry does not hide that.
        for entry in line.as_bytes().rsplit(|&byte| byte == b',') {
            let text = std::str::from_utf8(entry.trim_ascii()).ok();
            let Some(ip) = text.and_then(address) else {
                return nearest;
            };
            nearest = ip.to_canonical();
            if !is_trusted(nearest) {
                return nearest;
            }
        }
    }
    nearest
}

/// An address, with a port or without; in IPv6 some write brackets even without one.
fn address(text: &str) -> Option<IpAddr> {
    let bare = text.strip_prefix('[').and_then(|t| t.strip_suffix(']'));
    let ip = bare.unwrap_or(text).parse();
    ip.ok()
        .or_else(|| text.parse().ok().map(|at: SocketAddr| at.ip()))
}

/// The TLS of the client's connection: `own` is what Sealgate itself sees (or a trusted relay told), which holds unless a trusted
/// proxy speaks HTTP in between. Then its `X-Forwarded-Proto` counts, of several values the right-most, and anything but
/// `https` is plain HTTP; so is a proxy that forwards for somebody and does not say how that one came.
#[must_use]
pub fn client_tls(
    peer: IpAddr,
    own: Option<&'static str>,
    headers: &HeaderMap,
    trusted: &[IpNet],
) -> Option<&'static str> {
    if !trusted.iter().any(|net| net.contains(&peer)) {
        return own;
    }
    match headers.get_all("x-forwarded-proto").iter().next_back() {
        Some(line) => {
            let last = line.as_bytes().rsplit(|&b| b == b',').next()?;
            last.trim_ascii()
                .eq_ignore_ascii_case(b"https")
                .then_some(UNKNOWN_TLS)
        }
        None if headers.contains_key("x-forwarded-for") => None,
        None => own,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn from(peer: &str, lines: &[&str], trusted: &[&str]) -> String {
        let mut headers = HeaderMap::new();
        for line in lines {
            let line = http::HeaderValue::from_bytes(line.as_bytes()).unwrap();
            headers.append("x-forwarded-for", line);
        }
        let trusted: Vec<IpNet> = trusted.iter().map(|t| t.parse().unwrap()).collect();
        source_ip(peer.parse().unwrap(), &headers, &trusted).to_string()
    }

    #[test]
    fn only_trusted_peers_are_believed() {
        let nets = &["10.0.0.0/8", "127.0.0.1/32"];
        assert_eq!(from("192.0.2.1", &["198.51.100.7"], nets), "192.0.2.1");
        assert_eq!(from("127.0.0.1", &["198.51.100.7"], nets), "198.51.100.7");
        assert_eq!(
            from("127.0.0.1", &["1.2.3.4, 198.51.100.7, 10.0.0.9"], nets),
            "198.51.100.7"
        );
        assert_eq!(
            from("127.0.0.1", &["1.2.3.4", "198.51.100.7", "10.0.0.9"], nets),
            "198.51.100.7"
        );
        assert_eq!(
            from("127.0.0.1", &["198.51.100.7, nonsense"], nets),
            "127.0.0.1"
        );
        assert_eq!(
            from("127.0.0.1", &["\u{ff}, 198.51.100.7, 10.0.0.9"], nets),
            "198.51.100.7"
        );
        assert_eq!(
            from("127.0.0.1", &["198.51.100.7, \u{ff}, 10.0.0.9"], nets),
            "10.0.0.9"
        );
        assert_eq!(from("127.0.0.1", &[], nets), "127.0.0.1");
        assert_eq!(from("127.0.0.1", &["10.0.0.1"], nets), "10.0.0.1");
        assert_eq!(from("127.0.0.1", &["198.51.100.7"], &[]), "127.0.0.1");
    }

    #[test]
    fn only_a_trusted_proxy_tells_of_tls() {
        let tls = |peer: &str, own, lines: &[(&'static str, &str)]| {
            let mut headers = HeaderMap::new();
            for (name, value) in lines {
                headers.append(*name, value.parse().unwrap());
            }
            client_tls(
                peer.parse().unwrap(),
                own,
                &headers,
                &["127.0.0.1/32".parse().unwrap()],
            )
        };
        let proto = "x-forwarded-proto";
        let (near, far) = ("127.0.0.1", "192.0.2.1");
        assert_eq!(tls(near, None, &[(proto, "https")]), Some("unknown"));
        assert_eq!(tls(near, None, &[(proto, "HTTPS ")]), Some("unknown"));
        assert_eq!(tls(near, None, &[(proto, "http, https")]), Some("unknown"));
        assert_eq!(
            tls(near, None, &[(proto, "http"), (proto, "https")]),
            Some("unknown")
        );
        assert_eq!(tls(near, Some("1.3"), &[(proto, "https")]), Some("unknown"));
        for odd in [
            "http",
            "https, http",
            "https,",
            "",
            "wss",
            "https;",
            "\"https\"",
        ] {
            assert_eq!(tls(near, Some("1.3"), &[(proto, odd)]), None, "{odd}");
        }
        assert_eq!(tls(near, None, &[(proto, "https"), (proto, "http")]), None);
        assert_eq!(tls(near, Some("1.2"), &[]), Some("1.2"));
        assert_eq!(
            tls(near, Some("1.2"), &[("x-forwarded-for", "192.0.2.1")]),
            None
        );
        assert_eq!(tls(far, None, &[(proto, "https")]), None);
        assert_eq!(tls(far, Some("1.2"), &[(proto, "http")]), Some("1.2"));
    }
}
