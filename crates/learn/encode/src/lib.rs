//! Fewer bytes from the same training: what `hnerv encode` does between a checkpoint and an archive.
//!
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
mod fidelity;
mod judge;
mod layer;
mod original;
mod quantizer;
mod resume;
mod search;
mod state;
mod walk;

use decoder::DecoderError;
use evaluate::EvaluateError;
use metric::StackError;
use repr::{Representation, RepresentationError, Tensors};
use thiserror::Error;

pub use fidelity::fidelity;
pub use judge::Judge;
pub use original::{Original, Worth};
pub use quantizer::Quantizer;
pub use resume::{ResumeError, SearchFile};
pub use search::{Search, SearchState};
pub use walk::{Goal, Point, walk};

/// What is to be encoded.
#[derive(Clone, Debug)]
pub struct Source {
    parameters: Tensors,
    latents: Vec<f32>,
    plain: Representation,
}

impl Source {
    /// Float parameters, float latents `[samples, latent_dim]` row-major, and what a plain quantization makes of them: the
    /// same on the grids that training rounded to.
    pub fn new(parameters: Tensors, latents: Vec<f32>, plain: Representation) -> Result<Self, EncodeError> {
        let fits = *parameters.architecture() == plain.architecture && latents.len() == plain.latents.values.len();
        if fits { Ok(Self { parameters, latents, plain }) } else { Err(EncodeError::Source) }
    }

    /// Float parameters.
    pub fn parameters(&self) -> &Tensors {
        &self.parameters
    }

    /// Float latents, `[samples, latent_dim]` row-major.
    pub fn latents(&self) -> &[f32] {
        &self.latents
    }

    /// What a plain quantization gives.
    pub fn plain(&self) -> &Representation {
        &self.plain
    }

    /// A source that is what a plain quantization gives and nothing finer, as after training on its grids.
    pub fn of(plain: Representation) -> Self {
        let parameters = plain.dequantize();
        let latents = (0..plain.clip.samples()).filter_map(|sample| plain.latents.row(sample)).flatten().collect();
        Self { parameters, latents, plain }
    }
}

/// Why a source cannot be encoded.
#[derive(Debug, Error)]
pub enum EncodeError {
    /// Floats and their plain quantization are not of one decoder and clip.
    #[error("the floats are not those that the plain quantization was made of")]
    Source,
    /// A result is impossible.
    #[error(transparent)]
    Representation(#[from] RepresentationError),
    /// A result cannot be decoded.
    #[error(transparent)]
    Decoder(#[from] DecoderError),
    /// The perception stack failed.
    #[error(transparent)]
    Stack(#[from] StackError),
    /// The evaluation failed.
    #[error(transparent)]
    Evaluate(#[from] EvaluateError),
    /// The original was not shown to the evaluators that judge.
    #[error(
        "the original holds no outputs of these evaluators; give the clip itself, or make it anew with hnerv targets"
    )]
    OtherEvaluators,
    /// No quantization that is worth having is that small.
    #[error("{target} bytes cannot be reached: the coarsest quantization takes {least}; train a smaller decoder")]
    Unreachable {
        /// What was asked for.
        target: usize,
        /// The fewest bytes met.
        least: usize,
    },
    /// Originals of another clip or size.
    #[error("the original has {found} where the representation needs {needed}; give the clip it was trained on")]
    Original {
        /// What the original has.
        found: String,
        /// What is needed.
        needed: String,
    },
}
