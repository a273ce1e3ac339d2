//! Typed reading of a tree: every getter reports what is wrong with its field and goes on, so that all
//! errors come at once.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::env;
use super::nearest::nearest;
use super::places::Place;
use super::problem::{Problem, Warning};
use super::stamp::{self, Stamps};
use super::tree::{self, Value};
use super::units;

/// After so many errors the rest would not be read, and each costs a walk to its line.
const MOST: usize = 200;

/// The shortest value of the environment that is looked for in messages: shorter ones are in too many words.
const TELLING: usize = 8;

/// What one reading shares: the text, for lines, and what was found so far.
pub struct Reading<'t> {
    pub file: PathBuf,
    pub text: &'t str,
    pub env: &'t dyn Fn(&str) -> Option<String>,
    pub places: Place,
    /// The files that were looked at, each as it was before it was read.
    pub stamps: RefCell<Stamps>,
    /// Whether something failed that may succeed without a change to a file.
    pub may_pass: Cell<bool>,
    /// What was taken from the environment.
    taken: RefCell<BTreeMap<String, String>>,
    /// Each with the line of the configuration that led to it, which may name another file.
    pub problems: RefCell<Vec<(Option<usize>, Problem)>>,
    pub warnings: RefCell<Vec<Warning>>,
}

impl<'t> Reading<'t> {
    /// `stamps`: of the file itself, where it was read from one.
    pub fn new(
        file: &Path,
        text: &'t str,
        env: &'t dyn Fn(&str) -> Option<String>,
        places: Place,
        stamps: Stamps,
    ) -> Self {
        Self {
            file: file.to_owned(),
            text,
            env,
            places,
            stamps: RefCell::new(stamps),
            may_pass: Cell::new(false),
            taken: RefCell::default(),
            problems: RefCell::default(),
            warnings: RefCell::default(),
        }
    }

    /// A path of the configuration: relative to its file's folder.
    pub fn resolve(&self, path: &str) -> PathBuf {
        self.file.parent().unwrap_or(Path::new("")).join(path)
    }

    /// Looks at a file that is about to be read, or that is asked for. The first look counts: it is the one before all reading.
    pub fn look(&self, path: &Path) {
        let mut stamps = self.stamps.borrow_mut();
        if !stamps.contains_key(path) {
            stamps.insert(path.to_owned(), stamp::settled(path));
        }
    }

    /// Notes that a file could not be read.
    pub fn failed(&self, error: &std::io::Error) {
        if stamp::may_pass(error) {
            self.may_pass.set(true);
        }
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
        let known = self.reading.places.line(&self.steps);
        known.or_else(|| tree::line(self.reading.text, &self.steps))
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
                message: self.unexpanded(message),
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
            message: self.unexpanded(message),
        }
    }

    /// The message with `${NAME}` where it repeats what was put in for it: messages are logged and shown.
    fn unexpanded(&self, mut message: String) -> String {
        self.value.texts(&mut |text| {
            let Ok(full) = env::expand(text, self.reading.env) else {
                return;
            };
            if full == text || full.is_empty() {
                return;
            }
            for quote in ['"', '`', '\''] {
                let (shown, instead) = (
                    format!("{quote}{full}{quote}"),
                    format!("{quote}{text}{quote}"),
                );
                message = message.replace(&shown, &instead);
            }
            if full.len() >= TELLING {
                message = message.replace(&full, text);
            }
        });
        for (name, value) in &*self.reading.taken.borrow() {
            if value.len() >= TELLING {
                message = message.replace(value.as_str(), &format!("${{{name}}}"));
            }
        }
        message
    }

    /// Whether it is, or may well be, a secret: it is never repeated.
    fn is_secret(&self) -> bool {
        let field = self.field.as_str();
        field.starts_with("store.credentials")
            || field.starts_with("clients")
                && (field.ends_with(".secret_key") || field.ends_with(".access_key"))
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
        self.fields_or_null(known, &[])
    }

    /// The same where `null` means something for some of the fields. For all others it is an error: `require:` with its
    /// value forgotten, or commented out, would demand nothing.
    pub fn fields_or_null(
        &self,
        known: &'static [&'static str],
        nullable: &[&str],
    ) -> Option<Fields<'t>> {
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
        // Beside a secret the name itself may be one: `secret_key:text` without its space, or the two swapped.
        let private = known.contains(&"secret_key");
        for (i, (name, value)) in entries.iter().enumerate() {
            let shown = if private && !known.contains(&name.as_str()) {
                "(a name that is not shown)"
            } else {
                name
            };
            let node = fields.entry(i, shown, value);
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
            } else if node.is_null() && !nullable.contains(&name.as_str()) {
                node.error("is empty: give it a value, or leave the field out");
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
            Value::Text(text) => match env::expand(text, &|name| {
                let value = (self.reading.env)(name)?;
                let mut taken = self.reading.taken.borrow_mut();
                taken.insert(name.to_owned(), value.clone());
                Some(value)
            }) {
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

    /// A text that `read` makes something of; its error follows the text as it is written, in quotes, unless that may be a secret.
    pub fn parsed<T>(&self, read: impl FnOnce(&str) -> Result<T, String>) -> Option<T> {
        let text = self.text()?;
        match read(&text) {
            Ok(value) => Some(value),
            Err(message) => {
                match self.value {
                    _ if self.is_secret() => self.error(message),
                    Value::Text(source) if source.contains("${") => {
                        self.error(format!("\"{source}\" {message}"));
                    }
                    _ => self.error(format!("\"{text}\" {message}")),
                }
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
        if let Value::Bool(flag) = self.value {
            return Some(*flag);
        }
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
        self.reading.look(&path);
        // Before it is opened, which waits for ever where it is a named pipe.
        let tried = std::fs::metadata(&path).and_then(|meta| {
            if meta.is_file() {
                std::fs::File::open(&path)?;
            }
            Ok(meta.is_file())
        });
        match tried {
            Ok(true) => Some(path),
            Ok(false) => {
                self.error(format!("{} is not a file", path.display()));
                None
            }
            Err(e) => {
                self.unreadable(&path, &e);
                None
            }
        }
    }

    /// Says that a file cannot be read.
    pub fn unreadable(&self, path: &Path, error: &std::io::Error) {
        self.reading.failed(error);
        self.error(format!("cannot read {}: {error}", path.display()));
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

    /// A field that says something; that one is `null` is an error already, or it is asked for by [`Fields::nullable`].
    pub fn get(&self, name: &str) -> Option<Node<'t>> {
        self.nullable(name).filter(|node| !node.is_null())
    }

    /// A field that must be there.
    pub fn required(&self, name: &str) -> Option<Node<'t>> {
        let node = self.nullable(name);
        if node.is_none() {
            self.node.error(format!("{name} is missing"));
        }
        node.filter(|node| !node.is_null())
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
