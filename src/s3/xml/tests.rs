#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;
use crate::s3::effort;

proptest! {
    #[test]
    fn nothing_panics(body in "[<>/&;#x!?a-c\\-\\[\\] \r\n\"=:]{0,60}") {
        let _ = Element::parse(body.as_bytes(), 100);
        let _ = merge(body.as_bytes(), 100, &[]);
    }

    /// What is rendered is read back: the keys of an answer are those of the request.
    #[test]
    fn keys_survive(keys in proptest::collection::vec("[^\u{0}-\u{8}\u{b}\u{c}\u{e}-\u{1f}\u{fffe}\u{ffff}]{1,20}", 1..20)) {
        let objects: Vec<ObjectId> = keys.iter().map(|key| ObjectId { key: key.clone(), version_id: None }).collect();
        let request = DeleteRequest { objects, quiet: false };
        let body = render_all(&request, |_| Some("no"));
        let root = Element::parse(body.as_bytes(), body.len()).unwrap();
        let back: Vec<&str> = root.children().iter().map(|error| error.one_text("Key").unwrap().unwrap()).collect();
        prop_assert_eq!(back, keys.iter().map(String::as_str).collect::<Vec<_>>());
        let joined = merge(body.as_bytes(), body.len(), &[Refused { object: &request.objects[0], code: "AccessDenied", message: "no" }]).unwrap();
        prop_assert_eq!(Element::parse(&joined, joined.len()).unwrap().children().len(), keys.len() + 1);
    }
}

/// What is long must not be looked at once for each of many elements.
#[test]
fn long_documents_are_read_once() {
    let blank = " ".repeat(7 << 20);
    let many = "<a/>".repeat(8000);
    let cost = effort::of(|| {
        Element::parse(
            format!("<Delete>{blank}{many}</Delete>").as_bytes(),
            8 << 20,
        )
        .unwrap();
    });
    assert!(cost <= 2 * blank.len(), "{cost}");
    let attributes: Vec<String> = (0..500_000).map(|n| format!(" a{n}=''")).collect();
    let body = format!("<Delete{}/>", attributes.concat());
    let cost = effort::of(|| assert!(Element::parse(body.as_bytes(), 8 << 20).is_err()));
    assert!(cost <= body.len(), "{cost}");
}
