//! The note of a run that serves while the one which handed over to it goes on.
//!
//! Until that one has ended the audit file's lock and end are its own, and it would not see its successor die. So this one leaves
//! `<file>.next`, locked, and takes it away when it has the file to itself or ends. Who finds it with nobody's lock on it knows that a run was killed.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::beside::beside;
use super::opened::{is_held, lock};

/// Such a note. It stays behind where it is not taken away.
#[derive(Debug)]
pub struct Note {
    path: PathBuf,
    /// Its lock goes with it.
    _file: File,
}

impl Note {
    /// Leaves one for the audit file `path`, and says whether a run that was killed had left one. No note: another run's stands there, which lives.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn leave(path: &Path) -> io::Result<(Option<Self>, bool)> {
        let path = beside(path, ".next");
        loop {
            let mut options = OpenOptions::new();
            options.write(true).mode(0o600);
            let (file, killed) = match options.clone().create_new(true).open(&path) {
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => match options.open(&path) {
                    Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
                    left => (left?, true),
                },
                made => (made?, false),
            };
            if !lock(&file) {
                return Ok((None, false));
            }
            // Its run may have taken it away meanwhile.
            if file.metadata()?.nlink() > 0 {
                return Ok((Some(Self { path, _file: file }), killed));
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

/// Whether a run that lives has left one.
pub fn has_follower(path: &Path) -> bool {
    File::open(beside(path, ".next")).is_ok_and(|file| is_held(&file))
}

/// Takes away the note of a run that was killed; whether there was one.
///
/// # Errors
/// It cannot be read or removed.
pub fn take_left(path: &Path) -> io::Result<bool> {
    let path = beside(path, ".next");
    let file = match File::open(&path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(false),
        opened => opened?,
    };
    if !lock(&file) || file.metadata()?.nlink() == 0 {
        return Ok(false);
    }
    fs::remove_file(&path)?;
    Ok(true)
}
