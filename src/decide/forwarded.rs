//! The client's address behind proxies that are trusted.

use std::net::IpAddr;

use http::HeaderMap;
use ipnet::IpNet;

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
        let Ok(line) = line.to_str() else {
            return nearest;
        };
        for entry in line.rsplit(',') {
            let Ok(ip) = entry.trim().parse::<IpAddr>() else {
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn from(peer: &str, lines: &[&str], trusted: &[&str]) -> String {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append("x-forwarded-for", line.parse().unwrap());
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
        assert_eq!(from("127.0.0.1", &[], nets), "127.0.0.1");
        assert_eq!(from("127.0.0.1", &["10.0.0.1"], nets), "10.0.0.1");
        assert_eq!(from("127.0.0.1", &["198.51.100.7"], &[]), "127.0.0.1");
    }
}
