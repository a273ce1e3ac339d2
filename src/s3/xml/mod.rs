//! XML bodies that name objects, tags or encryption, and the answers that name keys.
//!
//! Bodies are read whole, bounded, into a small tree: no document type, no entities but the five of XML, a limit on
//! depth and on elements. What two XML readers could take differently (a raw CR in a value, a comment inside one, a
//! prefixed name, an element that must stand once and stands twice) is refused with S3's `MalformedXML`.

mod delete;
mod encryption;
mod result;
mod tagging;
mod tree;

pub use delete::{DeleteRequest, MAX_OBJECTS, ObjectId};
pub use encryption::{BlockedEncryption, BucketEncryption, ObjectEncryption};
pub use result::{Refused, merge, render, render_all};
pub use tagging::Tagging;
pub use tree::{Element, XmlError};

/// The longest body that is read where nothing else is configured, in bytes.
pub const XML_BYTES: usize = 8 * 1024 * 1024;

#[cfg(test)]
mod tests;
