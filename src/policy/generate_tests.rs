#![allow(clippy::unwrap_used, clippy::panic)]
use super::*;
use crate::policy::Policy;
use crate::policy::lint::{self, Report};
use crate::policy::prove::{self, Question, Verdict, prove};

const ARN: &str = "arn:aws:kms:us-east-1:111122223333:key/k";

fn choices() -> Choices {
    Choices {
        bucket: "finance".to_owned(),
        ..Choices::default()
    }
}

fn good(choices: &Choices, questions: &[Question]) -> Document {
    let document = generate(choices).unwrap();
    let text = document.to_json_pretty();
    let report = Report::of(&text, lint::Options::default()).unwrap();
    assert!(report.is_good(true), "{text}\n{report}");
    let policy = Policy::load(&text).unwrap();
    for question in questions {
        let verdict = prove(&policy, question, &prove::Options::default());
        assert!(
            matches!(verdict, Verdict::Proved { .. }),
            "{text}\n{}",
            verdict.render(question, "p.json")
        );
    }
    document
}

#[test]
fn every_encryption_is_proved() {
    for require in [
        Require::Any,
        Require::Aes256,
        Require::Kms,
        Require::KmsDsse,
        Require::SseC,
    ] {
        let deny_sse_c = require != Require::SseC;
        for deny_sse_c in [false, deny_sse_c] {
            let choices = Choices {
                require: Some(require),
                deny_sse_c,
                tls: Some("1.2".to_owned()),
                ..choices()
            };
            good(
                &choices,
                &[Question::Encryption, Question::Tls("1.2".to_owned())],
            );
        }
    }
}

#[test]
fn the_whole_of_it() {
    let choices = Choices {
        require: Some(Require::Kms),
        key_ids: vec![ARN.to_owned()],
        deny_sse_c: true,
        tls: Some("1.3".to_owned()),
        allow_principals: vec![
            "111122223333".to_owned(),
            "arn:aws:iam::999999999999:role/backup".to_owned(),
        ],
        source_ips: vec!["192.0.2.0/24".to_owned(), "2001:db8::/32".to_owned()],
        ..choices()
    };
    let document = good(
        &choices,
        &[
            Question::Encryption,
            Question::KeyId(ARN.to_owned()),
            Question::Tls("1.3".to_owned()),
        ],
    );
    assert!(document.statements.len() > 7);
}

#[test]
fn a_prefix_narrows() {
    let choices = Choices {
        prefix: "secret/".to_owned(),
        require: Some(Require::Aes256),
        ..choices()
    };
    let document = good(&choices, &[]);
    assert_eq!(
        document.statements[0].resource.patterns,
        ["arn:aws:s3:::finance/secret/*"]
    );
    let policy = Policy::load(&document.to_json()).unwrap();
    match prove(&policy, &Question::Encryption, &prove::Options::default()) {
        Verdict::Counterexample(request) => assert!(!request.key.starts_with("secret/")),
        other => panic!("{other:?}"),
    }
}

#[test]
fn refuses_what_makes_no_sense() {
    let wrong = |change: fn(&mut Choices)| {
        let mut choices = Choices {
            require: Some(Require::Kms),
            ..choices()
        };
        change(&mut choices);
        generate(&choices).unwrap_err()
    };
    assert!(matches!(
        wrong(|c| c.bucket = "B*".to_owned()),
        GenerateError::Bucket(_)
    ));
    assert!(matches!(
        wrong(|c| c.prefix = "a*".to_owned()),
        GenerateError::Prefix(_)
    ));
    assert!(matches!(
        wrong(|c| c.key_ids = vec!["alias/a".to_owned()]),
        GenerateError::KeyId(_)
    ));
    assert!(matches!(
        wrong(|c| c.tls = Some("1.4".to_owned())),
        GenerateError::Tls(_)
    ));
    assert!(matches!(
        wrong(|c| c.source_ips = vec!["x".to_owned()]),
        GenerateError::SourceIp(_)
    ));
    assert!(matches!(
        wrong(|c| c.allow_principals = vec!["dave".to_owned()]),
        GenerateError::Principal(_)
    ));
    assert!(matches!(
        wrong(|c| c.require = None),
        GenerateError::Nothing
    ));
    assert!(matches!(
        wrong(|c| (c.require, c.key_ids) = (Some(Require::Aes256), vec![ARN.to_owned()])),
        GenerateError::KeyIdWithoutKms
    ));
    assert!(matches!(
        wrong(|c| (c.require, c.deny_sse_c) = (Some(Require::SseC), true)),
        GenerateError::SseC
    ));
    assert!("ams:kms".parse::<Require>().is_err());
}
