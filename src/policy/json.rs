//! A strict JSON reader (RFC 8259) that keeps what `serde_json` throws away: the line of every value, the text of
//! every number, and duplicate names (which are refused, as AWS does: a reader that keeps the last one would read
//! another policy than AWS).

use thiserror::Error;

/// How deep arrays and objects may nest; a policy needs six.
const MAX_DEPTH: usize = 64;

/// A JSON value and the line (from 1) on which it starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Line of the value's first byte, from 1.
    pub line: u32,
    /// The value.
    pub value: Json,
}

/// A member of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// The decoded name.
    pub name: String,
    /// Line of the name, from 1.
    pub line: u32,
    /// The value.
    pub node: Node,
}

/// A JSON value; numbers stay text, so that `1.20` and 30-digit integers survive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Json {
    /// `null`
    Null,
    /// `true`, `false`
    Bool(bool),
    /// A number, as written.
    Number(String),
    /// A string, decoded.
    String(String),
    /// An array.
    Array(Vec<Node>),
    /// An object in the order written; names are unique.
    Object(Vec<Member>),
}

/// Why a text is not acceptable JSON.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum JsonError {
    /// Not JSON.
    #[error("line {line}, column {column}: {what}")]
    Syntax {
        /// From 1.
        line: u32,
        /// From 1, in bytes.
        column: u32,
        /// What was expected or found.
        what: &'static str,
    },
    /// The same name twice in one object.
    #[error(
        "line {line}: `{name}` stands twice in the same object; JSON readers differ on which one counts, so keep one"
    )]
    Duplicate {
        /// Line of the second.
        line: u32,
        /// The name.
        name: String,
    },
}

impl JsonError {
    /// The line (from 1) where it was noticed.
    #[must_use]
    pub fn line(&self) -> u32 {
        match self {
            Self::Syntax { line, .. } | Self::Duplicate { line, .. } => *line,
        }
    }
}

impl Node {
    /// The member of this name, if this is an object that has it.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Node> {
        self.members()?
            .iter()
            .find(|m| m.name == name)
            .map(|m| &m.node)
    }

    /// The members, if this is an object.
    #[must_use]
    pub fn members(&self) -> Option<&[Member]> {
        match &self.value {
            Json::Object(m) => Some(m),
            _ => None,
        }
    }

    /// The elements, if this is an array.
    #[must_use]
    pub fn elements(&self) -> Option<&[Node]> {
        match &self.value {
            Json::Array(a) => Some(a),
            _ => None,
        }
    }

    /// The text, if this is a string.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        match &self.value {
            Json::String(s) => Some(s),
            _ => None,
        }
    }

    /// The text of a string, number or boolean.
    #[must_use]
    pub fn scalar(&self) -> Option<&str> {
        match &self.value {
            Json::String(s) | Json::Number(s) => Some(s),
            Json::Bool(true) => Some("true"),
            Json::Bool(false) => Some("false"),
            _ => None,
        }
    }

    /// `true` for `null`.
    #[must_use]
    pub fn is_null(&self) -> bool {
        self.value == Json::Null
    }
}

/// Reads one JSON text.
///
/// # Errors
/// [`JsonError`] at the first byte that is not JSON, or at the second of two equal names.
pub fn parse(text: &str) -> Result<Node, JsonError> {
    let mut r = Reader {
        text,
        bytes: text.as_bytes(),
        at: 0,
        line: 1,
        line_start: 0,
    };
    r.space();
    let node = r.value(0)?;
    r.space();
    if r.at < r.bytes.len() {
        return Err(r.err("nothing may follow the value"));
    }
    Ok(node)
}

struct Reader<'a> {
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
    line: u32,
    line_start: usize,
}

impl Reader<'_> {
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn err(&self, what: &'static str) -> JsonError {
        let column = u32::try_from(self.at - self.line_start + 1).unwrap_or(u32::MAX);
        JsonError::Syntax {
            line: self.line,
            column,
            what,
        }
    }

    fn space(&mut self) {
        while let Some(b) = self.peek() {
            match b {
                b'\n' => {
                    self.at += 1;
                    self.line += 1;
                    self.line_start = self.at;
                }
                b' ' | b'\t' | b'\r' => self.at += 1,
                _ => break,
            }
        }
    }

    fn eat(&mut self, byte: u8) -> bool {
        let hit = self.peek() == Some(byte);
        if hit {
            self.at += 1;
        }
        hit
    }

    fn word(&mut self, word: &str) -> bool {
        let hit = self.bytes[self.at..].starts_with(word.as_bytes());
        if hit {
            self.at += word.len();
        }
        hit
    }

    fn value(&mut self, depth: usize) -> Result<Node, JsonError> {
        if depth > MAX_DEPTH {
            return Err(self.err("nested too deep"));
        }
        let line = self.line;
        let value =
            match self.peek() {
                Some(b'{') => self.object(depth)?,
                Some(b'[') => self.array(depth)?,
                Some(b'"') => Json::String(self.string()?),
                Some(b'-' | b'0'..=b'9') => Json::Number(self.number()?),
                _ if self.word("true") => Json::Bool(true),
                _ if self.word("false") => Json::Bool(false),
                _ if self.word("null") => Json::Null,
                None => return Err(self.err("the text ends where a value is expected")),
                Some(_) => return Err(self.err(
                    "a value is expected: an object, array, string, number, true, false or null",
                )),
            };
        Ok(Node { line, value })
    }

    fn object(&mut self, depth: usize) -> Result<Json, JsonError> {
        self.at += 1;
        let mut members: Vec<Member> = Vec::new();
        self.space();
        if self.eat(b'}') {
            return Ok(Json::Object(members));
        }
        loop {
            self.space();
            let line = self.line;
            if self.peek() != Some(b'"') {
                return Err(self.err("a name in double quotes is expected"));
            }
            let name = self.string()?;
            if members.iter().any(|m| m.name == name) {
                return Err(JsonError::Duplicate { line, name });
            }
            self.space();
            if !self.eat(b':') {
                return Err(self.err("`:` is expected after a name"));
            }
            self.space();
            let node = self.value(depth + 1)?;
            members.push(Member { name, line, node });
            self.space();
            if self.eat(b'}') {
                return Ok(Json::Object(members));
            }
            if !self.eat(b',') {
                return Err(self.err("`,` or `}` is expected"));
            }
        }
    }

    fn array(&mut self, depth: usize) -> Result<Json, JsonError> {
        self.at += 1;
        let mut items = Vec::new();
        self.space();
        if self.eat(b']') {
            return Ok(Json::Array(items));
        }
        loop {
            self.space();
            items.push(self.value(depth + 1)?);
            self.space();
            if self.eat(b']') {
                return Ok(Json::Array(items));
            }
            if !self.eat(b',') {
                return Err(self.err("`,` or `]` is expected"));
            }
        }
    }

    fn number(&mut self) -> Result<String, JsonError> {
        let start = self.at;
        self.eat(b'-');
        if self.eat(b'0') {
        } else if self.digits() == 0 {
            return Err(self.err("a digit is expected"));
        }
        if self.eat(b'.') && self.digits() == 0 {
            return Err(self.err("a digit is expected after `.`"));
        }
        if self.eat(b'e') || self.eat(b'E') {
            if !self.eat(b'+') {
                self.eat(b'-');
            }
            if self.digits() == 0 {
                return Err(self.err("a digit is expected in the exponent"));
            }
        }
        Ok(self.text.get(start..self.at).unwrap_or_default().to_owned())
    }

    fn digits(&mut self) -> usize {
        let start = self.at;
        while self.peek().is_some_and(|b| b.is_ascii_digit()) {
            self.at += 1;
        }
        self.at - start
    }

    fn string(&mut self) -> Result<String, JsonError> {
        self.at += 1;
        let mut out = String::new();
        loop {
            let start = self.at;
            while self
                .peek()
                .is_some_and(|b| b != b'"' && b != b'\\' && b >= 0x20)
            {
                self.at += 1;
            }
            // Both ends sit beside ASCII bytes, so the slice is on character boundaries.
            out.push_str(self.text.get(start..self.at).unwrap_or_default());
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(out);
                }
                Some(b'\\') => {
                    self.at += 1;
                    out.push(self.escape()?);
                }
                Some(_) => {
                    return Err(self.err(
                        "a control character (a line break?) inside a string must be escaped",
                    ));
                }
                None => return Err(self.err("the text ends inside a string")),
            }
        }
    }

    fn escape(&mut self) -> Result<char, JsonError> {
        let Some(b) = self.peek() else {
            return Err(self.err("the text ends inside a string"));
        };
        self.at += 1;
        Ok(match b {
            b'"' | b'\\' | b'/' => char::from(b),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                let first = self.hex4()?;
                let code = if (0xd800..0xdc00).contains(&first) {
                    if !self.word("\\u") {
                        return Err(self.err("half of a surrogate pair"));
                    }
                    let second = self.hex4()?;
                    if !(0xdc00..0xe000).contains(&second) {
                        return Err(self.err("half of a surrogate pair"));
                    }
                    0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00)
                } else {
                    first
                };
                char::from_u32(code).ok_or_else(|| self.err("half of a surrogate pair"))?
            }
            _ => {
                return Err(self
                    .err("an unknown escape; JSON has \\\" \\\\ \\/ \\b \\f \\n \\r \\t \\uXXXX"));
            }
        })
    }

    fn hex4(&mut self) -> Result<u32, JsonError> {
        let mut code = 0;
        for _ in 0..4 {
            let digit = self.peek().and_then(|b| char::from(b).to_digit(16));
            let Some(digit) = digit else {
                return Err(self.err("four hexadecimal digits are expected after \\u"));
            };
            code = code * 16 + digit;
            self.at += 1;
        }
        Ok(code)
    }
}

/// Appends `text` as a JSON string, quotes included.
pub fn write_string(out: &mut String, text: &str) {
    use std::fmt::Write as _;
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if u32::from(c) < 0x20 => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn keeps_lines_and_number_text() {
        let n = parse("{\n \"a\": 1.20,\n \"b\": [true, null]}").unwrap();
        assert_eq!(n.get("a").unwrap().scalar(), Some("1.20"));
        assert_eq!(n.get("b").unwrap().line, 3);
    }

    #[test]
    fn refuses_duplicates_at_every_depth() {
        for text in [r#"{"a":1,"a":2}"#, r#"[{"x":{"a":1,"\u0061":2}}]"#] {
            assert!(
                matches!(parse(text), Err(JsonError::Duplicate { .. })),
                "{text}"
            );
        }
    }

    #[test]
    fn agrees_with_serde_json_on_what_is_json() {
        for text in [
            "",
            "{",
            "}",
            "[1,]",
            "{\"a\":}",
            "01",
            "1.",
            "-",
            "1e",
            "\"\\x\"",
            "\"\\ud800\"",
            "\"\\ud83d\\ude00\"",
            "\"a\nb\"",
            "nul",
            "true x",
            "[[]]",
            "{\"a\":[{}]}",
            "-0.5e+10",
            " 1 ",
            "\"\u{e9}\"",
            "'a'",
            "{a:1}",
            "[1 2]",
            "\u{feff}{}",
        ] {
            assert_eq!(
                parse(text).is_ok(),
                serde_json::from_str::<serde_json::Value>(text).is_ok(),
                "{text}"
            );
        }
    }
}
