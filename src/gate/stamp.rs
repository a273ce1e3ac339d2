//! What tells that a file is another, or has other content: as for the configuration's own files.

pub use crate::config::{Stamp, stamp};
