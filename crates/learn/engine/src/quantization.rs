//! Rounding to the archive's grid in the forward pass, identity in the backward pass (straight-through estimator, Bengio,
//! Léonard, Courville 2013). The grids are those of [`repr::quantize_tensor`] and [`repr::quantize_latents`], or have a
//! learned step (Esser et al. 2020, "Learned step size quantization", with the step's logarithm as the parameter).

use burn_core::tensor::backend::{AutodiffBackend, Backend};
use burn_core::tensor::{Tensor, TensorData};

use crate::parameters::Parameters;

/// Tensors on a device.
type Tensors<B> = Parameters<Tensor<B, 2>>;

/// Gives every parameter a learned step, if they have none, where the symmetric grid of `bits` puts it.
pub fn add_steps<B: Backend>(parameters: &mut Tensors<B>, bits: u8) {
    if parameters.log_steps.is_some() {
        return;
    }
    let log_step = |tensor: &Tensor<B, 2>| {
        let max = tensor.clone().abs().max().into_data().iter::<f32>().next().unwrap_or_default();
        let step = repr::symmetric_step(max, bits).ln();
        Tensor::from_data(TensorData::new(vec![step], [1, 1]), &tensor.device())
    };
    parameters.log_steps = Some(parameters.weights.iter().map(log_step).collect());
}

/// Every tensor rounded to its grid: parameters to `bits`, each dimension of the latents to its of `latent_bits`.
pub fn fake_quantize<B: AutodiffBackend>(parameters: &Tensors<B>, bits: u8, latent_bits: &[u8]) -> Tensors<B> {
    let straight = |tensor: &Tensor<B, 2>, round: &dyn Fn(Tensor<B::InnerBackend, 2>) -> Tensor<B::InnerBackend, 2>| {
        let exact = tensor.clone().inner();
        tensor.clone() + Tensor::from_inner(round(exact.clone()) - exact)
    };
    let weight = |(index, tensor): (usize, &Tensor<B, 2>)| match parameters
        .log_steps
        .as_ref()
        .and_then(|log_steps| log_steps.get(index))
    {
        Some(log_step) => round_to_step(tensor.clone(), log_step.clone().exp(), bits),
        None => straight(tensor, &|exact| round_weights(exact, bits)),
    };
    let weights = parameters.weights.iter().enumerate().map(weight).collect();
    Parameters {
        weights,
        log_steps: None,
        latents: straight(&parameters.latents, &|exact| round_latents(exact, latent_bits)),
    }
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

fn round_latents<B: Backend>(x: Tensor<B, 2>, bits: &[u8]) -> Tensor<B, 2> {
    let last: Vec<f32> = bits.iter().map(|&bits| f32::from((1u16 << bits) - 1)).collect();
    let last = Tensor::from_data(TensorData::new(last, [1, bits.len()]), &x.device());
    let minimum = x.clone().min_dim(0);
    let step = (x.clone().max_dim(0) - minimum.clone()).div(last).clamp_min(f32::MIN_POSITIVE);
    ((x - minimum.clone()) / step.clone()).round() * step + minimum
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn_autodiff::Autodiff;
    use burn_core::tensor::TensorData;
    use burn_flex::Flex;

    type B = Autodiff<Flex>;

    fn parameters() -> (Tensors<B>, Vec<f32>) {
        let values: Vec<f32> = (0..24).map(|i| ((i * 37 % 29) as f32 - 14.0) * 0.01).collect();
        let tensor = || Tensor::<B, 2>::from_data(TensorData::new(values.clone(), [6, 4]), &Default::default());
        let (weight, latents) = (tensor().require_grad(), tensor().require_grad());
        (Parameters { weights: vec![weight], log_steps: None, latents }, values)
    }

    fn values(tensor: &Tensor<B, 2>) -> Vec<f32> {
        tensor.clone().into_data().to_vec().unwrap()
    }

    #[test]
    fn the_grid_is_the_archives() {
        let (parameters, expected) = parameters();
        let rounded = fake_quantize(&parameters, 5, &[8, 8, 10, 12]);
        let weight = repr::quantize_tensor("a.weight", &expected, 5).unwrap().dequantize();
        assert!(values(&rounded.weights[0]).iter().zip(&weight).all(|(a, b)| (a - b).abs() < 1e-6));
        let latents = repr::quantize_latents(&expected, &[8, 8, 10, 12]).unwrap();
        assert!(values(&rounded.latents).iter().zip(&latents.dequantize()).all(|(a, b)| (a - b).abs() < 1e-6));
    }

    #[test]
    fn gradients_pass_straight_through() {
        let (parameters, _) = parameters();
        let rounded = fake_quantize(&parameters, 4, &[8; 4]);
        let gradients = (rounded.weights[0].clone() * 3.0).sum().backward();
        let gradient = parameters.weights[0].grad(&gradients).unwrap().into_data().to_vec::<f32>().unwrap();
        assert!(gradient.iter().all(|g| *g == 3.0));
    }

    #[test]
    fn learned_steps_begin_where_the_grid_is_and_have_a_gradient() {
        let (parameters, floats) = parameters();
        let mut inner: Tensors<Flex> = parameters.map(|tensor| tensor.clone().inner());
        add_steps(&mut inner, 6);
        let leaves: Tensors<B> = inner.map(|tensor| Tensor::from_inner(tensor.clone()).require_grad());
        let rounded = fake_quantize(&leaves, 6, &[8; 4]);
        assert!(leaves.log_steps.is_some() && rounded.log_steps.is_none());
        let found = values(&rounded.weights[0]);
        let expected = repr::quantize_tensor("a.weight", &floats, 6).unwrap();
        assert!(found.iter().zip(&expected.dequantize()).all(|(a, b)| (a - b).abs() < 1e-6));
        // d/d(ln s) of the sum of s * round(w / s), slope of the rounding taken as 1: the sum of s * round(w / s) - w.
        let gradients = rounded.weights[0].clone().sum().backward();
        let slope: f32 = leaves.log_steps.unwrap()[0].grad(&gradients).unwrap().into_scalar();
        let expected: f32 = expected.dequantize().iter().zip(&floats).map(|(q, w)| q - w).sum();
        assert!((slope - expected).abs() < 1e-4, "{slope} against {expected}");
    }
}
