//! Whatever an XML body holds: it is read or refused, never a panic; and the keys that an answer names come back.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sealgate::s3::xml::{
    BucketEncryption, DeleteRequest, Element, ObjectEncryption, Refused, Tagging, merge, render_all,
};

fuzz_target!(|body: &[u8]| {
    let limit = 64 * 1024;
    let _ = Tagging::parse(body, limit);
    let _ = BucketEncryption::parse(body, limit);
    let _ = ObjectEncryption::parse(body, limit);
    let Ok(request) = DeleteRequest::parse(body, limit) else {
        return;
    };
    let answer = render_all(&request, |_| Some("no"));
    let Ok(root) = Element::parse(answer.as_bytes(), answer.len()) else {
        panic!("{answer}")
    };
    assert_eq!(root.children().len(), request.objects.len());
    for (error, object) in root.children().iter().zip(&request.objects) {
        assert_eq!(error.one_text("Key"), Ok(Some(object.key.as_str())));
    }
    let Some(object) = request.objects.first() else {
        return;
    };
    let joined = merge(
        answer.as_bytes(),
        answer.len(),
        &[Refused {
            object,
            code: "AccessDenied",
            message: "no",
        }],
    );
    assert!(joined.is_ok());
});
