//! From what training leaves to a representation: quantization to the archive's grids.

use repr::{
    Architecture, Clip, QuantizeError, Representation, Sidecar, Tensor, TensorsError, quantize_latents,
    quantize_tensor, quantize_to_step,
};
use thiserror::Error;

use crate::parameters::{Key, Parameters};
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
}

impl Parameters<Vec<f32>> {
    /// The learned step of a parameter's grid, if it has one.
    fn step(&self, index: usize) -> Option<f32> {
        self.get(Key::LogStep(index))?.first().map(|step| step.exp())
    }

    /// The decoder's parameters in the architecture's shapes. Where a grid's step is learned, values beyond the ends of the
    /// grid of `bits` are those ends, as training took them.
    pub fn tensors(&self, architecture: &Architecture, bits: u8) -> Vec<Tensor> {
        let tensor = |(index, (parameter, values)): (usize, (repr::Parameter, &Vec<f32>))| {
            let end = self.step(index).map(|step| step * levels(bits) as f32);
            let within = |&value: &f32| end.map_or(value, |end| value.max(-end).min(end));
            Tensor { shape: parameter.shape, values: values.iter().map(within).collect() }
        };
        architecture.parameters().into_iter().zip(&self.weights).enumerate().map(tensor).collect()
    }

    /// Quantizes parameters as they were trained to be, to `bits` with their learned steps, or `plainly` to as many bits; latents to
    /// 8 bits.
    pub fn quantize(
        &self,
        architecture: &Architecture,
        clip: &Clip,
        bits: u8,
        plainly: Option<u8>,
    ) -> Result<Representation, UnquantizableError> {
        let mut parameters = Vec::new();
        let tensors = self.tensors(architecture, bits);
        for (index, (parameter, tensor)) in architecture.parameters().iter().zip(&tensors).enumerate() {
            let name = &parameter.name;
            parameters.push(match (plainly, self.step(index)) {
                (None, Some(step)) => quantize_to_step(name, tensor, bits, step)?,
                (plainly, _) => quantize_tensor(name, tensor, plainly.unwrap_or(bits))?,
            });
        }
        let latents = quantize_latents(&self.latents, architecture.latent_dim)?;
        let (architecture, clip) = (architecture.clone(), clip.clone());
        Ok(Representation { architecture, clip, parameters, latents, sidecar: Sidecar::default() })
    }
}
