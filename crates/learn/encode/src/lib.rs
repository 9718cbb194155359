//! Fewer bytes from the same training: what `hnerv encode` does between a checkpoint and an archive.
//!
//! - [`Source`]: floats, and what a plain quantization gives of them.
//! - [`Quantizer`]: rate-distortion quantization. Steps, bit widths, rounding and zeroing of every tensor by what they cost in
//!   bits and what they do to the decoder's output.
//! - [`walk`]: the curve of such quantizations, from the finest to the one that meets a [`Goal`], each measured.
//! - [`Search`]: corrections of single samples by their true effect on the metric, or on the pixels.
//! - [`MapSearch`]: edits of class maps by the same, where the decoder is fed with them.
//! - [`Original`]: what results are compared with, and their [`Worth`] beside it.
//! - [`SearchFile`]: a search that survives an interruption.
//! - [`fidelity`]: how well a representation keeps what its floats decode to, where no original is at hand.
//!
//! Rates come from [`archive`], frames from [`decoder`], figures from [`evaluate`](mod@evaluate). No file but the search's is touched.
//!
//! ```
//! use encode::{Quantizer, Source, fidelity};
//!
//! let bytes = std::fs::read(testdata::asset_of("codec/archive", "version-2.bin"))?;
//! let source = Source::of(archive::decode(&bytes)?);
//! let smaller = Quantizer::new(&source).quantize(10.0)?;
//! assert!(archive::encode(&smaller).len() < bytes.len());
//! assert!(fidelity(&source, &smaller)? > 0.0);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod candidates;
mod curvature;
mod differentiable;
mod error;
mod fidelity;
mod judge;
mod layer;
mod map_search;
mod original;
mod quantizer;
mod resume;
mod search;
mod source;
mod state;
mod walk;

pub use error::EncodeError;
pub use fidelity::fidelity;
pub use judge::Judge;
pub use map_search::{MapSearch, MapSearchState, Resolve, solving};
pub use original::{Original, Worth};
pub use quantizer::Quantizer;
pub use resume::{ResumeError, Saved, SearchFile, Steps};
pub use search::{Search, SearchState};
pub use source::Source;
pub use walk::{Goal, Point, walk};
