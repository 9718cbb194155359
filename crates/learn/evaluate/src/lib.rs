//! What a representation is worth: its frames, through the decoder that `inflate` runs, against a [`Dataset`](dataset::Dataset).
//!
//! - [`evaluate`]: an [`Evaluation`] of the whole clip, by the pixels and, with a perception stack, by the metric.
//! - [`squared_error`]: the error of a single sample, as the whole is made of.
//!
//! ```
//! use dataset::{Dataset, DatasetInfo};
//! use evaluate::evaluate;
//! use frames::RgbFrame;
//!
//! let bytes = std::fs::read(testdata::asset_of("codec/archive", "version-2.bin"))?;
//! let representation = archive::decode(&bytes)?;
//! let info = DatasetInfo {
//!     name: repr::ClipName::new("drive")?,
//!     clip_bytes: std::num::NonZeroU64::new(10_000).expect("not zero"),
//!     clip_height: 16,
//!     clip_width: 24,
//!     height: 16,
//!     width: 24,
//! };
//! let mut dataset = Dataset::new(info)?;
//! for _ in 0..representation.clip.frames() {
//!     dataset.push(&RgbFrame::new(24, 16, vec![128; 3 * 16 * 24])?)?;
//! }
//! let found = evaluate(&representation, &dataset, None, bytes.len())?;
//! assert_eq!(found.pair_mse.len(), 20);
//! assert!(found.psnr > 0.0 && found.score.is_none());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod evaluation;

pub use evaluation::{EvaluateError, Evaluation, evaluate, squared_error};
