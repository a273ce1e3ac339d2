//! Whatever a policy file holds: it is read or refused, never a panic; what loads prints as itself and decides the same again.
//!
//! Input: the policy, then after a NUL the key of an object and the value of a header.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sealgate::policy::cases::{CaseFile, DEFAULT_ACCOUNT};
use sealgate::policy::{Document, Multipart, Policy, Request, ShortForm};

fuzz_target!(|input: &[u8]| {
    let Ok(text) = std::str::from_utf8(input) else {
        return;
    };
    let (text, rest) = text.split_once('\0').unwrap_or((text, ""));
    if let Ok(file) = CaseFile::parse(text) {
        let _ = file.run(Multipart::Inherit, DEFAULT_ACCOUNT).to_string();
    }
    if let Ok(document) = ShortForm::parse(text).and_then(|form| form.expand()) {
        // What the short form expands to is a policy like any other, unless it is too big.
        let printed = document.to_json_pretty();
        assert!(printed.len() > 20_000 || Policy::load(&printed).is_ok(), "{printed}");
    }
    let Ok(policy) = Policy::load(text) else {
        return;
    };
    let printed = policy.document().to_json_pretty();
    assert_eq!(Document::parse(&printed).as_ref(), Ok(policy.document()));
    let Ok(again) = Policy::load(&printed) else {
        panic!("{printed}");
    };
    let mut request = Request::new("PUT", &format!("/bucket/{rest}"));
    request.headers = vec![("x-amz-server-side-encryption".to_owned(), rest.to_owned())];
    request.now_ms = Some(0);
    for mode in [Multipart::Inherit, Multipart::Literal] {
        assert_eq!(
            request.decide(&policy, mode, DEFAULT_ACCOUNT),
            request.decide(&again, mode, DEFAULT_ACCOUNT)
        );
    }
});
