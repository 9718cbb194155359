//! An upsampling stage.

use rayon::prelude::*;

use crate::bands::{Band, BandedTensor, add_to, fill, image, jobs};
use crate::correlation::{BLOCK, Correlation, transposed};
use crate::ends::ends;
use crate::weights::{WeightGradients, Weights};
use kernels::simd::{Kernel, Level, Simd};
use kernels::{Conv, row_stride};
use kernels::{MARGIN, RowMut, Rows};
use kernels::{MAX_UPSCALE, Nonlinearity, Skip, Upsample, copy_row};

/// Rows of the input that a thread takes at once.
const BAND: usize = 16;

/// `f(pixel_shuffle(conv(x)) + bilinear(skip(x)))`, zero padding that keeps the size, torch's channel order and
/// `align_corners=False`.
///
/// Every method panics if a slice does not have the length that its shape says, or a size is out of range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StageShape {
    /// Channels of the input.
    pub inputs: usize,
    /// Channels of the result.
    pub outputs: usize,
    /// Size of the convolution's kernel, 1, 3 or 5.
    pub kernel: usize,
    /// Factor in both directions, 1 to [`MAX_UPSCALE`].
    pub upscale: usize,
    /// The function at the end.
    pub nonlinearity: Nonlinearity,
    /// Rows of the input.
    pub height: usize,
    /// Columns of the input.
    pub width: usize,
}

/// What [`StageShape::backward`] returns.
#[derive(Clone, Debug, PartialEq)]
pub struct StageGradients {
    /// `[n, inputs, height, width]`.
    pub x: Vec<f32>,
    /// Of the convolution to `outputs * upscale^2` channels.
    pub conv: WeightGradients,
    /// Of the skip's 1x1 convolution, where there is one.
    pub skip: Option<WeightGradients>,
}

impl StageShape {
    /// The result and the slope of its function (the cosine where that is the sine), both
    /// `[n, outputs, height * upscale, width * upscale]`, for `x` `[n, inputs, height, width]`.
    ///
    /// `conv` has `outputs * upscale^2` outputs. `skip` is a 1x1 convolution to `outputs` channels; where it is the input itself,
    /// `inputs` must be `outputs`.
    pub fn forward(&self, n: usize, x: &[f32], conv: Weights, skip: Skip<Weights>) -> (Vec<f32>, Vec<f32>) {
        self.forward_at(Level::detect(), n, x, conv, skip)
    }

    /// Gradients of a loss whose gradient in the result is `gradient`, for `x` and the parameters that went into
    /// [`forward`](Self::forward) and the `slope` that came out.
    pub fn backward(
        &self,
        n: usize,
        x: &[f32],
        slope: &[f32],
        gradient: &[f32],
        conv_weight: &[f32],
        skip_weight: Skip<&[f32]>,
    ) -> StageGradients {
        self.backward_at(Level::detect(), n, x, slope, gradient, conv_weight, skip_weight)
    }

    /// Values of one sample of the input and of the result.
    fn check<T>(&self, skip: &Skip<T>) -> (usize, usize) {
        let Self { inputs, outputs, upscale, height, width, .. } = *self;
        assert!(inputs > 0 && outputs > 0 && height > 0 && width > 0, "an empty stage");
        assert!((1..=MAX_UPSCALE).contains(&upscale), "a factor of {upscale}");
        assert!(
            !matches!(skip, Skip::Input) || inputs == outputs,
            "a skip from {inputs} to {outputs} channels without a convolution"
        );
        (inputs * height * width, outputs * height * width * upscale * upscale)
    }

    /// Rows above and below that a row of the convolution or of the skip depends on.
    fn reach(&self) -> usize {
        (self.kernel / 2).max(1)
    }

    /// Channels before the shuffle.
    pub(crate) fn channels(&self) -> usize {
        self.outputs * self.upscale * self.upscale
    }

    pub(crate) fn forward_at(
        &self,
        level: Level,
        n: usize,
        x: &[f32],
        conv: Weights,
        skip: Skip<Weights>,
    ) -> (Vec<f32>, Vec<f32>) {
        let Self { inputs, outputs, kernel, upscale, nonlinearity, height, width } = *self;
        let (x_len, _) = self.check(&skip);
        assert!(x.len() == n * x_len && conv.bias.len() == self.channels());
        assert!(skip.convolution().is_none_or(|skip| skip.bias.len() == outputs));
        let reach = self.reach();
        let upsample = Upsample::new(upscale, None);
        let conv = Conv::new(conv.weight, conv.bias, inputs, kernel, 1);
        let skip = skip.map(|skip| Conv::new(skip.weight, skip.bias, inputs, 1, 1));
        let shape = [n, outputs, height * upscale, width * upscale];
        let (mut y, mut slope) = (BandedTensor::new(shape), BandedTensor::new(shape));
        let targets = y.bands(BAND * upscale).into_par_iter().zip(slope.bands(BAND * upscale));
        let new = || Forward {
            x: Rows::new(inputs, height, width, 2 * reach + 1),
            skip: Rows::new(outputs, height, width, 2 * reach + 1),
            sums: Rows::new(outputs, height * upscale, width * upscale, 1),
            conv: vec![0.0; conv.row_len(width)],
            blend: vec![0.0; Upsample::blend_len(width)],
            ends: [(); 2].map(|()| vec![0.0; row_stride(width * upscale)]),
        };
        targets.zip(jobs(n, height, BAND)).for_each_init(new, |work, ((mut y_band, mut slope_band), job)| {
            let image = image(x, job.sample, x_len);
            let start = job.rows.start.saturating_sub(reach);
            work.x.restart_at(start);
            work.skip.restart_at(start);
            work.sums.restart_at(job.rows.start * upscale);
            for y in job.rows {
                fill(&mut work.x, image, y + reach + 1);
                if let Skip::Convolution(skip) = &skip {
                    while work.skip.filled() < work.x.filled() {
                        skip.row(level, &work.x, work.skip.filled(), &mut work.conv);
                        copy_row(&work.conv, work.skip.push());
                    }
                }
                conv.row(level, &work.x, y, &mut work.conv);
                for phase in 0..upscale {
                    let skip = match skip {
                        Skip::None => None,
                        Skip::Input => Some(&work.x),
                        Skip::Convolution(_) => Some(&work.skip),
                    };
                    upsample.row(level, &work.conv, skip, y, phase, &mut work.blend, work.sums.push());
                    let row = (y * upscale + phase) as isize;
                    level.run(Ends {
                        nonlinearity,
                        sums: work.sums.row(row),
                        stride: work.sums.stride(),
                        width: width * upscale,
                        room: &mut work.ends,
                        bands: [&mut y_band, &mut slope_band],
                    });
                }
            }
        });
        (y.finish(), slope.finish())
    }

    #[expect(clippy::too_many_arguments, reason = "those of `backward`")]
    pub(crate) fn backward_at(
        &self,
        level: Level,
        n: usize,
        x: &[f32],
        slope: &[f32],
        gradient: &[f32],
        conv_weight: &[f32],
        skip_weight: Skip<&[f32]>,
    ) -> StageGradients {
        let Self { inputs, outputs, kernel, upscale, height, width, .. } = *self;
        let (x_len, y_len) = self.check(&skip_weight);
        assert!(x.len() == n * x_len && slope.len() == n * y_len && gradient.len() == n * y_len);
        assert_eq!(conv_weight.len(), self.channels() * inputs * kernel * kernel);
        assert!(skip_weight.convolution().is_none_or(|weight| weight.len() == inputs * outputs));
        let reach = self.reach();
        let upsample = Upsample::new(upscale, None);
        let conv = Correlation { inputs, outputs: self.channels(), kernel, dilation: 1 };
        let skip = Correlation { inputs, outputs, kernel: 1, dilation: 1 };
        let conv_t = transposed(conv_weight, inputs, kernel, 1);
        let skip_t = skip_weight.map(|weight| transposed(weight, inputs, 1, 1));
        let has_skip = !matches!(skip_t, Skip::None);
        let new = || Backward::new(self, conv_t.row_len(width));
        let mut dx = BandedTensor::new([n, inputs, height, width]);
        let targets = dx.bands(BAND).into_par_iter().zip(jobs(n, height, BAND));
        let parts = targets.map_init(new, |work, (mut band, job)| {
            let (x, slope) = (image(x, job.sample, x_len), image(slope, job.sample, y_len));
            let gradient = image(gradient, job.sample, y_len);
            let mut sums = (conv.zeros(), skip_t.as_ref().convolution().map(|_| skip.zeros()));
            let start = job.rows.start.saturating_sub(reach);
            work.x.restart_at(start);
            work.gradient.restart_at(start);
            work.skip.restart_at(job.rows.start);
            for block in job.rows.clone().step_by(BLOCK) {
                let count = BLOCK.min(job.rows.end - block);
                fill(&mut work.x, x, block + count + reach);
                while work.gradient.filled() < (block + count + reach).min(height) {
                    let y = work.gradient.filled();
                    level.run(Unshuffle { stage: self, gradient, slope, y, out: work.gradient.push() });
                }
                for y in (block..block + count).filter(|_| has_skip) {
                    level.run(SkipRow {
                        upsample: &upsample,
                        gradient: &work.gradient,
                        y,
                        blend: &mut work.blend,
                        out: work.skip.push(),
                    });
                }
                conv.add(level, &work.gradient, &work.x, block, count, &mut sums.0);
                if let Some(sums) = &mut sums.1 {
                    skip.add(level, &work.skip, &work.x, block, count, sums);
                }
                for y in block..block + count {
                    conv_t.row(level, &work.gradient, y, &mut work.conv_row);
                    if let Skip::Convolution(skip_t) = &skip_t {
                        skip_t.row(level, &work.skip, y, &mut work.skip_row);
                    }
                    for c in 0..inputs {
                        let at = c * row_stride(width);
                        let sum = &mut work.conv_row[at..][..width];
                        match skip_t {
                            Skip::None => {}
                            Skip::Input => add_to(level, sum, work.skip.channel(y, c)),
                            Skip::Convolution(_) => add_to(level, sum, &work.skip_row[at..][..width]),
                        }
                        band.push(c, sum);
                    }
                }
            }
            sums
        });
        let parts: Vec<_> = parts.collect();
        StageGradients {
            x: dx.finish(),
            conv: conv.total(parts.iter().map(|part| &part.0)),
            skip: skip_t.convolution().map(|_| skip.total(parts.iter().filter_map(|part| part.1.as_ref()))),
        }
    }
}

/// Working memory of a thread.
struct Forward {
    x: Rows,
    /// The skip before upsampling, where it is a convolution.
    skip: Rows,
    /// What the sine is taken of.
    sums: Rows,
    conv: Vec<f32>,
    blend: Vec<f32>,
    ends: [Vec<f32>; 2],
}

/// Working memory of a thread.
struct Backward {
    x: Rows,
    /// Of the convolution's output.
    gradient: Rows,
    /// Of the skip before upsampling.
    skip: Rows,
    conv_row: Vec<f32>,
    skip_row: Vec<f32>,
    blend: Vec<f32>,
}

impl Backward {
    /// `row_len` is the room for a row of the input's gradient.
    fn new(stage: &StageShape, row_len: usize) -> Self {
        let StageShape { inputs, outputs, upscale, height, width, .. } = *stage;
        let window = BLOCK + 2 * stage.reach();
        Self {
            x: Rows::new(inputs, height, width, window),
            gradient: Rows::new(stage.channels(), height, width, window),
            skip: Rows::new(outputs, height, width, BLOCK),
            conv_row: vec![0.0; row_len],
            skip_row: vec![0.0; row_len],
            blend: vec![0.0; upscale * Upsample::blend_len(width)],
        }
    }
}

/// Writes a row of the result and of its slope.
struct Ends<'a, 'b> {
    nonlinearity: Nonlinearity,
    sums: &'a [f32],
    stride: usize,
    width: usize,
    /// For a row of each.
    room: &'a mut [Vec<f32>; 2],
    bands: [&'a mut Band<'b>; 2],
}

impl Kernel for Ends<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let [y, slope] = self.room;
        let [y_band, slope_band] = self.bands;
        for (c, sums) in self.sums.chunks_exact(self.stride).enumerate() {
            let len = self.width.next_multiple_of(S::LANES);
            ends(s, self.nonlinearity, &sums[MARGIN..MARGIN + len], y, slope);
            y_band.push(c, y);
            slope_band.push(c, slope);
        }
    }
}

/// Row `y` of the gradient of the convolution's output: the product of gradient and slope of the result, unshuffled.
struct Unshuffle<'a> {
    stage: &'a StageShape,
    gradient: &'a [f32],
    slope: &'a [f32],
    y: usize,
    out: RowMut<'a>,
}

impl Kernel for Unshuffle<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(mut self, s: S) {
        match self.stage.upscale {
            1 => self.rows::<S, 1>(s),
            2 => self.rows::<S, 2>(s),
            3 => self.rows::<S, 3>(s),
            4 => self.rows::<S, 4>(s),
            _ => self.rows::<S, MAX_UPSCALE>(s),
        }
    }
}

impl Unshuffle<'_> {
    #[inline(always)]
    fn rows<S: Simd, const R: usize>(&mut self, s: S) {
        let StageShape { outputs, height, width, .. } = *self.stage;
        for row in 0..outputs * R {
            let (c, phase) = (row / R, row % R);
            let at = ((c * height + self.y) * R + phase) * width * R;
            let (gradient, slope) = (&self.gradient[at..][..width * R], &self.slope[at..][..width * R]);
            let mut out = self.out.adjacent::<R>(row * R);
            let whole = if R % 2 == 1 && R > 1 { 0 } else { width / S::LANES * S::LANES };
            for x in (0..whole).step_by(S::LANES) {
                let mut products = [s.splat(0.0); R];
                for (k, product) in products.iter_mut().enumerate() {
                    let at = R * x + k * S::LANES;
                    *product = s.mul(s.load(&gradient[at..]), s.load(&slope[at..]));
                }
                for (out, value) in out.iter_mut().zip(deinterleave(s, products)) {
                    s.store(value, &mut out[x..]);
                }
            }
            for x in whole..width {
                for (j, out) in out.iter_mut().enumerate() {
                    out[x] = gradient[R * x + j] * slope[R * x + j];
                }
            }
        }
    }
}

/// Every `R`-th value, from the first one, the second one, ...
#[inline(always)]
fn deinterleave<S: Simd, const R: usize>(s: S, v: [S::V; R]) -> [S::V; R] {
    let mut out = v;
    if R == 2 {
        out.copy_from_slice(&s.deinterleave(v[0], v[1]));
    } else if R == 4 {
        let [low, high] = [s.deinterleave(v[0], v[1]), s.deinterleave(v[2], v[3])];
        let [even, odd] = [s.deinterleave(low[0], high[0]), s.deinterleave(low[1], high[1])];
        out.copy_from_slice(&[even[0], odd[0], even[1], odd[1]]);
    }
    out
}

/// Row `y` of the gradient of the skip before upsampling.
struct SkipRow<'a> {
    upsample: &'a Upsample,
    /// Of the convolution's output, which is shuffled like the upsampled skip.
    gradient: &'a Rows,
    y: usize,
    /// One row for every column of the factor, with margins of zeros.
    blend: &'a mut [f32],
    out: RowMut<'a>,
}

impl Kernel for SkipRow<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(mut self, s: S) {
        let factor = self.upsample.factor();
        let (width, stride) = (self.gradient.width(), self.gradient.stride());
        let len = Upsample::blend_len(width);
        let rows: Vec<(&[f32], usize, f32)> = self
            .upsample
            .readers(self.y, self.gradient.height())
            .map(|(y, phase, weight)| (self.gradient.row(y as isize), phase, weight))
            .collect();
        // Those of a column inside the image: the sources are 0, 1, 2 for the one on the left, itself, the one on the right.
        let columns: Vec<(usize, usize, f32)> = self.upsample.readers(1, 3).collect();
        for c in 0..self.out.channels() {
            for (j, blend) in self.blend.chunks_exact_mut(len).enumerate() {
                for x in (MARGIN..MARGIN + width).step_by(S::LANES) {
                    let mut sum = s.splat(0.0);
                    for &(row, phase, weight) in &rows {
                        let row = &row[((c * factor + phase) * factor + j) * stride..];
                        sum = s.fma(s.splat(weight), s.load(&row[x..]), sum);
                    }
                    s.store(sum, &mut blend[x..]);
                }
            }
            let out = self.out.channel(c);
            for x in (0..width).step_by(S::LANES) {
                let mut sum = s.splat(0.0);
                for &(source, j, weight) in &columns {
                    let values = s.load(&self.blend[j * len + MARGIN + x + source - 1..]);
                    sum = s.fma(s.splat(weight), values, sum);
                }
                s.store(sum, &mut out[x..]);
            }
            for x in [0, width - 1] {
                let readers = self.upsample.readers(x, width);
                out[x] = readers.map(|(source, j, weight)| weight * self.blend[j * len + MARGIN + source]).sum();
            }
        }
    }
}
