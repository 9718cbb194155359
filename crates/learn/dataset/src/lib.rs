//! What a run, an encoding or an evaluation is held against: a clip's frames at decoder resolution and what a perception stack
//! says of them.
//!
//! - [`Dataset`]: both in memory, pair by pair; described by its [`DatasetInfo`], with the stack's answers as
//!   [`OriginalOutputs`].
//! - [`Dataset::read`] and [`DatasetWriter`]: the target cache, one file, made once where FFmpeg is and read anywhere.
//! - [`OutputCache`]: a stack's outputs on clips, kept in the user's cache folder so that no clip is evaluated twice.
//! - With the feature `ffmpeg`, [`Dataset::load`] takes a clip or a target cache (a [`ClipSource`]), and [`convert`] makes the one of the other.
//!
//! Who runs the networks is not decided here: whatever is a [`metric::PerceptionStack`].

#[cfg(feature = "ffmpeg")]
mod clip;
mod dataset;
mod error;
mod file;
mod format;
mod info;
mod load;
mod output_cache;
mod outputs;
mod reader;
mod residual;
mod source;
mod writer;

#[cfg(feature = "ffmpeg")]
pub use clip::convert;
pub use dataset::Dataset;
pub use error::DatasetError;
pub use info::DatasetInfo;
pub use output_cache::{ClipOutputs, OutputCache, OutputCacheError};
pub use outputs::OriginalOutputs;
pub use source::ClipSource;
pub use writer::DatasetWriter;
