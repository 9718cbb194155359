//! From what training leaves to a representation: quantization to the archive's grids.

use std::sync::Arc;

use repr::{
    Architecture, ClassMaps, Clip, QuantizeError, Representation, RepresentationError, RepresentationParts, Sidecar,
    Tensors, TensorsError, quantize_latents, quantize_tensor, quantize_to_step,
};
use thiserror::Error;

use crate::parameters::Parameters;
use crate::quantization::levels;

/// Why floats cannot become a representation.
#[derive(Debug, Error)]
pub enum UnquantizableError {
    /// Tensors are missing or do not fit the architecture.
    #[error(transparent)]
    Tensors(#[from] TensorsError),
    /// Values cannot be quantized.
    #[error(transparent)]
    Quantize(#[from] QuantizeError),
    /// What comes out is impossible.
    #[error(transparent)]
    Representation(#[from] RepresentationError),
}

impl Parameters<Vec<f32>> {
    /// The learned step of a parameter's grid, if it has one.
    fn step(&self, index: usize) -> Option<f32> {
        self.log_steps.as_ref()?.get(index)?.first().map(|step| step.exp())
    }

    /// The decoder's parameters. Where a grid's step is learned, values beyond the ends of the grid of `bits` are those ends, as
    /// training took them.
    pub fn tensors(&self, architecture: &Architecture, bits: u8) -> Result<Tensors, TensorsError> {
        let within = |(index, values): (usize, &Vec<f32>)| {
            let end = self.step(index).map(|step| step * levels(bits) as f32);
            values.iter().map(|&value| end.map_or(value, |end| value.max(-end).min(end))).collect()
        };
        Tensors::new(architecture, self.weights.iter().enumerate().map(within).collect())
    }

    /// Quantizes parameters as they were trained to be, to `bits` with their learned steps, or `plainly` to as many bits; latents to
    /// those that the architecture says.
    pub fn quantize(
        &self,
        architecture: &Architecture,
        clip: &Clip,
        maps: Option<Arc<ClassMaps>>,
        bits: u8,
        plainly: Option<u8>,
    ) -> Result<Representation, UnquantizableError> {
        let mut parameters = Vec::new();
        for (parameter, values) in self.tensors(architecture, bits)?.iter() {
            parameters.push(match (plainly, self.step(parameter.id.index())) {
                (None, Some(step)) => quantize_to_step(&parameter.name, values, bits, step)?,
                (plainly, _) => quantize_tensor(&parameter.name, values, plainly.unwrap_or(bits))?,
            });
        }
        let latents = quantize_latents(&self.latents, &architecture.latent_bits())?;
        let (architecture, clip, sidecar) = (architecture.clone(), clip.clone(), Sidecar::default());
        Ok(Representation::new(RepresentationParts { architecture, clip, parameters, latents, sidecar, maps })?)
    }
}
