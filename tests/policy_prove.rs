//! The documented policies of the corpus: does an unencrypted write get through, and what are they warned of?
#![allow(clippy::unwrap_used, clippy::expect_used)]

use sealgate::policy::lint::{self, lint};
use sealgate::policy::prove::{Options, Question, Verdict, prove};
use sealgate::policy::{Keys, Policy, parse};

fn corpus() -> Vec<(String, Policy)> {
    let corpus: serde_json::Value =
        serde_json::from_str(include_str!("data/policy-corpus.json")).unwrap();
    let entries = corpus["entries"].as_array().unwrap();
    entries
        .iter()
        .map(|entry| {
            let document = parse::read(&entry["policy"].to_string()).document;
            (
                entry["id"].as_str().unwrap().to_owned(),
                Policy::compile(document, Keys::Recorded).unwrap(),
            )
        })
        .collect()
}

#[test]
fn what_the_documented_policies_hold() {
    let mut holds = Vec::new();
    for (id, policy) in corpus() {
        match prove(&policy, &Question::Encryption, &Options::default()) {
            Verdict::Proved { .. } => holds.push(id),
            Verdict::Counterexample(_) => {}
            Verdict::Unknown(why) => panic!("{id}: {why}"),
        }
    }
    // `not-action` denies every write, encrypted or not. Those on the key id hold since a key id without aws:kms is
    // refused with 400 whatever the policy says.
    assert_eq!(
        holds,
        [
            "sse-s3-two-statement",
            "sse-s3-notequals-only",
            "kms-require",
            "kms-keyid-required",
            "kms-specific-key",
            "pitfall-and",
            "kms-key-in-account",
            "ssec-required",
            "not-action",
            "full-enforcing"
        ]
    );
}

#[test]
fn what_they_are_warned_of() {
    let expected: &[(&str, &[&str])] = &[
        ("sse-s3-two-statement", &[]),
        ("sse-s3-notequals-only", &["not-equals-without-null"]),
        ("kms-keyid-required", &["key-id-alone"]),
        (
            "kms-specific-key",
            &["if-exists-under-deny", "key-id-alone"],
        ),
        ("kms-key-in-account", &["key-id-alone"]),
        ("sse-except-part-ops", &["multipart-hole"]),
        ("tls-only", &[]),
        ("tls-only-except-services", &["service-principal"]),
        ("not-principal", &[]),
        ("not-resource", &[]),
        ("user-agent", &["client-writes-it"]),
        (
            "tags-forall",
            &["for-all-values-under-allow", "denies-nothing"],
        ),
    ];
    let corpus = corpus();
    for (id, ids) in expected {
        let (_, policy) = corpus.iter().find(|(have, _)| have == id).unwrap();
        let found: Vec<&str> = lint(policy.document(), lint::Options::default())
            .into_iter()
            .map(|warning| warning.id)
            .collect();
        assert_eq!(found, *ids, "{id}");
    }
    let (_, pitfall) = corpus.iter().find(|(id, _)| id == "pitfall-and").unwrap();
    assert!(
        lint(pitfall.document(), lint::Options::default())
            .iter()
            .any(|warning| warning.id == "two-sse-keys")
    );
}
