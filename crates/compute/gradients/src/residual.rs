//! The residual block.

use rayon::prelude::*;

use crate::bands::{BandedTensor, add_to, fill, image, jobs};
use crate::correlation::{BLOCK, Correlation, transposed};
use crate::ends::ends_of;
use crate::weights::{WeightGradients, Weights};
use kernels::simd::{Kernel, Level, Simd};
use kernels::{Conv, MARGIN, MAX_KERNEL, Nonlinearity, RowMut, Rows, row_stride};

/// Rows that a thread takes at once.
const BAND: usize = 32;

/// `x + second(f(first(x)))`: a convolution with zero padding that keeps the size, dilated, then a 1x1 convolution.
///
/// Every method panics if a slice does not have the length that its shape says, or a size is out of range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResidualShape {
    /// Channels of the input and of the result.
    pub channels: usize,
    /// Channels between the convolutions.
    pub hidden: usize,
    /// Size of the first convolution's kernel, 1, 3 or 5.
    pub kernel: usize,
    /// Of the first convolution.
    pub dilation: usize,
    /// The function between the convolutions.
    pub nonlinearity: Nonlinearity,
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
}

/// What [`ResidualShape::forward`] returns, each `[n, channels, height, width]` or with the hidden channels.
#[derive(Clone, Debug, PartialEq)]
pub struct ResidualValues {
    /// The result.
    pub y: Vec<f32>,
    /// Behind the function.
    pub hidden: Vec<f32>,
    /// The function's slope.
    pub slope: Vec<f32>,
}

/// What [`ResidualShape::backward`] returns.
#[derive(Clone, Debug, PartialEq)]
pub struct ResidualGradients {
    /// `[n, channels, height, width]`.
    pub x: Vec<f32>,
    /// Of the first convolution.
    pub first: WeightGradients,
    /// Of the second convolution.
    pub second: WeightGradients,
}

impl ResidualShape {
    /// The block's values for `x` `[n, channels, height, width]`.
    pub fn forward(&self, n: usize, x: &[f32], first: Weights, second: Weights) -> ResidualValues {
        self.forward_at(Level::detect(), n, x, first, second)
    }

    /// Gradients of a loss whose gradient in the result is `gradient`, for `x` and the weights that went into
    /// [`forward`](Self::forward) and the `hidden` values and `slope` that came out.
    pub fn backward(
        &self,
        n: usize,
        x: &[f32],
        [hidden, slope]: [&[f32]; 2],
        gradient: &[f32],
        weights: [&[f32]; 2],
    ) -> ResidualGradients {
        self.backward_at(Level::detect(), n, x, [hidden, slope], gradient, weights)
    }

    /// Values of one sample of the input and of the hidden channels.
    fn check(&self) -> (usize, usize) {
        let Self { channels, hidden, kernel, dilation, height, width, .. } = *self;
        assert!(channels > 0 && hidden > 0 && height > 0 && width > 0, "an empty block");
        assert!(kernel % 2 == 1 && kernel <= MAX_KERNEL, "a kernel of {kernel}");
        assert!(dilation > 0 && kernel / 2 * dilation <= MARGIN, "a dilation of {dilation}");
        (channels * height * width, hidden * height * width)
    }

    /// Rows above and below that a row of the first convolution depends on.
    fn reach(&self) -> usize {
        self.kernel / 2 * self.dilation
    }

    pub(crate) fn forward_at(
        &self,
        level: Level,
        n: usize,
        x: &[f32],
        first: Weights,
        second: Weights,
    ) -> ResidualValues {
        let Self { channels, hidden, kernel, dilation, nonlinearity, height, width } = *self;
        let ((x_len, _), reach) = (self.check(), self.reach());
        assert!(x.len() == n * x_len && first.bias.len() == hidden && second.bias.len() == channels);
        let first = Conv::new(first.weight, first.bias, channels, kernel, dilation);
        let second = Conv::new(second.weight, second.bias, hidden, 1, 1);
        let mut y = BandedTensor::new([n, channels, height, width]);
        let [mut middle, mut slope] = [(); 2].map(|()| BandedTensor::new([n, hidden, height, width]));
        let new = || {
            let x = Rows::new(channels, height, width, 2 * reach + 1);
            let row = vec![0.0; first.row_len(width).max(second.row_len(width))];
            (x, Rows::new(hidden, height, width, 1), row, [(); 2].map(|()| vec![0.0; row_stride(width)]))
        };
        let bands = y.bands(BAND).into_par_iter().zip(middle.bands(BAND)).zip(slope.bands(BAND));
        bands.zip(jobs(n, height, BAND)).for_each_init(new, |work, (((mut y, mut middle), mut slope), job)| {
            let (x_rows, hidden_rows, row, room) = work;
            let image = image(x, job.sample, x_len);
            x_rows.restart_at(job.rows.start.saturating_sub(reach));
            hidden_rows.restart_at(job.rows.start);
            for at in job.rows {
                fill(x_rows, image, at + reach + 1);
                first.row(level, x_rows, at, row);
                let mut out = hidden_rows.push();
                for (c, sums) in row.chunks_exact(row_stride(width)).enumerate().take(hidden) {
                    ends_of(level, nonlinearity, sums, room);
                    middle.push(c, &room[0]);
                    slope.push(c, &room[1]);
                    out.channel(c).copy_from_slice(&room[0][..width]);
                }
                second.row(level, hidden_rows, at, row);
                for (c, sums) in row.chunks_exact_mut(row_stride(width)).enumerate().take(channels) {
                    add_to(level, &mut sums[..width], x_rows.channel(at, c));
                    y.push(c, sums);
                }
            }
        });
        ResidualValues { y: y.finish(), hidden: middle.finish(), slope: slope.finish() }
    }

    pub(crate) fn backward_at(
        &self,
        level: Level,
        n: usize,
        x: &[f32],
        [hidden, slope]: [&[f32]; 2],
        gradient: &[f32],
        weights: [&[f32]; 2],
    ) -> ResidualGradients {
        let Self { channels, hidden: middle, kernel, dilation, height, width, .. } = *self;
        let ((x_len, hidden_len), reach) = (self.check(), self.reach());
        assert!(x.len() == n * x_len && gradient.len() == n * x_len);
        assert!(hidden.len() == n * hidden_len && slope.len() == n * hidden_len);
        assert!(weights[0].len() == channels * middle * kernel * kernel && weights[1].len() == channels * middle);
        let first = Correlation { inputs: channels, outputs: middle, kernel, dilation };
        let second = Correlation { inputs: middle, outputs: channels, kernel: 1, dilation: 1 };
        let first_t = transposed(weights[0], channels, kernel, dilation);
        let second_t = transposed(weights[1], middle, 1, 1);
        let window = BLOCK + 2 * reach;
        let new = || Backward {
            x: Rows::new(channels, height, width, window),
            gradient: Rows::new(channels, height, width, window),
            hidden: Rows::new(middle, height, width, BLOCK),
            products: Rows::new(middle, height, width, window),
            row: vec![0.0; first_t.row_len(width).max(second_t.row_len(width))],
        };
        let mut dx = BandedTensor::new([n, channels, height, width]);
        let targets = dx.bands(BAND).into_par_iter().zip(jobs(n, height, BAND));
        let parts = targets.map_init(new, |work, (mut band, job)| {
            let (x, gradient) = (image(x, job.sample, x_len), image(gradient, job.sample, x_len));
            let (hidden, slope) = (image(hidden, job.sample, hidden_len), image(slope, job.sample, hidden_len));
            let mut sums = [first.zeros(), second.zeros()];
            let start = job.rows.start.saturating_sub(reach);
            work.x.restart_at(start);
            work.gradient.restart_at(start);
            work.products.restart_at(start);
            work.hidden.restart_at(job.rows.start);
            for block in job.rows.clone().step_by(BLOCK) {
                let count = BLOCK.min(job.rows.end - block);
                fill(&mut work.x, x, block + count + reach);
                fill(&mut work.gradient, gradient, block + count + reach);
                fill(&mut work.hidden, hidden, block + count);
                while work.products.filled() < (block + count + reach).min(height) {
                    let at = work.products.filled();
                    second_t.row(level, &work.gradient, at, &mut work.row);
                    let out = work.products.push();
                    level.run(Products { row: &work.row, slope, at, height, out });
                }
                first.add(level, &work.products, &work.x, block, count, &mut sums[0]);
                second.add(level, &work.gradient, &work.hidden, block, count, &mut sums[1]);
                for at in block..block + count {
                    first_t.row(level, &work.products, at, &mut work.row);
                    for (c, row) in work.row.chunks_exact_mut(row_stride(width)).enumerate().take(channels) {
                        add_to(level, &mut row[..width], work.gradient.channel(at, c));
                        band.push(c, row);
                    }
                }
            }
            sums
        });
        let parts: Vec<_> = parts.collect();
        ResidualGradients {
            x: dx.finish(),
            first: first.total(parts.iter().map(|part| &part[0])),
            second: second.total(parts.iter().map(|part| &part[1])),
        }
    }
}

/// Working memory of a thread.
struct Backward {
    x: Rows,
    gradient: Rows,
    hidden: Rows,
    /// The gradient of the first convolution's output.
    products: Rows,
    row: Vec<f32>,
}

/// A row of a convolution times row `at` of the slopes, of images `[channels, height, width]`.
struct Products<'a> {
    row: &'a [f32],
    slope: &'a [f32],
    at: usize,
    height: usize,
    out: RowMut<'a>,
}

impl Kernel for Products<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(mut self, s: S) {
        for c in 0..self.out.channels() {
            let out = self.out.channel(c);
            let width = out.len();
            let row = &self.row[c * row_stride(width)..][..width];
            let slope = &self.slope[(c * self.height + self.at) * width..][..width];
            let whole = width / S::LANES * S::LANES;
            for x in (0..whole).step_by(S::LANES) {
                s.store(s.mul(s.load(&row[x..]), s.load(&slope[x..])), &mut out[x..]);
            }
            for x in whole..width {
                out[x] = row[x] * slope[x];
            }
        }
    }
}
