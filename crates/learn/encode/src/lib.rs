//! Fewer bytes from the same training: what `hnerv encode` does between a checkpoint and an archive.
//!
//! - [`Source`]: floats, and what a plain quantization gives of them.
//! - [`Quantizer`]: rate-distortion quantization. Steps, bit widths, rounding and zeroing of every tensor by what they cost in
//!   bits and what they do to the decoder's output.
//! - [`walk`]: the curve of such quantizations, from the finest to the one that meets a [`Goal`], each measured.
//! - [`Search`]: corrections of single samples by their true effect on the metric, or on the pixels.
//! - [`Original`]: what results are compared with, and their [`Worth`] beside it.
//! - [`SearchFile`]: a search that survives an interruption.
//! - [`fidelity`]: how well a representation keeps what its floats decode to, where no original is at hand.
//!
//! Rates come from [`archive`], frames from [`decoder`], figures from [`evaluate`](mod@evaluate). No file but the search's is touched.

mod candidates;
mod curvature;
mod differentiable;
mod error;
mod fidelity;
mod judge;
mod layer;
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
pub use original::{Original, Worth};
pub use quantizer::Quantizer;
pub use resume::{ResumeError, SearchFile};
pub use search::{Search, SearchState};
pub use source::Source;
pub use walk::{Goal, Point, walk};
