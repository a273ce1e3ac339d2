//! Reading `audit`.

use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use super::limits::optional;
use super::reader::{Fields, Node};
use super::types::{Audit, Rotate, WhenBlocked};

/// The longest path of a Unix socket, in bytes (unix(7): 108 with the zero that ends it).
const SOCKET_PATH: usize = 107;

/// Reads the map.
pub fn audit(node: &Node<'_>) -> Option<Audit> {
    let fields = node.fields_or_null(
        &["stdout", "file", "rotate", "socket", "when_blocked"],
        &["rotate"],
    )?;
    let file = match fields.get("file") {
        Some(node) => {
            let path = node.reading.resolve(&node.text()?);
            node.reading.look(&path);
            if path.is_dir() {
                node.error(format!("{} is a folder", path.display()));
            } else {
                // It grows all the time, and nothing of the configuration is in it.
                node.reading.stamps.borrow_mut().remove(&path);
                has_folder(&node, &path);
            }
            Some(path)
        }
        None => None,
    };
    let rotate = match fields.get("rotate") {
        Some(node) => {
            if file.is_none() {
                node.error("is for a file, and there is none: give audit.file or remove it");
            }
            Some(rotate(&node))
        }
        None => None,
    };
    let socket = match fields.get("socket") {
        Some(node) => Some(socket(&node)?),
        None => None,
    };
    let elsewhere = file.is_some() || socket.is_some();
    let stdout = match fields.get("stdout") {
        Some(node) => node.flag(),
        None => Some(!elsewhere),
    };
    let when_blocked = match fields.get("when_blocked") {
        Some(node) => node.choice(&[
            ("refuse", WhenBlocked::Refuse),
            ("count", WhenBlocked::Count),
        ]),
        None => Some(WhenBlocked::default()),
    };
    if stdout == Some(false) && !elsewhere {
        node.warn("goes nowhere: no request leaves an audit line");
    }
    Some(Audit {
        stdout: stdout?,
        file,
        rotate,
        socket,
        when_blocked: when_blocked?,
    })
}

fn has_folder(node: &Node<'_>, path: &Path) {
    // A bare name's parent is the empty path.
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty());
    let Some(folder) = folder else {
        return;
    };
    node.reading.look(folder);
    if folder.is_dir() {
        // Files come and go in it.
        node.reading.stamps.borrow_mut().remove(folder);
    } else {
        node.error(format!("the folder of {} does not exist", path.display()));
    }
}

/// A Unix socket that is there, or that another process makes later.
pub fn socket(node: &Node<'_>) -> Option<PathBuf> {
    let name = node.text()?;
    if name.is_empty() {
        node.error("is no path; leave it out if there is to be none");
        return None;
    }
    let path = node.reading.resolve(&name);
    node.reading.look(&path);
    if let Ok(meta) = path.metadata() {
        if !meta.file_type().is_socket() {
            node.error(format!("{} is not a Unix socket", path.display()));
        }
    } else {
        has_folder(node, &path);
    }
    let whole = std::path::absolute(&path).unwrap_or_else(|_| path.clone());
    if whole.as_os_str().as_bytes().len() > SOCKET_PATH {
        node.error(format!(
            "{} is too long for a Unix socket: {SOCKET_PATH} bytes are the most",
            whole.display()
        ));
    }
    Some(path)
}

/// What the map leaves out keeps its default, and so does what is wrong, which is reported.
fn rotate(node: &Node<'_>) -> Rotate {
    let mut rotate = Rotate::default();
    let Some(fields) = node.fields_or_null(&["bytes", "time", "keep"], &["bytes", "time", "keep"])
    else {
        return rotate;
    };
    bound(&fields, "bytes", Node::size, &mut rotate.bytes);
    bound(&fields, "time", Node::time, &mut rotate.time);
    bound(&fields, "keep", Node::count, &mut rotate.keep);
    if rotate.bytes.is_none() && rotate.time.is_none() {
        node.error("never rotates: give bytes or time, or remove it");
    }
    rotate
}

/// A bound that `null` takes away.
fn bound<'t, T: Default + PartialEq>(
    fields: &Fields<'t>,
    name: &str,
    read: impl FnOnce(&Node<'t>) -> Option<T>,
    into: &mut Option<T>,
) {
    let not_zero = |node: &Node<'t>| {
        let value = read(node)?;
        if value == T::default() {
            node.error("is 0, which leaves no line its file; null is no bound");
        }
        Some(value)
    };
    optional(fields, name, not_zero, into);
}
