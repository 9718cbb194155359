use repr::RepresentationError;
use thiserror::Error;

use crate::format::VERSIONS;

/// Why an archive cannot be read.
#[derive(Debug, Error, PartialEq)]
pub enum ArchiveError {
    /// The bytes do not start as an archive does.
    #[error("not an hnerv archive")]
    NotAnArchive,
    /// Another version of the format.
    #[error("archive version {found}, this program reads {} to {}: update it", VERSIONS.start(), VERSIONS.end())]
    Version {
        /// The version in the archive.
        found: u8,
    },
    /// Length or checksum does not fit.
    #[error("the archive is damaged or cut off: copy it again")]
    Damaged,
    /// The checksum fits, yet no encoder writes such bytes.
    #[error("the archive is malformed at byte {offset}: {what}")]
    Malformed {
        /// Where, counted from the archive's start.
        offset: usize,
        /// What is wrong there.
        what: &'static str,
    },
    /// The content is impossible or beyond the limits.
    #[error("impossible representation: {0}")]
    Representation(#[from] RepresentationError),
}
