//! Parameters and latents as integers on grids.

use crate::sidecar::{Correction, CorrectionTarget};

/// A parameter as integers on a grid: `value = integer * step`.
#[derive(Clone, Debug, PartialEq)]
pub struct QuantizedTensor {
    /// Bits of an integer, [`crate::MIN_BITS`] to [`crate::MAX_BITS`]; values lie in `-2^(bits-1) ..= 2^(bits-1) - 1`.
    pub bits: u8,
    /// Quantization steps: one for the whole tensor, or one per output channel (`shape[0]` of the parameter).
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

/// Latents as integers on a grid: `value = integer * step + minimum`, per dimension, of as many bits as
/// [`Architecture::latent_bits`](crate::Architecture::latent_bits) says.
#[derive(Clone, Debug, PartialEq)]
pub struct QuantizedLatents {
    /// Smallest value of each dimension.
    pub minimum: Vec<f32>,
    /// Quantization step of each dimension.
    pub step: Vec<f32>,
    /// Integers, `[latents, dim]` row-major.
    pub values: Vec<u16>,
}

impl QuantizedLatents {
    /// Values of one latent.
    pub fn dim(&self) -> usize {
        self.minimum.len()
    }

    /// The values as f32, row-major.
    pub fn dequantize(&self) -> Vec<f32> {
        self.grids(&self.values).map(|(q, step, minimum)| f32::from(q) * step + minimum).collect()
    }

    /// The latents of sample `index`, which take `len` values (a multiple of `dim`), its integers moved by the latent part of
    /// `corrections`; or nothing past the last one.
    pub fn sample(&self, index: usize, len: usize, corrections: &[Correction]) -> Option<Vec<f32>> {
        let row = self.values.get(index.checked_mul(len)?..)?.get(..len)?;
        let mut integers: Vec<i16> = row.iter().map(|&q| q as i16).collect();
        for correction in corrections {
            if let CorrectionTarget::Latent { dimension } = correction.target {
                *integers.get_mut(usize::from(dimension))? += i16::from(correction.amount);
            }
        }
        Some(self.grids(&integers).map(|(q, step, minimum)| f32::from(q) * step + minimum).collect())
    }

    /// Whole latents of integers with their steps and minima.
    fn grids<T: Copy>(&self, integers: &[T]) -> impl Iterator<Item = (T, f32, f32)> {
        let grid = self.step.iter().zip(&self.minimum).cycle();
        integers.iter().zip(grid).map(|(&q, (&step, &minimum))| (q, step, minimum))
    }
}
