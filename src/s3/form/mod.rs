//! The browser form of a POST upload (`multipart/form-data`, RFC 7578), read up to its file.
//!
//! S3 takes the fields of such a form as it takes the headers of a PUT, so nothing can be decided before they
//! were read. They are read here piece by piece, up to the first byte of the part named `file`, and no further
//! than a limit (20 KiB on S3). What S3 and the parsers of other stores could read differently is refused, never
//! guessed: the decision must be about the same fields and the same key that the store will see.
//!
//! Sources: RFC 2046 section 5.1, RFC 7578, AWS "Creating an HTML form (using AWS signature version 4)".

mod boundary;
mod disposition;
mod error;
mod fields;
mod reader;
mod tail;

pub use boundary::Boundary;
pub use error::FormError;
pub use fields::{Field, FilePart, Form};
pub use reader::{DEFAULT_FORM_BYTES, FormReader, Progress};
pub use tail::Tail;

#[cfg(test)]
mod tests;
