use thiserror::Error;

use crate::graph::ArchitectureError;

/// Why a representation is refused.
#[derive(Debug, Error, PartialEq)]
pub enum RepresentationError {
    /// The layer table is impossible.
    #[error(transparent)]
    Architecture(#[from] ArchitectureError),
    /// Anything else, in words.
    #[error("{0}")]
    Invalid(String),
}

pub(crate) fn invalid<T>(text: String) -> Result<T, RepresentationError> {
    Err(RepresentationError::Invalid(text))
}
