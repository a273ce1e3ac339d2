//! AWS's documented policies on encryption and transport decide as they are documented to.
#![allow(clippy::unwrap_used)]

use sealgate::policy::Multipart;
use sealgate::policy::cases::{CaseFile, DEFAULT_ACCOUNT};

#[test]
fn every_case_comes_out() {
    let file = CaseFile::parse(include_str!("data/policy-corpus.json")).unwrap();
    assert_eq!(file.entries.len(), 33);
    let report = file.run(Multipart::Literal, DEFAULT_ACCOUNT);
    assert!(report.differences.is_empty(), "{report}");
    assert_eq!(report.passed, 121);
}

#[test]
fn inheriting_spares_only_the_later_steps_of_uploads() {
    let file = CaseFile::parse(include_str!("data/policy-corpus.json")).unwrap();
    let report = file.run(Multipart::Inherit, DEFAULT_ACCOUNT);
    let names: Vec<&str> = report.differences.iter().map(|d| d.case.as_str()).collect();
    assert_eq!(names, ["UploadPart literal evaluation"], "{report}");
}

#[test]
fn every_policy_of_the_corpus_could_be_enforced() {
    let file = CaseFile::parse(include_str!("data/policy-corpus.json")).unwrap();
    for entry in &file.entries {
        let policy = entry.policy.as_ref().unwrap();
        assert!(entry.notes.is_empty(), "{}: {:?}", entry.id, entry.notes);
        sealgate::policy::Policy::load(&policy.document().to_json_pretty()).unwrap();
    }
}
