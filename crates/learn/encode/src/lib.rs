//! Fewer bytes from the same training: what `hnerv encode` does between a checkpoint and an archive.
//!
//! - [`Quantizer`]: rate-distortion quantization. Steps, bit widths, rounding and zeroing of every tensor by what they cost in
//!   bits and what they do to the decoder's output.
//! - [`walk`]: the curve of such quantizations, from the finest to the one that meets a [`Goal`], each measured.
//! - [`Search`]: corrections of single samples by their true effect on the metric, or on the pixels.
//! - [`fidelity`]: how well a representation keeps what its floats decode to, where no original is at hand.
//!
//! Nothing here reads or writes files; rates come from [`archive`], frames from [`decoder`].

mod candidates;
mod chain;
mod curvature;
mod fidelity;
mod judge;
mod layer;
mod quantizer;
mod search;
mod state;
mod walk;

use archive::ArchiveError;
use decoder::DecoderError;
use perception::PerceptionError;
use repr::{QuantizeError, QuantizedTensor, Representation, RepresentationError, Tensor, Tensors, TensorsError};
use thiserror::Error;

pub use fidelity::fidelity;
pub use judge::Judge;
pub use quantizer::Quantizer;
pub use search::{Search, SearchState};
pub use walk::{Goal, Point, walk};

/// What is to be encoded.
#[derive(Clone, Debug)]
pub struct Source {
    /// Float parameters, one tensor for each of the architecture's.
    pub parameters: Tensors,
    /// Float latents, `[samples, latent_dim]` row-major.
    pub latents: Vec<f32>,
    /// The same on the grids that training rounded to: what a plain quantization gives.
    pub plain: Representation,
}

impl Source {
    /// A source that is what a plain quantization gives and nothing finer, as after training on its grids.
    pub fn of(plain: Representation) -> Self {
        let tensor = |tensor: &QuantizedTensor| {
            (tensor.name.clone(), Tensor { shape: tensor.shape.clone(), values: tensor.dequantize() })
        };
        let parameters = Tensors(plain.parameters.iter().map(tensor).collect());
        let latents = (0..plain.clip.samples()).filter_map(|sample| plain.latents.row(sample)).flatten().collect();
        Self { parameters, latents, plain }
    }
}

/// Why a source cannot be encoded.
#[derive(Debug, Error)]
pub enum EncodeError {
    /// Tensors are missing or do not fit the architecture.
    #[error(transparent)]
    Tensors(#[from] TensorsError),
    /// The plain quantization is impossible.
    #[error(transparent)]
    Representation(#[from] RepresentationError),
    /// Values cannot be quantized.
    #[error(transparent)]
    Quantize(#[from] QuantizeError),
    /// A result cannot be written.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// A result cannot be decoded.
    #[error(transparent)]
    Decoder(#[from] DecoderError),
    /// An evaluator failed.
    #[error(transparent)]
    Perception(#[from] PerceptionError),
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
