//! Rounding to the archive's grid in the forward pass, identity in the backward pass (straight-through estimator, Bengio,
//! Léonard, Courville 2013). The grids are those of [`repr::quantize_tensor`] and [`repr::quantize_latents`], or have a
//! learned step (Esser et al. 2020, "Learned step size quantization", with the step's logarithm as the parameter).

use burn_core::tensor::backend::{AutodiffBackend, Backend};
use burn_core::tensor::{Tensor, TensorData};

use crate::model::{LATENTS, Parameters};

/// Behind a parameter's name: the natural logarithm of its learned step, `[1, 1]`.
const STEP: &str = ".step";

/// Name of the learned step of parameter `name`.
pub fn step_name(name: &str) -> String {
    format!("{name}{STEP}")
}

/// Whether a parameter is another one's learned step.
pub fn is_step(name: &str) -> bool {
    name.ends_with(STEP)
}

/// Adds a learned step for every parameter that has none, where the symmetric grid of `bits` puts it.
pub fn add_steps<B: Backend>(parameters: &mut Parameters<B>, bits: u8) {
    let missing = |name: &&String| *name != LATENTS && !is_step(name) && !parameters.contains_key(&step_name(name));
    let names: Vec<String> = parameters.keys().filter(missing).cloned().collect();
    for name in names {
        let tensor = &parameters[&name];
        let max = tensor.clone().abs().max().into_data().iter::<f32>().next().unwrap_or_default();
        let step = repr::symmetric_step(max, bits).ln();
        let step = Tensor::from_data(TensorData::new(vec![step], [1, 1]), &tensor.device());
        parameters.insert(step_name(&name), step);
    }
}

/// Every tensor rounded to its grid: parameters to `bits`, latents to 8 bits per dimension.
pub fn fake_quantize<B: AutodiffBackend>(parameters: &Parameters<B>, bits: u8) -> Parameters<B> {
    let round = |(name, tensor): (&String, &Tensor<B, 2>)| {
        if let Some(step) = parameters.get(&step_name(name)) {
            return (name.clone(), round_to_step(tensor.clone(), step.clone().exp(), bits));
        }
        let exact = tensor.clone().inner();
        let rounded = if name == LATENTS { round_latents(exact.clone()) } else { round_weights(exact.clone(), bits) };
        (name.clone(), tensor.clone() + Tensor::from_inner(rounded - exact))
    };
    parameters.iter().filter(|(name, _)| !is_step(name)).map(round).collect()
}

/// The largest level of the symmetric grid of `bits`.
pub fn levels(bits: u8) -> f64 {
    f64::from((1i16 << (bits - 1)) - 1)
}

/// Differentiable in the step as well: `step * round(x / step)` with the rounding's slope taken as 1.
fn round_to_step<B: AutodiffBackend>(x: Tensor<B, 2>, step: Tensor<B, 2>, bits: u8) -> Tensor<B, 2> {
    let level = (x / step.clone()).clamp(-levels(bits), levels(bits));
    let exact = level.clone().inner();
    (level + Tensor::from_inner(exact.clone().round() - exact)) * step
}

fn round_weights<B: Backend>(x: Tensor<B, 2>, bits: u8) -> Tensor<B, 2> {
    let step = x.clone().abs().max().reshape([1, 1]).div_scalar(levels(bits)).clamp_min(f32::MIN_POSITIVE);
    (x / step.clone()).round() * step
}

fn round_latents<B: Backend>(x: Tensor<B, 2>) -> Tensor<B, 2> {
    let minimum = x.clone().min_dim(0);
    let step = (x.clone().max_dim(0) - minimum.clone()).div_scalar(255.0).clamp_min(f32::MIN_POSITIVE);
    ((x - minimum.clone()) / step.clone()).round() * step + minimum
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn_autodiff::Autodiff;
    use burn_core::tensor::TensorData;
    use burn_flex::Flex;

    type B = Autodiff<Flex>;

    fn parameters() -> (Parameters<B>, Vec<f32>) {
        let values: Vec<f32> = (0..24).map(|i| ((i * 37 % 29) as f32 - 14.0) * 0.01).collect();
        let tensor = || Tensor::<B, 2>::from_data(TensorData::new(values.clone(), [6, 4]), &Default::default());
        let named = [("a.weight", tensor().require_grad()), (LATENTS, tensor().require_grad())];
        (named.into_iter().map(|(name, t)| (name.to_string(), t)).collect(), values)
    }

    #[test]
    fn the_grid_is_the_archives() {
        let (parameters, values) = parameters();
        let rounded = fake_quantize(&parameters, 5);
        let found = |name: &str| rounded[name].clone().into_data().to_vec::<f32>().unwrap();
        let tensor = repr::Tensor { shape: vec![6, 4], values: values.clone() };
        let expected = repr::quantize_tensor("a.weight", &tensor, 5).unwrap().dequantize();
        assert!(found("a.weight").iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-6));
        let latents = repr::quantize_latents(&values, 4).unwrap();
        let expected: Vec<f32> = (0..6).flat_map(|i| latents.row(i).unwrap()).collect();
        assert!(found(LATENTS).iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-6));
    }

    #[test]
    fn gradients_pass_straight_through() {
        let (parameters, _) = parameters();
        let rounded = fake_quantize(&parameters, 4);
        let gradients = (rounded["a.weight"].clone() * 3.0).sum().backward();
        let gradient = parameters["a.weight"].grad(&gradients).unwrap().into_data().to_vec::<f32>().unwrap();
        assert!(gradient.iter().all(|g| *g == 3.0));
    }

    #[test]
    fn learned_steps_begin_where_the_grid_is_and_have_a_gradient() {
        let (parameters, values) = parameters();
        let mut inner: Parameters<Flex> = parameters.iter().map(|(n, t)| (n.clone(), t.clone().inner())).collect();
        add_steps(&mut inner, 6);
        assert!(inner.keys().eq(["a.weight", "a.weight.step", LATENTS]));
        let leaves: Parameters<B> =
            inner.iter().map(|(n, t)| (n.clone(), Tensor::from_inner(t.clone()).require_grad())).collect();
        let rounded = fake_quantize(&leaves, 6);
        assert!(rounded.keys().eq(["a.weight", LATENTS]));
        let found = rounded["a.weight"].clone().into_data().to_vec::<f32>().unwrap();
        let tensor = repr::Tensor { shape: vec![6, 4], values: values.clone() };
        let expected = repr::quantize_tensor("a.weight", &tensor, 6).unwrap();
        assert!(found.iter().zip(&expected.dequantize()).all(|(a, b)| (a - b).abs() < 1e-6));
        // d/d(ln s) of the sum of s * round(w / s), slope of the rounding taken as 1: the sum of s * round(w / s) - w.
        let gradients = rounded["a.weight"].clone().sum().backward();
        let slope: f32 = leaves["a.weight.step"].grad(&gradients).unwrap().into_scalar();
        let expected: f32 = expected.dequantize().iter().zip(&values).map(|(q, w)| q - w).sum();
        assert!((slope - expected).abs() < 1e-4, "{slope} against {expected}");
    }
}
