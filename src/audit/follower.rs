//! The note of a run that serves while the one which handed over to it goes on.
//!
//! Until that one has ended the audit file's lock and end are its own, and it would not see its successor die. So this one leaves
//! `<file>.next.<start>`, locked, and takes it away when it has the file to itself or ends. Who finds it with nobody's lock on it
//! knows that a run was killed. All paths here are without symbolic links.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::beside::{all_beside, beside};
use super::opened::{is_held, lock};

/// What follows the audit file's name, before the run's id.
const NEXT: &str = ".next.";
/// The same, before the note is locked.
const NEW: &str = ".new.";

/// Such a note. It stays behind where it is not taken away.
#[derive(Debug)]
pub struct Note {
    path: PathBuf,
    /// Its lock goes with it.
    _file: File,
}

impl Note {
    /// Leaves that of the run `start` for the audit file `path`.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn leave(path: &Path, start: &str) -> io::Result<Self> {
        let (new, path) = (
            beside(path, &format!("{NEW}{start}")),
            beside(path, &format!("{NEXT}{start}")),
        );
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&new)?;
        // It has its name once it is locked: without a lock it would be that of a killed run.
        let left = if lock(&file) {
            fs::rename(&new, &path)
        } else {
            Err(io::ErrorKind::ResourceBusy.into())
        };
        match left {
            Ok(()) => Ok(Self { path, _file: file }),
            Err(error) => {
                let _ = fs::remove_file(&new);
                Err(error)
            }
        }
    }

    /// Takes it away.
    pub fn take_away(self) {
        if let Err(error) = fs::remove_file(&self.path) {
            tracing::warn!(
                file = %self.path.display(), %error,
                "cannot be removed: the next start says `unclean` although all went well"
            );
        }
    }
}

/// The notes that lie there; none is known where the folder cannot be listed.
fn notes(path: &Path, begin: &str) -> impl Iterator<Item = PathBuf> {
    let found = all_beside(path, begin).unwrap_or_default();
    found.into_iter().map(|(_, note)| note)
}

/// Whether a run that lives has left one.
pub fn has_follower(path: &Path) -> bool {
    notes(path, NEXT).any(|note| File::open(note).is_ok_and(|file| is_held(&file)))
}

/// Takes away the notes of runs that were killed; whether there was one.
///
/// # Errors
/// It cannot be removed.
pub fn take_left(path: &Path) -> io::Result<bool> {
    let mut killed = Ok(false);
    for note in notes(path, NEXT) {
        let taken = take(&note);
        // One kill that is known is enough to tell.
        if !matches!(killed, Ok(true)) && !matches!(taken, Ok(false)) {
            killed = taken;
        }
    }
    // A run that was killed as it left its note.
    for new in notes(path, NEW) {
        let _ = take(&new);
    }
    killed
}

/// Takes a note away that nobody holds.
fn take(note: &Path) -> io::Result<bool> {
    // One that cannot be opened is gone, or another's.
    if !File::open(note).is_ok_and(|file| !is_held(&file)) {
        return Ok(false);
    }
    match fs::remove_file(note) {
        Ok(()) => Ok(true),
        // Another run has found it.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}
