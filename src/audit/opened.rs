//! Opening an audit file: as the earlier run left it, and while no other process writes it.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use super::follower::{has_follower, take_left};
use super::pipe::never_waits;
use super::rotation::rotated;
use super::tail::{Mark, tail, take_mark};

/// How often it is asked whether the process that writes the file has ended.
const ASK_EVERY: Duration = Duration::from_millis(50);

/// So many rotated files may have been begun since a process that hands over locked its own.
const NEWEST: usize = 100;

/// To be read, too, where that is allowed: what was written to a file that is deleted is read back.
pub fn append(path: &Path) -> io::Result<File> {
    let open = |read: bool| {
        OpenOptions::new()
            .append(true)
            .read(read)
            .create(true)
            .mode(0o600)
            // For a named pipe; a disk does not mind.
            .custom_flags(never_waits())
            .open(path)
    };
    // A pipe that is opened for reading has its reader in this very process.
    if fs::metadata(path).is_ok_and(|meta| !meta.is_file()) {
        return open(false);
    }
    match open(true) {
        Err(e) if e.kind() == io::ErrorKind::PermissionDenied => open(false),
        opened => opened,
    }
}

/// Whether no other run holds the lock; a file system without locks has none to hold.
pub fn lock(file: &File) -> bool {
    !matches!(file.try_lock(), Err(TryLockError::WouldBlock))
}

/// Waits until no other process writes the file. Its lock is asked for on the file as it was opened, which a rotation by the
/// other process does not let go before the next one's is held; and where a successor rotated and has ended, that process
/// holds a rotated one. A successor that serves has a note beside the file until it holds the lock.
pub fn alone(path: &Path, mut file: File, most: Duration) -> io::Result<File> {
    let begin = Instant::now();
    let mut told = false;
    loop {
        if lock(&file) {
            let (ours, there) = (file.metadata()?, fs::metadata(path));
            if !there.is_ok_and(|there| (there.dev(), there.ino()) == (ours.dev(), ours.ino())) {
                file = append(path)?;
                continue;
            }
            let path = match fs::canonicalize(path) {
                // It is being rotated.
                Err(e) if e.kind() == io::ErrorKind::NotFound => {
                    file = append(path)?;
                    continue;
                }
                found => found?,
            };
            // Where the folder cannot be listed nothing is known of any.
            let is_held = held_rotated(&path).is_ok_and(|held| held.is_some());
            if !is_held && !has_follower(&path) {
                return Ok(file);
            }
        }
        // The other one may ask for it meanwhile.
        let _ = file.unlock();
        if begin.elapsed() >= most {
            return Err(io::ErrorKind::ResourceBusy.into());
        }
        if !std::mem::replace(&mut told, true) {
            tracing::warn!(
                file = %path.display(), within = ?most,
                "another process writes the audit file; waiting for its end"
            );
        }
        std::thread::sleep(ASK_EVERY);
    }
}

/// One of the newest rotated files that another process holds; `path` is without symbolic links.
pub fn held_rotated(path: &Path) -> io::Result<Option<File>> {
    let rotated = rotated(path)?;
    let newest = rotated.iter().rev().take(NEWEST);
    // One that cannot be opened, or is gone, tells nothing.
    Ok(newest
        .filter_map(|(_, path)| File::open(path).ok())
        .find(is_held))
}

/// Whether another process has it locked. Only asked: two that wait must not hinder each other.
pub fn is_held(file: &File) -> bool {
    matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock))
}

/// Not every file system knows when a file was made; then it counts from now.
pub fn begun(meta: &fs::Metadata) -> SystemTime {
    meta.created().unwrap_or_else(|_| SystemTime::now())
}

/// Cuts half a line off and says whether the earlier run did not end the file.
pub fn settle(path: &Path, file: &mut File) -> io::Result<bool> {
    let found = tail(&mut File::open(path)?)?;
    let mark = take_mark(path, found.length)?;
    // What somebody has added since, who takes no turns, is not ours to cut.
    if found.whole < found.length && file.metadata()?.len() == found.length {
        file.set_len(found.whole)?;
    }
    if found.open {
        file.write_all(b"\n")?;
    }
    let killed = take_left(path)?;
    if found.length == 0 {
        // A run that was killed just after a rotation leaves an empty file and no mark of its end.
        let ended = matches!(mark, Some(Mark::Ended | Mark::Other));
        return Ok(killed || (!ended && !rotated(path)?.is_empty()));
    }
    Ok(killed || found.torn || mark != Some(Mark::Ended))
}
