//! Losses between a segmentation evaluator's logits and the classes that it should see.

use rayon::prelude::*;

use crate::bands::{BandedTensor, image, jobs};
use crate::math::log1p_vector;
use kernels::math::{exp_vector, logistic_vector};
use kernels::simd::{Kernel, Level, MAX_LANES, Scalar, Simd};

/// Rows that a thread takes at once.
const BAND: usize = 16;

/// The loss of a pixel. The margin is the target's logit minus the largest other one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum PixelLoss {
    /// `-log(softmax(logits)[target])`.
    CrossEntropy,
    /// `tau * log(1 + exp(-margin / tau))`: a soft hinge.
    Softplus {
        /// Width of the bend, in logits.
        tau: f32,
    },
    /// `1 / (1 + exp(margin / tau))`: a soft count of wrong pixels.
    Sigmoid {
        /// Width of the step, in logits.
        tau: f32,
    },
}

/// Gives pixels that are wrong, or nearly so, more weight. Weights are not normalised.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Hard {
    /// What a hard pixel's weight has above 1.
    pub factor: f32,
    /// The margin below which a pixel is hard.
    pub threshold: f32,
}

/// A loss over all pixels of an image.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Segmentation {
    /// From 2 to 255.
    pub classes: usize,
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
    /// Of a pixel.
    pub loss: PixelLoss,
    /// Weights of pixels, where they differ.
    pub hard: Option<Hard>,
}

/// What [`Segmentation::value_and_gradient`] returns.
#[derive(Clone, Debug, PartialEq)]
pub struct SegmentationValue {
    /// Mean loss over the pixels of each sample, `[n]`.
    pub loss: Vec<f64>,
    /// Pixels of each sample whose class (that of the largest logit, the first of several) is not the target, `[n]`.
    pub wrong: Vec<usize>,
    /// Gradient of the sum of the samples' mean losses in the logits, `[n, classes, height, width]`.
    pub gradient: Vec<f32>,
}

impl Segmentation {
    /// The loss of `logits` `[n, classes, height, width]` with the target classes `targets` `[n, height, width]`.
    ///
    /// Finite logits give a finite result: a pixel's loss is at most the largest f32. A NaN harms only the pixels and
    /// samples that it belongs to.
    ///
    /// # Panics
    /// If a slice does not have the length that its shape says, a size is 0, there is no such target class, the number
    /// of classes is not in 2..=255, or `tau` or its inverse is not a positive number.
    pub fn value_and_gradient(&self, n: usize, logits: &[f32], targets: &[u8]) -> SegmentationValue {
        self.value_and_gradient_at(Level::detect(), n, logits, targets)
    }

    fn value_and_gradient_at(&self, level: Level, n: usize, logits: &[f32], targets: &[u8]) -> SegmentationValue {
        let Self { classes, height, width, loss, .. } = *self;
        assert!((2..=255).contains(&classes) && height > 0 && width > 0, "{classes} classes of {height}x{width}");
        if let PixelLoss::Softplus { tau } | PixelLoss::Sigmoid { tau } = loss {
            assert!(tau > 0.0 && tau.is_finite() && tau.recip().is_finite(), "tau is {tau}");
        }
        let pixels = height * width;
        assert!(logits.len() == n * classes * pixels && targets.len() == n * pixels);
        let largest = targets.iter().copied().max().unwrap_or(0);
        assert!(usize::from(largest) < classes, "target {largest} of {classes} classes");
        let mut gradient = BandedTensor::new([n, classes, height, width]);
        let new = || [classes, 1, 1, 1].map(|rows| vec![0f32; rows * width]);
        let bands = gradient.bands(BAND).into_par_iter().zip(jobs(n, height, BAND));
        let sums = bands.map_init(new, |[gradient, loss, wrong, targets_row], (mut band, job)| {
            let logits = image(logits, job.sample, classes * pixels);
            let mut sums = [0.0; 2];
            for y in job.rows {
                let targets = &targets[job.sample * pixels + y * width..][..width];
                targets_row.iter_mut().zip(targets).for_each(|(row, &target)| *row = f32::from(target));
                let logits = &logits[y * width..];
                level.run(Row { spec: self, logits, targets: targets_row, gradient, loss, wrong, sums: &mut sums });
                gradient.chunks_exact(width).enumerate().for_each(|(class, row)| band.push(class, row));
            }
            sums
        });
        let sums: Vec<[f64; 2]> = sums.collect();
        let totals = |k: usize| {
            let samples = sums.chunks_exact(height.div_ceil(BAND));
            samples.map(move |bands| bands.iter().map(|sums| sums[k]).sum::<f64>())
        };
        let loss = totals(0).map(|sum| sum / pixels as f64).collect();
        // Sums of ones, exact.
        let wrong = totals(1).map(|sum| sum as usize).collect();
        SegmentationValue { loss, wrong, gradient: gradient.finish() }
    }
}

/// One row of pixels.
struct Row<'a> {
    spec: &'a Segmentation,
    /// From the row of the first class on.
    logits: &'a [f32],
    targets: &'a [f32],
    /// `[classes, width]`.
    gradient: &'a mut [f32],
    loss: &'a mut [f32],
    /// 1 where the class is wrong, 0 elsewhere.
    wrong: &'a mut [f32],
    /// Of the loss and of the wrong pixels; this row is added.
    sums: &'a mut [f64; 2],
}

impl Kernel for Row<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(mut self, s: S) {
        let width = self.spec.width;
        let whole = width / S::LANES * S::LANES;
        for x in (0..whole).step_by(S::LANES) {
            self.vector(s, x);
        }
        for x in whole..width {
            self.vector(Scalar, x);
        }
        for (sum, values) in self.sums.iter_mut().zip([&*self.loss, &*self.wrong]) {
            *sum += wide_sum(values);
        }
    }
}

impl Row<'_> {
    #[inline(always)]
    fn vector<S: Simd>(&mut self, s: S, x: usize) {
        let Segmentation { classes, height, width, loss, hard } = *self.spec;
        let pixels = height * width;
        let (zero, one, largest) = (s.splat(0.0), s.splat(1.0), s.splat(f32::MAX));
        let wanted = s.load(&self.targets[x..]);
        let logit = |class: usize| s.load(&self.logits[class * pixels + x..]);
        let is = |class: usize, index: S::V| {
            let class = s.splat(class as f32);
            s.both(s.at_least(class, index), s.at_least(index, class))
        };

        // The target's logit, the largest other one and whose it is.
        let (mut target, mut other, mut rival) = (zero, s.splat(f32::NEG_INFINITY), zero);
        for class in 0..classes {
            let (value, is_target) = (logit(class), is(class, wanted));
            target = s.select(is_target, value, target);
            let value = s.select(is_target, s.splat(f32::NEG_INFINITY), value);
            let keep = s.at_least(other, value);
            other = s.select(keep, other, value);
            rival = s.select(keep, rival, s.splat(class as f32));
        }
        // min and max return their second operand for NaN: it passes here, as in all that follows.
        let margin = s.max(s.splat(-f32::MAX), s.min(largest, s.sub(target, other)));
        let ahead = s.at_least(target, other);
        let tied = s.select(s.at_least(rival, wanted), zero, one);
        let wrong = s.select(ahead, s.select(s.at_least(other, target), tied, zero), one);
        s.store(wrong, &mut self.wrong[x..][..S::LANES]);

        let weight = match hard {
            Some(Hard { factor, threshold }) => {
                s.select(s.at_least(margin, s.splat(threshold)), one, s.splat(1.0 + factor))
            }
            None => one,
        };
        let share = s.mul(weight, s.splat(1.0 / pixels as f32));
        let opposite = s.sub(zero, margin);
        let gradient = |class: usize| class * width + x..class * width + x + S::LANES;
        let (value, slope) = match loss {
            PixelLoss::CrossEntropy => {
                let top = s.select(ahead, target, other);
                let (mut own, mut others) = (zero, zero);
                for class in 0..classes {
                    let (exp, is_target) = (exp_vector(s, s.sub(logit(class), top)), is(class, wanted));
                    own = s.select(is_target, exp, own);
                    others = s.add(others, s.select(is_target, zero, exp));
                    s.store(exp, &mut self.gradient[gradient(class)]);
                }
                let scale = s.div(share, s.add(own, others));
                // Not as the difference of a probability and 1, which would lose the digits of a small one.
                let toward = s.sub(zero, s.mul(others, scale));
                for class in 0..classes {
                    let out = &mut self.gradient[gradient(class)];
                    s.store(s.select(is(class, wanted), toward, s.mul(s.load(out), scale)), out);
                }
                // The sum of exponentials without the largest one, which is 1.
                let rest = s.select(ahead, others, s.add(s.sub(others, one), own));
                (s.add(s.sub(top, target), log1p_vector(s, rest)), None)
            }
            PixelLoss::Softplus { tau } => {
                let exp = exp_vector(s, s.mul(s.min(margin, opposite), s.splat(1.0 / tau)));
                let value = s.fma(s.splat(tau), log1p_vector(s, exp), s.max(zero, opposite));
                let numerator = s.select(s.at_least(margin, zero), exp, one);
                (value, Some(s.div(numerator, s.add(one, exp))))
            }
            PixelLoss::Sigmoid { tau } => {
                let value = logistic_vector(s, 1.0, s.mul(opposite, s.splat(1.0 / tau)));
                let slope = s.mul(s.mul(value, s.sub(one, value)), s.splat(1.0 / tau));
                (value, Some(slope))
            }
        };
        if let Some(slope) = slope {
            let slope = s.mul(slope, share);
            let toward = s.sub(zero, slope);
            for class in 0..classes {
                let value = s.select(is(class, wanted), toward, s.select(is(class, rival), slope, zero));
                s.store(value, &mut self.gradient[gradient(class)]);
            }
        }
        s.store(s.min(largest, s.mul(value, weight)), &mut self.loss[x..][..S::LANES]);
    }
}

/// The sum in f64, in the same order at every level.
#[inline(always)]
fn wide_sum(values: &[f32]) -> f64 {
    let mut sums = [0.0; MAX_LANES];
    let chunks = values.chunks_exact(MAX_LANES);
    let rest = chunks.remainder();
    for chunk in chunks.chain([rest]) {
        for (sum, &value) in sums.iter_mut().zip(chunk) {
            *sum += f64::from(value);
        }
    }
    sums.iter().sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::noise::{Noise, assert_close, on_any_thread_count, wide};

    const LOSSES: [PixelLoss; 4] = [
        PixelLoss::CrossEntropy,
        PixelLoss::Softplus { tau: 0.3 },
        PixelLoss::Sigmoid { tau: 0.3 },
        PixelLoss::Sigmoid { tau: 2.0 },
    ];

    const HARD: Hard = Hard { factor: 4.0, threshold: 1.0 };

    fn random(noise: &mut Noise, case: usize) -> (Segmentation, usize, Vec<u8>) {
        let largest = if case.is_multiple_of(3) { 40 } else { 5 };
        let classes = if case.is_multiple_of(5) { 2 + noise.below(254) } else { 2 + noise.below(6) };
        let (height, width) = (1 + noise.below(largest), 1 + noise.below(largest));
        let hard = case.is_multiple_of(2).then_some(HARD);
        let n = 1 + noise.below(3);
        let targets = (0..n * height * width).map(|_| noise.below(classes) as u8).collect();
        (Segmentation { classes, height, width, loss: LOSSES[case % 4], hard }, n, targets)
    }

    /// The loss of one pixel in f64.
    fn reference(loss: PixelLoss, hard: Option<Hard>, logits: &[f64], target: usize) -> f64 {
        let others = logits.iter().enumerate().filter(|&(class, _)| class != target);
        let margin = logits[target] - others.map(|(_, &logit)| logit).fold(f64::NEG_INFINITY, f64::max);
        let value = match loss {
            PixelLoss::CrossEntropy => logits.iter().map(|logit| (logit - logits[target]).exp()).sum::<f64>().ln(),
            PixelLoss::Softplus { tau } => f64::from(tau) * (-margin / f64::from(tau)).exp().ln_1p(),
            PixelLoss::Sigmoid { tau } => 1.0 / (1.0 + (margin / f64::from(tau)).exp()),
        };
        let hard = hard.filter(|hard| margin < f64::from(hard.threshold));
        value * (1.0 + hard.map_or(0.0, |hard| f64::from(hard.factor)))
    }

    /// The logits of a pixel.
    fn pixel(spec: &Segmentation, logits: &[f32], sample: usize, at: usize) -> Vec<f32> {
        let pixels = spec.height * spec.width;
        (0..spec.classes).map(|class| logits[(sample * spec.classes + class) * pixels + at]).collect()
    }

    #[test]
    fn values_and_gradients() {
        let mut noise = Noise(61);
        for case in 0..60 {
            let (spec, n, targets) = random(&mut noise, case);
            let Segmentation { classes, height, width, loss, hard } = spec;
            let pixels = height * width;
            let logits = noise.values(n * classes * pixels, [1.0, 4.0, 30.0][case % 3]);
            let mut value = vec![0.0; n];
            let mut gradient = vec![0.0; logits.len()];
            for (sample, at) in (0..n * pixels).map(|k| (k / pixels, k % pixels)) {
                let target = usize::from(targets[sample * pixels + at]);
                let logits = wide(&pixel(&spec, &logits, sample, at));
                value[sample] += reference(loss, hard, &logits, target) / pixels as f64;
                for class in 0..classes {
                    let moved = |delta: f64| {
                        let mut logits = logits.clone();
                        logits[class] += delta;
                        reference(loss, hard, &logits, target)
                    };
                    gradient[(sample * classes + class) * pixels + at] = (moved(1e-6) - moved(-1e-6)) / 2e-6;
                }
            }
            let first = spec.value_and_gradient_at(Level::SCALAR, n, &logits, &targets);
            for level in Level::available() {
                let what = format!("{spec:?}, n {n}, {level}");
                let found = spec.value_and_gradient_at(level, n, &logits, &targets);
                assert!(found == first, "{what}: other bits");
                for (found, expected) in found.loss.iter().zip(&value) {
                    assert!((found - expected).abs() <= 1e-6 * expected.max(0.1), "{what}: {found} not {expected}");
                }
                let found: Vec<f32> = found.gradient.iter().map(|v| v * pixels as f32).collect();
                assert_close(&what, &found, &gradient, 2e-6);
            }
        }
    }

    #[test]
    fn wrong_pixels_are_those_of_the_first_largest_logit() {
        let mut noise = Noise(62);
        for case in 0..40 {
            let (spec, n, targets) = random(&mut noise, case);
            let pixels = spec.height * spec.width;
            // Few different values: many ties.
            let logits: Vec<f32> = (0..n * spec.classes * pixels).map(|_| noise.below(3) as f32).collect();
            let wrong = |sample: usize| {
                let wrong = |&at: &usize| {
                    let logits = pixel(&spec, &logits, sample, at);
                    let largest = logits.iter().copied().fold(f32::MIN, f32::max);
                    let class = logits.iter().position(|&logit| logit == largest).unwrap();
                    class != usize::from(targets[sample * pixels + at])
                };
                (0..pixels).filter(wrong).count()
            };
            let expected: Vec<usize> = (0..n).map(wrong).collect();
            for level in Level::available() {
                let found = spec.value_and_gradient_at(level, n, &logits, &targets);
                assert_eq!(found.wrong, expected, "{spec:?} {level}");
            }
        }
    }

    #[test]
    fn extreme_logits() {
        let values = [f32::MAX, -f32::MAX, 0.0, 1e-40, 3e38, -500.0, 88.0];
        let mut logits = Vec::new();
        for k in 0..values.len().pow(3) {
            logits.push([values[k % 7], values[k / 7 % 7], values[k / 49]]);
        }
        let planes: Vec<f32> = (0..3).flat_map(|class| logits.iter().map(move |pixel| pixel[class])).collect();
        for (loss, hard) in LOSSES.into_iter().zip([None, Some(HARD), None, Some(HARD)]) {
            let spec = Segmentation { classes: 3, height: 1, width: logits.len(), loss, hard };
            let found = spec.value_and_gradient(1, &planes, &vec![1; logits.len()]);
            assert!(found.loss[0].is_finite() && found.gradient.iter().all(|v| v.is_finite()), "{loss:?}");
            let spec = Segmentation { width: 1, ..spec };
            let sure = spec.value_and_gradient(1, &[-f32::MAX, f32::MAX, 0.0], &[1]);
            assert!(sure.loss[0] < 1e-30 && sure.wrong == [0], "{sure:?}");
        }
    }

    /// Most pixels of a trained model are sure ones; their loss and gradient must not drown in rounding.
    #[test]
    fn sure_pixels_keep_their_digits() {
        for (loss, gap) in LOSSES.into_iter().zip([12.0f32, 4.0, 4.0, 25.0]) {
            let spec = Segmentation { classes: 2, height: 1, width: 1, loss, hard: None };
            let found = spec.value_and_gradient(1, &[0.0, gap], &[1]);
            let expected = reference(loss, None, &[0.0, f64::from(gap)], 1);
            assert!((found.loss[0] / expected - 1.0).abs() < 2e-6, "{loss:?}: {found:?} {expected}");
            assert_eq!(found.gradient[0], -found.gradient[1]);
        }
    }

    #[test]
    fn a_nan_stays_in_its_pixel() {
        let mut noise = Noise(63);
        for loss in LOSSES {
            let spec = Segmentation { classes: 3, height: 2, width: 40, loss, hard: Some(HARD) };
            let mut logits = noise.values(2 * 3 * 80, 3.0);
            for class in 0..3 {
                logits[class * 80 + 7] = f32::NAN;
            }
            for level in Level::available() {
                let found = spec.value_and_gradient_at(level, 2, &logits, &[2; 160]);
                assert!(found.loss[0].is_nan() && found.loss[1].is_finite(), "{loss:?} {level}");
                let harmed = found.gradient.iter().enumerate().filter(|(_, v)| v.is_nan());
                assert!(harmed.into_iter().all(|(i, _)| i < 240 && i % 80 == 7), "{loss:?} {level}");
            }
        }
    }

    #[test]
    fn results_do_not_depend_on_the_thread_count() {
        let mut noise = Noise(64);
        for (loss, hard) in LOSSES.into_iter().zip([None, Some(HARD), None, Some(HARD)]) {
            let spec = Segmentation { classes: 5, height: 70, width: 53, loss, hard };
            let logits = noise.values(2 * 5 * 70 * 53, 3.0);
            let targets: Vec<u8> = (0..2 * 70 * 53).map(|_| noise.below(5) as u8).collect();
            on_any_thread_count(|| spec.value_and_gradient(2, &logits, &targets));
        }
    }

    #[test]
    #[should_panic(expected = "target 3 of 3 classes")]
    fn a_class_that_does_not_exist_is_refused() {
        let spec = Segmentation { classes: 3, height: 1, width: 2, loss: PixelLoss::CrossEntropy, hard: None };
        spec.value_and_gradient(1, &[0.0; 6], &[0, 3]);
    }
}
