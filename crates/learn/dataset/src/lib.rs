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
//!
//! ```
//! use dataset::{Dataset, DatasetInfo, DatasetWriter};
//! use frames::RgbFrame;
//!
//! let info = DatasetInfo {
//!     name: repr::ClipName::new("drive")?,
//!     clip_bytes: std::num::NonZeroU64::new(10_000).expect("not zero"),
//!     clip_height: 16,
//!     clip_width: 24,
//!     height: 16,
//!     width: 24,
//! };
//! let frames: Vec<RgbFrame> = (0..4).map(|i| RgbFrame::new(24, 16, vec![40 * i; 3 * 16 * 24])).collect::<Result<_, _>>()?;
//!
//! // A target cache, written and read again.
//! let folder = tempfile::tempdir()?;
//! let path = folder.path().join("drive.targets");
//! let mut writer = DatasetWriter::create(&path, &info)?;
//! frames.iter().try_for_each(|frame| writer.push(frame))?;
//! writer.finish(None)?;
//! let dataset = Dataset::read(&path)?;
//! assert_eq!((dataset.frame_count(), dataset.pair(1)[0][0]), (4, 80));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

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
