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
    /// Class maps that are kept coded cannot be read.
    #[error("its class maps are damaged; copy it again")]
    Maps,
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

#[cfg(test)]
mod tests {
    use repr::{Carrier, ClipName, LayerTable, MapShape, Stem};

    use super::*;

    #[test]
    fn coefficients_take_their_own_bits_and_maps_their_place() {
        let stem = Stem { classes: 2, ..Stem::new(1, 2, 3) };
        let carrier = Some(Carrier { coefficients: 2, height: 1, width: 2, channels: 3, bits: 10 });
        let architecture = Architecture::new(LayerTable { carrier, ..LayerTable::new(3, stem, Vec::new()) }).unwrap();
        let clip = Clip::new(ClipName::new("clip").unwrap(), 9, 4, 6).unwrap();
        let value = |i: usize| ((i * 37 % 101) as f32 - 50.0) * 0.01;
        let parameters = Parameters {
            weights: architecture.parameters().iter().map(|p| (0..p.len()).map(value).collect()).collect(),
            log_steps: None,
            latents: (0..12).map(value).collect(),
        };
        let maps = |count| {
            let shape = MapShape::new(count, 2, 3, 2).unwrap();
            Some(Arc::new(ClassMaps::new(shape, (0..6 * count).map(|i| i as u8 % 2).collect()).unwrap()))
        };
        let found = parameters.quantize(&architecture, &clip, maps(4), 5, None).unwrap();
        assert_eq!(found.maps, maps(4));
        let largest = |d: usize| found.latents.values.iter().skip(d).step_by(3).copied().max();
        assert_eq!([0, 1, 2].map(largest), [Some(255), Some(1023), Some(1023)]);
        for (i, (found, value)) in found.latents.dequantize().iter().zip(&parameters.latents).enumerate() {
            assert!((found - value).abs() < 1.0 / [500.0, 2000.0, 2000.0][i % 3], "{i}: {found} for {value}");
        }
        for wrong in [None, maps(5)] {
            let refused = parameters.quantize(&architecture, &clip, wrong, 5, None).unwrap_err();
            assert!(refused.to_string().contains("class maps"), "{refused}");
        }
    }
}
