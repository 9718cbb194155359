//! From one layer's floats to integers: the step, and which integer every value becomes, by rate and distortion.

use crate::curvature::LayerCurvature;

/// Largest magnitude of an integer.
const LIMIT: f64 = 127.0;
/// Passes over a tensor; each takes the rates from the integers of the one before.
const PASSES: usize = 3;
/// Steps that are tried, by their ratio to the one that theory asks for, in quarters of an octave.
const STEPS: std::ops::RangeInclusive<i32> = -5..=3;
/// Largest step, well within what an archive may hold.
const LARGEST_STEP: f32 = 5e5;
/// Bits that a step takes in an archive where each output has one, octaves apart.
const STEP_BITS: f64 = 3.0;

/// A layer's weight and bias on their grids.
#[derive(Clone, Debug, Default)]
pub(crate) struct QuantizedLayer {
    /// Step of the weight, or one for each of its outputs.
    pub steps: Vec<f32>,
    /// Step of the bias.
    pub bias_step: f32,
    /// Integers of the weight, `[outputs, fan_in]`.
    pub weight: Vec<i16>,
    /// Integers of the bias, `[outputs]`.
    pub bias: Vec<i16>,
    /// Growth of the mean squared error that the curvature expects.
    pub distortion: f64,
    /// Bits that the weight's integers take by their histogram, and its steps.
    pub bits: f64,
}

/// The least step from `step` on that an archive holds in few bits: three bits of fraction.
pub(crate) fn short_step(step: f64) -> f32 {
    const REST: u32 = (1 << 20) - 1;
    let bits = (step.clamp(1e-30, f64::from(LARGEST_STEP)) as f32).next_up().to_bits();
    f32::from_bits((bits + REST) & !REST)
}

/// The step of the least `D + lambda R` for a uniform quantizer of many levels, whose distortion is
/// `D = sensitivity * step^2 / 12` and whose rate falls with `-log2 step`.
pub(crate) fn balanced_step(sensitivity: f64, lambda: f64) -> f64 {
    (6.0 * lambda / (sensitivity.max(1e-30) * std::f64::consts::LN_2)).sqrt()
}

pub(crate) fn largest(values: &[f32]) -> f64 {
    values.iter().fold(0.0f64, |m, v| m.max(f64::from(v.abs())))
}

/// Quantizes a layer for the least `distortion + lambda * bits` over the steps that make sense: those around the one that
/// theory asks for, each for all outputs or balanced between them, and the one that training rounded to, on which values may
/// lie already.
pub(crate) fn quantize_layer(
    [weight, bias]: [&[f32]; 2],
    trained: f32,
    curvature: &LayerCurvature,
    lambda: f64,
) -> QuantizedLayer {
    let n = curvature.columns;
    let diagonal = |i: usize| curvature.inverse_root[i * n + i].powi(-2);
    let scale = curvature.mean_scale();
    let sensitivity = scale * (0..n - 1).map(diagonal).sum::<f64>() / (n - 1) as f64;
    let bias_step = short_step(balanced_step(scale * diagonal(n - 1), lambda).max(largest(bias) / LIMIT));
    let (finest, coarsest) = (largest(weight) / LIMIT, largest(weight).max(1e-30));
    let balanced = balanced_step(sensitivity, lambda);
    let around = STEPS.map(|quarters| balanced * 2f64.powf(f64::from(quarters) / 4.0));
    let clamped = around.clone().map(|step| short_step(step.clamp(finest, coarsest)));
    let mut steps: Vec<f32> = clamped.chain(Some(trained).filter(|&step| f64::from(step) >= finest * 0.999)).collect();
    steps.dedup();
    let each = around.map(|step| output_steps(short_step(step.min(coarsest)), weight, curvature));
    let grids = steps.iter().map(|&step| vec![step]).chain(each);
    let tries = grids.map(|steps| quantize_at(weight, bias, curvature, steps, bias_step, lambda));
    let cost = |layer: &QuantizedLayer| layer.distortion + lambda * layer.bits;
    tries.min_by(|a, b| cost(a).total_cmp(&cost(b))).unwrap_or_default()
}

/// Steps of all outputs, `step` for one of the mean scale. An integer's part in the distortion is about the same for all if an
/// output of four times the scale has half the step; whole octaves cost few bits. None is finer than its output's largest value
/// allows.
fn output_steps(step: f32, weight: &[f32], curvature: &LayerCurvature) -> Vec<f32> {
    let mean = curvature.mean_scale();
    let rows = weight.chunks(curvature.columns - 1).zip(&curvature.scale);
    let octaves = rows.map(|(row, scale)| {
        let needed = (largest(row) / LIMIT / f64::from(step)).log2().ceil();
        ((mean / scale).log2() / 2.0).round().max(needed) as i32
    });
    octaves.map(|octaves| (step * 2f32.powi(octaves)).min(LARGEST_STEP)).collect()
}

/// Quantizes a layer on given grids. Values of a row are rounded one after another; the error of each is made good as far
/// as possible by those after it (Frantar et al., "GPTQ", 2023, after Hassibi and Stork's Optimal Brain Surgeon), the bias
/// last. An integer nearer to zero is taken where the bits that it saves outweigh what it adds to the error.
fn quantize_at(
    weight: &[f32],
    bias: &[f32],
    curvature: &LayerCurvature,
    steps: Vec<f32>,
    bias_step: f32,
    lambda: f64,
) -> QuantizedLayer {
    let n = curvature.columns;
    let step_of = |row: usize| f64::from(steps[row % steps.len()]);
    let rounded = |(i, &w): (usize, &f32)| round(f64::from(w) / step_of(i / (n - 1)));
    let mut rates = Rates::of(weight.iter().enumerate().map(rounded));
    let mut layer = QuantizedLayer::default();
    for _ in 0..PASSES {
        (layer.weight, layer.bias, layer.distortion) = (Vec::with_capacity(weight.len()), Vec::new(), 0.0);
        for (row, (&bias, &scale)) in bias.iter().zip(&curvature.scale).enumerate() {
            let (step, bias_step) = (step_of(row), f64::from(bias_step));
            let weight = &weight[row * (n - 1)..][..n - 1];
            let mut values: Vec<f64> = weight.iter().chain([&bias]).map(|&v| f64::from(v)).collect();
            for i in 0..n {
                let factors = &curvature.inverse_root[i * n + i..(i + 1) * n];
                let value = values[i];
                let error = |q: i16, step: f64| (value - f64::from(q) * step) / factors[0];
                let error = if i == n - 1 {
                    let q = round(value / bias_step);
                    layer.bias.push(q);
                    error(q, bias_step)
                } else {
                    let nearest = round(value / step);
                    let cost = |q: i16| scale * error(q, step).powi(2) + lambda * rates.bits(q);
                    let smaller = nearest - nearest.signum();
                    let q = [smaller, 0]
                        .into_iter()
                        .fold(nearest, |q, other| if cost(other) < cost(q) { other } else { q });
                    layer.weight.push(q);
                    error(q, step)
                };
                layer.distortion += scale * error * error;
                for (value, factor) in values[i..].iter_mut().zip(factors) {
                    *value -= error * factor;
                }
            }
        }
        rates = Rates::of(layer.weight.iter().copied());
    }
    layer.bits = layer.weight.iter().map(|&q| rates.bits(q)).sum::<f64>() + STEP_BITS * steps.len() as f64;
    QuantizedLayer { steps, bias_step, ..layer }
}

fn round(value: f64) -> i16 {
    value.round_ties_even().clamp(-LIMIT, LIMIT) as i16
}

/// Bits of integers by their histogram.
///
/// Not by what the coder asks for each in its place ([`archive::level_costs`]): deciding by that, in up to two further passes,
/// changed a trained decoder's bytes at equal error by -0.02 to +0.05 % at exchange rates from 0.005 to 0.05. The coder's
/// context moves with the decisions, so its prices are those of integers that are not there any more.
struct Rates([f64; 256]);

impl Rates {
    fn of(values: impl Iterator<Item = i16>) -> Self {
        // A third of a value each for those that were not met.
        let mut counts = [1.0 / 3.0; 256];
        values.for_each(|q| counts[usize::from(q as u8)] += 1.0);
        let total: f64 = counts.iter().sum();
        Self(counts.map(|count| (total / count).log2()))
    }

    fn bits(&self, q: i16) -> f64 {
        self.0[usize::from(q as u8)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A layer of 6 outputs and 4 inputs whose inputs depend on each other, and its matrix without the scale.
    fn layer() -> ([Vec<f32>; 2], LayerCurvature, Vec<f64>) {
        let n = 5;
        let weight = (0..24).map(|i| ((i * 29 % 31) as f32 - 15.0) / 31.0).collect();
        let bias = (0..6).map(|i| (i as f32 - 2.5) / 7.0).collect();
        let root = |i: usize, j: usize| if j < i { 0.0 } else { 1.0 - (j - i) as f64 / 20.0 };
        let inverse_root: Vec<f64> = (0..n * n).map(|at| root(at / n, at % n)).collect();
        // The inverse of the upper triangular root, column by column; the matrix is its product with its transpose.
        let mut inverse = vec![0.0; n * n];
        for j in 0..n {
            for i in (0..=j).rev() {
                let known: f64 = (i + 1..=j).map(|k| root(i, k) * inverse[k * n + j]).sum();
                inverse[i * n + j] = (f64::from(u8::from(i == j)) - known) / root(i, i);
            }
        }
        let product = |i: usize, j: usize| (0..n).map(|k| inverse[i * n + k] * inverse[j * n + k]).sum::<f64>();
        let matrix = (0..n * n).map(|at| product(at / n, at % n)).collect();
        let scale = (0..6).map(|i| 0.5 + i as f64 / 10.0).collect();
        ([weight, bias], LayerCurvature { inverse_root, columns: n, scale }, matrix)
    }

    /// What the error of integers on their steps costs by the matrix.
    fn distortion(values: &[Vec<f32>; 2], curvature: &LayerCurvature, matrix: &[f64], found: &QuantizedLayer) -> f64 {
        let n = curvature.columns;
        let mut sum = 0.0;
        for (row, &scale) in curvature.scale.iter().enumerate() {
            let error = |i: usize| {
                let (value, q, step) = match i {
                    4 => (values[1][row], found.bias[row], found.bias_step),
                    _ => (values[0][4 * row + i], found.weight[4 * row + i], found.steps[row % found.steps.len()]),
                };
                f64::from(value) - f64::from(q) * f64::from(step)
            };
            let terms = (0..n * n).map(|at| error(at / n) * matrix[at] * error(at % n));
            sum += scale * terms.sum::<f64>();
        }
        sum
    }

    #[test]
    fn the_distortion_is_that_of_the_matrix_and_less_than_rounding_makes() {
        let (values, curvature, matrix) = layer();
        let steps = [0.125, 0.03125];
        let found = quantize_at(&values[0], &values[1], &curvature, vec![steps[0]], steps[1], 0.0);
        let exact = distortion(&values, &curvature, &matrix, &found);
        assert!((found.distortion - exact).abs() < 1e-9 * exact, "{} against {exact}", found.distortion);
        let rounded = |values: &[f32], step: f32| values.iter().map(|v| round(f64::from(v / step))).collect();
        let plain = QuantizedLayer {
            weight: rounded(&values[0], steps[0]),
            bias: rounded(&values[1], steps[1]),
            ..found.clone()
        };
        let plain = distortion(&values, &curvature, &matrix, &plain);
        assert!(exact < 0.9 * plain, "{exact} against {plain} of plain rounding");
    }

    #[test]
    fn dearer_bits_are_fewer() {
        let ([weight, bias], curvature, _) = layer();
        let at = |lambda| quantize_layer([&weight, &bias], 0.01, &curvature, lambda);
        let layers = [1e-6, 1e-3, 1.0].map(at);
        assert!(layers.windows(2).all(|pair| pair[1].bits < pair[0].bits && pair[1].distortion > pair[0].distortion));
        assert!(layers[2].weight.iter().filter(|&&q| q == 0).count() > 12, "{:?}", layers[2].weight);
    }

    #[test]
    fn outputs_have_steps_of_their_own_where_that_pays() {
        let n = 65;
        let weight: Vec<f32> = (0..60 * 64).map(|i| ((i * 2897 % 3571) as f32 - 1785.0) / 1785.0).collect();
        let bias = [0.5; 60];
        let with = |scale: fn(usize) -> f64| {
            let inverse_root = (0..n * n).map(|at| f64::from(u8::from(at / n == at % n))).collect();
            let curvature = LayerCurvature { inverse_root, columns: n, scale: (0..60).map(scale).collect() };
            (quantize_layer([&weight, &bias], 0.01, &curvature, 1e-3), curvature)
        };
        assert_eq!(with(|_| 1.0).0.steps.len(), 1);
        let (found, curvature) = with(|i| if i % 2 == 0 { 0.01 } else { 10.0 });
        assert_eq!(found.steps.len(), 60);
        assert!(found.steps[0] >= 8.0 * found.steps[1], "{:?}", &found.steps[..2]);
        let cost = |layer: &QuantizedLayer| layer.distortion + 1e-3 * layer.bits;
        for step in STEPS.map(|quarters| 0.05 * 2f32.powf(quarters as f32 / 2.0)) {
            let one = quantize_at(&weight, &bias, &curvature, vec![step], found.bias_step, 1e-3);
            assert!(cost(&found) < cost(&one), "{} against {} at {step}", cost(&found), cost(&one));
        }
    }

    #[test]
    fn short_steps_are_short_and_no_smaller() {
        for step in [1e-9, 0.001_234_5, 0.5, 1.0, 3.3, 400.0] {
            let short = short_step(step);
            assert!(f64::from(short) >= step && f64::from(short) < step * 1.13, "{step}: {short}");
            assert_eq!(short.to_bits() & ((1 << 20) - 1), 0);
        }
    }

    #[test]
    fn layers_of_zeros_are_met() {
        let (_, curvature, _) = layer();
        let found = quantize_layer([&[0.0; 24], &[0.0; 6]], 1.0, &curvature, 1e-3);
        assert!(found.weight == [0; 24] && found.bias == [0; 6] && found.distortion == 0.0);
    }
}
