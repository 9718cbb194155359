//! The RGB heads.

use rayon::prelude::*;

use crate::bands::{Band, BandedTensor, fill, image, jobs};
use crate::correlation::{BLOCK, Correlation, transposed};
use crate::slope::{OfSigmoid, SlopeProduct};
use crate::weights::{WeightGradients, Weights};
use kernels::Rows;
use kernels::math::logistic_vector;
use kernels::simd::{Kernel, Level, Simd};
use kernels::{Conv, row_stride};

/// Rows that a thread takes at once.
const BAND: usize = 16;

/// `sigmoid(conv(x))`, a 3x3 convolution with zero padding that keeps the size.
///
/// Every method panics if a slice does not have the length that its shape says, or a size is 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeadsShape {
    /// Channels of the input.
    pub inputs: usize,
    /// Channels of the result.
    pub outputs: usize,
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
}

/// What [`HeadsShape::backward`] returns.
#[derive(Clone, Debug, PartialEq)]
pub struct HeadsGradients {
    /// `[n, inputs, height, width]`.
    pub x: Vec<f32>,
    /// Of the convolution.
    pub conv: WeightGradients,
}

impl HeadsShape {
    /// `[n, outputs, height, width]` in [0, 1], for `x` `[n, inputs, height, width]`.
    pub fn forward(&self, n: usize, x: &[f32], conv: Weights) -> Vec<f32> {
        self.forward_at(Level::detect(), n, x, conv)
    }

    /// Gradients of a loss whose gradient in the result is `gradient`, for `x` and the `weight` that went into
    /// [`forward`](Self::forward) and the `y` that came out.
    pub fn backward(&self, n: usize, x: &[f32], y: &[f32], gradient: &[f32], weight: &[f32]) -> HeadsGradients {
        self.backward_at(Level::detect(), n, x, y, gradient, weight)
    }

    /// Values of one sample of the input and of the result.
    fn check(&self) -> (usize, usize) {
        let Self { inputs, outputs, height, width } = *self;
        assert!(inputs > 0 && outputs > 0 && height > 0 && width > 0, "empty heads");
        (inputs * height * width, outputs * height * width)
    }

    pub(crate) fn forward_at(&self, level: Level, n: usize, x: &[f32], conv: Weights) -> Vec<f32> {
        let Self { inputs, outputs, height, width } = *self;
        let (x_len, _) = self.check();
        assert!(x.len() == n * x_len && conv.bias.len() == outputs);
        let conv = Conv::new(conv.weight, conv.bias, inputs, 3, 1);
        let mut target = BandedTensor::new([n, outputs, height, width]);
        let new = || (Rows::new(inputs, height, width, 3), vec![0.0; conv.row_len(width)]);
        let bands = target.bands(BAND).into_par_iter().zip(jobs(n, height, BAND));
        bands.for_each_init(new, |(rows, out), (mut band, job)| {
            rows.restart_at(job.rows.start.saturating_sub(1));
            for y in job.rows {
                fill(rows, image(x, job.sample, x_len), y + 2);
                conv.row(level, rows, y, out);
                level.run(Sigmoid { row: out, stride: row_stride(width), channels: outputs, band: &mut band });
            }
        });
        target.finish()
    }

    pub(crate) fn backward_at(
        &self,
        level: Level,
        n: usize,
        x: &[f32],
        y: &[f32],
        gradient: &[f32],
        weight: &[f32],
    ) -> HeadsGradients {
        let Self { inputs, outputs, height, width } = *self;
        let (x_len, y_len) = self.check();
        assert!(x.len() == n * x_len && y.len() == n * y_len && gradient.len() == n * y_len);
        let conv = Correlation { inputs, outputs, kernel: 3, dilation: 1 };
        assert_eq!(weight.len(), outputs * inputs * 9);
        let conv_t = transposed(weight, inputs, 3, 1);
        let new = || {
            let rows = |channels| Rows::new(channels, height, width, BLOCK + 2);
            (rows(inputs), rows(outputs), vec![0.0; conv_t.row_len(width)])
        };
        let mut dx = BandedTensor::new([n, inputs, height, width]);
        let targets = dx.bands(BAND).into_par_iter().zip(jobs(n, height, BAND));
        let parts = targets.map_init(new, |(x_rows, gradients, out), (mut band, job)| {
            let (x, y) = (image(x, job.sample, x_len), image(y, job.sample, y_len));
            let gradient = image(gradient, job.sample, y_len);
            let mut sums = conv.zeros();
            let start = job.rows.start.saturating_sub(1);
            x_rows.restart_at(start);
            gradients.restart_at(start);
            for block in job.rows.clone().step_by(BLOCK) {
                let count = BLOCK.min(job.rows.end - block);
                fill(x_rows, x, block + count + 1);
                while gradients.filled() < (block + count + 1).min(height) {
                    let row = gradients.filled();
                    level.run(SlopeProduct::<OfSigmoid>::new(gradient, y, row, height, gradients.push()));
                }
                conv.add(level, gradients, x_rows, block, count, &mut sums);
                for y in block..block + count {
                    conv_t.row(level, gradients, y, out);
                    for (c, row) in out.chunks_exact(row_stride(width)).enumerate().take(inputs) {
                        band.push(c, row);
                    }
                }
            }
            sums
        });
        let parts: Vec<_> = parts.collect();
        HeadsGradients { x: dx.finish(), conv: conv.total(parts.iter()) }
    }
}

/// Takes the sigmoid of a convolution's row and writes it.
struct Sigmoid<'a, 'b> {
    row: &'a mut [f32],
    stride: usize,
    channels: usize,
    band: &'a mut Band<'b>,
}

impl Kernel for Sigmoid<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        for (c, row) in self.row.chunks_exact_mut(self.stride).enumerate().take(self.channels) {
            for values in row.chunks_exact_mut(S::LANES) {
                s.store(logistic_vector(s, 1.0, s.load(values)), values);
            }
            self.band.push(c, row);
        }
    }
}
