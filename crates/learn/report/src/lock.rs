//! One process at a time writes into a run folder.

use std::fs::{self, File, TryLockError};
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use output::NewFolders;

use crate::error::ReportError;
use crate::folder::RunFolder;

/// Keeps other processes out of a run folder for as long as it lives; whoever dies lets go of it too. What was made for it, the
/// folder and run.lock, goes with it unless something came of the run: see [`keep`](Self::keep).
#[derive(Debug)]
pub struct RunLock {
    path: PathBuf,
    /// Whether run.lock is new.
    fresh: bool,
    /// Holds the lock; dropped behind the removal of its name, and before the folders go.
    _file: File,
    folders: NewFolders,
}

impl RunLock {
    /// Claims a folder, which is made if need be.
    ///
    /// # Errors
    ///
    /// [`ReportError::Busy`] where another process has claimed it; a folder that cannot be made or written into.
    pub fn claim(folder: &RunFolder) -> Result<Self, ReportError> {
        let path = folder.lock();
        let failed = |source| ReportError::Io { path: path.clone(), source };
        let folders = NewFolders::make(folder.path()).map_err(failed)?;
        loop {
            let fresh = !path.exists();
            let file = File::options().append(true).create(true).open(&path).map_err(failed)?;
            match file.try_lock() {
                // A file system without locks: nothing to hold on to.
                Err(TryLockError::Error(error)) if error.kind() == ErrorKind::Unsupported => {}
                Err(TryLockError::WouldBlock) => return Err(ReportError::Busy(folder.path().into())),
                Err(TryLockError::Error(error)) => return Err(failed(error)),
                Ok(()) => {}
            }
            // Its last holder may have taken the name away since it was opened.
            if is_named(&file, &path).map_err(failed)? {
                return Ok(Self { path, fresh, _file: file, folders });
            }
        }
    }

    /// There is a run in the folder now: it stays.
    pub fn keep(&mut self) {
        self.fresh = false;
        std::mem::take(&mut self.folders).keep();
    }
}

/// Whether `path` still leads to the open file.
fn is_named(file: &File, path: &PathBuf) -> io::Result<bool> {
    let opened = file.metadata()?;
    match fs::metadata(path) {
        Ok(named) => Ok((named.dev(), named.ino()) == (opened.dev(), opened.ino())),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

impl Drop for RunLock {
    fn drop(&mut self) {
        if self.fresh {
            let _ = fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_claimed_once_and_left_as_it_was() {
        let place = tempfile::tempdir().unwrap();
        let folder = RunFolder::new(place.path().join("a/run"));
        let lock = RunLock::claim(&folder).unwrap();
        let refused = RunLock::claim(&folder).unwrap_err();
        assert!(matches!(&refused, ReportError::Busy(path) if path == folder.path()), "{refused}");
        drop(lock);
        assert_eq!(fs::read_dir(place.path()).unwrap().count(), 0);
        RunLock::claim(&folder).unwrap().keep();
        assert!(folder.lock().exists());
        drop(RunLock::claim(&folder).unwrap());
        assert!(folder.lock().exists());
    }

    #[test]
    fn what_is_no_folder_is_refused() {
        let place = tempfile::tempdir().unwrap();
        fs::write(place.path().join("file"), "").unwrap();
        for name in ["file", "file/run"] {
            let refused = RunLock::claim(&RunFolder::new(place.path().join(name))).unwrap_err();
            assert!(matches!(refused, ReportError::Io { .. }));
        }
    }
}
