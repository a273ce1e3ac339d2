//! The PROXY protocol's header, versions 1 and 2: who the client behind a relay is
//! (<https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt>).
//!
//! It is believed from trusted relays only, and what is not exactly a header is an error: a header half understood
//! would be a client's word on its own address.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Bytes of a header of version 1, at most, `CRLF` included (section 2.1).
const MOST_V1: usize = 107;
/// Bytes of a header of version 2 that are read at most: addresses and a few hundred bytes of TLVs are what relays send.
pub const MOST_V2: usize = 4096;
/// What version 2 begins with (section 2.2).
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
const V1: &[u8] = b"PROXY ";
/// `PP2_TYPE_SSL` (section 2.2.6).
const TYPE_SSL: u8 = 0x20;
/// `PP2_SUBTYPE_SSL_VERSION`.
const SUBTYPE_SSL_VERSION: u8 = 0x21;
/// `PP2_CLIENT_SSL`: the client spoke TLS to the relay.
const CLIENT_SSL: u8 = 0x01;

/// What a header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Its bytes; what follows is the client's.
    pub len: usize,
    /// The client's address; `None` where the connection is the relay's own (`LOCAL`) or the relay does not know (`UNKNOWN`).
    pub source: Option<IpAddr>,
    /// What it says of TLS between client and relay.
    pub tls: Terminated,
}

/// What a relay says of TLS on its client's side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Terminated {
    /// Nothing: it passes bytes on.
    Silent,
    /// The client spoke no TLS.
    Plain,
    /// The client spoke TLS of this version: `1.0` to `1.3`, or [`UNKNOWN_TLS`](crate::policy::UNKNOWN_TLS).
    Tls(&'static str),
}

/// Why a header is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProxyError {
    /// The connection does not begin with a header.
    #[error(
        "the connection does not begin with a PROXY protocol header; have the relay send one, or take its address out of trusted_proxies"
    )]
    Missing,
    /// It is longer than any that a relay sends.
    #[error("the PROXY protocol header is longer than {0} bytes; have the relay send fewer TLVs")]
    TooLong(usize),
    /// It is not well-formed.
    #[error("the PROXY protocol header is malformed: {0}; the relay must send version 1 or 2")]
    Malformed(&'static str),
}

/// Reads a header at the start of `bytes`. `None`: more bytes are needed to tell.
///
/// # Errors
/// What is there is not one, or cannot become one.
pub fn parse(bytes: &[u8]) -> Result<Option<Header>, ProxyError> {
    let begins = |with: &[u8]| {
        let n = bytes.len().min(with.len());
        bytes[..n] == with[..n]
    };
    if begins(V1) {
        v1(bytes)
    } else if begins(SIGNATURE) {
        v2(bytes)
    } else {
        Err(ProxyError::Missing)
    }
}

fn v1(bytes: &[u8]) -> Result<Option<Header>, ProxyError> {
    let seen = &bytes[..bytes.len().min(MOST_V1)];
    let Some(end) = memchr::memchr(b'\n', seen) else {
        return if bytes.len() < MOST_V1 {
            Ok(None)
        } else {
            Err(ProxyError::TooLong(MOST_V1))
        };
    };
    let malformed = ProxyError::Malformed(
        "a line of version 1 is `PROXY TCP4|TCP6 SOURCE DESTINATION PORT PORT` or `PROXY UNKNOWN`, ended by CRLF",
    );
    let line = std::str::from_utf8(&seen[..end])
        .ok()
        .and_then(|line| line.strip_suffix('\r'))
        .and_then(|line| line.strip_prefix("PROXY "))
        .filter(|line| !line.contains('\r'))
        .ok_or(malformed)?;
    let header = |source| {
        Ok(Some(Header {
            len: end + 1,
            source,
            tls: Terminated::Silent,
        }))
    };
    // What follows UNKNOWN is to be ignored.
    if line == "UNKNOWN" || line.starts_with("UNKNOWN ") {
        return header(None);
    }
    let mut words = line.split(' ');
    let mut next = || words.next().ok_or(malformed);
    let (family, source, destination) = (next()?, next()?, next()?);
    let ports = [next()?, next()?];
    if words.next().is_some() || !ports.into_iter().all(is_port) {
        return Err(malformed);
    }
    let source: IpAddr = match family {
        "TCP4" => source
            .parse::<Ipv4Addr>()
            .and_then(|ip| destination.parse::<Ipv4Addr>().map(|_| ip.into())),
        "TCP6" => source
            .parse::<Ipv6Addr>()
            .and_then(|ip| destination.parse::<Ipv6Addr>().map(|_| ip.into())),
        _ => return Err(malformed),
    }
    .map_err(|_| malformed)?;
    header(Some(source.to_canonical()))
}

/// A decimal number from 0 to 65535 without a leading zero.
fn is_port(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_digit())
        && (text == "0" || !text.starts_with('0'))
        && text.parse::<u16>().is_ok()
}

fn v2(bytes: &[u8]) -> Result<Option<Header>, ProxyError> {
    let Some(&[.., version_command, family, high, low]) = bytes.first_chunk::<16>() else {
        return Ok(None);
    };
    if version_command >> 4 != 2 {
        return Err(ProxyError::Malformed("its version is not 2"));
    }
    let len = 16 + usize::from(u16::from_be_bytes([high, low]));
    if len > MOST_V2 {
        return Err(ProxyError::TooLong(MOST_V2));
    }
    let Some(rest) = bytes.get(16..len) else {
        return Ok(None);
    };
    let header = |source, tls| Ok(Some(Header { len, source, tls }));
    match version_command & 0x0f {
        // The relay's own connection, as a health check: whatever else it says is to be ignored.
        0 => return header(None, Terminated::Silent),
        1 => {}
        _ => {
            return Err(ProxyError::Malformed(
                "its command is neither LOCAL nor PROXY",
            ));
        }
    }
    let short = ProxyError::Malformed("it is too short for its addresses");
    let (source, addresses): (Option<IpAddr>, usize) = match family {
        0x00 => (None, 0),
        0x11 => {
            let octets = *rest.first_chunk::<4>().ok_or(short)?;
            (Some(Ipv4Addr::from(octets).into()), 12)
        }
        0x21 => {
            let octets = *rest.first_chunk::<16>().ok_or(short)?;
            (Some(Ipv6Addr::from(octets).into()), 36)
        }
        // A Unix socket on the relay's side: there is no address to believe.
        0x31 => (None, 216),
        _ => {
            return Err(ProxyError::Malformed(
                "its family and protocol are not those of a stream",
            ));
        }
    };
    let tls = match family {
        // The format of what follows is not known (section 2.2).
        0x00 => Terminated::Silent,
        _ => terminated(rest.get(addresses..).ok_or(short)?)?,
    };
    header(source.map(|ip| ip.to_canonical()), tls)
}

/// Walks the TLVs for what is said of TLS.
fn terminated(tlvs: &[u8]) -> Result<Terminated, ProxyError> {
    let mut found = Terminated::Silent;
    walk(tlvs, |kind, value| {
        if kind != TYPE_SSL {
            return Ok(());
        }
        let (&client, rest) = value
            .split_first()
            .ok_or(ProxyError::Malformed("its TLS part is too short"))?;
        let inner = rest
            .get(4..)
            .ok_or(ProxyError::Malformed("its TLS part is too short"))?;
        let mut version = crate::policy::UNKNOWN_TLS;
        walk(inner, |kind, value| {
            if kind == SUBTYPE_SSL_VERSION {
                version = match value {
                    b"TLSv1" | b"TLSv1.0" => "1.0",
                    b"TLSv1.1" => "1.1",
                    b"TLSv1.2" => "1.2",
                    b"TLSv1.3" => "1.3",
                    _ => crate::policy::UNKNOWN_TLS,
                };
            }
            Ok(())
        })?;
        if found != Terminated::Silent {
            return Err(ProxyError::Malformed("it speaks of TLS twice"));
        }
        found = if client & CLIENT_SSL == 0 {
            Terminated::Plain
        } else {
            Terminated::Tls(version)
        };
        Ok(())
    })?;
    Ok(found)
}

fn walk<'a>(
    mut tlvs: &'a [u8],
    mut each: impl FnMut(u8, &'a [u8]) -> Result<(), ProxyError>,
) -> Result<(), ProxyError> {
    let short = ProxyError::Malformed("a TLV is longer than what holds it");
    while !tlvs.is_empty() {
        let &[kind, high, low] = tlvs.first_chunk::<3>().ok_or(short)?;
        let end = 3 + usize::from(u16::from_be_bytes([high, low]));
        each(kind, tlvs.get(3..end).ok_or(short)?)?;
        tlvs = &tlvs[end..];
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn version_2(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let mut out = SIGNATURE.to_vec();
        out.extend([0x20 | command, family]);
        out.extend(u16::try_from(rest.len()).unwrap().to_be_bytes());
        out.extend(rest);
        out
    }

    fn tlv(kind: u8, value: &[u8]) -> Vec<u8> {
        let mut out = vec![kind];
        out.extend(u16::try_from(value.len()).unwrap().to_be_bytes());
        out.extend(value);
        out
    }

    const V4: [u8; 12] = [198, 51, 100, 7, 10, 0, 0, 1, 0x30, 0x39, 0, 80];

    fn with_ssl(client: u8, version: &[u8]) -> Vec<u8> {
        let mut ssl = vec![client, 0, 0, 0, 0];
        ssl.extend(tlv(SUBTYPE_SSL_VERSION, version));
        let mut rest = V4.to_vec();
        rest.extend(tlv(0x04, b"pad"));
        rest.extend(tlv(TYPE_SSL, &ssl));
        version_2(1, 0x11, &rest)
    }

    #[test]
    fn version_1() {
        for (line, source) in [
            (
                "PROXY TCP4 198.51.100.7 10.0.0.1 12345 80\r\n",
                Some("198.51.100.7"),
            ),
            (
                "PROXY TCP6 2001:db8::7 ::1 0 65535\r\n",
                Some("2001:db8::7"),
            ),
            (
                "PROXY TCP6 ::ffff:198.51.100.7 ::1 1 2\r\n",
                Some("198.51.100.7"),
            ),
            ("PROXY UNKNOWN\r\n", None),
            ("PROXY UNKNOWN ff:: whatever 1 2\r\n", None),
        ] {
            let got = parse(format!("{line}GET /").as_bytes()).unwrap().unwrap();
            assert_eq!(
                got.source.map(|ip| ip.to_string()).as_deref(),
                source,
                "{line}"
            );
            assert_eq!((got.len, got.tls), (line.len(), Terminated::Silent));
            for n in 0..line.len() {
                assert_eq!(parse(&line.as_bytes()[..n]), Ok(None), "{line} {n}");
            }
        }
        for line in [
            "PROXY TCP4 198.51.100.7 10.0.0.1 12345 80\n",
            "PROXY TCP4  198.51.100.7 10.0.0.1 12345 80\r\n",
            "PROXY TCP4 198.51.100.7 10.0.0.1 12345\r\n",
            "PROXY TCP4 198.51.100.7 10.0.0.1 12345 80 1\r\n",
            "PROXY TCP4 198.51.100.7 10.0.0.1 012 80\r\n",
            "PROXY TCP4 198.51.100.7 10.0.0.1 65536 80\r\n",
            "PROXY TCP4 198.51.100.7 10.0.0.1 +1 80\r\n",
            "PROXY TCP4 2001:db8::7 ::1 1 80\r\n",
            "PROXY TCP6 198.51.100.7 10.0.0.1 1 80\r\n",
            "PROXY UDP4 198.51.100.7 10.0.0.1 1 80\r\n",
            "PROXY UNKNOWNS\r\n",
            "PROXY \r\n",
        ] {
            assert!(
                matches!(parse(line.as_bytes()), Err(ProxyError::Malformed(_))),
                "{line}"
            );
        }
        let long = format!("PROXY UNKNOWN {}\r\n", "x".repeat(107));
        assert_eq!(parse(long.as_bytes()), Err(ProxyError::TooLong(107)));
        for other in [
            "GET / HTTP/1.1\r\n",
            "proxy TCP4",
            "\r\n\r\n\0\r\nQUIX",
            "\x16\x03\x01",
        ] {
            assert_eq!(
                parse(other.as_bytes()),
                Err(ProxyError::Missing),
                "{other:?}"
            );
        }
    }

    #[test]
    fn version_2_addresses() {
        let mut v6 = [0; 36];
        v6[15] = 9;
        for (bytes, source) in [
            (version_2(1, 0x11, &V4), Some("198.51.100.7")),
            (version_2(1, 0x21, &v6), Some("::9")),
            (version_2(1, 0x31, &[0; 216]), None),
            (version_2(1, 0x00, b"anything"), None),
            (version_2(0, 0x11, &V4), None),
            (version_2(0, 0xff, b""), None),
        ] {
            let got = parse(&bytes).unwrap().unwrap();
            assert_eq!(got.source.map(|ip| ip.to_string()).as_deref(), source);
            assert_eq!(got.len, bytes.len());
            for n in 0..bytes.len() {
                assert_eq!(parse(&bytes[..n]), Ok(None));
            }
        }
        let mut first = version_2(1, 0x11, &V4);
        first[12] = 0x11;
        for bytes in [
            first,
            version_2(2, 0x11, &V4),
            version_2(1, 0x12, &V4),
            version_2(1, 0x11, &V4[..11]),
            version_2(1, 0x21, &V4),
            version_2(1, 0x31, &[0; 100]),
            version_2(1, 0x11, &[&V4[..], &[1, 0]].concat()),
            version_2(1, 0x11, &[&V4[..], &[1, 0, 5, 0]].concat()),
            version_2(1, 0x11, &[&V4[..], &tlv(TYPE_SSL, &[1, 0, 0])].concat()),
        ] {
            assert!(
                matches!(parse(&bytes), Err(ProxyError::Malformed(_))),
                "{bytes:?}"
            );
        }
        let long = version_2(1, 0x11, &[0; 4081]);
        assert_eq!(parse(&long[..16]), Err(ProxyError::TooLong(MOST_V2)));
    }

    #[test]
    fn version_2_tls() {
        let tls = |bytes: Vec<u8>| parse(&bytes).unwrap().unwrap().tls;
        assert_eq!(tls(with_ssl(1, b"TLSv1.3")), Terminated::Tls("1.3"));
        assert_eq!(tls(with_ssl(7, b"TLSv1.1")), Terminated::Tls("1.1"));
        assert_eq!(tls(with_ssl(1, b"SSLv3")), Terminated::Tls("unknown"));
        assert_eq!(tls(with_ssl(0, b"TLSv1.3")), Terminated::Plain);
        assert_eq!(tls(version_2(1, 0x11, &V4)), Terminated::Silent);
    }
}
