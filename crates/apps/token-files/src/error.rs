use std::io;
use std::path::PathBuf;

use thiserror::Error;
use tokens::{NpyError, TokensError};

/// Why files of tokens cannot be read, coded or restored.
#[derive(Debug, Error)]
pub enum TokenFilesError {
    /// A file or folder cannot be read.
    #[error("{}: cannot read: {cause}; check the path", path.display())]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// What the system says.
        cause: io::Error,
    },
    /// A file is no token video.
    #[error("{}: {cause}", path.display())]
    Npy {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        cause: NpyError,
    },
    /// There is nothing to code.
    #[error("{}: no .npy file in this folder; check the path", path.display())]
    NoFiles {
        /// The folder.
        path: PathBuf,
    },
    /// A file cannot be restored.
    #[error(transparent)]
    Output(#[from] output::OutputError),
    /// The tokens or the archive.
    #[error(transparent)]
    Tokens(#[from] TokensError),
}
