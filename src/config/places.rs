//! Where the nodes of a tree stand in its text, and how its numbers are written there.
//!
//! `serde_yaml` tells positions only in errors. So the text is walked once more, along the tree: each scalar's visitor
//! takes what is written and fails, the error bears the line, and the walk goes on behind it.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use super::tree::Value;

/// A node's place, and those of its entries or items.
#[derive(Debug, Default)]
pub struct Place {
    /// From 1: that of its name for an entry of a map, else of the first thing in it; `None` for an item that is empty.
    line: Option<usize>,
    inside: Vec<Place>,
}

impl Place {
    /// The places of `value`, which was read from `text`. Numbers whose text is not their plainest become that text: who
    /// wants a text (`0x10` can be an access key) gets what is written, and who wants a number says so.
    pub fn of(text: &str, value: &mut Value) -> Self {
        serde_yaml::Deserializer::from_str(text)
            .next()
            .and_then(|document| Walk(value).deserialize(document).ok())
            .unwrap_or_default()
    }

    /// The line of the node that the steps lead to: at each, the number of an entry or item.
    pub fn line(&self, steps: &[usize]) -> Option<usize> {
        let mut place = self;
        for &step in steps {
            place = place.inside.get(step)?;
        }
        place.line
    }

    fn around(inside: Vec<Place>) -> Self {
        Self {
            line: inside.first().and_then(|first| first.line),
            inside,
        }
    }
}

struct Walk<'v>(&'v mut Value);

impl<'de> DeserializeSeed<'de> for Walk<'_> {
    type Value = Place;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Place, D::Error> {
        match self.0 {
            Value::List(items) => deserializer.deserialize_seq(Items(items)),
            Value::Map(entries) => deserializer.deserialize_map(Entries(entries)),
            scalar => {
                let (line, written) = Scalar.deserialize(deserializer)?;
                if let (Value::Number(number), Some(written)) = (&*scalar, written)
                    && *number != written
                {
                    *scalar = Value::Text(written);
                }
                Ok(Place {
                    line,
                    inside: Vec::new(),
                })
            }
        }
    }
}

struct Items<'v>(&'v mut [Value]);

impl<'de> Visitor<'de> for Items<'_> {
    type Value = Place;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the list that was there")
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Place, A::Error> {
        let mut inside = Vec::with_capacity(self.0.len());
        for item in self.0 {
            let Some(place) = seq.next_element_seed(Walk(item))? else {
                break;
            };
            inside.push(place);
        }
        Ok(Place::around(inside))
    }
}

struct Entries<'v>(&'v mut [(String, Value)]);

impl<'de> Visitor<'de> for Entries<'_> {
    type Value = Place;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the map that was there")
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Place, A::Error> {
        let mut inside = Vec::with_capacity(self.0.len());
        for (_, value) in self.0 {
            let Some((line, _)) = map.next_key_seed(Scalar)? else {
                break;
            };
            let place = map.next_value_seed(Walk(value))?;
            inside.push(Place { line, ..place });
        }
        Ok(Place::around(inside))
    }
}

/// The line of a scalar and what is written there.
struct Scalar;

impl<'de> DeserializeSeed<'de> for Scalar {
    type Value = (Option<usize>, Option<String>);
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        let mut written = None;
        let line = deserializer
            .deserialize_str(Take(&mut written))
            .err()
            .map(|error| line(&error.to_string()));
        Ok((line, written))
    }
}

/// The library's words end in ` at line 3 column 1`; at the very first character it says nothing.
fn line(message: &str) -> usize {
    let at = message.rsplit_once(" at line ").map(|(_, at)| at);
    let digits = at.and_then(|at| at.split(' ').next());
    digits.and_then(|text| text.parse().ok()).unwrap_or(1)
}

struct Take<'w>(&'w mut Option<String>);

impl Visitor<'_> for Take<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a scalar")
    }
    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        *self.0 = Some(text.to_owned());
        Err(E::custom("here"))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::tree;
    use super::*;

    const TEXT: &str = "a: 0x10\nb:\n  - x\n  - y: {z: true,\n       w: null}\n  - {}\nc: &anchor\n  d: 1e10\n  d: 1.50\nf: [1.2, *anchor, 7]\n";

    #[test]
    fn lines() {
        let mut value = tree::parse(TEXT).unwrap();
        let places = Place::of(TEXT, &mut value);
        for (steps, expect) in [
            (&[0][..], Some(1)),
            (&[1], Some(2)),
            (&[1, 0], Some(3)),
            (&[1, 1], Some(4)),
            (&[1, 1, 0], Some(4)),
            (&[1, 1, 0, 1], Some(5)),
            (&[1, 2], None),
            (&[2], Some(7)),
            (&[2, 1], Some(9)),
            (&[3], Some(10)),
            (&[3, 2], Some(10)),
            (&[4], None),
        ] {
            assert_eq!(places.line(steps), expect, "{steps:?}");
        }
    }

    #[test]
    fn numbers_as_written() {
        let mut value = tree::parse(TEXT).unwrap();
        Place::of(TEXT, &mut value);
        assert_eq!(
            value.to_json(),
            r#"{"a":"0x10","b":["x",{"y":{"z":true,"w":null}},{}],"c":{"d":"1e10","d":"1.50"},"f":[1.2,{"d":"1e10","d":"1.50"},7]}"#
        );
    }
}
