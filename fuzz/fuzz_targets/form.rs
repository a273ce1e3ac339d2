//! Whatever a form holds: it is read or refused, never a panic, and the same however its bytes are cut.
//!
//! Input: one byte for the length of the pieces, then the body; the boundary is `b`.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sealgate::s3::form::{Boundary, FormReader, Progress, Tail};

fn read(boundary: &Boundary, body: &[u8], step: usize) -> Option<(String, usize, usize)> {
    let mut reader = FormReader::new(boundary.clone(), 4096);
    for chunk in body.chunks(step) {
        match reader.feed(chunk) {
            Ok(Progress::More) => {}
            Ok(Progress::File(form)) => {
                assert!(body.starts_with(reader.raw()));
                return Some((
                    form.key().to_owned(),
                    form.file_offset(),
                    form.headers().len(),
                ));
            }
            Err(_) => return None,
        }
    }
    None
}

fuzz_target!(|input: &[u8]| {
    let Some((step, body)) = input.split_first() else {
        return;
    };
    let Ok(boundary) = Boundary::new("b") else {
        return;
    };
    let _ = Boundary::from_content_type(body);
    let whole = read(&boundary, body, body.len().max(1));
    let cut = read(&boundary, body, usize::from(*step).max(1));
    assert_eq!(whole, cut);
    if let Some((_, offset, _)) = whole {
        let mut tail = Tail::new(&boundary);
        let _ = body[offset..]
            .chunks(usize::from(*step).max(1))
            .try_for_each(|chunk| tail.feed(chunk));
    }
});
