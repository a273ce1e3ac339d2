//! Policies as people write them: AWS's JSON or the short form, in a file or inside a configuration.

use serde_yaml::Value as Yaml;
use thiserror::Error;

use super::compiled::{Keys, Policy};
use super::document::Document;
use super::issue::Issues;
use super::parse::{Parsed, read};
use super::short::{ShortError, ShortForm};

/// Why a policy cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SourceError {
    /// What is wrong with the JSON, all of it.
    #[error(transparent)]
    Policy(#[from] Issues),
    /// What is wrong with the short form.
    #[error(transparent)]
    Short(#[from] ShortError),
}

/// What a text holds: JSON where its first character is `{` and it is no short form in braces, else the short form.
///
/// # Errors
/// [`ShortError`]; JSON is returned with its issues.
pub fn read_any(text: &str) -> Result<Parsed, ShortError> {
    let starts = text.trim_start();
    let json = starts.is_empty() || starts.starts_with(['{', '[', '\u{feff}']);
    if json && !serde_yaml::from_str::<Yaml>(text).is_ok_and(|y| ShortForm::is_meant(&y)) {
        return Ok(read(text));
    }
    let document = ShortForm::parse(text)
        .and_then(|form| form.expand())
        .map_err(|error| error.at(text))?;
    Ok(Parsed {
        document,
        issues: Vec::new(),
    })
}

impl Policy {
    /// Reads a policy file in either form, checks and compiles it.
    ///
    /// # Errors
    /// Every issue of a JSON policy; the first of a short form.
    pub fn load_any(text: &str) -> Result<Self, SourceError> {
        Ok(Self::of(read_any(text)?)?)
    }

    /// Reads a policy that stands in a configuration, in either form. Lines of its issues count within the policy alone.
    ///
    /// # Errors
    /// As [`Policy::load_any`].
    pub fn from_yaml(yaml: &Yaml) -> Result<Self, SourceError> {
        if ShortForm::is_meant(yaml) {
            return Self::expanded(&ShortForm::from_yaml(yaml)?);
        }
        // YAML's own duplicates are refused when the configuration is read; dates and such stay text.
        let text = serde_json::to_string_pretty(yaml).unwrap_or_default();
        Ok(Self::load(&text)?)
    }

    /// Compiles a short form.
    ///
    /// # Errors
    /// As [`ShortForm::expand`], and where a key id or bucket has no meaning in a policy.
    pub fn expanded(form: &ShortForm) -> Result<Self, SourceError> {
        Ok(Self::of(Parsed {
            document: form.expand()?,
            issues: Vec::new(),
        })?)
    }

    /// Compiles a document that was built, not read.
    ///
    /// # Errors
    /// As [`Policy::load`].
    pub fn from_document(document: Document) -> Result<Self, Issues> {
        let issues = super::check::check(&document);
        if issues.is_empty() {
            Self::compile(document, Keys::Known)
        } else {
            Err(Issues(issues))
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const JSON: &str = r#"{"Version":"2012-10-17","Statement":{"Effect":"Deny","Principal":"*","Action":"s3:*","Resource":"arn:aws:s3:::b"}}"#;

    #[test]
    fn both_forms_in_files_and_configurations() {
        assert_eq!(
            Policy::load_any(JSON).unwrap().document().statements.len(),
            1
        );
        assert_eq!(
            Policy::load_any("require: any")
                .unwrap()
                .document()
                .statements
                .len(),
            3
        );
        assert!(Policy::load_any(r#"{"require": "any"}"#).is_ok());
        for text in [JSON, "deny: [sse-c]"] {
            assert!(Policy::from_yaml(&serde_yaml::from_str(text).unwrap()).is_ok());
        }
    }

    #[test]
    fn errors_of_a_short_form_say_their_line() {
        for (text, line, what) in [
            ("bucket: b\n# requires: x\nrequires: any\n", 3, "requires"),
            (
                "bucket: b\nrequire: {sse: aws:kms, keyids: [x]}\n",
                2,
                "keyids",
            ),
            ("require:\n  sse: aws:kms\n  key_id: x\n", 3, "key_id"),
            ("bucket: b\nrequire: AES128\n", 2, "AES128"),
            ("deny:\n  - sse-c\n  - ams:kms\n", 3, "ams:kms"),
            ("bucket: b\n\ntls: \"1.4\"\n", 3, "1.4"),
            (
                "require: AES256\ndeny: [AES256]\n",
                2,
                "required and denied",
            ),
            ("require: any\nbucket: a/b\n", 2, "a/b"),
            ("require: any\nprefix: [a]\n", 2, "prefix"),
        ] {
            let error = Policy::load_any(text).unwrap_err().to_string();
            assert!(
                error.starts_with(&format!("line {line}: ")) && error.contains(what),
                "{text}: {error}"
            );
        }
    }

    #[test]
    fn errors_of_the_form_that_was_meant() {
        assert!(matches!(
            Policy::load_any("{\"Statement\": }"),
            Err(SourceError::Policy(_))
        ));
        assert!(matches!(
            Policy::load_any("{}"),
            Err(SourceError::Policy(_))
        ));
        assert!(matches!(Policy::load_any(""), Err(SourceError::Policy(_))));
        assert!(matches!(
            Policy::load_any("requires: any"),
            Err(SourceError::Short(_))
        ));
    }
}
