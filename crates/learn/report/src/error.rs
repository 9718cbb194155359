//! Why a run folder cannot be written or read.

use std::fmt::Display;
use std::io;
use std::path::PathBuf;

use output::OutputError;
use thiserror::Error;

/// Why the records of a run cannot be written, or its report not be made.
#[derive(Debug, Error)]
pub enum ReportError {
    /// A chart or an image cannot be drawn.
    #[error("the run's report cannot be drawn: {0}; archive.bin and the checkpoints are whole")]
    Drawing(String),
    /// A file of the run folder cannot be read.
    #[error("{}: cannot read: {cause}; check that it is a file and its permissions", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        cause: io::Error,
    },
    /// A file of the run folder cannot be made or written.
    #[error("{}: cannot write: {source}; check the folder's permissions and the free space", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Another process has claimed the folder.
    #[error("another process is at work in the run folder {}; wait for it, or take another folder", .0.display())]
    Busy(PathBuf),
    /// A file of the run folder cannot be written.
    #[error(transparent)]
    Output(#[from] OutputError),
    /// A folder without a report.
    #[error("{} is absent: a run writes it at its end; finish it with hnerv train --resume", .0.display())]
    Absent(PathBuf),
    /// A report that is none.
    #[error("{}: no report of a run ({detail}); make it anew: remove it, then hnerv train --resume", path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        detail: String,
    },
}

impl ReportError {
    /// What a drawing library says.
    pub(crate) fn drawing(error: impl Display) -> Self {
        Self::Drawing(error.to_string())
    }
}
