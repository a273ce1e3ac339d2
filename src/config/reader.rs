//! Typed reading of a tree: every getter reports what is wrong with its field and goes on, so that all
//! errors come at once.

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::env;
use super::problem::{Problem, Warning};
use super::tree::{self, Value};
use super::units;

/// After so many errors the rest would not be read, and each costs a walk to its line.
const MOST: usize = 200;

/// What one reading shares: the text, for lines, and what was found so far.
pub struct Reading<'t> {
    pub file: PathBuf,
    pub text: &'t str,
    pub env: &'t dyn Fn(&str) -> Option<String>,
    /// Each with the line of the configuration that led to it, which may name another file.
    pub problems: RefCell<Vec<(Option<usize>, Problem)>>,
    pub warnings: RefCell<Vec<Warning>>,
}

impl<'t> Reading<'t> {
    pub fn new(file: &Path, text: &'t str, env: &'t dyn Fn(&str) -> Option<String>) -> Self {
        Self {
            file: file.to_owned(),
            text,
            env,
            problems: RefCell::default(),
            warnings: RefCell::default(),
        }
    }

    /// A path of the configuration: relative to its file's folder.
    pub fn resolve(&self, path: &str) -> PathBuf {
        self.file.parent().unwrap_or(Path::new("")).join(path)
    }

    fn push(&self, at: Option<usize>, problem: Problem) {
        let mut problems = self.problems.borrow_mut();
        if problems.len() < MOST {
            problems.push((at, problem));
        }
    }
}

/// A node and the way to it.
#[derive(Clone)]
pub struct Node<'t> {
    pub reading: &'t Reading<'t>,
    pub value: &'t Value,
    /// As in `rules[2].mode`.
    pub field: String,
    steps: Vec<usize>,
}

impl<'t> Node<'t> {
    pub fn root(reading: &'t Reading<'t>, value: &'t Value) -> Self {
        Self {
            reading,
            value,
            field: String::new(),
            steps: Vec::new(),
        }
    }

    /// A value inside this one, under this one's name and line.
    pub fn with<'v>(&self, value: &'v Value) -> Node<'v>
    where
        't: 'v,
    {
        Node {
            reading: self.reading,
            value,
            field: self.field.clone(),
            steps: self.steps.clone(),
        }
    }

    pub fn line(&self) -> Option<usize> {
        if self.steps.is_empty() {
            return None;
        }
        tree::line(self.reading.text, &self.steps)
    }

    pub fn error(&self, message: impl Into<String>) {
        if self.reading.problems.borrow().len() < MOST {
            let problem = self.problem(message.into());
            self.reading.push(problem.line, problem);
        }
    }

    /// Reports what is wrong in a file that the node names.
    pub fn error_in(&self, file: &Path, line: Option<usize>, message: String) {
        self.reading.push(
            self.line(),
            Problem {
                file: file.to_owned(),
                line,
                field: String::new(),
                message,
            },
        );
    }

    pub fn warn(&self, message: impl Into<String>) {
        let problem = self.problem(message.into());
        self.reading.warnings.borrow_mut().push(Warning(problem));
    }

    fn problem(&self, message: String) -> Problem {
        Problem {
            file: self.reading.file.clone(),
            line: self.line(),
            field: self.field.clone(),
            message,
        }
    }

    /// Reports that the value is of the wrong kind.
    fn expected(&self, what: &str) {
        self.error(format!("is {}, not {what}", self.value.kind()));
    }

    pub fn is_null(&self) -> bool {
        matches!(self.value, Value::Null)
    }

    /// Its fields, of which only those named are known. Nothing at all is an empty map.
    pub fn fields(&self, known: &'static [&'static str]) -> Option<Fields<'t>> {
        let entries: &'t [(String, Value)] = match self.value {
            Value::Map(entries) => entries,
            Value::Null => &[],
            _ => {
                self.expected(&format!("a map (of {})", known.join(", ")));
                return None;
            }
        };
        let fields = Fields {
            node: self.clone(),
            entries,
            known,
        };
        for (i, (name, value)) in entries.iter().enumerate() {
            let node = fields.entry(i, name, value);
            if entries.iter().take(i).any(|(earlier, _)| earlier == name) {
                node.error("is there twice");
            } else if !known.contains(&name.as_str()) {
                let hint = match nearest(name, known) {
                    Some(near) => format!("; did you mean {near}?"),
                    None => String::new(),
                };
                node.error(format!(
                    "is not a field{hint} (known here: {})",
                    known.join(", ")
                ));
            }
        }
        Some(fields)
    }

    /// Its items; a value alone counts as a list of one.
    pub fn items(&self) -> Vec<Node<'t>> {
        match self.value {
            Value::Null => Vec::new(),
            Value::List(items) => items
                .iter()
                .enumerate()
                .map(|(i, value)| {
                    let mut steps = self.steps.clone();
                    steps.push(i);
                    Node {
                        reading: self.reading,
                        value,
                        field: format!("{}[{i}]", self.field),
                        steps,
                    }
                })
                .collect(),
            _ => vec![self.clone()],
        }
    }

    /// A text, with the environment's values put in. Numbers and booleans count as they are written.
    pub fn text(&self) -> Option<String> {
        match self.value {
            Value::Text(text) => match env::expand(text, self.reading.env) {
                Ok(text) => Some(text),
                Err(message) => {
                    self.error(message);
                    None
                }
            },
            Value::Number(number) => Some(number.clone()),
            Value::Bool(flag) => Some(flag.to_string()),
            _ => {
                self.expected("a text");
                None
            }
        }
    }

    /// A text that `read` makes something of; its error follows the text in quotes.
    pub fn parsed<T>(&self, read: impl FnOnce(&str) -> Result<T, String>) -> Option<T> {
        let text = self.text()?;
        match read(&text) {
            Ok(value) => Some(value),
            Err(message) => {
                self.error(format!("\"{text}\" {message}"));
                None
            }
        }
    }

    pub fn choice<T: Copy>(&self, of: &[(&str, T)]) -> Option<T> {
        self.parsed(|text| {
            of.iter()
                .find(|(name, _)| *name == text)
                .map(|&(_, value)| value)
                .ok_or_else(|| {
                    let names: Vec<_> = of.iter().map(|(name, _)| *name).collect();
                    format!("is not one of {}", names.join(", "))
                })
        })
    }

    pub fn flag(&self) -> Option<bool> {
        self.choice(&[("true", true), ("false", false)])
    }

    pub fn size(&self) -> Option<u64> {
        self.parsed(units::size)
    }

    pub fn time(&self) -> Option<Duration> {
        self.parsed(units::time)
    }

    pub fn count(&self) -> Option<u64> {
        self.parsed(|text| {
            text.parse()
                .map_err(|_| "is not a whole number of 0 or more".to_owned())
        })
    }

    /// A file that is there and can be read.
    pub fn file(&self) -> Option<PathBuf> {
        let text = self.text()?;
        let path = self.reading.resolve(&text);
        let tried = std::fs::File::open(&path).and_then(|file| file.metadata());
        match tried {
            Ok(meta) if meta.is_file() => Some(path),
            Ok(_) => {
                self.error(format!("{} is not a file", path.display()));
                None
            }
            Err(e) => {
                self.error(format!("cannot read {}: {e}", path.display()));
                None
            }
        }
    }
}

/// The fields of a map.
pub struct Fields<'t> {
    pub node: Node<'t>,
    entries: &'t [(String, Value)],
    known: &'static [&'static str],
}

impl<'t> Fields<'t> {
    fn entry(&self, at: usize, name: &str, value: &'t Value) -> Node<'t> {
        let mut steps = self.node.steps.clone();
        steps.push(at);
        let field = if self.node.field.is_empty() {
            name.to_owned()
        } else {
            format!("{}.{name}", self.node.field)
        };
        Node {
            reading: self.node.reading,
            value,
            field,
            steps,
        }
    }

    /// A field, also where it is `null`.
    pub fn nullable(&self, name: &str) -> Option<Node<'t>> {
        debug_assert!(self.known.contains(&name), "{name} is read but not known");
        let (at, (_, value)) = self
            .entries
            .iter()
            .enumerate()
            .find(|(_, (entry, _))| entry == name)?;
        Some(self.entry(at, name, value))
    }

    /// A field that says something: `null` is as good as absent.
    pub fn get(&self, name: &str) -> Option<Node<'t>> {
        self.nullable(name).filter(|node| !node.is_null())
    }

    /// A field that must be there.
    pub fn required(&self, name: &str) -> Option<Node<'t>> {
        let node = self.get(name);
        if node.is_none() {
            self.node.error(format!("{name} is missing"));
        }
        node
    }

    /// Reports a field that this version does not have, unless it says what is done anyway.
    pub fn refuse(&self, name: &str, unless: Option<&str>, message: &str) {
        if let Some(node) = self.get(name)
            && unless.is_none_or(|unless| node.text().as_deref() != Some(unless))
        {
            node.error(message);
        }
    }
}

/// The known name that is nearest to a misspelt one, if it is near at all.
fn nearest(name: &str, known: &[&'static str]) -> Option<&'static str> {
    if name.len() > 64 {
        return None;
    }
    let close = 1 + name.len() / 4;
    known
        .iter()
        .map(|known| (distance(name, known), *known))
        .filter(|&(d, known)| {
            d <= close || known.starts_with(name) && name.len() > 2 || name.starts_with(known)
        })
        .min()
        .map(|(_, known)| known)
}

/// Edit distance, a swap of two neighbours counting as one.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows: Vec<Vec<usize>> = vec![(0..=b.len()).collect()];
    for (i, &ca) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, &cb) in b.iter().enumerate() {
            let at = |up: usize, left: usize| -> usize {
                let row_of = if up == 0 { &row } else { &rows[i + 1 - up] };
                row_of[j + 1 - left]
            };
            let mut best = (at(1, 0) + 1)
                .min(at(0, 1) + 1)
                .min(at(1, 1) + usize::from(ca != cb));
            if i > 0 && j > 0 && a[i - 1] == cb && b[j - 1] == ca {
                best = best.min(at(2, 2) + 1);
            }
            row.push(best);
        }
        rows.push(row);
    }
    rows.last().and_then(|row| row.last().copied()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearest_names() {
        let known = ["mode", "multipart", "authorize", "address", "endpoint"];
        for (name, expect) in [
            ("moed", Some("mode")),
            ("multi_part", Some("multipart")),
            ("authorise", Some("authorize")),
            ("adress", Some("address")),
            ("end", Some("endpoint")),
            ("zzz", None),
            ("", None),
        ] {
            assert_eq!(nearest(name, &known), expect, "{name}");
        }
    }

    #[test]
    fn distances() {
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("ab", "ba"), 1);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("abc", ""), 3);
    }
}
