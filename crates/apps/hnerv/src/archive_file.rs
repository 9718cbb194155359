//! The archive that a command writes.

use std::path::Path;

use output::{OutputError, OutputFile};
use report::{RunFolder, RunLock};

/// A file that becomes an archive, and the claim on the run folder that it lies in, if it lies in one.
pub struct ArchiveFile {
    file: OutputFile,
    _lock: Option<RunLock>,
}

impl ArchiveFile {
    /// Opens the file at `path`, before the work that it is for: it must be none of the `inputs`, and no other process may be at
    /// work in the run folder around it.
    pub fn create<P: AsRef<Path>>(path: &Path, inputs: impl IntoIterator<Item = P>) -> anyhow::Result<Self> {
        output::keep_apart(path, inputs)?;
        let lock = RunFolder::around(path).map(|folder| RunLock::claim(&folder)).transpose()?;
        Ok(Self { file: OutputFile::create(path)?, _lock: lock })
    }

    /// Writes the archive, whole.
    pub fn write(mut self, bytes: &[u8]) -> Result<(), OutputError> {
        self.file.append(bytes)?;
        self.file.commit()
    }
}
