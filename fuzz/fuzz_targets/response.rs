//! The head of a store's response: no input may panic, and a head that is accepted ends where its empty line ends,
//! however the bytes arrive.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sealgate::http1::{fields::fields, response::examine};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(Some(head)) = examine(bytes, 4096, false) {
        assert!(bytes[..head.len].ends_with(b"\r\n\r\n"));
        assert_eq!(examine(&bytes[..head.len], 4096, false), Ok(Some(head)));
        assert_eq!(examine(&bytes[..head.len - 1], 4096, false), Ok(None));
        let lines: usize = fields(&bytes[..head.len]).map(|f| f.line.len()).sum();
        assert!(lines < head.len);
    }
});
