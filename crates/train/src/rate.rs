//! The size of the weights as a term of the loss.
//!
//! A tensor's size is its entropy on its quantization grid. To have a gradient, every weight counts as a Gaussian of width
//! `sigma` around itself, cut to the nearest levels, so that the histogram moves smoothly with the weights; as `sigma` falls
//! to zero the estimate becomes the entropy of the rounded weights. (The regularizer C1a of pull request 95 of the comma.ai
//! video compression challenge, over all weights instead of samples.) Weights are pulled onto the grid and together: the
//! histograms become combs, which the archive's adaptive models code well.
//!
//! Both value and gradient are computed on the host: some hundred thousand weights, a handful of levels each.

use std::collections::BTreeMap;

use rayon::prelude::*;

use crate::fake_quantize::{is_step, step_name};
use crate::model::LATENTS;

/// Levels on either side of the nearest one that a weight counts for, for the widths in use.
const REACH: i32 = 3;

/// Bits of one tensor's `weights` on the symmetric grid of `bits` with the given step, and their gradient.
fn tensor_bits(weights: &[f32], bits: u8, step: f32, sigma: f64) -> (f64, Vec<f32>) {
    let levels = (1i32 << (bits - 1)) - 1;
    let (step, count) = (f64::from(step), weights.len() as f64);
    // A weight's levels with their shares, and the derivatives of the shares by the weight in steps.
    let shares = |weight: f32| {
        let x = (f64::from(weight) / step).clamp(-f64::from(levels), f64::from(levels));
        let nearest = x.round() as i32;
        let closest = (x - f64::from(nearest)) / sigma;
        let all = (nearest - REACH..=nearest + REACH).filter(|level| level.abs() <= levels);
        let parts: Vec<(i32, f64, f64)> = all
            .map(|level| {
                let distance = (x - f64::from(level)) / sigma;
                // Relative to the nearest level's, so that the sum is at least 1 for any width.
                let share = (0.5 * (closest * closest - distance * distance)).exp();
                (level, share, -distance / sigma)
            })
            .collect();
        let sum: f64 = parts.iter().map(|(_, share, _)| share).sum();
        let slope: f64 = parts.iter().map(|(_, share, slope)| share * slope).sum::<f64>() / sum;
        parts.into_iter().map(move |(level, share, d)| (level, share / sum, share / sum * (d - slope)))
    };
    let mut histogram = vec![0.0; 2 * levels as usize + 1];
    for &weight in weights {
        for (level, share, _) in shares(weight) {
            histogram[(level + levels) as usize] += share;
        }
    }
    // The derivative of the entropy by a level's count is the level's cost: what a further weight there would add.
    let cost: Vec<f64> = histogram.iter().map(|&mass| if mass > 0.0 { -(mass / count).log2() } else { 0.0 }).collect();
    let bits = histogram.iter().zip(&cost).map(|(mass, cost)| mass * cost).sum();
    let gradient = |&weight: &f32| {
        let sum: f64 = shares(weight).map(|(level, _, slope)| slope * cost[(level + levels) as usize]).sum();
        (sum / step) as f32
    };
    (bits, weights.iter().map(gradient).collect())
}

/// Bits of all parameters except the latents on their grids of `bits`, and the gradient of each tensor; of learned steps too,
/// while the others count as fixed.
pub fn bits(parameters: &BTreeMap<String, Vec<f32>>, bits: u8, sigma: f64) -> (f64, BTreeMap<String, Vec<f32>>) {
    let tensors: Vec<_> = parameters.iter().filter(|(name, _)| *name != LATENTS && !is_step(name)).collect();
    let learned = |name: &str| parameters.get(&step_name(name)).and_then(|step| step.first());
    let part = |(name, weights): &(&String, &Vec<f32>)| {
        let max = weights.iter().fold(0f32, |m, v| m.max(v.abs()));
        let step = learned(name).map_or_else(|| repr::symmetric_step(max, bits), |step| step.exp());
        tensor_bits(weights, bits, step, sigma)
    };
    let parts: Vec<_> = tensors.par_iter().map(part).collect();
    let total = parts.iter().map(|(bits, _)| bits).sum();
    let mut gradients = BTreeMap::new();
    for ((name, weights), (_, gradient)) in tensors.into_iter().zip(parts) {
        if learned(name).is_some() {
            // Only weight / step counts, so growing the step's logarithm is shrinking every weight in proportion.
            let slope: f64 = weights.iter().zip(&gradient).map(|(w, g)| -f64::from(*w) * f64::from(*g)).sum();
            gradients.insert(step_name(name), vec![slope as f32]);
        }
        gradients.insert(name.clone(), gradient);
    }
    (total, gradients)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn weights() -> Vec<f32> {
        (0..300).map(|i| (i as f32 * 0.7).sin().powi(3) * 0.4 + ((i * 37) % 11) as f32 * 0.01).collect()
    }

    fn step(weights: &[f32]) -> f32 {
        repr::symmetric_step(weights.iter().fold(0f32, |m, v| m.max(v.abs())), 6)
    }

    #[test]
    fn a_learned_step_has_the_gradient_of_its_logarithm() {
        let weights = weights();
        let at = |delta: f32| {
            let step = vec![step(&weights).ln() + 0.4 + delta];
            bits(&BTreeMap::from([("a".to_string(), weights.clone()), (step_name("a"), step)]), 6, 0.4)
        };
        let (total, gradients) = at(0.0);
        let numeric = (at(1e-3).0 - at(-1e-3).0) / 2e-3;
        let found = f64::from(gradients[&step_name("a")][0]);
        assert!((numeric - found).abs() < 0.03 * numeric.abs() + 1.0, "{found} against {numeric}, {total} bits");
        assert!(found < 0.0, "a longer step costs less");
    }

    #[test]
    fn a_narrow_width_gives_the_entropy_of_the_rounded_weights() {
        let weights = weights();
        let (found, _) = tensor_bits(&weights, 6, step(&weights), 0.02);
        let tensor = repr::Tensor { shape: vec![weights.len()], values: weights.clone() };
        let quantized = repr::quantize_tensor("t", &tensor, 6).unwrap();
        let mut counts = BTreeMap::new();
        quantized.values.iter().for_each(|v| *counts.entry(*v).or_insert(0.0) += 1.0);
        let entropy: f64 = counts.values().map(|c: &f64| -c * (c / weights.len() as f64).log2()).sum();
        assert!((found - entropy).abs() < 0.01 * entropy, "{found} against {entropy}");
    }

    #[test]
    fn the_gradient_agrees_with_finite_differences() {
        let weights = weights();
        let step = step(&weights);
        let (_, gradient) = tensor_bits(&weights, 6, step, 0.3);
        for i in (0..weights.len()).step_by(23).filter(|i| weights[*i].abs() < 30.9 * step) {
            let at = |delta: f32| {
                let mut moved = weights.clone();
                moved[i] += delta;
                tensor_bits(&moved, 6, step, 0.3).0
            };
            let numeric = (at(1e-4) - at(-1e-4)) / 2e-4;
            let found = f64::from(gradient[i]);
            assert!((numeric - found).abs() < 0.01 * numeric.abs() + 0.5, "{i}: {found} against {numeric}");
        }
    }

    #[test]
    fn zeros_cost_nothing_and_latents_do_not_count() {
        assert!(tensor_bits(&[0.0; 9], 8, 1.0, 0.2).0 < 1e-2);
        let parameters = BTreeMap::from([(LATENTS.to_string(), weights()), ("a".to_string(), vec![0.5, -0.5])]);
        let (total, gradients) = bits(&parameters, 8, 0.2);
        assert!((total - 2.0).abs() < 1e-2 && gradients.keys().eq(["a"]), "{total}");
    }
}
