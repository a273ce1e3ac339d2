//! The form's bytes as they come in, up to the first byte of the file.

use std::collections::HashSet;

use super::boundary::find_on;
use super::disposition::{self, PartHead};
use super::fields::{Field, FilePart};
use super::{Boundary, Form, FormError};

/// What S3 allows before the file, in bytes.
pub const DEFAULT_FORM_BYTES: usize = 20 * 1024;

/// What [`FormReader::feed`] found.
#[derive(Debug)]
pub enum Progress {
    /// The file has not begun: feed more.
    More,
    /// The file part's headers were read; [`FormReader::raw`] holds all bytes so far and [`Form::file_offset`] tells
    /// where among them the file begins.
    File(Box<Form>),
}

/// Reads a form incrementally. It keeps every byte it was fed, so that exactly those can be forwarded.
///
/// Its memory is bounded by the limit and the longest chunk it is fed.
pub struct FormReader {
    boundary: Boundary,
    limit: usize,
    raw: Vec<u8>,
    /// Where the part being read begins: its first header line.
    at: usize,
    /// Where the part's value begins, once its headers were read.
    open: Option<(PartHead, usize)>,
    started: bool,
    searched: Searched,
    fields: Vec<Field>,
    names: HashSet<String>,
}

/// From where on the bytes are still to be searched.
#[derive(Clone, Copy, Default)]
struct Searched {
    /// For the boundary.
    boundary: usize,
    /// For the end of a part's headers.
    end: usize,
    /// For an end that lacks its CRs.
    bare_end: usize,
}

impl Searched {
    /// All is to be searched from `at` on.
    fn from(at: usize) -> Self {
        Self {
            boundary: at,
            end: at,
            bare_end: at,
        }
    }
}

impl std::fmt::Debug for FormReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FormReader")
            .field("bytes", &self.raw.len())
            .field("fields", &self.fields.len())
            .finish_non_exhaustive()
    }
}

impl FormReader {
    /// A reader that refuses more than `limit` bytes before the file.
    #[must_use]
    pub fn new(boundary: Boundary, limit: usize) -> Self {
        Self {
            boundary,
            limit,
            raw: Vec::new(),
            at: 0,
            open: None,
            started: false,
            searched: Searched::default(),
            fields: Vec::new(),
            names: HashSet::new(),
        }
    }

    /// All bytes fed so far.
    #[must_use]
    pub fn raw(&self) -> &[u8] {
        &self.raw
    }

    /// Gives up the bytes fed so far.
    #[must_use]
    pub fn into_raw(self) -> Vec<u8> {
        self.raw
    }

    /// Takes the next bytes of the body. After [`Progress::File`] no more may be fed; they belong to the file.
    ///
    /// # Errors
    /// [`FormError`]; the request must then be refused, and this reader dropped.
    pub fn feed(&mut self, chunk: &[u8]) -> Result<Progress, FormError> {
        self.raw.extend_from_slice(chunk);
        let step = self.advance()?;
        let read = step.as_ref().map_or(self.raw.len(), Form::file_offset);
        if read > self.limit {
            return Err(FormError::TooLarge { limit: self.limit });
        }
        Ok(step.map_or(Progress::More, |form| Progress::File(Box::new(form))))
    }

    /// What to answer when the body ends although no file has begun.
    #[must_use]
    pub fn ended(&self) -> FormError {
        FormError::Malformed("The body ends before its file.")
    }

    fn advance(&mut self) -> Result<Option<Form>, FormError> {
        if !self.started {
            let first = self.boundary.dashed();
            let seen = self.raw.len().min(first.len());
            // A preamble may hold text that another reader takes for the first delimiter.
            if self.raw.get(..seen) != first.get(..seen) {
                return Err(FormError::Malformed(
                    "The body must begin with its boundary.",
                ));
            }
            let Some(end) = self.delimiter_end(first.len())? else {
                return Ok(None);
            };
            self.at = end;
            self.searched = Searched::from(end);
            self.started = true;
        }
        loop {
            if self.open.is_none() {
                match self.part_head()? {
                    None => return Ok(None),
                    Some((head, value)) if head.name == "file" => {
                        let file = FilePart::new(head.filename, value);
                        return Form::new(std::mem::take(&mut self.fields), file).map(Some);
                    }
                    // Go's reader takes it for a file then, and its value for none.
                    Some((head, _)) if head.filename.is_some() => {
                        return Err(FormError::Malformed(
                            "Only the part named file may have a filename.",
                        ));
                    }
                    Some(open) => {
                        self.searched.boundary = open.1;
                        self.open = Some(open);
                    }
                }
            }
            if !self.part_value()? {
                return Ok(None);
            }
        }
    }

    /// The headers of the part at `self.at`, and where its value begins.
    fn part_head(&mut self) -> Result<Option<(PartHead, usize)>, FormError> {
        let dashed = self.boundary.dashed();
        let Some(end) = find_on(&self.raw, b"\r\n\r\n", &mut self.searched.end) else {
            // Said before the limit is reached, where it can be.
            if find_on(&self.raw, b"\n\n", &mut self.searched.bare_end).is_some()
                || find_on(&self.raw, dashed, &mut self.searched.boundary).is_some()
            {
                return Err(FormError::Malformed(
                    "A part's header does not end in an empty line with CRLF.",
                ));
            }
            return Ok(None);
        };
        let before = self.raw.get(..end).unwrap_or_default();
        if find_on(before, dashed, &mut self.searched.boundary).is_some() {
            return Err(FormError::Malformed("A part's header holds the boundary."));
        }
        let block = before.get(self.at..).unwrap_or_default();
        Ok(Some((disposition::parse(block)?, end + 4)))
    }

    /// Ends the open part where the next delimiter is here whole.
    fn part_value(&mut self) -> Result<bool, FormError> {
        let Some((head, from)) = self.open.take() else {
            return Ok(false);
        };
        let dashed = self.boundary.dashed();
        let Some(mark) = find_on(&self.raw, dashed, &mut self.searched.boundary) else {
            self.open = Some((head, from));
            return Ok(false);
        };
        // Whoever splits at the boundary alone, at LF or at CRLF must come to the same parts.
        let value_end = mark
            .checked_sub(2)
            .filter(|end| *end >= from && self.raw.get(*end..mark) == Some(b"\r\n"));
        let Some(value_end) = value_end else {
            return Err(FormError::Malformed(
                "The boundary stands within a value, or without CRLF before it.",
            ));
        };
        let Some(next) = self.delimiter_end(mark + dashed.len())? else {
            self.open = Some((head, from));
            return Ok(false);
        };
        let value = self.raw.get(from..value_end).unwrap_or_default().to_vec();
        if !head.charset.is_plain(&value) {
            return Err(FormError::Malformed(
                "The value of a field must be UTF-8, and its Content-Type name no other charset.",
            ));
        }
        if !self.names.insert(head.name.clone()) {
            return Err(FormError::Duplicate(head.name));
        }
        self.fields.push(Field::new(head.name, value));
        self.at = next;
        self.searched = Searched::from(next);
        Ok(true)
    }

    /// A delimiter line ends in CRLF at once, or in `--` where the form ends.
    fn delimiter_end(&self, at: usize) -> Result<Option<usize>, FormError> {
        match self.raw.get(at..) {
            Some([b'\r', b'\n', ..]) => Ok(Some(at + 2)),
            Some([b'-', b'-', ..]) => Err(FormError::NoFile),
            None | Some([] | [b'\r' | b'-']) => Ok(None),
            Some(_) => Err(FormError::Malformed(
                "A boundary is followed by something other than CRLF.",
            )),
        }
    }
}
