//! A YAML document as a tree that forgets nothing, and the line of each of its nodes.
//!
//! `serde_yaml` tells positions only in errors. So the line of a node is found by reading the text again
//! down to that node and failing there: it costs time, for the few nodes alone whose line [`Place`](super::places::Place) cannot tell.

use std::fmt;

use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, Error, IgnoredAny, MapAccess, SeqAccess, Visitor,
};

/// A node. Maps keep their order and their duplicates: who reads them refuses the latter.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// `null`, `~`, or nothing.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number, in its plainest decimal form. Where it is written in another it becomes a text (`places`).
    Number(String),
    /// Anything else without children.
    Text(String),
    /// A sequence.
    List(Vec<Value>),
    /// A mapping.
    Map(Vec<(String, Value)>),
}

impl Value {
    /// All texts in it.
    pub fn texts(&self, each: &mut impl FnMut(&str)) {
        match self {
            Self::Text(text) => each(text),
            Self::List(items) => items.iter().for_each(|item| item.texts(each)),
            Self::Map(entries) => entries.iter().for_each(|(_, value)| value.texts(each)),
            Self::Null | Self::Bool(_) | Self::Number(_) => {}
        }
    }

    /// What it is, for messages.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Null => "nothing",
            Self::Bool(_) => "a boolean",
            Self::Number(_) => "a number",
            Self::Text(_) => "a text",
            Self::List(_) => "a list",
            Self::Map(_) => "a map",
        }
    }

    /// The same as JSON text; duplicates stay, so that whoever parses it can refuse them.
    pub fn to_json(&self) -> String {
        let mut out = String::new();
        self.write_json(&mut out);
        out
    }

    fn write_json(&self, out: &mut String) {
        match self {
            Self::Null => out.push_str("null"),
            Self::Bool(b) => out.push_str(if *b { "true" } else { "false" }),
            Self::Number(n) => out.push_str(n),
            Self::Text(t) => quote(t, out),
            Self::List(items) => {
                out.push('[');
                for (i, item) in items.iter().enumerate() {
                    if i > 0 {
                        out.push(',');
                    }
                    item.write_json(out);
                }
                out.push(']');
            }
            Self::Map(entries) => {
                out.push('{');
                for (i, (key, value)) in entries.iter().enumerate() {
                    if i > 0 {
                        out.push(',');
                    }
                    quote(key, out);
                    out.push(':');
                    value.write_json(out);
                }
                out.push('}');
            }
        }
    }
}

/// A text as a JSON string.
fn quote(text: &str, out: &mut String) {
    out.push_str(&serde_json::Value::from(text).to_string());
}

/// A text that is not one YAML document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyntaxError {
    /// The line, from 1.
    pub line: Option<usize>,
    /// What is wrong.
    pub message: String,
}

/// Reads one document; an empty text is `Null`.
pub fn parse(text: &str) -> Result<Value, SyntaxError> {
    let mut documents = serde_yaml::Deserializer::from_str(text);
    let Some(first) = documents.next() else {
        return Ok(Value::Null);
    };
    let value = Tree.deserialize(first).map_err(|e| syntax(&e))?;
    if documents.next().is_some() {
        return Err(SyntaxError {
            line: None,
            message: "more than one document (a second \"---\"): a configuration is one".into(),
        });
    }
    Ok(value)
}

fn syntax(error: &serde_yaml::Error) -> SyntaxError {
    let line = error.location().map(|at| at.line());
    let message = error.to_string();
    // The line is told apart; the library's own tail would repeat it.
    let message = match message.rfind(" at line ") {
        Some(end) => message.get(..end).unwrap_or(&message).to_owned(),
        None => message,
    };
    SyntaxError { line, message }
}

/// The line, from 1, of the node that the steps lead to: at each, the number of an entry or item.
/// For an entry of a map it is the line of its name.
pub fn line(text: &str, steps: &[usize]) -> Option<usize> {
    let document = serde_yaml::Deserializer::from_str(text).next()?;
    let error = Probe { steps }.deserialize(document).err()?;
    Some(error.location()?.line())
}

struct Tree;

impl<'de> DeserializeSeed<'de> for Tree {
    type Value = Value;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Tree {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("YAML")
    }
    fn visit_bool<E>(self, v: bool) -> Result<Value, E> {
        Ok(Value::Bool(v))
    }
    fn visit_i64<E>(self, v: i64) -> Result<Value, E> {
        Ok(Value::Number(v.to_string()))
    }
    fn visit_u64<E>(self, v: u64) -> Result<Value, E> {
        Ok(Value::Number(v.to_string()))
    }
    fn visit_i128<E>(self, v: i128) -> Result<Value, E> {
        Ok(Value::Number(v.to_string()))
    }
    fn visit_u128<E>(self, v: u128) -> Result<Value, E> {
        Ok(Value::Number(v.to_string()))
    }
    fn visit_f64<E: Error>(self, v: f64) -> Result<Value, E> {
        if v.is_finite() {
            Ok(Value::Number(v.to_string()))
        } else {
            Err(E::custom("a number that is not finite"))
        }
    }
    fn visit_str<E>(self, v: &str) -> Result<Value, E> {
        Ok(Value::Text(v.to_owned()))
    }
    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }
    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element_seed(Tree)? {
            items.push(item);
        }
        Ok(Value::List(items))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut entries = Vec::new();
        while let Some(key) = map.next_key_seed(Tree)? {
            let key = match key {
                Value::Text(t) | Value::Number(t) => t,
                Value::Bool(b) => b.to_string(),
                other => {
                    return Err(A::Error::custom(format!(
                        "the name of a field is {}, not a text",
                        other.kind()
                    )));
                }
            };
            entries.push((key, map.next_value_seed(Tree)?));
        }
        Ok(Value::Map(entries))
    }
    fn visit_enum<A: EnumAccess<'de>>(self, _: A) -> Result<Value, A::Error> {
        Err(A::Error::custom("tags (!name) mean nothing here"))
    }
}

/// Walks to a node and fails there, so that the error bears the node's position.
struct Probe<'s> {
    steps: &'s [usize],
}

/// Fails on whatever it meets.
struct Here;

impl<'de> DeserializeSeed<'de> for Here {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        Probe { steps: &[] }.deserialize(deserializer)
    }
}

impl<'de> DeserializeSeed<'de> for Probe<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Probe<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a node further down")
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let Some((&step, steps)) = self.steps.split_first() else {
            return Err(A::Error::custom("here"));
        };
        for _ in 0..step {
            seq.next_element::<IgnoredAny>()?;
        }
        seq.next_element_seed(Probe { steps })?;
        Ok(())
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Some((&step, steps)) = self.steps.split_first() else {
            return Err(A::Error::custom("here"));
        };
        for _ in 0..step {
            map.next_entry::<IgnoredAny, IgnoredAny>()?;
        }
        if steps.is_empty() {
            map.next_key_seed(Here)?;
        } else {
            map.next_key::<IgnoredAny>()?;
            map.next_value_seed(Probe { steps })?;
        }
        Ok(())
    }
    // Scalars: the default methods fail with "invalid type", which bears the position just as well.
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const TEXT: &str =
        "# one\na: 1\nb:\n  - x\n  - y: {z: true,\n       w: null}\nc: &anchor\n  d: 'e'\nf: 1.2\n";

    #[test]
    fn reads() {
        assert_eq!(
            parse(TEXT).unwrap().to_json(),
            r#"{"a":1,"b":["x",{"y":{"z":true,"w":null}}],"c":{"d":"e"},"f":1.2}"#
        );
        assert_eq!(parse("").unwrap(), Value::Null);
        assert_eq!(parse("# only words\n").unwrap(), Value::Null);
        assert_eq!(parse("a: 1\na: 2").unwrap().to_json(), r#"{"a":1,"a":2}"#);
    }

    #[test]
    fn lines() {
        for (steps, expect) in [
            (&[0][..], 2),
            (&[1], 3),
            (&[1, 0], 4),
            (&[1, 1], 5),
            (&[1, 1, 0], 5),
            (&[1, 1, 0, 1], 6),
            (&[2, 0], 8),
            (&[3], 9),
        ] {
            assert_eq!(line(TEXT, steps), Some(expect), "{steps:?}");
        }
    }

    #[test]
    fn refuses() {
        assert_eq!(parse("a: [1\nb: 2").unwrap_err().line, Some(2));
        assert!(parse("a: !tag b").unwrap_err().message.contains("tags"));
        assert!(
            parse("a: 1\n---\nb: 2")
                .unwrap_err()
                .message
                .contains("one")
        );
        assert!(parse("[a]: 1").is_err());
        assert!(parse("a: .inf").is_err());
    }
}
