//! Rounding to the archive's grid in the forward pass, identity in the backward pass (straight-through estimator, Bengio,
//! Léonard, Courville 2013). The grids are those of [`repr::quantize_tensor`] and [`repr::quantize_latents`].

use burn_core::tensor::Tensor;
use burn_core::tensor::backend::AutodiffBackend;

use crate::model::{LATENTS, Parameters};

/// Every tensor rounded to its grid: parameters to `bits`, latents to 8 bits per dimension.
pub fn fake_quantize<B: AutodiffBackend>(parameters: &Parameters<B>, bits: u8) -> Parameters<B> {
    let round = |(name, tensor): (&String, &Tensor<B, 2>)| {
        let exact = tensor.clone().inner();
        let rounded = if name == LATENTS { round_latents(exact.clone()) } else { round_weights(exact.clone(), bits) };
        (name.clone(), tensor.clone() + Tensor::from_inner(rounded - exact))
    };
    parameters.iter().map(round).collect()
}

fn round_weights<B: burn_core::tensor::backend::Backend>(x: Tensor<B, 2>, bits: u8) -> Tensor<B, 2> {
    let levels = f64::from((1i16 << (bits - 1)) - 1);
    let step = x.clone().abs().max().reshape([1, 1]).div_scalar(levels).clamp_min(f32::MIN_POSITIVE);
    (x / step.clone()).round() * step
}

fn round_latents<B: burn_core::tensor::backend::Backend>(x: Tensor<B, 2>) -> Tensor<B, 2> {
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
}
