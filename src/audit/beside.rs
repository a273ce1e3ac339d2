//! The names of the small files that stand beside an audit file: `<file>.end`, `<file>.lock`, `<file>.next`.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// The one that ends so.
pub fn beside(path: &Path, end: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(end);
    name.into()
}
