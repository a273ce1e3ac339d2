//! What `sealgate policy check` prints: errors and warnings together.

use std::fmt;

use super::{Options, Warning, lint};
use crate::policy::source::read_any;
use crate::policy::{Document, Issue, ShortError, check};

/// Everything that was found in one policy.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Report {
    /// What AWS or Sealgate refuses.
    pub errors: Vec<Issue>,
    /// What does not do what it seems to.
    pub warnings: Vec<Warning>,
}

impl Report {
    /// Reads, checks and lints a policy, JSON or short form.
    ///
    /// # Errors
    /// [`ShortError`] where a short form cannot be read; what is wrong with JSON is in the report.
    pub fn of(text: &str, options: Options) -> Result<Self, ShortError> {
        let parsed = read_any(text)?;
        let mut errors = parsed.issues;
        errors.extend(check::check(&parsed.document));
        errors.sort_by_key(|issue| issue.statement);
        Ok(Self::new(errors, &parsed.document, options))
    }

    /// Joins the errors that reading found with the warnings about what could be read.
    #[must_use]
    pub fn new(errors: Vec<Issue>, document: &Document, options: Options) -> Self {
        // Statements that could not be read would make the rest look as if they were not there.
        let warnings = if errors.is_empty() || !document.statements.is_empty() {
            lint(document, options)
        } else {
            Vec::new()
        };
        let partial = !errors.is_empty();
        let warnings = warnings
            .into_iter()
            .filter(|warning| !partial || warning.statement.is_some())
            .collect();
        Self { errors, warnings }
    }

    /// Is the policy good? With `strict` a warning counts as an error.
    #[must_use]
    pub fn is_good(&self, strict: bool) -> bool {
        self.errors.is_empty() && (!strict || self.warnings.is_empty())
    }

    /// The exit code: 0 good, 1 not.
    #[must_use]
    pub fn exit_code(&self, strict: bool) -> u8 {
        u8::from(!self.is_good(strict))
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for error in &self.errors {
            writeln!(f, "error: {error}")?;
        }
        for warning in &self.warnings {
            writeln!(f, "warning: {warning}")?;
        }
        let count = |n: usize, what: &str| format!("{n} {what}{}", if n == 1 { "" } else { "s" });
        write!(
            f,
            "{}, {}",
            count(self.errors.len(), "error"),
            count(self.warnings.len(), "warning")
        )
    }
}
