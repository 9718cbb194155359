//! Folders that are made for a file to come.

use std::path::{Path, PathBuf};
use std::{fs, io};

/// Folders that were made for something to come: if it does not come, they go again, as far as nothing else lies in them.
#[derive(Debug, Default)]
pub struct NewFolders {
    /// The outermost last.
    made: Vec<PathBuf>,
}

impl NewFolders {
    /// Makes the folder at `path` and those above it, as far as they are absent.
    pub fn make(path: &Path) -> io::Result<Self> {
        let absent = |folder: &&Path| !folder.as_os_str().is_empty() && !folder.exists();
        let folders = Self { made: path.ancestors().take_while(absent).map(Path::to_path_buf).collect() };
        fs::create_dir_all(path)?;
        Ok(folders)
    }

    /// It came: the folders stay.
    pub fn keep(mut self) {
        self.made.clear();
    }
}

impl Drop for NewFolders {
    fn drop(&mut self) {
        // One that is not empty stays, and so do those above it.
        let _ = self.made.iter().try_for_each(fs::remove_dir);
    }
}
