//! Pixel losses at the decoder's resolution, on RGB in 0..1.

use burn_core::tensor::backend::Backend;
use burn_core::tensor::module::conv2d;
use burn_core::tensor::ops::ConvOptions;
use burn_core::tensor::{Tensor, TensorData};
use recipe::{PixelTerms, SSIM_WINDOW};

/// Weighted sum of the pixel terms between two tensors `[n, c, h, w]`; one value, `[1]`.
pub fn pixel_loss<B: Backend>(weights: &PixelTerms, decoded: Tensor<B, 4>, target: Tensor<B, 4>) -> Tensor<B, 1> {
    let mut terms = Vec::new();
    let difference = decoded.clone() - target.clone();
    if weights.l1 > 0.0 {
        terms.push(difference.clone().abs().mean() * weights.l1);
    }
    if weights.mse > 0.0 {
        terms.push((difference.clone() * difference).mean() * weights.mse);
    }
    if weights.ssim > 0.0 {
        terms.push((ssim(decoded.clone(), target).neg() + 1.0) * weights.ssim);
    }
    let zero = Tensor::zeros([1], &decoded.device());
    terms.into_iter().reduce(|a, b| a + b).unwrap_or(zero)
}

/// Mean structural similarity over all windows that lie inside (Wang, Bovik, Sheikh, Simoncelli 2004: Gaussian window with sigma
/// 1.5, K1 = 0.01, K2 = 0.03, range 1). Both inputs `[n, c, h, w]` with at least [`SSIM_WINDOW`] rows and columns.
pub fn ssim<B: Backend>(a: Tensor<B, 4>, b: Tensor<B, 4>) -> Tensor<B, 1> {
    let [n, c, h, w] = a.dims();
    let planes = |x: Tensor<B, 4>| x.reshape([n * c, 1, h, w]);
    let (a, b) = (planes(a), planes(b));
    let mean_a = window(a.clone());
    let mean_b = window(b.clone());
    let variance_a = window(a.clone() * a.clone()) - mean_a.clone() * mean_a.clone();
    let variance_b = window(b.clone() * b.clone()) - mean_b.clone() * mean_b.clone();
    let covariance = window(a * b) - mean_a.clone() * mean_b.clone();
    let (c1, c2) = (0.01f64.powi(2), 0.03f64.powi(2));
    let numerator = (mean_a.clone() * mean_b.clone() * 2.0 + c1) * (covariance * 2.0 + c2);
    let denominator = (mean_a.clone() * mean_a + mean_b.clone() * mean_b + c1) * (variance_a + variance_b + c2);
    (numerator / denominator).mean()
}

/// Weighted mean over the Gaussian window, rows then columns.
fn window<B: Backend>(x: Tensor<B, 4>) -> Tensor<B, 4> {
    let reach = (SSIM_WINDOW / 2) as i32;
    let weights: Vec<f32> = (-reach..=reach).map(|i| (-(i * i) as f32 / 4.5).exp()).collect();
    let sum: f32 = weights.iter().sum();
    let weights: Vec<f32> = weights.iter().map(|w| w / sum).collect();
    let options = || ConvOptions::new([1, 1], [0, 0], [1, 1], 1);
    let device = x.device();
    let kernel = |shape: [usize; 4]| Tensor::from_data(TensorData::new(weights.clone(), shape), &device);
    conv2d(conv2d(x, kernel([1, 1, SSIM_WINDOW, 1]), None, options()), kernel([1, 1, 1, SSIM_WINDOW]), None, options())
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn_flex::Flex;

    fn image(f: impl Fn(usize, usize) -> f32) -> Tensor<Flex, 4> {
        let values: Vec<f32> = (0..20 * 16).map(|i| f(i / 16, i % 16)).collect();
        Tensor::from_data(TensorData::new(values, [1, 1, 20, 16]), &Default::default())
    }

    #[test]
    fn terms_have_their_textbook_values() {
        let a = image(|y, x| ((y * 5 + x * 3) % 17) as f32 / 17.0);
        let b = a.clone() + 0.1;
        let value = |l1, mse, ssim| pixel_loss(&PixelTerms { l1, mse, ssim }, b.clone(), a.clone()).into_scalar();
        assert!((value(1.0, 0.0, 0.0) - 0.1).abs() < 1e-6);
        assert!((value(0.0, 2.0, 0.0) - 0.02).abs() < 1e-6);
        assert!((ssim(a.clone(), a.clone()).into_scalar() - 1.0).abs() < 1e-5);
        // Constant images: only the luminance term is left, (2ab + c1) / (a^2 + b^2 + c1).
        let (dark, light) = (image(|_, _| 0.25), image(|_, _| 0.75));
        let expected = (2.0 * 0.25 * 0.75 + 1e-4) / (0.0625 + 0.5625 + 1e-4);
        // A variance is a difference of two nearly equal f32 here, so the other term is not exactly 1.
        assert!((ssim(dark, light).into_scalar() - expected as f32).abs() < 1e-3);
        assert!(ssim(a, b).into_scalar() < 0.999);
    }
}
