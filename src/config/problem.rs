//! What is wrong, or doubtful, in a configuration: all of it at once.

use std::fmt;
use std::path::PathBuf;

use super::stamp::Stamps;

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The file it is in: the configuration, or a policy that it names.
    pub file: PathBuf,
    /// The line, from 1, where it is known.
    pub line: Option<usize>,
    /// The field, as in `rules[2].mode`; empty for the file as a whole.
    pub field: String,
    /// What is wrong and what to write instead.
    pub message: String,
}

/// One thing that loads and probably is not what was meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning(pub Problem);

/// All that is wrong in a configuration; `Display` writes one line for each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigErrors {
    /// In the order of the file.
    pub problems: Vec<Problem>,
    /// Whether the configuration itself could not be read, so nothing in it was checked.
    pub unreadable: bool,
    /// What was looked at, each file as it was before it was read; without a change there the errors stay.
    pub stamps: Stamps,
    /// Unless something else was in the way, such as too many open files: to be tried again.
    pub may_pass: bool,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.file.display())?;
        if let Some(line) = self.line {
            write!(f, "line {line}: ")?;
        }
        if !self.field.is_empty() {
            write!(f, "{}: ", self.field)?;
        }
        // One problem is one line, whatever a value or a library's message holds.
        for c in self.message.chars() {
            if c.is_control() {
                write!(f, "{}", c.escape_default())?;
            } else {
                fmt::Write::write_char(f, c)?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, problem) in self.problems.iter().enumerate() {
            if i > 0 {
                f.write_str("\n")?;
            }
            problem.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigErrors {}
