//! The head of an HTTP/1 request and the chunked coding: no input may panic, and a head that is accepted is one to
//! every parser: it ends where its empty line ends, however the bytes arrive.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sealgate::http1::{
    chunked::ChunkedScanner,
    head::{HeadLimits, examine},
};

fuzz_target!(|bytes: &[u8]| {
    let limits = HeadLimits {
        bytes: 4096,
        fields: 32,
    };
    if let Ok(Some(head)) = examine(bytes, &limits) {
        let end = head.skip + head.len;
        assert!(bytes[..end].ends_with(b"\r\n\r\n"));
        assert_eq!(examine(&bytes[..end], &limits), Ok(Some(head)));
        assert_eq!(examine(&bytes[..end - 1], &limits), Ok(None));
    }
    let mut whole = ChunkedScanner::default();
    let taken = whole.scan(bytes, |_| {});
    let mut pieces = ChunkedScanner::default();
    let mut sum = 0;
    for byte in bytes.chunks(1) {
        match pieces.scan(byte, |_| {}) {
            Ok(n) => sum += n,
            Err(_) => {
                assert!(taken.is_err());
                return;
            }
        }
    }
    assert_eq!(taken, Ok(sum));
    assert_eq!(whole.is_done(), pieces.is_done());
});
