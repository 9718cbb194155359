use frames::FrameError;
use thiserror::Error;

/// Why nothing can be decoded.
#[derive(Debug, Error, PartialEq)]
pub enum DecoderError {
    /// The size asked for is no frame's.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// Latents of another length than those of a sample.
    #[error("latents of {found} values, a sample of the architecture has {expected}")]
    Latent {
        /// Its length.
        found: usize,
        /// The length it should have.
        expected: usize,
    },
    /// A class map of another size than the architecture's.
    #[error("a class map of {found} pixels, the architecture is fed with {expected}")]
    Map {
        /// Its pixels.
        found: usize,
        /// The pixels it should have.
        expected: usize,
    },
    /// No such sample.
    #[error("there is no sample {index}, only {samples}")]
    Sample {
        /// What was asked for.
        index: usize,
        /// Number of samples.
        samples: usize,
    },
}
