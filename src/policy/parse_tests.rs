#![allow(clippy::unwrap_used)]
use super::*;

fn issues(text: &str) -> Vec<String> {
    read(text)
        .issues
        .iter()
        .map(|i| i.kind.to_string())
        .collect()
}

const GOOD: &str =
    r#"{"Effect":"Deny","Principal":"*","Action":"s3:PutObject","Resource":"arn:aws:s3:::b/*"}"#;

fn with(extra: &str) -> String {
    format!(
        r#"{{"Version":"2012-10-17","Statement":[{}{extra}}}]}}"#,
        &GOOD[..GOOD.len() - 1]
    )
}

#[test]
fn aws_words() {
    assert_eq!(
        issues(""),
        ["Policies must be valid JSON and the first byte must be '{'"]
    );
    assert_eq!(
        issues("[]"),
        ["Policies must be valid JSON and the first byte must be '{'"]
    );
    assert_eq!(issues("{}"), ["Missing required field Statement"]);
    assert_eq!(
        issues(r#"{"Statement":[]}"#),
        ["Could not parse the policy: Statement is empty!"]
    );
    assert_eq!(
        issues(r#"{"Statement":{}}"#),
        [
            "Missing required field Effect",
            "Missing required field Principal",
            "Missing required field Action",
            "Missing required field Resource"
        ]
    );
    assert_eq!(
        issues(
            &GOOD
                .replace("Deny", "deny")
                .replacen('{', r#"{"Statement":{"#, 1)
                .replace("/*\"}", "/*\"}}")
        ),
        ["Invalid effect: deny"]
    );
    assert_eq!(
        issues(&format!(r#"{{"Version":"2024-01-01","Statement":{GOOD}}}"#)),
        ["The policy must contain a valid version string"]
    );
    assert_eq!(
        issues(&with(r#","Condition":{"stringequals":{"a":"b"}}"#)),
        ["Invalid Condition type : stringequals"]
    );
    assert_eq!(
        issues(&with(r#","Sidd":"x""#)),
        ["This policy contains invalid Json"]
    );
    assert_eq!(
        issues(&with(r#","Effect":"Allow""#)),
        ["This policy contains invalid Json"]
    );
    assert_eq!(
        issues(&with(r#","NotAction":"s3:*""#)),
        ["This policy contains invalid Json"]
    );
}

#[test]
fn reports_all_at_once_with_lines() {
    let text = "{\"Statement\": [\n{\"Sid\": \"A\", \"Effect\": \"deny\", \"Principal\": \"*\", \"Action\": [], \"Resource\": \"r\"},\n{\"Sid\": \"A\", \"Effect\": \"Deny\", \"Principal\": {\"Aws\": \"*\"}, \"Action\": \"s3:*\", \"Resource\": \"r\"}]}";
    let got = read(text).issues;
    assert_eq!(got.len(), 4);
    assert_eq!(
        got.iter().map(|i| i.line.unwrap()).collect::<Vec<_>>(),
        [2, 2, 3, 3]
    );
    assert!(
        got[0]
            .to_string()
            .starts_with("line 2: statement 1 (A): Invalid effect: deny")
    );
}

#[test]
fn too_big() {
    let text = with(&format!(r#","Sid":"{}""#, "x".repeat(MAX_BYTES)));
    assert_eq!(
        issues(&text),
        ["Normalized policy document exceeds the maximum allowed size of 20480 bytes"]
    );
}

#[test]
fn single_and_many_are_the_same() {
    let a = Document::parse(&format!(r#"{{"Statement":{GOOD}}}"#)).unwrap();
    let b = Document::parse(&format!(
        r#"{{"Statement":[{}]}}"#,
        GOOD.replace("\"s3:PutObject\"", "[\"s3:PutObject\"]")
    ))
    .unwrap();
    assert_eq!(a, b);
}

#[test]
fn prints_what_it_read() {
    let text = with(
        r#","Sid":"a\"b","Condition":{"NumericLessThan":{"s3:TlsVersion":1.20,"s3:max-keys":[1,"2"]},"Bool":{"aws:SecureTransport":false}}"#,
    );
    let doc = Document::parse(&text).unwrap();
    for printed in [doc.to_json(), doc.to_json_pretty()] {
        assert!(printed.contains("1.20"));
        assert_eq!(Document::parse(&printed).unwrap(), doc);
        assert!(serde_json::from_str::<serde_json::Value>(&printed).is_ok());
    }
}

#[test]
fn the_corpus_comes_back() {
    let corpus = json::parse(include_str!("../../tests/data/policy-corpus.json")).unwrap();
    for entry in corpus.get("entries").unwrap().elements().unwrap() {
        let doc = read_node(entry.get("policy").unwrap())
            .into_result()
            .unwrap();
        assert_eq!(Document::parse(&doc.to_json_pretty()).unwrap(), doc);
    }
}
