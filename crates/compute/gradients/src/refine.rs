//! The residual refinement.

use rayon::prelude::*;

use crate::bands::{Band, BandedTensor, add_to, fill, image, jobs};
use crate::correlation::{BLOCK, Correlation, transposed};
use crate::slope::{Given, SlopeProduct};
use crate::weights::{WeightGradients, Weights};
use kernels::copy_row;
use kernels::math::sin_cos_vector;
use kernels::simd::{Kernel, Level, Simd};
use kernels::{Conv, row_stride};
use kernels::{MARGIN, Rows};

/// Rows that a thread takes at once. Bands compute some of their neighbours' rows, so they are larger than a stage's.
const BAND: usize = 32;

/// `x + gain * sin(second(first(x)))`: 3x3 convolutions with zero padding that keeps the size, the first one dilated.
///
/// Every method panics if a slice does not have the length that its shape says, or a size is out of range.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RefineShape {
    /// Channels of the input and of the result.
    pub channels: usize,
    /// Channels between the convolutions.
    pub hidden: usize,
    /// Of the first convolution, 1 to 16.
    pub dilation: usize,
    /// Of the sine.
    pub gain: f32,
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
}

/// What [`RefineShape::backward`] returns.
#[derive(Clone, Debug, PartialEq)]
pub struct RefineGradients {
    /// `[n, channels, height, width]`.
    pub x: Vec<f32>,
    /// Of the first convolution.
    pub first: WeightGradients,
    /// Of the second convolution.
    pub second: WeightGradients,
}

impl RefineShape {
    /// The result, the output of the first convolution (`[n, hidden, height, width]`) and the slope of the sine (`gain`
    /// times the cosine), for `x` `[n, channels, height, width]`; result and slope have the shape of `x`.
    pub fn forward(&self, n: usize, x: &[f32], first: Weights, second: Weights) -> (Vec<f32>, Vec<f32>, Vec<f32>) {
        self.forward_at(Level::detect(), n, x, first, second)
    }

    /// Gradients of a loss whose gradient in the result is `gradient`, for `x` and the weights that went into
    /// [`forward`](Self::forward) and the `hidden` and `slope` that came out.
    #[expect(clippy::too_many_arguments, reason = "all that the gradients depend on")]
    pub fn backward(
        &self,
        n: usize,
        x: &[f32],
        hidden: &[f32],
        slope: &[f32],
        gradient: &[f32],
        first_weight: &[f32],
        second_weight: &[f32],
    ) -> RefineGradients {
        self.backward_at(Level::detect(), n, x, hidden, slope, gradient, [first_weight, second_weight])
    }

    /// Values of one sample of the input and of the hidden channels.
    fn check(&self) -> (usize, usize) {
        let Self { channels, hidden, dilation, height, width, .. } = *self;
        assert!(channels > 0 && hidden > 0 && height > 0 && width > 0, "an empty refinement");
        assert!((1..=MARGIN).contains(&dilation), "a dilation of {dilation}");
        (channels * height * width, hidden * height * width)
    }

    pub(crate) fn forward_at(
        &self,
        level: Level,
        n: usize,
        x: &[f32],
        first: Weights,
        second: Weights,
    ) -> (Vec<f32>, Vec<f32>, Vec<f32>) {
        let Self { channels, hidden, dilation, gain, height, width } = *self;
        let (x_len, _) = self.check();
        assert!(x.len() == n * x_len && first.bias.len() == hidden && second.bias.len() == channels);
        let first = Conv::new(first.weight, first.bias, channels, 3, dilation);
        let second = Conv::new(second.weight, second.bias, hidden, 3, 1);
        let shape = [n, channels, height, width];
        let (mut y, mut slope) = (BandedTensor::new(shape), BandedTensor::new(shape));
        let mut middle = BandedTensor::new([n, hidden, height, width]);
        let new = || Forward {
            x: Rows::new(channels, height, width, 2 * dilation + 1),
            hidden: Rows::new(hidden, height, width, 3),
            conv: vec![0.0; first.row_len(width).max(second.row_len(width))],
            ends: [(); 2].map(|()| vec![0.0; row_stride(width)]),
        };
        let bands = y.bands(BAND).into_par_iter().zip(slope.bands(BAND)).zip(middle.bands(BAND));
        bands.zip(jobs(n, height, BAND)).for_each_init(new, |work, (((mut y, mut slope), mut middle), job)| {
            let image = image(x, job.sample, x_len);
            let start = job.rows.start.saturating_sub(1);
            work.hidden.restart_at(start);
            work.x.restart_at(start.saturating_sub(dilation));
            for row in job.rows.clone() {
                while work.hidden.filled() < (row + 2).min(height) {
                    let filled = work.hidden.filled();
                    fill(&mut work.x, image, filled + dilation + 1);
                    first.row(level, &work.x, filled, &mut work.conv);
                    if job.rows.contains(&filled) {
                        for (c, values) in work.conv.chunks_exact(row_stride(width)).enumerate().take(hidden) {
                            middle.push(c, values);
                        }
                    }
                    copy_row(&work.conv, work.hidden.push());
                }
                second.row(level, &work.hidden, row, &mut work.conv);
                level.run(Residual {
                    conv: &work.conv,
                    x: work.x.row(row as isize),
                    stride: work.x.stride(),
                    width,
                    gain,
                    room: &mut work.ends,
                    bands: [&mut y, &mut slope],
                });
            }
        });
        (y.finish(), middle.finish(), slope.finish())
    }

    #[expect(clippy::too_many_arguments, reason = "those of `backward`")]
    pub(crate) fn backward_at(
        &self,
        level: Level,
        n: usize,
        x: &[f32],
        hidden: &[f32],
        slope: &[f32],
        gradient: &[f32],
        weights: [&[f32]; 2],
    ) -> RefineGradients {
        let Self { channels, hidden: middle, dilation, height, width, .. } = *self;
        let (x_len, hidden_len) = self.check();
        assert!(x.len() == n * x_len && slope.len() == n * x_len && gradient.len() == n * x_len);
        assert_eq!(hidden.len(), n * hidden_len);
        assert!(weights.iter().all(|weight| weight.len() == channels * middle * 9));
        let first = Correlation { inputs: channels, outputs: middle, kernel: 3, dilation };
        let second = Correlation { inputs: middle, outputs: channels, kernel: 3, dilation: 1 };
        let first_t = transposed(weights[0], channels, 3, dilation);
        let second_t = transposed(weights[1], middle, 3, 1);
        let new = || Backward {
            x: Rows::new(channels, height, width, BLOCK + 2 * dilation),
            hidden: Rows::new(middle, height, width, BLOCK + 2),
            products: Rows::new(channels, height, width, BLOCK + dilation + 1),
            hidden_gradient: Rows::new(middle, height, width, BLOCK + 2 * dilation),
            conv: vec![0.0; first_t.row_len(width).max(second_t.row_len(width))],
        };
        let mut dx = BandedTensor::new([n, channels, height, width]);
        let targets = dx.bands(BAND).into_par_iter().zip(jobs(n, height, BAND));
        let parts = targets.map_init(new, |work, (mut band, job)| {
            let (x, slope) = (image(x, job.sample, x_len), image(slope, job.sample, x_len));
            let (hidden, gradient) = (image(hidden, job.sample, hidden_len), image(gradient, job.sample, x_len));
            let mut sums = [first.zeros(), second.zeros()];
            let start = job.rows.start;
            work.x.restart_at(start.saturating_sub(dilation));
            work.hidden.restart_at(start.saturating_sub(1));
            work.hidden_gradient.restart_at(start.saturating_sub(dilation));
            work.products.restart_at(start.saturating_sub(dilation + 1));
            for block in job.rows.clone().step_by(BLOCK) {
                let count = BLOCK.min(job.rows.end - block);
                fill(&mut work.x, x, block + count + dilation);
                fill(&mut work.hidden, hidden, block + count + 1);
                while work.hidden_gradient.filled() < (block + count + dilation).min(height) {
                    let filled = work.hidden_gradient.filled();
                    while work.products.filled() < (filled + 2).min(height) {
                        let row = work.products.filled();
                        level.run(SlopeProduct::<Given>::new(gradient, slope, row, height, work.products.push()));
                    }
                    second_t.row(level, &work.products, filled, &mut work.conv);
                    copy_row(&work.conv, work.hidden_gradient.push());
                }
                first.add(level, &work.hidden_gradient, &work.x, block, count, &mut sums[0]);
                second.add(level, &work.products, &work.hidden, block, count, &mut sums[1]);
                for y in block..block + count {
                    first_t.row(level, &work.hidden_gradient, y, &mut work.conv);
                    for (c, row) in work.conv.chunks_exact_mut(row_stride(width)).enumerate().take(channels) {
                        add_to(level, &mut row[..width], &gradient[(c * height + y) * width..][..width]);
                        band.push(c, row);
                    }
                }
            }
            sums
        });
        let parts: Vec<_> = parts.collect();
        RefineGradients {
            x: dx.finish(),
            first: first.total(parts.iter().map(|part| &part[0])),
            second: second.total(parts.iter().map(|part| &part[1])),
        }
    }
}

/// Working memory of a thread.
struct Forward {
    x: Rows,
    hidden: Rows,
    conv: Vec<f32>,
    ends: [Vec<f32>; 2],
}

/// Working memory of a thread.
struct Backward {
    x: Rows,
    hidden: Rows,
    /// Gradient times slope: the gradient of the second convolution's output.
    products: Rows,
    hidden_gradient: Rows,
    conv: Vec<f32>,
}

/// Writes a row of the result and of its slope.
struct Residual<'a, 'b> {
    conv: &'a [f32],
    x: &'a [f32],
    stride: usize,
    width: usize,
    gain: f32,
    /// For a row of each.
    room: &'a mut [Vec<f32>; 2],
    bands: [&'a mut Band<'b>; 2],
}

impl Kernel for Residual<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let [y, slope] = self.room;
        let [y_band, slope_band] = self.bands;
        let gain = s.splat(self.gain);
        for (c, (x, conv)) in
            self.x.chunks_exact(self.stride).zip(self.conv.chunks_exact(row_stride(self.width))).enumerate()
        {
            for at in (0..self.width).step_by(S::LANES) {
                let [sin, cos] = sin_cos_vector(s, s.load(&conv[at..]));
                s.store(s.fma(gain, sin, s.load(&x[MARGIN + at..])), &mut y[at..]);
                s.store(s.mul(gain, cos), &mut slope[at..]);
            }
            y_band.push(c, y);
            slope_band.push(c, slope);
        }
    }
}
