//! From f32 tensors to integers on a grid.

use thiserror::Error;

use crate::quantized::{QuantizedLatents, QuantizedTensor};

/// Fewest bits of a quantized parameter.
pub const MIN_BITS: u8 = 2;
/// Most bits of a quantized parameter.
pub const MAX_BITS: u8 = 8;

/// Why values cannot be quantized.
#[derive(Debug, Error, PartialEq)]
pub enum QuantizeError {
    /// A NaN or an infinity, or a magnitude that no archive may hold.
    #[error("{0} holds a value that is not finite or beyond 1e6")]
    NotFinite(String),
}

/// Step of the symmetric grid of `bits` for values up to `max` in magnitude: `max / (2^(bits-1) - 1)`; 1 where all values are
/// zero. Quantization-aware training rounds on the same grid.
pub fn symmetric_step(max: f32, bits: u8) -> f32 {
    let levels = f32::from((1i16 << (bits - 1)) - 1);
    let step = max / levels;
    if step.is_normal() { step } else { 1.0 }
}

/// Rounds a parameter's `values` to the symmetric grid of `bits` (2 to 8) with one step, ties to even; `name` says in an error
/// which parameter it is.
pub fn quantize_tensor(name: &str, values: &[f32], bits: u8) -> Result<QuantizedTensor, QuantizeError> {
    let max = values.iter().fold(0f32, |m, v| m.max(v.abs()));
    quantize_to_step(name, values, bits, symmetric_step(max, bits))
}

/// Rounds a parameter's `values` to the symmetric grid of `bits` (2 to 8) with the given step, ties to even; values beyond the grid become
/// its ends.
pub fn quantize_to_step(name: &str, values: &[f32], bits: u8, step: f32) -> Result<QuantizedTensor, QuantizeError> {
    let good = |v: &f32| v.abs() <= 1e6;
    if !(step > 0.0 && good(&step) && values.iter().all(good)) {
        return Err(QuantizeError::NotFinite(name.into()));
    }
    let levels = f32::from((1i16 << (bits - 1)) - 1);
    let values = values.iter().map(|v| (v / step).round_ties_even().clamp(-levels, levels) as i16).collect();
    Ok(QuantizedTensor { bits, steps: vec![step], values })
}

/// Rounds latents `[samples, dim]` (row-major) to the levels of each dimension's number of `bits` (1 to 15) between its smallest and
/// largest value; `dim` is the number of `bits`.
pub fn quantize_latents(values: &[f32], bits: &[u8]) -> Result<QuantizedLatents, QuantizeError> {
    if values.iter().any(|v| !v.is_finite() || v.abs() > 1e6) {
        return Err(QuantizeError::NotFinite("the latent table".into()));
    }
    let dim = bits.len();
    let last: Vec<f32> = bits.iter().map(|&bits| f32::from((1u16 << bits) - 1)).collect();
    let column = |d: usize| values.iter().skip(d).step_by(dim).copied();
    let minimum: Vec<f32> = (0..dim).map(|d| column(d).fold(f32::INFINITY, f32::min)).collect();
    let step: Vec<f32> = (0..dim)
        .map(|d| {
            let step = (column(d).fold(f32::NEG_INFINITY, f32::max) - minimum[d]) / last[d];
            if step.is_normal() { step } else { 1.0 }
        })
        .collect();
    let level = |(i, v): (usize, &f32)| {
        let d = i % dim;
        ((v - minimum[d]) / step[d]).round_ties_even().clamp(0.0, last[d]) as u16
    };
    let values = values.iter().enumerate().map(level).collect();
    Ok(QuantizedLatents { minimum, step, values })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounding_stays_within_half_a_step() {
        let values: Vec<f32> = (0..200).map(|i| ((i * 37 % 101) as f32 - 50.0) * 0.013).collect();
        for bits in MIN_BITS..=MAX_BITS {
            let quantized = quantize_tensor("t", &values, bits).unwrap();
            let half = quantized.steps[0] * 0.5001;
            assert!(quantized.dequantize().iter().zip(&values).all(|(a, b)| (a - b).abs() <= half), "{bits} bits");
        }
        let latents = quantize_latents(&values, &[8; 8]).unwrap();
        let rounded = latents.dequantize();
        for (i, (a, b)) in rounded.iter().zip(&values).enumerate() {
            assert!((a - b).abs() <= latents.step[i % 8] * 0.501, "{i}");
        }
        // A sample of two latents.
        assert_eq!(latents.sample(3, 16, &[]).unwrap(), rounded[48..64]);
        assert!(latents.sample(24, 8, &[]).is_some() && latents.sample(25, 8, &[]).is_none());
    }

    #[test]
    fn dimensions_of_more_bits_have_finer_steps() {
        let values: Vec<f32> = (0..300).map(|i| ((i * 37 % 101) as f32 - 50.0) * 0.013).collect();
        let bits = [8, 10, 12];
        let latents = quantize_latents(&values, &bits).unwrap();
        for (d, &bits) in bits.iter().enumerate() {
            let levels: Vec<u16> = latents.values.iter().skip(d).step_by(3).copied().collect();
            assert_eq!((levels.iter().min(), levels.iter().max()), (Some(&0), Some(&((1 << bits) - 1))));
            let coarse = quantize_latents(&values, &[8; 3]).unwrap();
            let factor = f32::from((1u16 << bits) - 1) / 255.0;
            assert!((coarse.step[d] / latents.step[d] - factor).abs() < 1e-3, "{bits} bits");
        }
        let worst = |d: usize| {
            let errors = latents.dequantize().into_iter().zip(&values).skip(d).step_by(3);
            errors.map(|(a, b)| (a - b).abs() / latents.step[d]).fold(0.0, f32::max)
        };
        assert!((0..3).all(|d| worst(d) <= 0.51));
    }

    #[test]
    fn constant_and_bad_values_are_met() {
        assert_eq!(quantize_tensor("t", &[0.0; 4], 8).unwrap().values, [0; 4]);
        assert_eq!(quantize_latents(&[0.5; 6], &[8; 2]).unwrap().dequantize(), [0.5; 6]);
        assert!(quantize_tensor("t", &[0.0, f32::NAN], 8).is_err());
        assert!(quantize_latents(&[f32::INFINITY], &[8]).is_err());
    }

    #[test]
    fn per_channel_steps_apply_to_their_rows() {
        let tensor = QuantizedTensor { bits: 8, steps: vec![1.0, 2.0], values: vec![1, 2, 3, 4] };
        assert_eq!(tensor.dequantize(), [1.0, 2.0, 6.0, 8.0]);
    }
}
