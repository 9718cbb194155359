//! metrics.jsonl and the event file of TensorBoard: a line and an event per epoch, appended as it ends.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};

use crate::epoch::EpochLine;
use crate::error::ReportError;
use crate::folder::RunFolder;
use crate::tensorboard::EventFile;

/// The open files.
pub struct Metrics {
    path: PathBuf,
    events: EventFile,
}

impl Metrics {
    /// Opens the files of a run and drops what is behind epoch `done`: a resumed run writes it again.
    pub fn open(folder: &RunFolder, done: usize) -> Result<Self, ReportError> {
        let path = folder.metrics();
        let mut lines = Self::read(&path)?;
        lines.retain(|line| line.epoch <= done);
        let mut kept = String::new();
        for line in &lines {
            kept += &serde_json::to_string(line).unwrap_or_default();
            kept.push('\n');
        }
        output::write_whole(&path, kept.as_bytes())?;
        Ok(Self { path, events: EventFile::create(folder.events(), &lines)? })
    }

    /// The whole lines of a metrics.jsonl; none where it is absent.
    pub fn read(path: &Path) -> Result<Vec<EpochLine>, ReportError> {
        match std::fs::read(path) {
            Ok(text) => {
                Ok(String::from_utf8_lossy(&text).lines().filter_map(|line| serde_json::from_str(line).ok()).collect())
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(cause) => Err(ReportError::Read { path: path.into(), cause }),
        }
    }

    /// Appends one epoch.
    pub fn append(&mut self, line: &EpochLine) -> Result<(), ReportError> {
        let io = |source| ReportError::Io { path: self.path.clone(), source };
        let mut text = serde_json::to_string(line).map_err(|e| io(e.into()))?;
        text.push('\n');
        let mut file = OpenOptions::new().append(true).create(true).open(&self.path).map_err(io)?;
        file.write_all(text.as_bytes()).map_err(io)?;
        self.events.append(line)
    }
}
