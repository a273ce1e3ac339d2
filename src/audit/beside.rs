//! The names of the files that stand beside an audit file: `<file>.end`, `<file>.lock`, `<file>.next.<start>`, and the rotated ones.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

/// The one that ends so.
pub fn beside(path: &Path, end: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(end);
    name.into()
}

/// All regular files there whose names go on so, each with the rest of its name.
///
/// # Errors
/// The folder cannot be listed.
pub fn all_beside(path: &Path, begin: &str) -> io::Result<Vec<(OsString, PathBuf)>> {
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    let Some(name) = path.file_name() else {
        return Ok(Vec::new());
    };
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let full = entry.file_name();
        let rest = full
            .as_bytes()
            .strip_prefix(name.as_bytes())
            .and_then(|rest| rest.strip_prefix(begin.as_bytes()));
        if let Some(rest) = rest
            // One that has gone meanwhile is none.
            && entry.file_type().is_ok_and(|kind| kind.is_file())
        {
            let path = folder.join(&full);
            found.push((OsString::from_vec(rest.to_owned()), path));
        }
    }
    Ok(found)
}
