//! A bounded, strict reader of XML into a tree of elements and texts.

use quick_xml::Reader;
use quick_xml::events::{BytesRef, BytesStart, Event};

use crate::s3::{ErrorCode, S3Error};

/// Elements within elements.
const MAX_DEPTH: usize = 16;
/// Attributes of an element; nobody reads them.
const MAX_ATTRIBUTES: usize = 32;
/// Elements in a document: six for each of 1000 objects to delete, and some.
const MAX_ELEMENTS: usize = 8192;

/// Why a body is refused; S3's `MalformedXML`, or `EntityTooLarge`; both 400.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum XmlError {
    /// Longer than the limit.
    #[error(
        "The XML you provided is larger than {limit} bytes; send fewer objects in one request."
    )]
    TooLong {
        /// The limit, in bytes.
        limit: usize,
    },
    /// Not the document that S3 publishes for the operation.
    #[error(
        "The XML you provided was not well-formed or did not validate against our published schema. {0}"
    )]
    Malformed(&'static str),
}

impl From<XmlError> for S3Error {
    fn from(error: XmlError) -> Self {
        match error {
            XmlError::TooLong { limit } => Self::new(ErrorCode::EntityTooLarge, error.to_string())
                .with("MaxSizeAllowed", limit.to_string()),
            XmlError::Malformed(_) => Self::new(ErrorCode::MalformedXml, error.to_string()),
        }
    }
}

/// One element: its name without attributes, its children or its text.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Element {
    name: String,
    text: String,
    children: Vec<Element>,
    /// Does the text hold more than white space?
    spoken: bool,
    /// Does the text hold a CR that was not written as a reference?
    raw_cr: bool,
}

impl Element {
    /// Parses a whole document; gives its root.
    ///
    /// # Errors
    /// [`XmlError`] where the body is too long, not well-formed, or can be read in two ways.
    pub fn parse(body: &[u8], limit: usize) -> Result<Self, XmlError> {
        if body.len() > limit {
            return Err(XmlError::TooLong { limit });
        }
        // UTF-8 alone: another encoding is another document.
        let text =
            std::str::from_utf8(body).map_err(|_| XmlError::Malformed("It is not UTF-8."))?;
        Builder::default().run(text.strip_prefix('\u{feff}').unwrap_or(text))
    }

    /// The element's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its text; empty where it has children.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Its children in their order.
    #[must_use]
    pub fn children(&self) -> &[Element] {
        &self.children
    }

    /// The one child of this name, if there.
    ///
    /// # Errors
    /// [`XmlError::Malformed`] where there are two: readers take the first or the last.
    pub fn one(&self, name: &str) -> Result<Option<&Element>, XmlError> {
        let mut found = self.children.iter().filter(|child| child.name == name);
        match (found.next(), found.next()) {
            (_, Some(_)) => Err(XmlError::Malformed(
                "An element that must stand once stands twice.",
            )),
            (one, None) => Ok(one),
        }
    }

    /// The text of the one child of this name, if there.
    ///
    /// # Errors
    /// [`XmlError::Malformed`] where there are two, or where it has children of its own.
    pub fn one_text(&self, name: &str) -> Result<Option<&str>, XmlError> {
        match self.one(name)? {
            Some(child) if !child.children.is_empty() => Err(XmlError::Malformed(
                "An element that holds text has children.",
            )),
            child => Ok(child.map(|child| child.text.as_str())),
        }
    }

    /// Are all children among these names?
    ///
    /// # Errors
    /// [`XmlError::Malformed`] where one is not.
    pub fn only(&self, names: &[&str]) -> Result<(), XmlError> {
        if self
            .children
            .iter()
            .all(|child| names.contains(&child.name.as_str()))
        {
            Ok(())
        } else {
            Err(XmlError::Malformed(
                "It holds an element that does not belong there.",
            ))
        }
    }
}

#[derive(Default)]
struct Builder {
    open: Vec<Element>,
    root: Option<Element>,
    elements: usize,
}

const fn bad<T>(why: &'static str) -> Result<T, XmlError> {
    Err(XmlError::Malformed(why))
}

impl Builder {
    fn run(mut self, text: &str) -> Result<Element, XmlError> {
        let mut reader = Reader::from_str(text);
        reader.config_mut().check_comments = true;
        let mut first = true;
        loop {
            let event = reader
                .read_event()
                .map_err(|_| XmlError::Malformed("It is not well-formed."))?;
            match event {
                Event::Start(start) => self.start(&start)?,
                Event::Empty(start) => {
                    self.start(&start)?;
                    self.end()?;
                }
                Event::End(_) => self.end()?,
                Event::Text(piece) => {
                    let piece = piece
                        .decode()
                        .map_err(|_| XmlError::Malformed("It is not UTF-8."))?;
                    self.text(&piece, true)?;
                }
                Event::CData(piece) => {
                    let piece = piece
                        .decode()
                        .map_err(|_| XmlError::Malformed("It is not UTF-8."))?;
                    self.text(&piece, true)?;
                }
                Event::GeneralRef(name) => {
                    self.text(reference(&name)?.encode_utf8(&mut [0; 4]), false)?;
                }
                Event::Comment(_) => {
                    if self
                        .open
                        .last()
                        .is_some_and(|element| element.children.is_empty())
                    {
                        return bad("A comment stands where a value may be.");
                    }
                }
                Event::Decl(declaration) => {
                    if !first {
                        return bad("The XML declaration is not at its beginning.");
                    }
                    if let Some(encoding) = declaration.encoding() {
                        let encoding = encoding
                            .map_err(|_| XmlError::Malformed("Its declaration cannot be read."))?;
                        if !encoding.eq_ignore_ascii_case(b"utf-8") {
                            return bad("Its declared encoding is not UTF-8.");
                        }
                    }
                }
                Event::DocType(_) => return bad("It has a document type."),
                Event::PI(_) => return bad("It has a processing instruction."),
                Event::Eof => break,
            }
            first = false;
        }
        if !self.open.is_empty() {
            return bad("It ends too early.");
        }
        self.root.ok_or(XmlError::Malformed("It is empty."))
    }

    fn start(&mut self, start: &BytesStart<'_>) -> Result<(), XmlError> {
        self.elements += 1;
        if self.open.len() >= MAX_DEPTH || self.elements > MAX_ELEMENTS {
            return bad("It is too deep or has too many elements.");
        }
        if self.root.is_some() {
            return bad("It has two roots.");
        }
        if let Some(parent) = self.open.last_mut() {
            if parent.spoken {
                return bad("Text stands beside elements.");
            }
            parent.text = String::new();
        }
        for (i, attribute) in start.attributes().enumerate() {
            attribute.map_err(|_| XmlError::Malformed("An attribute cannot be read."))?;
            #[cfg(test)]
            crate::s3::effort::spent(i);
            // Each is compared with all before it.
            if i >= MAX_ATTRIBUTES {
                return bad("An element has too many attributes.");
            }
        }
        let name = std::str::from_utf8(start.name().0)
            .map_err(|_| XmlError::Malformed("It is not UTF-8."))?
            .to_owned();
        if name.is_empty() || name.contains(':') {
            return bad("An element's name has a prefix.");
        }
        self.open.push(Element {
            name,
            ..Element::default()
        });
        Ok(())
    }

    fn end(&mut self) -> Result<(), XmlError> {
        let Some(mut element) = self.open.pop() else {
            return bad("It is not well-formed.");
        };
        if element.children.is_empty() {
            // XML makes LF of a raw CR, not every reader does.
            if element.raw_cr && element.spoken {
                return bad("A value holds a raw carriage return; write it as &#13;.");
            }
        } else {
            element.text = String::new();
        }
        match self.open.last_mut() {
            Some(parent) => parent.children.push(element),
            None => self.root = Some(element),
        }
        Ok(())
    }

    fn text(&mut self, piece: &str, raw: bool) -> Result<(), XmlError> {
        if !piece.chars().all(allowed) {
            return bad("It holds a character that XML 1.0 does not allow.");
        }
        let Some(element) = self.open.last_mut() else {
            return if blank(piece) {
                Ok(())
            } else {
                bad("Text stands outside its root.")
            };
        };
        if !element.children.is_empty() && !blank(piece) {
            return bad("Text stands beside elements.");
        }
        element.raw_cr |= raw && piece.contains('\r');
        element.spoken |= !blank(piece);
        element.text.push_str(piece);
        Ok(())
    }
}

fn blank(text: &str) -> bool {
    #[cfg(test)]
    crate::s3::effort::spent(text.len());
    text.bytes()
        .all(|b| matches!(b, b' ' | b'\t' | b'\r' | b'\n'))
}

/// XML 1.0 production 2, `Char`.
pub(super) fn allowed(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | '\u{20}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..)
}

/// The five entities of XML and character references; nothing else is ever expanded.
fn reference(name: &BytesRef<'_>) -> Result<char, XmlError> {
    if let Some(c) = name
        .resolve_char_ref()
        .map_err(|_| XmlError::Malformed("A character reference cannot be read."))?
    {
        return Ok(c);
    }
    match &**name {
        b"lt" => Ok('<'),
        b"gt" => Ok('>'),
        b"amp" => Ok('&'),
        b"apos" => Ok('\''),
        b"quot" => Ok('"'),
        _ => bad("It refers to an entity that XML does not define."),
    }
}
