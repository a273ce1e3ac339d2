//! Patterns: `*`, `?` and `${variables}`, matched without allocation unless there is a variable.
//!
//! `*` takes any run, `/` and nothing included; `?` takes one character. What a variable stands for is literal text.

use std::borrow::Cow;

use super::evaluate::{Context, Found};
use super::key::{Key, KeyType, NotKnown};
use crate::s3::Action;

/// A text in up to two parts with a `/` between them, so that bucket and key need not be joined.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    head: &'a [u8],
    tail: Option<&'a [u8]>,
}

impl<'a> Subject<'a> {
    /// One text.
    #[must_use]
    pub fn text(text: &'a [u8]) -> Self {
        Self {
            head: text,
            tail: None,
        }
    }

    /// `head/tail`
    #[must_use]
    pub fn pair(head: &'a [u8], tail: &'a [u8]) -> Self {
        Self {
            head,
            tail: Some(tail),
        }
    }

    fn len(&self) -> usize {
        self.head.len() + self.tail.map_or(0, |t| t.len() + 1)
    }

    fn at(&self, index: usize) -> Option<u8> {
        match index.checked_sub(self.head.len()) {
            None => self.head.get(index).copied(),
            Some(over) => {
                let tail = self.tail?;
                if over == 0 {
                    Some(b'/')
                } else {
                    tail.get(over - 1).copied()
                }
            }
        }
    }

    fn has(&self, at: usize, text: &[u8]) -> bool {
        let end = at + text.len();
        if end <= self.head.len() {
            return self.head.get(at..end) == Some(text);
        }
        let Some(tail) = self.tail else { return false };
        if let Some(start) = at.checked_sub(self.head.len() + 1) {
            return tail.get(start..start + text.len()) == Some(text);
        }
        // It spans the slash: comparisons of slices, not one of each byte. Past the head, it starts with the slash.
        let head = self.head.get(at..).unwrap_or_default();
        text.strip_prefix(head)
            .and_then(|t| t.strip_prefix(b"/"))
            .is_some_and(|t| tail.starts_with(t))
    }

    /// The length of the character at `at`: one byte where it is no UTF-8.
    fn step(&self, at: usize) -> usize {
        let want = match self.at(at) {
            Some(0xc2..=0xdf) => 2,
            Some(0xe0..=0xef) => 3,
            Some(0xf0..=0xf4) => 4,
            _ => return 1,
        };
        let whole = (1..want).all(|i| self.at(at + i).is_some_and(|b| b & 0xc0 == 0x80));
        if whole { want } else { 1 }
    }
}

/// A part of a pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Literal(Box<[u8]>),
    One,
    Any,
    Variable {
        key: Key,
        carried: super::action_set::ActionSet,
        default: Option<Box<str>>,
    },
}

/// A compiled pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    pieces: Box<[Piece]>,
    variables: bool,
}

/// What of the pattern syntax counts.
#[derive(Debug, Clone, Copy)]
pub struct Syntax {
    /// `*` and `?` are wildcards.
    pub wildcards: bool,
    /// `${...}` is a variable (Version 2012-10-17).
    pub variables: bool,
    /// Keys that only AWS can know are accepted, for recorded cases.
    pub recorded: bool,
}

/// Why a pattern cannot be compiled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PatternError {
    /// `${` without its `}`, or a default without its quotes.
    Syntax,
    /// A variable of many values.
    ManyValues(String),
    /// A variable that is no key.
    Key(String, NotKnown),
}

/// The answer of a match.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Matched {
    /// It fits.
    Yes,
    /// It does not.
    No,
    /// It depends on a value that cannot be known.
    Unknown,
}

impl From<bool> for Matched {
    fn from(yes: bool) -> Self {
        if yes { Self::Yes } else { Self::No }
    }
}

/// Splits a pattern into its first five `:`-separated parts and the rest; a `:` inside `${...}` does not count.
#[must_use]
pub fn split_arn(text: &str) -> Option<[&str; 6]> {
    let mut out = [""; 6];
    let (mut part, mut start, mut at) = (0, 0, 0);
    let bytes = text.as_bytes();
    while at < bytes.len() && part < 5 {
        if bytes[at..].starts_with(b"${") {
            at += text[at..].find('}')?;
        } else if bytes[at] == b':' {
            out[part] = &text[start..at];
            part += 1;
            start = at + 1;
        }
        at += 1;
    }
    out[part] = &text[start..];
    (part == 5).then_some(out)
}

/// As [`split_arn`], for an ARN that is no pattern.
#[must_use]
pub fn split_value(text: &str) -> Option<[&str; 6]> {
    let mut parts = text.splitn(6, ':');
    let mut out = [""; 6];
    for part in &mut out {
        *part = parts.next()?;
    }
    Some(out)
}

impl Pattern {
    /// Compiles a pattern.
    ///
    /// # Errors
    /// [`PatternError`] for a variable that is malformed or not usable.
    pub fn compile(text: &str, syntax: Syntax) -> Result<Self, PatternError> {
        let mut pieces = Vec::new();
        let mut literal: Vec<u8> = Vec::new();
        let mut variables = false;
        let mut rest = text;
        while let Some(c) = rest.chars().next() {
            if syntax.variables
                && let Some(inner) = rest.strip_prefix("${")
            {
                let end = inner.find('}').ok_or(PatternError::Syntax)?;
                let name = inner[..end].trim();
                rest = &inner[end + 1..];
                if let "*" | "?" | "$" = name {
                    literal.extend_from_slice(name.as_bytes());
                    continue;
                }
                flush(&mut pieces, &mut literal);
                pieces.push(variable(name, syntax)?);
                variables = true;
                continue;
            }
            rest = &rest[c.len_utf8()..];
            match c {
                '*' if syntax.wildcards => {
                    flush(&mut pieces, &mut literal);
                    if pieces.last() != Some(&Piece::Any) {
                        pieces.push(Piece::Any);
                    }
                }
                '?' if syntax.wildcards => {
                    flush(&mut pieces, &mut literal);
                    pieces.push(Piece::One);
                }
                c => literal.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
        flush(&mut pieces, &mut literal);
        Ok(Self {
            pieces: pieces.into(),
            variables,
        })
    }

    /// Whether the answer depends on the request's facts.
    #[must_use]
    pub fn has_variables(&self) -> bool {
        self.variables
    }

    /// Whether the pattern stands for any text at all.
    #[must_use]
    pub fn is_any(&self) -> bool {
        *self.pieces == [Piece::Any]
    }

    /// Matches a subject whole, case-sensitively.
    pub fn matches<C: Context + ?Sized>(
        &self,
        subject: Subject<'_>,
        action: Action,
        context: &C,
    ) -> Matched {
        // The parts of ARNs are mostly these two.
        match (&*self.pieces, subject.tail) {
            ([Piece::Any], _) => return Matched::Yes,
            ([Piece::Literal(text)], None) => return (**text == *subject.head).into(),
            _ => {}
        }
        if !self.variables {
            return glob(&self.pieces, subject).into();
        }
        match self.resolve(action, context) {
            Ok(pieces) => glob(&pieces, subject).into(),
            Err(m) => m,
        }
    }

    /// Compares with a text without regard to case; the pattern has no wildcards.
    pub fn equals_ignoring_case<C: Context + ?Sized>(
        &self,
        text: &str,
        action: Action,
        context: &C,
    ) -> Matched {
        let resolved;
        let pieces = if self.variables {
            match self.resolve(action, context) {
                Ok(pieces) => {
                    resolved = pieces;
                    resolved.as_slice()
                }
                Err(m) => return m,
            }
        } else {
            &*self.pieces
        };
        let own: Cow<'_, [u8]> = match pieces {
            [] => Cow::Borrowed(b""),
            [Piece::Literal(one)] => Cow::Borrowed(one),
            many => Cow::Owned(
                many.iter()
                    .flat_map(|p| {
                        if let Piece::Literal(l) = p {
                            l.to_vec()
                        } else {
                            Vec::new()
                        }
                    })
                    .collect(),
            ),
        };
        if own.is_ascii() && text.is_ascii() {
            return own.eq_ignore_ascii_case(text.as_bytes()).into();
        }
        (String::from_utf8_lossy(&own).to_lowercase() == text.to_lowercase()).into()
    }

    fn resolve<C: Context + ?Sized>(
        &self,
        action: Action,
        context: &C,
    ) -> Result<Vec<Piece>, Matched> {
        let mut out = Vec::with_capacity(self.pieces.len());
        for piece in &self.pieces {
            let Piece::Variable {
                key,
                carried,
                default,
            } = piece
            else {
                out.push(piece.clone());
                continue;
            };
            let found = if carried.contains(action) {
                context.value(action, key)
            } else {
                Found::Absent
            };
            let text = match (found, default) {
                (Found::One(value), _) => value.text().into_owned(),
                (Found::Absent, Some(default)) => default.to_string(),
                (Found::Absent, None) => return Err(Matched::No),
                (Found::Many(_) | Found::Unknown | Found::Inherited, _) => {
                    return Err(Matched::Unknown);
                }
            };
            out.push(Piece::Literal(text.into_bytes().into()));
        }
        Ok(out)
    }
}

fn flush(pieces: &mut Vec<Piece>, literal: &mut Vec<u8>) {
    if !literal.is_empty() {
        pieces.push(Piece::Literal(std::mem::take(literal).into()));
    }
}

fn variable(inner: &str, syntax: Syntax) -> Result<Piece, PatternError> {
    let (name, default) = match inner.split_once(',') {
        None => (inner, None),
        Some((name, default)) => {
            let default = default
                .trim()
                .strip_prefix('\'')
                .and_then(|d| d.strip_suffix('\''))
                .ok_or(PatternError::Syntax)?;
            (name.trim_end(), Some(default.into()))
        }
    };
    let key = if syntax.recorded {
        Key::parse_recorded(name)
    } else {
        Key::parse(name)
    }
    .map_err(|why| PatternError::Key(name.to_owned(), why))?;
    if key.kind() == KeyType::Strings {
        return Err(PatternError::ManyValues(name.to_owned()));
    }
    let carried = super::action_set::ActionSet::carrying(&key);
    Ok(Piece::Variable {
        key,
        carried,
        default,
    })
}

/// Greedy matching with one point to return to: the last `*`. Linear in practice, quadratic at worst.
fn glob(pieces: &[Piece], subject: Subject<'_>) -> bool {
    let (mut at, mut piece) = (0, 0);
    let mut back: Option<(usize, usize)> = None;
    let len = subject.len();
    loop {
        let forward = match pieces.get(piece) {
            None if at == len => return true,
            Some(Piece::Any) => {
                if piece + 1 == pieces.len() {
                    return true;
                }
                back = Some((piece, at));
                piece += 1;
                continue;
            }
            Some(Piece::One) if at < len => Some(at + subject.step(at)),
            Some(Piece::Literal(text)) if subject.has(at, text) => Some(at + text.len()),
            None | Some(_) => None,
        };
        if let Some(next) = forward {
            at = next;
            piece += 1;
            continue;
        }
        match back {
            Some((star, from)) if from < len => {
                let mut from = from + subject.step(from);
                if let Some(Piece::Literal(text)) = pieces.get(star + 1) {
                    // Nothing can fit before the next byte that the literal begins with.
                    while from < len && subject.at(from) != text.first().copied() {
                        from += 1;
                    }
                }
                back = Some((star, from));
                at = from;
                piece = star + 1;
            }
            _ => return false,
        }
    }
}

#[cfg(test)]
#[path = "pattern_tests.rs"]
mod tests;
