//! The archive's size as a term of the loss.
//!
//! To have a gradient, every value counts as a Gaussian of width `sigma` around itself, cut to the nearest levels of its
//! quantization grid: it has a share in each of them, which moves smoothly with the value, and costs the shares' mean of what
//! the levels cost. What a level costs is estimated in one of two ways.
//!
//! - By histograms: minus the logarithm of how often the tensor's values have the level. The sum is the tensor's entropy; as
//!   `sigma` falls to zero it becomes that of the rounded values. (The regularizer C1a of pull request 95 of the comma.ai video
//!   compression challenge, over all weights instead of samples.)
//! - By the archive's own model, [`archive::level_costs`]: what the coder charges for the level at this very place, given all
//!   that comes before it in the archive. Latents, which are predicted from their past, count too.
//!
//! Values are pulled onto the grid and together: the histograms become combs, which the archive's adaptive models code well.
//!
//! Both value and gradient are computed on the host: some hundred thousand values, a handful of levels each.

use archive::LevelCosts;
use rayon::prelude::*;
use repr::{ParameterId, Representation};

use crate::parameters::{Key, Parameters};
use crate::quantization::levels;

/// Levels on either side of the nearest one that a value counts for, for the widths in use.
const REACH: i32 = 3;

/// Values on the host.
pub type Values = Parameters<Vec<f32>>;

/// Bits of all that counts, and their gradient where there is one.
pub type Estimate = (f64, Parameters<Option<Vec<f32>>>);

/// What the coder charges for levels around those of a representation.
pub struct CoderCosts {
    costs: LevelCosts,
    /// Of each dimension of a latent.
    latent_bits: Vec<u8>,
}

impl CoderCosts {
    /// Asks the archive's model.
    pub fn of(representation: &Representation) -> Self {
        let latent_bits = representation.architecture.latent_bits();
        Self { costs: archive::level_costs(representation), latent_bits }
    }
}

/// The levels that a value `x`, in steps, counts for: level, share, derivative of the share by `x`. Beyond its ends the grid is
/// flat.
fn shares(x: f64, [lowest, highest]: [i32; 2], sigma: f64) -> impl Iterator<Item = (i32, f64, f64)> {
    let within = x.clamp(f64::from(lowest), f64::from(highest));
    let inside = f64::from(u8::from(within == x));
    let x = within;
    let nearest = x.round() as i32;
    let closest = (x - f64::from(nearest)) / sigma;
    let all = (nearest - REACH).max(lowest)..=(nearest + REACH).min(highest);
    let parts = all.map(move |level| {
        let distance = (x - f64::from(level)) / sigma;
        // Relative to the nearest level's, so that the sum is at least 1 for any width.
        let share = (0.5 * (closest * closest - distance * distance)).exp();
        (level, share, -distance / sigma)
    });
    let (sum, slope) = parts.clone().fold((0.0, 0.0), |(sum, slope), (_, share, d)| (sum + share, slope + share * d));
    parts.map(move |(level, share, d)| (level, share / sum, inside * share / sum * (d - slope / sum)))
}

/// Bits of one tensor's `weights` by their histogram on the symmetric grid of `bits` with the given step, and their gradient.
fn histogram_bits(weights: &[f32], bits: u8, step: f32, sigma: f64) -> (f64, Vec<f32>) {
    let levels = levels(bits) as i32;
    let (step, count) = (f64::from(step), weights.len() as f64);
    let shares = |weight: f32| shares(f64::from(weight) / step, [-levels, levels], sigma);
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

/// Bits of values by what levels cost at their places, and their gradient. `grid` gives a value's zero level and step.
fn coder_bits(
    values: &[f32],
    grid: impl Fn(usize) -> (f32, f32, [i32; 2]),
    sigma: f64,
    costs: &archive::ValueCosts,
) -> (f64, Vec<f32>) {
    let mut total = 0.0;
    let gradient = values.iter().enumerate().map(|(i, &value)| {
        let (zero, step, range) = grid(i);
        let x = f64::from(value - zero) / f64::from(step);
        let mut slope_sum = 0.0;
        for (level, share, slope) in shares(x, range, sigma) {
            let cost = f64::from(costs.bits(i, level));
            total += share * cost;
            slope_sum += slope * cost;
        }
        (slope_sum / f64::from(step)) as f32
    });
    let gradient = gradient.collect();
    (total, gradient)
}

/// Bits of all parameters on their grids of `bits`, and the gradient of each tensor; of learned steps too, while the others
/// count as fixed. With the coder's costs the latents on their grids as well. Sums are taken in the order of `keys`.
pub fn bits(parameters: &Values, keys: &[Key], bits: u8, sigma: f64, coder: Option<&CoderCosts>) -> Estimate {
    let learned = |id: ParameterId| parameters.get(Key::LogStep(id)).and_then(|step| step.first());
    let part = |&key: &Key| match (key, parameters.get(key)) {
        (Key::Weight(id), Some(values)) => {
            let max = values.iter().fold(0f32, |m, v| m.max(v.abs()));
            let step = learned(id).map_or_else(|| repr::symmetric_step(max, bits), |step| step.exp());
            let levels = levels(bits) as i32;
            Some(match coder.and_then(|coder| coder.costs.tensors.get(id.index())) {
                Some(costs) => coder_bits(values, |_| (0.0, step, [-levels, levels]), sigma, costs),
                None => histogram_bits(values, bits, step, sigma),
            })
        }
        (Key::Latents, Some(values)) => coder.map(|coder| latent_bits(values, sigma, coder)),
        _ => None,
    };
    let parts: Vec<Option<(f64, Vec<f32>)>> = keys.par_iter().map(part).collect();
    let total = parts.iter().flatten().map(|(bits, _)| bits).sum();
    let mut gradients = parameters.map(|_| None);
    for (&key, (_, gradient)) in keys.iter().zip(parts).filter_map(|(key, part)| Some((key, part?))) {
        if let (Key::Weight(id), Some(values)) = (key, parameters.get(key))
            && let Some(slope) = gradients.get_mut(Key::LogStep(id))
        {
            // Only weight / step counts, so growing the step's logarithm is shrinking every weight in proportion.
            let sum: f64 = values.iter().zip(&gradient).map(|(w, g)| -f64::from(*w) * f64::from(*g)).sum();
            *slope = Some(vec![sum as f32]);
        }
        if let Some(place) = gradients.get_mut(key) {
            *place = Some(gradient);
        }
    }
    (total, gradients)
}

/// Bits of the latents on the grid that they have now, whose ends count as fixed.
fn latent_bits(values: &[f32], sigma: f64, coder: &CoderCosts) -> (f64, Vec<f32>) {
    let bits = &coder.latent_bits;
    let Ok(grid) = repr::quantize_latents(values, bits) else { return (f64::NAN, vec![0.0; values.len()]) };
    let grid = |i: usize| {
        let d = i % bits.len();
        (grid.minimum[d], grid.step[d], [0, (1 << bits[d]) - 1])
    };
    coder_bits(values, grid, sigma, &coder.costs.latents)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use repr::{Architecture, Carrier, ClassMaps, Clip, ClipName, Layer, LayerTable, RepresentationParts, Stage, Stem};

    fn weights() -> Vec<f32> {
        (0..300).map(|i| (i as f32 * 0.7).sin().powi(3) * 0.4 + ((i * 37) % 11) as f32 * 0.01).collect()
    }

    /// Keys of one parameter, its step and the latents.
    fn keys() -> [Key; 3] {
        let architecture = Architecture::new(LayerTable::reference(4, 1)).unwrap();
        let id = architecture.parameters()[0].id;
        [Key::Weight(id), Key::LogStep(id), Key::Latents]
    }

    /// One parameter, with its step if it is learned, and no latents.
    fn alone(weight: Vec<f32>, log_step: Option<Vec<f32>>) -> Values {
        Parameters { weights: vec![weight], log_steps: log_step.map(|step| vec![step]), latents: Vec::new() }
    }

    fn step(weights: &[f32]) -> f32 {
        repr::symmetric_step(weights.iter().fold(0f32, |m, v| m.max(v.abs())), 6)
    }

    #[test]
    fn a_learned_step_has_the_gradient_of_its_logarithm() {
        let weights = weights();
        let at = |delta: f32| {
            let step = vec![step(&weights).ln() + 0.4 + delta];
            bits(&alone(weights.clone(), Some(step)), &keys(), 6, 0.4, None)
        };
        let (total, gradients) = at(0.0);
        let numeric = (at(1e-3).0 - at(-1e-3).0) / 2e-3;
        let found = f64::from(gradients.log_steps.unwrap()[0].as_ref().unwrap()[0]);
        assert!((numeric - found).abs() < 0.03 * numeric.abs() + 1.0, "{found} against {numeric}, {total} bits");
        assert!(found < 0.0, "a longer step costs less");
    }

    #[test]
    fn a_narrow_width_gives_the_entropy_of_the_rounded_weights() {
        let weights = weights();
        let (found, _) = histogram_bits(&weights, 6, step(&weights), 0.02);
        let quantized = repr::quantize_tensor("t", &weights, 6).unwrap();
        let mut counts = std::collections::BTreeMap::new();
        quantized.values.iter().for_each(|v| *counts.entry(*v).or_insert(0.0) += 1.0);
        let entropy: f64 = counts.values().map(|c: &f64| -c * (c / weights.len() as f64).log2()).sum();
        assert!((found - entropy).abs() < 0.01 * entropy, "{found} against {entropy}");
    }

    #[test]
    fn the_gradient_agrees_with_finite_differences() {
        let weights = weights();
        let step = step(&weights);
        let (_, gradient) = histogram_bits(&weights, 6, step, 0.3);
        for i in (0..weights.len()).step_by(23).filter(|i| weights[*i].abs() < 30.9 * step) {
            let at = |delta: f32| {
                let mut moved = weights.clone();
                moved[i] += delta;
                histogram_bits(&moved, 6, step, 0.3).0
            };
            let numeric = (at(1e-4) - at(-1e-4)) / 2e-4;
            let found = f64::from(gradient[i]);
            assert!((numeric - found).abs() < 0.01 * numeric.abs() + 0.5, "{i}: {found} against {numeric}");
        }
    }

    /// A small decoder's parameters, the representation they round to and the coder's word on it: of latents alone, and of class
    /// maps and a carrier of two coefficients of 10 bits.
    fn coded() -> [(Values, Vec<Key>, CoderCosts, Representation); 2] {
        let layers = vec![Layer::Stage(Stage::new(3, 2, 3))];
        let stem = Stem { classes: 3, ..Stem::new(4, 2, 3) };
        let carrier = Some(Carrier { coefficients: 2, height: 2, width: 2, channels: 1, bits: 10 });
        let mapped = LayerTable { carrier, ..LayerTable::new(3, stem, layers.clone()) };
        [LayerTable::new(3, Stem::new(4, 2, 3), layers), mapped].map(coded_of)
    }

    fn coded_of(table: LayerTable) -> (Values, Vec<Key>, CoderCosts, Representation) {
        let architecture = Architecture::new(table).unwrap();
        let clip = Clip::new(ClipName::new("clip").unwrap(), 20, 8, 12).unwrap();
        let value = |i: usize| ((i * 37 % 101) as f32 - 50.0) * 0.01;
        let list = architecture.parameters().iter();
        let weights: Vec<Vec<f32>> = list.map(|parameter| (0..parameter.len()).map(value).collect()).collect();
        let parameters = weights.iter().map(|values| repr::quantize_tensor("t", values, 6).unwrap()).collect();
        let latents: Vec<f32> = (0..30).map(value).collect();
        let quantized = repr::quantize_latents(&latents, &architecture.latent_bits()).unwrap();
        let values = Parameters { weights, log_steps: None, latents };
        let keys = Key::all(&architecture, false);
        let maps = architecture.map_shape(10).unwrap();
        let maps = maps.map(|shape| Arc::new(ClassMaps::new(shape, vec![1; 10 * shape.pixels()]).unwrap()));
        let sidecar = repr::Sidecar::default();
        let parts = RepresentationParts { architecture, clip, parameters, latents: quantized, sidecar, maps };
        let representation = Representation::new(parts).unwrap();
        let costs = CoderCosts::of(&representation);
        (values, keys, costs, representation)
    }

    #[test]
    fn a_narrow_width_gives_what_the_coder_charges() {
        for (values, keys, costs, representation) in coded() {
            let (found, gradients) = bits(&values, &keys, 6, 0.02, Some(&costs));
            let charged: f64 = archive::cost(&representation).iter().sum();
            let steps = 32.0 * (representation.parameters.len() + 6) as f64;
            assert!(found < charged && found > charged - 2.0 * steps, "{found} of {charged}");
            assert!(keys.iter().all(|&key| gradients.get(key).is_some_and(Option::is_some)));
        }
    }

    #[test]
    fn the_gradient_by_the_coder_agrees_with_finite_differences() {
        for (values, keys, costs, _) in coded() {
            let (_, gradients) = bits(&values, &keys, 6, 0.3, Some(&costs));
            for &key in &keys {
                let list = values.get(key).unwrap();
                let largest = list.iter().fold(0f32, |m, v| m.max(v.abs()));
                // Not those that make the grid.
                for i in (0..list.len()).step_by(7).filter(|&i| list[i].abs() < 0.9 * largest) {
                    // Steps of latents are finer, those of coefficients more so.
                    let move_by = if key == Key::Latents { 2e-5 } else { 1e-4 };
                    let at = |delta: f32| {
                        let mut moved = values.clone();
                        moved.get_mut(key).unwrap()[i] += delta;
                        bits(&moved, &keys, 6, 0.3, Some(&costs)).0
                    };
                    let numeric = (at(move_by) - at(-move_by)) / (2.0 * f64::from(move_by));
                    let found = f64::from(gradients.get(key).unwrap().as_ref().unwrap()[i]);
                    let error = (numeric - found).abs();
                    assert!(error < 0.02 * numeric.abs() + 2.0, "{key:?} {i}: {found} against {numeric}");
                }
            }
        }
    }

    /// A coefficient's level costs what its first eight bits do and the two behind them: within those, nothing pulls.
    #[test]
    fn coefficients_are_pulled_by_the_bits_that_are_predicted() {
        let [_, (values, keys, costs, representation)] = coded();
        let (_, gradients) = bits(&values, &keys, 6, 0.3, Some(&costs));
        let gradient = gradients.latents.unwrap();
        assert_eq!(representation.architecture.latent_bits(), [8, 10, 10]);
        let inner: Vec<f32> = (0..30)
            .filter(|i| i % 3 > 0 && matches!(representation.latents.values[*i] % 4, 1 | 2))
            .map(|i| gradient[i])
            .collect();
        assert!(inner.len() > 5 && inner.iter().all(|slope| slope.abs() < 1e-3), "{inner:?}");
        assert!(gradient.iter().step_by(3).any(|slope| slope.abs() > 1e-3), "{gradient:?}");
    }

    #[test]
    fn what_lies_beyond_the_grid_has_no_gradient() {
        let mut weights = weights();
        weights[7] = 900.0;
        let values = alone(weights, Some(vec![0.01f32.ln()]));
        let (_, gradients) = bits(&values, &keys(), 6, 0.3, None);
        let gradient = gradients.weights[0].as_ref().unwrap();
        assert_eq!(gradient[7], 0.0);
        // A weight that far out would decide about the step otherwise.
        let without: f64 = values.weights[0].iter().zip(gradient).map(|(w, g)| -f64::from(w * g)).sum();
        assert!(
            (without - f64::from(gradients.log_steps.unwrap()[0].as_ref().unwrap()[0])).abs() < 1e-2 * without.abs()
        );
    }

    #[test]
    fn zeros_cost_nothing_and_latents_do_not_count() {
        assert!(histogram_bits(&[0.0; 9], 8, 1.0, 0.2).0 < 1e-2);
        let parameters = Parameters { latents: weights(), ..alone(vec![0.5, -0.5], None) };
        let (total, gradients) = bits(&parameters, &keys(), 8, 0.2, None);
        assert!((total - 2.0).abs() < 1e-2, "{total}");
        assert!(gradients.weights[0].is_some() && gradients.latents.is_none());
    }
}
