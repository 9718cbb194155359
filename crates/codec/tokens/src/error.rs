use std::io;

use thiserror::Error;

use crate::version::VERSION;

/// Why tokens cannot be coded or an archive of them cannot be read.
#[derive(Debug, Error)]
pub enum TokensError {
    /// A name that cannot be restored everywhere.
    #[error(
        "{name:?}: names must be relative paths in UTF-8 of at most 4096 bytes, without '..' and '\\'; go to another folder or rename the file"
    )]
    Name {
        /// The name.
        name: String,
    },
    /// Two files would be restored to the same place.
    #[error("{name}: twice the same name; give the folder above instead, so that the names differ")]
    Duplicate {
        /// The name.
        name: String,
    },
    /// More files than the index holds.
    #[error("too many files for one archive; make several")]
    TooMany,
    /// A file is not what it was when its tokens were counted.
    #[error("{name}: changed while it was read; try again when nothing writes to it")]
    Changed {
        /// The file.
        name: String,
    },
    /// The archive cannot be written.
    #[error("{0}")]
    Write(#[from] io::Error),
    /// The bytes do not start as an archive of tokens does.
    #[error("not an archive of tokens")]
    NotAnArchive,
    /// Another version of the format.
    #[error("token archive version {found}, this program reads {known}: update it", known = VERSION)]
    Version {
        /// The version in the archive.
        found: u8,
    },
    /// Length or checksum does not fit.
    #[error("the archive is damaged or cut off: copy it again")]
    Damaged,
    /// The checksum fits, yet no encoder writes such bytes.
    #[error("the archive is malformed: {0}")]
    Malformed(&'static str),
    /// A file came out other than it went in.
    #[error("{name}: its checksum does not fit: the archive is malformed")]
    Checksum {
        /// The file.
        name: String,
    },
    /// The bytes are no prior, or another version's.
    #[error("not a prior of this version; make it again with `hnerv tokens train`")]
    NotAPrior,
    /// A prior's checksum does not fit.
    #[error("the prior is damaged or cut off: copy it again")]
    PriorDamaged,
    /// The archive was made with a prior.
    #[error("the archive was made with a prior ({id:08x}): give the same one with --prior")]
    PriorNeeded {
        /// CRC-32 of the prior.
        id: u32,
    },
    /// The prior is for fewer tokens.
    #[error("token {token}: the prior knows tokens below {limit}; go without it or train one on such data")]
    BeyondPrior {
        /// The largest token.
        token: u16,
        /// What the prior was trained for.
        limit: u32,
    },
}
