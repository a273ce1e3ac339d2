//! All the ways in which a text can fit or not fit a list of patterns, each with a shortest text that does so.
//!
//! The patterns are run together as one automaton: two texts that fit the same patterns are the same to a policy, so one
//! witness for each reachable combination stands for all texts.

use std::collections::{HashMap, HashSet, VecDeque};

/// How many states the joint automaton may have.
const MAX_STATES: usize = 60_000;

/// One step of a pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Char(char),
    Folded(char),
    /// `?`; within the first five parts of an ARN it takes no `:`.
    One {
        colon: bool,
    },
    /// `*`; likewise.
    Run {
        colon: bool,
    },
}

impl Step {
    fn takes(self, c: char) -> bool {
        match self {
            Self::Char(own) => own == c,
            Self::Folded(own) => own.eq_ignore_ascii_case(&c),
            Self::One { colon } | Self::Run { colon } => colon || c != ':',
        }
    }
}

/// A pattern as a condition operator reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Glob(Vec<Step>);

impl Glob {
    /// The text itself.
    pub fn exact(text: &str) -> Self {
        Self(text.chars().map(Step::Char).collect())
    }

    /// The text in any case.
    pub fn folded(text: &str) -> Self {
        Self(text.chars().map(Step::Folded).collect())
    }

    /// `*` and `?` are wildcards; with `escapes`, `${*}`, `${?}` and `${$}` are the characters.
    pub fn like(text: &str, escapes: bool) -> Self {
        let mut steps = Vec::new();
        wild(text, escapes, true, &mut steps);
        Self(steps)
    }

    /// The pattern behind a text that stands before it.
    pub fn after(&self, before: &str) -> Self {
        Self(
            before
                .chars()
                .map(Step::Char)
                .chain(self.0.iter().copied())
                .collect(),
        )
    }

    /// Each of an ARN's six parts by itself.
    pub fn arn(text: &str, escapes: bool) -> Option<Self> {
        if text == "*" {
            return Some(Self::like("*", escapes));
        }
        let parts: Vec<&str> = text.splitn(6, ':').collect();
        if parts.len() < 6 {
            return None;
        }
        let mut steps = Vec::new();
        for (at, part) in parts.iter().enumerate() {
            if at > 0 {
                steps.push(Step::Char(':'));
            }
            wild(part, escapes, at == 5, &mut steps);
        }
        Some(Self(steps))
    }
}

fn wild(text: &str, escapes: bool, colon: bool, steps: &mut Vec<Step>) {
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        if escapes
            && let Some(literal) = ["${*}", "${?}", "${$}"]
                .into_iter()
                .find(|escape| rest.starts_with(escape))
        {
            steps.extend(literal.chars().nth(2).map(Step::Char));
            rest = rest.get(literal.len()..).unwrap_or_default();
            continue;
        }
        steps.push(match c {
            '*' => Step::Run { colon },
            '?' => Step::One { colon },
            c => Step::Char(c),
        });
        rest = rest.get(c.len_utf8()..).unwrap_or_default();
    }
}

/// Which texts can stand where the witnesses are to stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// A header's value: no control characters, no space at either end.
    Header,
    /// `bucket/key`
    Object,
    /// Anything but control characters.
    Text,
}

impl Shape {
    fn step(self, state: u8, c: char) -> Option<u8> {
        if c.is_control() {
            return None;
        }
        match self {
            Self::Text => Some(0),
            Self::Header => match (state, c) {
                (0, ' ') => None,
                (_, ' ') => Some(2),
                _ => Some(1),
            },
            Self::Object => match state {
                0 => c.is_ascii_alphanumeric().then_some(1),
                1 if c == '/' => Some(2),
                1 => (c.is_ascii_alphanumeric() || ".-_".contains(c)).then_some(1),
                _ => Some(3),
            },
        }
    }

    fn accepts(self, state: u8) -> bool {
        match self {
            Self::Text => true,
            Self::Header => state != 2,
            Self::Object => state == 3,
        }
    }
}

/// One class: which patterns its texts fit, and one of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Class {
    pub fits: Vec<bool>,
    pub witness: String,
}

/// Where each pattern stands: the set of its positions.
type Positions = Vec<Vec<u16>>;

/// Every class of texts of this shape; `None` where there are too many states to be sure.
pub(super) fn classes(globs: &[Glob], shape: Shape) -> Option<Vec<Class>> {
    if globs
        .iter()
        .any(|glob| glob.0.len() > usize::from(u16::MAX) - 2)
    {
        return None;
    }
    let alphabet = alphabet(globs)?;
    let start: Positions = globs.iter().map(|glob| close(glob, vec![0])).collect();
    let mut seen: HashSet<(u8, Positions)> = HashSet::new();
    let mut queue = VecDeque::new();
    let mut found: HashMap<Vec<bool>, String> = HashMap::new();
    let mut order: Vec<Vec<bool>> = Vec::new();
    seen.insert((0, start.clone()));
    queue.push_back((0_u8, start, String::new()));
    while let Some((state, positions, text)) = queue.pop_front() {
        if shape.accepts(state) {
            let fits: Vec<bool> = globs
                .iter()
                .zip(&positions)
                .map(|(glob, at)| at.iter().any(|p| usize::from(*p) == glob.0.len()))
                .collect();
            match found.get(&fits) {
                // A text is easier to use than none, where it makes no difference.
                Some(before) if !before.is_empty() || text.is_empty() => {}
                Some(_) => {
                    found.insert(fits, text.clone());
                }
                None => {
                    order.push(fits.clone());
                    found.insert(fits, text.clone());
                }
            }
        }
        for c in &alphabet {
            let Some(next_state) = shape.step(state, *c) else {
                continue;
            };
            let next: Positions = globs
                .iter()
                .zip(&positions)
                .map(|(glob, at)| advance(glob, at, *c))
                .collect();
            // The empty text has a state of its own, so that a class it is in gets another witness too.
            let key = (next_state, next);
            if text.is_empty() || !seen.contains(&key) {
                if seen.len() >= MAX_STATES {
                    return None;
                }
                let fresh = seen.insert(key.clone());
                if fresh || text.is_empty() {
                    queue.push_back((key.0, key.1, format!("{text}{c}")));
                }
            }
        }
    }
    Some(
        order
            .into_iter()
            .filter_map(|fits| {
                found
                    .get(&fits)
                    .cloned()
                    .map(|witness| Class { fits, witness })
            })
            .collect(),
    )
}

fn alphabet(globs: &[Glob]) -> Option<Vec<char>> {
    let mut out: Vec<char> = Vec::new();
    for step in globs.iter().flat_map(|glob| &glob.0) {
        match step {
            Step::Char(c) => out.push(*c),
            Step::Folded(c) => out.extend([c.to_ascii_lowercase(), c.to_ascii_uppercase()]),
            Step::One { .. } | Step::Run { .. } => {}
        }
    }
    out.extend([':', '/']);
    out.sort_unstable();
    out.dedup();
    // One character that no pattern names stands for all others; it comes first, so that witnesses are plain.
    let fresh = ['x', 'o', 'k']
        .into_iter()
        .chain('a'..='z')
        .chain('A'..='Z')
        .chain('0'..='9')
        .find(|c| !out.contains(c))?;
    out.insert(0, fresh);
    Some(out)
}

/// The positions reachable without a character: `*` may take nothing.
fn close(glob: &Glob, mut at: Vec<u16>) -> Vec<u16> {
    let mut index = 0;
    while let Some(p) = at.get(index).copied() {
        if matches!(glob.0.get(usize::from(p)), Some(Step::Run { .. })) && !at.contains(&(p + 1)) {
            at.push(p + 1);
        }
        index += 1;
    }
    at.sort_unstable();
    at.dedup();
    at
}

fn advance(glob: &Glob, at: &[u16], c: char) -> Vec<u16> {
    let mut next = Vec::with_capacity(at.len());
    for p in at {
        match glob.0.get(usize::from(*p)) {
            Some(step @ Step::Run { .. }) if step.takes(c) => next.push(*p),
            Some(Step::Run { .. }) | None => {}
            Some(step) if step.takes(c) => next.push(p + 1),
            Some(_) => {}
        }
    }
    next.sort_unstable();
    next.dedup();
    close(glob, next)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn fits(globs: &[Glob], shape: Shape) -> Vec<(Vec<bool>, String)> {
        let mut found: Vec<_> = classes(globs, shape)
            .unwrap()
            .into_iter()
            .map(|c| (c.fits, c.witness))
            .collect();
        found.sort();
        found
    }

    #[test]
    fn every_combination_that_can_be() {
        let found = fits(
            &[Glob::exact("AES256"), Glob::like("aws:kms*", true)],
            Shape::Header,
        );
        assert_eq!(found.len(), 3);
        assert_eq!(found[1], (vec![false, true], "aws:kms".to_owned()));
        assert_eq!(found[2], (vec![true, false], "AES256".to_owned()));
        assert!(!found[0].1.is_empty());

        let found = fits(
            &[Glob::like("b/a/*", true), Glob::like("b/*", true)],
            Shape::Object,
        );
        assert_eq!(
            found.iter().map(|(f, _)| f.clone()).collect::<Vec<_>>(),
            [vec![false, false], vec![false, true], vec![true, true]]
        );
        // Nothing but the empty text fits nothing here.
        assert_eq!(
            fits(&[Glob::like("?*", true)], Shape::Text),
            [(vec![false], String::new()), (vec![true], "x".to_owned())]
        );
        assert_eq!(
            fits(&[Glob::like("*", true)], Shape::Text),
            [(vec![true], "x".to_owned())]
        );
    }

    #[test]
    fn arns_part_by_part() {
        let arn = Glob::arn("arn:aws:kms:*:1:key/*", true).unwrap();
        let found = fits(std::slice::from_ref(&arn), Shape::Header);
        assert_eq!(found[1].1, "arn:aws:kms::1:key/");
        // `*` of a part takes no colon.
        let longer = Glob::exact("arn:aws:kms:a:b:1:key/k");
        assert!(
            !classes(&[arn, longer], Shape::Header)
                .unwrap()
                .iter()
                .any(|c| c.fits == [true, true])
        );
        assert!(Glob::arn("alias/a", true).is_none());
    }

    #[test]
    fn escapes_and_case() {
        let found = fits(&[Glob::like("a${*}b", true)], Shape::Text);
        assert_eq!(found[1].1, "a*b");
        let found = fits(&[Glob::folded("aB"), Glob::exact("Ab")], Shape::Text);
        assert_eq!(found.len(), 3);
        assert_eq!(found[2].1, "Ab");
    }
}
