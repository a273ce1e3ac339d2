//! What tells that a file is another, or has other content.

use std::{os::unix::fs::MetadataExt, path::Path};

/// Device, inode, size, and the time of the last change in seconds and nanoseconds; `None`: there is no file.
pub type Stamp = Option<(u64, u64, u64, i64, i64)>;

/// That of the file that `path` leads to: a symbolic link is followed, so that its swap is seen, too.
pub fn stamp(path: &Path) -> Stamp {
    let meta = std::fs::metadata(path).ok()?;
    Some((
        meta.dev(),
        meta.ino(),
        meta.size(),
        meta.mtime(),
        meta.mtime_nsec(),
    ))
}
