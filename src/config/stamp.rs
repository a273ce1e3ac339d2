//! What tells that a file is another, or has other content.

use std::collections::BTreeMap;
use std::io::{Error, ErrorKind};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, SystemTime};

/// Device, inode, size, and the times of the last change of the content and of the inode, each in seconds and
/// nanoseconds; `None`: there is no file. The last one is the system's own: a copy that keeps size and time changes it.
pub type Stamp = Option<(u64, u64, u64, (i64, i64), (i64, i64))>;

/// Files, each as it was before it was read.
pub type Stamps = BTreeMap<PathBuf, Stamp>;

/// That of the file that `path` leads to: a symbolic link is followed, so that its swap is seen, too.
#[must_use]
pub fn stamp(path: &Path) -> Stamp {
    let meta = std::fs::metadata(path).ok()?;
    Some((
        meta.dev(),
        meta.ino(),
        meta.size(),
        (meta.mtime(), meta.mtime_nsec()),
        (meta.ctime(), meta.ctime_nsec()),
    ))
}

/// Whether it is a named pipe: to open it may wait for ever.
#[must_use]
pub fn is_pipe(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|meta| meta.file_type().is_fifo())
}

/// Whether files are as they were.
#[must_use]
pub fn are_same(files: &Stamps) -> bool {
    files.iter().all(|(path, before)| stamp(path) == *before)
}

/// The steps of a file system's clock are longer than those of the processor's: two changes within one have the same times.
const CLOCK_STEP: Duration = Duration::from_millis(20);

/// The stamp before a reading. A file that was changed just now is waited for, so that a change after this has another stamp.
pub fn settled(path: &Path) -> Stamp {
    for _ in 0..3 {
        let now = stamp(path);
        if !now.is_some_and(|(.., changed)| is_fresh(changed)) {
            return now;
        }
        sleep(CLOCK_STEP);
    }
    stamp(path)
}

fn is_fresh((seconds, nanos): (i64, i64)) -> bool {
    let Ok(age) = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH) else {
        return false;
    };
    let changed = i128::from(seconds) * 1_000_000_000 + i128::from(nanos);
    let age = i128::try_from(age.as_nanos()).unwrap_or(i128::MAX) - changed;
    (0..i128::try_from(CLOCK_STEP.as_nanos()).unwrap_or(0)).contains(&age)
}

/// Whether a reading that failed so may succeed later although the file's stamp stays as it is.
pub fn may_pass(error: &Error) -> bool {
    !matches!(
        error.kind(),
        ErrorKind::NotFound
            | ErrorKind::PermissionDenied
            | ErrorKind::IsADirectory
            | ErrorKind::NotADirectory
            | ErrorKind::InvalidData
            | ErrorKind::InvalidInput
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::fs;

    use super::*;

    /// In place, of the same size, the time set back: as `rsync -t --inplace` and `cp -p` do it.
    #[test]
    fn tells_a_change_that_keeps_size_and_time() {
        let path = std::env::temp_dir().join(format!("sealgate-stamp-{}", std::process::id()));
        fs::write(&path, "any   ").unwrap();
        let before = settled(&path);
        let time = fs::metadata(&path).unwrap().modified().unwrap();
        fs::write(&path, "AES256").unwrap();
        let file = fs::File::options().write(true).open(&path).unwrap();
        file.set_modified(time).unwrap();
        assert_ne!(stamp(&path), before);
        fs::remove_file(&path).unwrap();
        assert_eq!(settled(&path), None);
    }
}
