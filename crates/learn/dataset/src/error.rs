//! Why a dataset cannot be made, written or read.

use std::io;
use std::path::PathBuf;

use metric::StackError;
use output::OutputError;
use repr::RepresentationError;
use thiserror::Error;

use crate::info::DatasetInfo;
use crate::output_cache::OutputCacheError;

/// Why a dataset cannot be made, written or read.
#[derive(Debug, Error)]
pub enum DatasetError {
    /// The file cannot be read.
    #[error("{}: cannot read: {cause}; check the path", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        cause: io::Error,
    },
    /// No target cache, or one of another version, or damaged.
    #[error("{}: {detail}; make it anew with 'hnerv targets CLIP -o FILE'", path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        detail: String,
    },
    /// A target cache with frames of another size than the decoder's.
    #[error(
        "{} holds frames of {found}, the decoder makes {needed}; make it anew with hnerv targets --size {needed}",
        path.display()
    )]
    Size {
        /// The file.
        path: PathBuf,
        /// Columns and rows of its frames.
        found: String,
        /// Columns and rows of the decoder's.
        needed: String,
    },
    /// A file whose name no archive can hold.
    #[error("{path:?}: {cause}; give the clip another name with --name")]
    Name {
        /// The file.
        path: PathBuf,
        /// What is wrong with its name.
        cause: RepresentationError,
    },
    /// A track of a target cache.
    #[error("{}: a target cache holds one track; leave --track out, or make it anew with hnerv targets --track {track}", path.display())]
    Track {
        /// The file.
        path: PathBuf,
        /// The track that was asked for.
        track: usize,
    },
    /// A clip, and nothing in this program that decodes it.
    #[error(
        "{} is no target cache, and this program was built without FFmpeg; make one elsewhere with hnerv targets",
        path.display()
    )]
    NoDecoder {
        /// The file.
        path: PathBuf,
    },
    /// A clip that cannot be decoded.
    #[cfg(feature = "ffmpeg")]
    #[error(transparent)]
    Video(#[from] video::VideoError),
    /// A clip that cannot be described.
    #[error(
        "the clip {} of {}x{}, reduced to {}x{}, cannot become a dataset", _0.name, _0.clip_width, _0.clip_height,
        _0.width, _0.height
    )]
    Clip(DatasetInfo),
    /// A frame of another size than the clip's.
    #[error("frame {index} is {}x{}, the clip's frames are {}x{}", found.0, found.1, expected.0, expected.1)]
    Frame {
        /// Its number from 0.
        index: usize,
        /// Its width and height.
        found: (usize, usize),
        /// The clip's.
        expected: (usize, usize),
    },
    /// Outputs of another number of samples than the frames make.
    #[error("outputs of {found} samples for {frames} frames")]
    Samples {
        /// Samples there are.
        found: usize,
        /// Frames there are.
        frames: usize,
    },
    /// The stack fails on a frame.
    #[error(transparent)]
    Stack(#[from] StackError),
    /// The outputs of the clip cannot be looked up.
    #[error(transparent)]
    OutputCache(#[from] OutputCacheError),
    /// The file cannot be written.
    #[error(transparent)]
    Output(#[from] OutputError),
    /// Told to stop.
    #[error("interrupted")]
    Interrupted,
}

impl DatasetError {
    /// Whether this is the program's own fault: nothing that a user could mend leads there.
    pub fn is_internal(&self) -> bool {
        matches!(self, Self::Frame { .. } | Self::Samples { .. })
    }
}
