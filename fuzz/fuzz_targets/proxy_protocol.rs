//! A PROXY protocol header: no input may panic, and what is accepted is accepted however the bytes arrive.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sealgate::transit::{CertificateName, proxy_protocol::parse};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(Some(header)) = parse(bytes) {
        assert!(header.len <= bytes.len());
        assert_eq!(parse(&bytes[..header.len]), Ok(Some(header)));
        for n in 0..header.len {
            assert_eq!(parse(&bytes[..n]), Ok(None));
        }
    }
    if let Ok(text) = std::str::from_utf8(bytes)
        && let Ok(name) = CertificateName::parse(text)
    {
        assert_eq!(CertificateName::parse(&name.to_string()), Ok(name));
    }
});
