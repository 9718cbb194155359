//! The layer between a latent and the first activation.

use crate::math::sin_vector;
use crate::rows::Aligned;
use crate::simd::{Kernel, Level, MAX_LANES, Simd};

/// A linear layer, followed by sin or by nothing.
pub struct Linear {
    inputs: usize,
    outputs: usize,
    /// `[output / 16][input][output % 16]`.
    weights: Aligned,
    bias: Aligned,
}

impl Linear {
    /// Packs `weight` `[outputs, inputs]` and `bias` `[outputs]`.
    ///
    /// # Panics
    /// If a length does not fit.
    pub fn new(weight: &[f32], bias: &[f32], inputs: usize) -> Self {
        let outputs = bias.len();
        assert_eq!(weight.len(), outputs * inputs);
        let mut weights = Aligned::zeros(outputs.next_multiple_of(MAX_LANES) * inputs);
        let packed = weights.as_mut_slice();
        for (i, &value) in weight.iter().enumerate() {
            let (output, input) = (i / inputs, i % inputs);
            packed[(output / MAX_LANES * inputs + input) * MAX_LANES + output % MAX_LANES] = value;
        }
        let mut padded = Aligned::zeros(outputs);
        padded.as_mut_slice()[..outputs].copy_from_slice(bias);
        Self { inputs, outputs, weights, bias: padded }
    }

    /// `out = sin(weight * input + bias)`.
    ///
    /// # Panics
    /// If a length does not fit.
    pub fn sin(&self, level: Level, input: &[f32], out: &mut [f32]) {
        assert_eq!((input.len(), out.len()), (self.inputs, self.outputs));
        level.run(LinearRow::<true> { linear: self, input, out });
    }

    /// `out = weight * input + bias`.
    ///
    /// # Panics
    /// If a length does not fit.
    pub fn sums(&self, level: Level, input: &[f32], out: &mut [f32]) {
        assert_eq!((input.len(), out.len()), (self.inputs, self.outputs));
        level.run(LinearRow::<false> { linear: self, input, out });
    }
}

struct LinearRow<'a, const SIN: bool> {
    linear: &'a Linear,
    input: &'a [f32],
    out: &'a mut [f32],
}

impl<const SIN: bool> Kernel for LinearRow<'_, SIN> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Linear { inputs, weights, bias, .. } = self.linear;
        let (weights, bias) = (weights.as_slice(), bias.as_slice());
        for first in (0..self.out.len()).step_by(S::LANES) {
            let group = &weights[first / MAX_LANES * inputs * MAX_LANES..][..inputs * MAX_LANES];
            let mut sum = s.load(&bias[first..]);
            for (&value, weights) in self.input.iter().zip(group.chunks_exact(MAX_LANES)) {
                sum = s.fma(s.splat(value), s.load(&weights[first % MAX_LANES..]), sum);
            }
            let value = if SIN { sin_vector(s, sum) } else { sum };
            s.store(value, &mut self.out[first..]);
        }
    }
}
