//! The quantized decoder, the quantized latents and the clip they stand for.

use thiserror::Error;

use crate::{Architecture, ArchitectureError, Correction, FRAMES_PER_SAMPLE, Sidecar, Target, limits};

/// Largest magnitude of a scale, step or minimum; beyond it (or not finite) a representation is refused.
const MAX_MAGNITUDE: f32 = 1e6;
/// Most frames of a clip: 14 hours at 20 frames a second.
const MAX_FRAMES: usize = 1_000_000;

/// The clip that a representation stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Clip {
    /// File name without folder and extension; names the `.raw` that `inflate` writes.
    pub name: String,
    /// Number of frames; an odd last one repeats the frame before it.
    pub frames: usize,
    /// Rows of a frame.
    pub height: usize,
    /// Columns of a frame.
    pub width: usize,
}

impl Clip {
    /// Number of samples: consecutive pairs, an odd last frame dropped. A single frame still needs one.
    pub fn samples(&self) -> usize {
        (self.frames / FRAMES_PER_SAMPLE).max(1)
    }
}

/// Integers on a grid: `value = integer * step`.
#[derive(Clone, Debug, PartialEq)]
pub struct QuantizedTensor {
    /// The parameter's name.
    pub name: String,
    /// The parameter's shape.
    pub shape: Vec<usize>,
    /// Bits of an integer, [`crate::MIN_BITS`] to [`crate::MAX_BITS`]; values lie in `-2^(bits-1) ..= 2^(bits-1) - 1`.
    pub bits: u8,
    /// Quantization steps: one for the whole tensor, or one per output channel (`shape[0]`).
    pub steps: Vec<f32>,
    /// The integers, row-major.
    pub values: Vec<i16>,
}

impl QuantizedTensor {
    /// The values as f32, row-major.
    pub fn dequantize(&self) -> Vec<f32> {
        let per_channel = self.values.len() / self.steps.len().max(1);
        let chunks = self.values.chunks(per_channel.max(1));
        chunks.zip(&self.steps).flat_map(|(chunk, &step)| chunk.iter().map(move |&q| f32::from(q) * step)).collect()
    }
}

/// 8-bit latents, one row a sample: `value = integer * step + minimum`, per dimension.
#[derive(Clone, Debug, PartialEq)]
pub struct QuantizedLatents {
    /// Smallest value of each dimension.
    pub minimum: Vec<f32>,
    /// Quantization step of each dimension.
    pub step: Vec<f32>,
    /// Integers, `[samples, dim]` row-major.
    pub values: Vec<u8>,
}

impl QuantizedLatents {
    /// Values of one latent.
    pub fn dim(&self) -> usize {
        self.minimum.len()
    }

    /// The latent of sample `index`, or nothing past the last one.
    pub fn row(&self, index: usize) -> Option<Vec<f32>> {
        self.corrected_row(index, &[])
    }

    /// As [`row`](Self::row), with the sample's integers moved by the latent part of `corrections`.
    pub fn corrected_row(&self, index: usize, corrections: &[Correction]) -> Option<Vec<f32>> {
        let dim = self.dim();
        let row = self.values.get(index.checked_mul(dim)?..)?.get(..dim)?;
        let mut integers: Vec<i16> = row.iter().map(|&q| q.into()).collect();
        for correction in corrections {
            if let Target::Latent { dimension } = correction.target {
                *integers.get_mut(usize::from(dimension))? += i16::from(correction.amount);
            }
        }
        let value = |((&q, &step), &minimum): ((&i16, &f32), &f32)| f32::from(q) * step + minimum;
        Some(integers.iter().zip(&self.step).zip(&self.minimum).map(value).collect())
    }
}

/// Everything `inflate` needs.
#[derive(Clone, Debug, PartialEq)]
pub struct Representation {
    /// The layer table.
    pub architecture: Architecture,
    /// What the frames belong to.
    pub clip: Clip,
    /// One tensor per parameter, in the order of [`Architecture::parameters`].
    pub parameters: Vec<QuantizedTensor>,
    /// One row per sample of `clip`.
    pub latents: QuantizedLatents,
    /// What single samples have been moved by.
    pub sidecar: Sidecar,
}

/// Why a representation is refused.
#[derive(Debug, Error, PartialEq)]
pub enum RepresentationError {
    /// The layer table is impossible.
    #[error(transparent)]
    Architecture(#[from] ArchitectureError),
    /// Anything else, in words.
    #[error("{0}")]
    Invalid(String),
}

fn invalid<T>(text: String) -> Result<T, RepresentationError> {
    Err(RepresentationError::Invalid(text))
}

fn check_magnitude(what: &str, values: &[f32]) -> Result<(), RepresentationError> {
    match values.iter().find(|v| !v.is_finite() || v.abs() > MAX_MAGNITUDE) {
        None => Ok(()),
        Some(v) => invalid(format!("{what} is {v}, must be finite and at most {MAX_MAGNITUDE:e} in magnitude")),
    }
}

impl Clip {
    /// Checks the name (a plain file name), the frame count and the size.
    pub fn validate(&self) -> Result<(), RepresentationError> {
        let name = self.name.as_str();
        if name.is_empty()
            || name.len() > 200
            || name == "."
            || name == ".."
            || name.chars().any(|c| c == '/' || c == '\\' || c.is_control())
        {
            return invalid(format!("the clip name {name:?} is not a plain file name of 1 to 200 bytes"));
        }
        if self.frames == 0 || self.frames > MAX_FRAMES {
            return invalid(format!("the clip has {} frames, must be 1 to {MAX_FRAMES}", self.frames));
        }
        let side = 1..=limits::SIDE;
        if !side.contains(&self.height) || !side.contains(&self.width) {
            return invalid(format!(
                "the clip is {}x{}, each side must be 1 to {}",
                self.width,
                self.height,
                limits::SIDE
            ));
        }
        Ok(())
    }

    /// Checks that the latents of a valid clip, `dim` values each, are not too many; to be asked before they are allocated.
    pub fn validate_latents(&self, dim: usize) -> Result<(), RepresentationError> {
        let values = dim.saturating_mul(self.samples());
        if values <= limits::LATENTS {
            return Ok(());
        }
        invalid(format!("{} samples of {dim} latent values, the limit is {} in all", self.samples(), limits::LATENTS))
    }
}

impl Representation {
    /// Checks that all parts fit together and lie within their limits.
    pub fn validate(&self) -> Result<(), RepresentationError> {
        self.architecture.validate()?;
        self.clip.validate()?;
        self.clip.validate_latents(self.architecture.latent_dim)?;
        let expected = self.architecture.parameters();
        if expected.len() != self.parameters.len() {
            return invalid(format!("{} tensors, the architecture has {}", self.parameters.len(), expected.len()));
        }
        for (parameter, tensor) in expected.iter().zip(&self.parameters) {
            let name = &parameter.name;
            if tensor.name != *name || tensor.shape != parameter.shape || tensor.values.len() != parameter.len() {
                let found = (&tensor.name, &tensor.shape);
                return invalid(format!("tensor {} of shape {:?} where {name} belongs", found.0, found.1));
            }
            if !(crate::MIN_BITS..=crate::MAX_BITS).contains(&tensor.bits) {
                return invalid(format!("{name} has {} bits", tensor.bits));
            }
            if tensor.steps.len() != 1 && tensor.steps.len() != parameter.shape[0] {
                return invalid(format!("{name} has {} steps", tensor.steps.len()));
            }
            check_magnitude(&format!("a step of {name}"), &tensor.steps)?;
            let half = 1i16 << (tensor.bits - 1);
            if let Some(q) = tensor.values.iter().find(|&&q| q < -half || q >= half) {
                return invalid(format!("{name} holds {q}, outside {} bits", tensor.bits));
            }
        }
        let (latents, dim) = (&self.latents, self.architecture.latent_dim);
        if latents.minimum.len() != dim || latents.step.len() != dim {
            return invalid(format!("latents of {} dimensions, the architecture has {dim}", latents.minimum.len()));
        }
        if latents.values.len() != dim * self.clip.samples() {
            let (values, samples) = (latents.values.len(), self.clip.samples());
            return invalid(format!("{values} latent values for {samples} samples of {dim}"));
        }
        check_magnitude("a latent step", &latents.step)?;
        check_magnitude("a latent minimum", &latents.minimum)?;
        let corrections = self.sidecar.corrections().len();
        if corrections > limits::CORRECTIONS {
            return invalid(format!("{corrections} corrections, the limit is {}", limits::CORRECTIONS));
        }
        match self.sidecar.misfit(self.clip.samples(), dim) {
            None => Ok(()),
            Some(correction) => invalid(format!("the sidecar holds an impossible correction: {correction:?}")),
        }
    }
}
