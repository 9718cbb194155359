//! Factors and means of whole channels, as squeeze-excitation has them.

use rayon::prelude::*;

use crate::bands::BandedTensor;
use kernels::simd::{Kernel, Level, Simd};

/// Vectors of partial sums: additions do not wait for each other.
const SUMS: usize = 4;

/// `y[n, c, ...] = x[n, c, ...] * scale[n, c]`, for as many scales as channels of `pixels` values.
///
/// # Panics
/// If the lengths do not fit or `pixels` is 0.
pub fn scale_channels(x: &[f32], scale: &[f32], pixels: usize) -> Vec<f32> {
    assert!(pixels > 0 && x.len() == scale.len() * pixels, "{} values in {} channels", x.len(), scale.len());
    scaled(x, None, scale, pixels).0
}

/// Gradients of `x` and `scale`, for that of the result of [`scale_channels`].
///
/// # Panics
/// If the lengths do not fit or `pixels` is 0.
pub fn scale_channels_backward(x: &[f32], scale: &[f32], gradient: &[f32], pixels: usize) -> (Vec<f32>, Vec<f32>) {
    assert!(pixels > 0 && x.len() == scale.len() * pixels, "{} values in {} channels", x.len(), scale.len());
    assert_eq!(x.len(), gradient.len());
    scaled(gradient, Some(x), scale, pixels)
}

/// The mean of every channel of `pixels` values.
///
/// # Panics
/// If `pixels` is 0 or does not divide the number of values.
pub fn mean_channels(x: &[f32], pixels: usize) -> Vec<f32> {
    assert!(pixels > 0 && x.len().is_multiple_of(pixels), "{} values in channels of {pixels}", x.len());
    let level = Level::detect();
    let mean = |channel: &[f32]| level.run(Sum { channel }) / pixels as f32;
    x.par_chunks_exact(pixels).map(mean).collect()
}

/// The product, and the sums of `x * factor` over every channel.
fn scaled(x: &[f32], factor: Option<&[f32]>, scale: &[f32], pixels: usize) -> (Vec<f32>, Vec<f32>) {
    let level = Level::detect();
    let mut y = BandedTensor::new([scale.len(), 1, pixels, 1]);
    let channels = x.par_chunks_exact(pixels).zip(scale).enumerate().zip(y.bands(pixels));
    let sums = channels.map_init(
        || vec![0.0; pixels],
        |row, ((channel, (x, &scale)), mut band)| {
            let factor = factor.map(|factor| &factor[channel * pixels..][..pixels]);
            let sum = level.run(Scale { x, factor, scale, y: row });
            band.extend(0, row);
            sum
        },
    );
    let sums = sums.collect();
    (y.finish(), sums)
}

struct Sum<'a> {
    channel: &'a [f32],
}

impl Kernel for Sum<'_> {
    type Output = f32;

    #[inline(always)]
    fn run<S: Simd>(self, s: S) -> f32 {
        let mut sums = [s.splat(0.0); SUMS];
        let mut blocks = self.channel.chunks_exact(SUMS * S::LANES);
        for block in &mut blocks {
            for (sum, values) in sums.iter_mut().zip(block.chunks_exact(S::LANES)) {
                *sum = s.add(*sum, s.load(values));
            }
        }
        blocks.remainder().iter().sum::<f32>() + total(s, sums)
    }
}

struct Scale<'a> {
    x: &'a [f32],
    factor: Option<&'a [f32]>,
    scale: f32,
    y: &'a mut [f32],
}

impl Kernel for Scale<'_> {
    type Output = f32;

    #[inline(always)]
    fn run<S: Simd>(self, s: S) -> f32 {
        let scale = s.splat(self.scale);
        let mut sums = [s.splat(0.0); SUMS];
        let whole = self.x.len() / (SUMS * S::LANES) * (SUMS * S::LANES);
        for start in (0..whole).step_by(SUMS * S::LANES) {
            for (block, sum) in sums.iter_mut().enumerate() {
                let at = start + block * S::LANES;
                let x = s.load(&self.x[at..]);
                s.store(s.mul(x, scale), &mut self.y[at..]);
                if let Some(factor) = self.factor {
                    *sum = s.fma(x, s.load(&factor[at..]), *sum);
                }
            }
        }
        let mut sum = total(s, sums);
        for at in whole..self.x.len() {
            self.y[at] = self.x[at] * self.scale;
            sum += self.factor.map_or(0.0, |factor| self.x[at] * factor[at]);
        }
        sum
    }
}

#[inline(always)]
fn total<S: Simd>(s: S, sums: [S::V; SUMS]) -> f32 {
    s.sum(s.add(s.add(sums[0], sums[1]), s.add(sums[2], sums[3])))
}
