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
            if let CorrectionTarget::Latent { dimension } = correction.target {
                *integers.get_mut(usize::from(dimension))? += i16::from(correction.amount);
            }
        }
        let value = |((&q, &step), &minimum): ((&i16, &f32), &f32)| f32::from(q) * step + minimum;
        Some(integers.iter().zip(&self.step).zip(&self.minimum).map(value).collect())
    }
}
