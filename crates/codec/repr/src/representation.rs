//! The quantized decoder, the quantized latents and the clip they stand for.

use std::ops::Deref;

use crate::architecture::Architecture;
use crate::clip::Clip;
use crate::error::{RepresentationError, invalid};
use crate::graph::Parameter;
use crate::limits;
use crate::quantize::{MAX_BITS, MIN_BITS};
use crate::quantized::{QuantizedLatents, QuantizedTensor};
use crate::sidecar::{Correction, Sidecar};
use crate::tensors::Tensors;

/// Largest magnitude of a scale, step or minimum; beyond it (or not finite) a representation is refused.
const MAX_MAGNITUDE: f32 = 1e6;

/// The parts of a [`Representation`], whether they fit together or not.
#[derive(Clone, Debug, PartialEq)]
pub struct RepresentationParts {
    /// The decoder.
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

/// Everything `inflate` needs: [`RepresentationParts`] that fit together and lie within their limits.
#[derive(Clone, Debug, PartialEq)]
pub struct Representation(RepresentationParts);

impl Deref for Representation {
    type Target = RepresentationParts;

    fn deref(&self) -> &RepresentationParts {
        &self.0
    }
}

impl Representation {
    /// Checks that all parts fit together and lie within their limits.
    pub fn new(parts: RepresentationParts) -> Result<Self, RepresentationError> {
        parts.clip.check_latents(parts.architecture.latent_dim())?;
        let expected = parts.architecture.parameters();
        if expected.len() != parts.parameters.len() {
            return invalid(format!("{} tensors, the architecture has {}", parts.parameters.len(), expected.len()));
        }
        expected.iter().zip(&parts.parameters).try_for_each(|(parameter, tensor)| check_tensor(parameter, tensor))?;
        check_latents(&parts)?;
        check_corrections(&parts, parts.sidecar.corrections().len(), parts.sidecar.corrections())?;
        Ok(Self(parts))
    }

    /// The parts, to be changed and put together again.
    pub fn into_parts(self) -> RepresentationParts {
        self.0
    }

    /// Puts other integers, and the corrections in `sidecar`, in the place of a sample's.
    pub fn set_sample(&mut self, sample: usize, latent: &[u8], sidecar: &Sidecar) -> Result<(), RepresentationError> {
        let corrections = sidecar.corrections();
        let (samples, dim) = (self.clip.samples(), self.architecture.latent_dim());
        let foreign = corrections.iter().any(|correction| correction.sample as usize != sample);
        if sample >= samples || latent.len() != dim || foreign {
            let found = latent.len();
            return invalid(format!("sample {sample} with {found} latent values, of {samples} samples of {dim}"));
        }
        let others = self.sidecar.corrections().len() - self.sidecar.of(sample).len();
        check_corrections(self, others + corrections.len(), corrections)?;
        self.0.latents.values[sample * dim..][..dim].copy_from_slice(latent);
        self.0.sidecar.replace(sample, corrections);
        Ok(())
    }

    /// The parameters as the floats that their integers stand for.
    pub fn dequantize(&self) -> Tensors {
        Tensors::trusted(&self.architecture, self.parameters.iter().map(QuantizedTensor::dequantize).collect())
    }
}

fn check_magnitude(what: &str, values: &[f32]) -> Result<(), RepresentationError> {
    match values.iter().find(|v| !v.is_finite() || v.abs() > MAX_MAGNITUDE) {
        None => Ok(()),
        Some(v) => invalid(format!("{what} is {v}, must be finite and at most {MAX_MAGNITUDE:e} in magnitude")),
    }
}

fn check_tensor(parameter: &Parameter, tensor: &QuantizedTensor) -> Result<(), RepresentationError> {
    let name = &parameter.name;
    if tensor.values.len() != parameter.len() {
        return invalid(format!("{name} has {} values, the architecture {}", tensor.values.len(), parameter.len()));
    }
    if !(MIN_BITS..=MAX_BITS).contains(&tensor.bits) {
        return invalid(format!("{name} has {} bits", tensor.bits));
    }
    if tensor.steps.len() != 1 && tensor.steps.len() != parameter.shape[0] {
        return invalid(format!("{name} has {} steps", tensor.steps.len()));
    }
    check_magnitude(&format!("a step of {name}"), &tensor.steps)?;
    let half = 1i16 << (tensor.bits - 1);
    match tensor.values.iter().find(|&&q| q < -half || q >= half) {
        None => Ok(()),
        Some(q) => invalid(format!("{name} holds {q}, outside {} bits", tensor.bits)),
    }
}

fn check_latents(parts: &RepresentationParts) -> Result<(), RepresentationError> {
    let (latents, dim, samples) = (&parts.latents, parts.architecture.latent_dim(), parts.clip.samples());
    if latents.minimum.len() != dim || latents.step.len() != dim {
        return invalid(format!("latents of {} dimensions, the architecture has {dim}", latents.minimum.len()));
    }
    if latents.values.len() != dim * samples {
        return invalid(format!("{} latent values for {samples} samples of {dim}", latents.values.len()));
    }
    check_magnitude("a latent step", &latents.step)?;
    check_magnitude("a latent minimum", &latents.minimum)
}

/// Checks `corrections`, some of the `count` that there are in all.
fn check_corrections(
    parts: &RepresentationParts,
    count: usize,
    corrections: &[Correction],
) -> Result<(), RepresentationError> {
    if count > limits::CORRECTIONS {
        return invalid(format!("{count} corrections, the limit is {}", limits::CORRECTIONS));
    }
    let (samples, dim) = (parts.clip.samples(), parts.architecture.latent_dim());
    match corrections.iter().find(|correction| !correction.fits(samples, dim)) {
        None => Ok(()),
        Some(correction) => invalid(format!("the sidecar holds an impossible correction: {correction:?}")),
    }
}
