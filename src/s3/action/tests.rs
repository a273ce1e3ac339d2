#![allow(clippy::unwrap_used, clippy::expect_used)]
use super::*;
use crate::s3::action::{ACTION_TABLE, ActionLevel};

fn of(
    operation: Operation,
    versioned: bool,
    headers: &[(&'static str, &'static str)],
) -> Vec<String> {
    let mut sent = Sent::default();
    for (name, value) in headers {
        sent.note(name, value.as_bytes());
    }
    let found = collect(operation, versioned, versioned, sent);
    found
        .iter()
        .map(|n| {
            format!(
                "{}{} {:?}",
                if n.certain { "" } else { "?" },
                n.action,
                n.on
            )
        })
        .collect()
}

#[test]
fn there_are_168_actions() {
    assert_eq!(Action::ALL.len(), 168);
    assert_eq!(Action::COUNT, 171);
    let levels = |level| {
        Action::ALL
            .iter()
            .filter(|action| action.level() == level)
            .count()
    };
    assert_eq!(
        (
            levels(ActionLevel::Bucket),
            levels(ActionLevel::Object),
            levels(ActionLevel::Other)
        ),
        (60, 34, 74)
    );
    for row in &ACTION_TABLE {
        assert_eq!(Action::from_name(row.name), Some(row.action));
        assert_eq!(row.action.row().name, row.name);
    }
    assert_eq!(Action::from_name("S3:putobject"), Some(Action::PutObject));
    assert_eq!(Action::from_name("putOBJECT"), Some(Action::PutObject));
    assert_eq!(
        Action::from_name("s3express:createsession"),
        Some(Action::ExpressCreateSession)
    );
    for wrong in [
        "",
        "s3",
        "s3:",
        "s4:GetObject",
        ":GetObject",
        "s3::GetObject",
        "s3:Put-Object",
        "CreateSession",
        "s3:*",
    ] {
        assert_eq!(Action::from_name(wrong), None, "{wrong}");
    }
    assert!(
        Action::PutObject
            .condition_keys()
            .contains(&"s3:x-amz-server-side-encryption")
    );
}

#[test]
fn every_operation_needs_what_its_row_names() {
    let all = [
        ("x-amz-acl", "private"),
        ("x-amz-tagging", "a=b"),
        ("x-amz-object-lock-mode", "GOVERNANCE"),
        ("x-amz-object-lock-legal-hold", "ON"),
        ("x-amz-bypass-governance-retention", "true"),
        ("x-amz-bucket-object-lock-enabled", "True"),
        ("x-amz-object-ownership", "ObjectWriter"),
    ];
    for line in include_str!("../data/s3-ops.tsv").lines().skip(1) {
        let cells: Vec<&str> = line.split('\t').collect();
        let operation = Operation::from_name(cells[0]).unwrap();
        let mut found: Vec<String> = [
            of(operation, false, &all),
            of(operation, true, &all),
            of(operation, false, &[]),
        ]
        .concat();
        if operation == Operation::DeleteObjects {
            found.extend(
                deletion(true, true)
                    .iter()
                    .map(|needed| format!("{} {:?}", needed.action, needed.on)),
            );
        }
        assert!(!found.is_empty(), "{operation}");
        for name in cells[5]
            .split(|c: char| !(c.is_ascii_alphanumeric() || c == ':' || c == '-'))
            .filter(|word| word.contains(':') && !word.ends_with(':'))
        {
            // Roles are passed inside AWS; a name cut by brackets (`GetObject[Version]`) is no name.
            if name != "iam:PassRole" {
                assert!(
                    found
                        .iter()
                        .any(|f| f.trim_start_matches('?').starts_with(&format!("{name} "))),
                    "{operation} lacks {name}: {found:?}"
                );
            }
        }
    }
}

#[test]
fn actions_fit_the_level_of_their_operation() {
    for operation in Operation::ALL {
        if let Needs::One(action) | Needs::Versioned(action, _) = operation.needs() {
            let expected = match operation.level() {
                Level::Bucket => ActionLevel::Bucket,
                Level::Object => ActionLevel::Object,
                Level::Service => ActionLevel::Other,
            };
            // The actions of metadata tables are listed without a resource type of a bucket in some editions of the reference.
            assert_eq!(action.level(), expected, "{operation}");
        }
    }
}

#[test]
fn what_is_sent_with_a_write_counts() {
    assert_eq!(
        of(Operation::PutObject, false, &[]),
        ["s3:PutObject Object"]
    );
    assert_eq!(
        of(
            Operation::PutObject,
            false,
            &[("x-amz-grant-write-acp", "id=1")]
        ),
        ["s3:PutObject Object", "s3:PutObjectAcl Object"]
    );
    assert_eq!(
        of(
            Operation::CreateMultipartUpload,
            false,
            &[
                ("x-amz-tagging", ""),
                (
                    "x-amz-object-lock-retain-until-date",
                    "2030-01-01T00:00:00Z"
                )
            ]
        ),
        [
            "s3:PutObject Object",
            "s3:PutObjectRetention Object",
            "s3:PutObjectTagging Object"
        ]
    );
    assert_eq!(
        of(
            Operation::CopyObject,
            true,
            &[("x-amz-tagging-directive", "REPLACE")]
        ),
        ["s3:PutObject Object", "s3:GetObjectVersion CopySource"]
    );
    assert_eq!(
        of(Operation::CopyObject, false, &[]),
        [
            "s3:PutObject Object",
            "s3:GetObject CopySource",
            "?s3:GetObjectTagging CopySource",
            "?s3:PutObjectTagging Object"
        ]
    );
    assert_eq!(
        of(Operation::UploadPartCopy, false, &[]),
        ["s3:PutObject Object", "s3:GetObject CopySource"]
    );
    assert_eq!(
        of(Operation::GetObject, true, &[]),
        ["s3:GetObjectVersion Object"]
    );
    assert_eq!(
        of(
            Operation::DeleteObject,
            true,
            &[("x-amz-bypass-governance-retention", "TRUE")]
        ),
        [
            "s3:DeleteObjectVersion Object",
            "s3:BypassGovernanceRetention Object"
        ]
    );
    assert_eq!(
        of(Operation::UpdateObjectEncryption, false, &[]),
        ["s3:PutObject Object", "s3:UpdateObjectEncryption Object"]
    );
    assert_eq!(of(Operation::CorsPreflight, false, &[]), [""; 0]);
}

#[test]
fn form_fields_count_as_headers() {
    let mut fields = HeaderMap::new();
    fields.insert("acl", "public-read".parse().unwrap());
    fields.insert("tagging", "<Tagging/>".parse().unwrap());
    let names: Vec<&str> = post_actions(&fields)
        .iter()
        .map(|needed| needed.action.name())
        .collect();
    assert_eq!(
        names,
        ["s3:PutObject", "s3:PutObjectAcl", "s3:PutObjectTagging"]
    );
}
