//! The decoder's layers.

use burn_core::tensor::Tensor;
use burn_core::tensor::activation::{gelu, sigmoid};
use burn_core::tensor::backend::Backend;
use burn_core::tensor::module::conv2d;
use burn_core::tensor::ops::ConvOptions;
use kernels::{Nonlinearity, Skip};

use super::resample::upsample_bilinear;
use crate::decoder::{ConvWeights, RefineLayer, StageLayer};

fn conv<B: Backend>(x: Tensor<B, 4>, conv: ConvWeights<B>, kernel: usize, dilation: usize) -> Tensor<B, 4> {
    let (inputs, outputs) = (x.dims()[1], conv.outputs());
    let padding = dilation * (kernel / 2);
    let options = ConvOptions::new([1, 1], [padding, padding], [dilation, dilation], 1);
    let weight = conv.weight.reshape([outputs, inputs, kernel, kernel]);
    conv2d(x, weight, Some(conv.bias.reshape([outputs])), options)
}

/// [`crate::DecoderOps::stage`].
pub fn stage<B: Backend>(x: Tensor<B, 4>, layer: StageLayer<B>) -> Tensor<B, 4> {
    let StageLayer { conv: weights, skip, kernel, upscale, nonlinearity } = layer;
    let shuffled = pixel_shuffle(conv(x.clone(), weights, kernel, 1), upscale);
    let sum = match skip {
        Skip::None => shuffled,
        Skip::Input => shuffled + upsample_bilinear(x, upscale),
        // The 1x1 convolution runs before the upsampling: both are linear and the weights of a bilinear sample sum to one, so
        // the order does not matter, and here it costs 1/upscale^2.
        Skip::Convolution(weights) => shuffled + upsample_bilinear(conv(x, weights, 1, 1), upscale),
    };
    match nonlinearity {
        Nonlinearity::Sin => sum.sin(),
        Nonlinearity::Gelu => gelu(sum),
    }
}

/// [`crate::DecoderOps::refine`].
pub fn refine<B: Backend>(x: Tensor<B, 4>, layer: RefineLayer<B>) -> Tensor<B, 4> {
    let RefineLayer { first, second, dilation, gain } = layer;
    let hidden = conv(x.clone(), first, 3, dilation);
    x + conv(hidden, second, 3, 1).sin() * gain
}

/// [`crate::DecoderOps::heads`].
pub fn heads<B: Backend>(x: Tensor<B, 4>, weights: ConvWeights<B>) -> Tensor<B, 4> {
    sigmoid(conv(x, weights, 3, 1))
}

/// `[n, c * r * r, h, w]` -> `[n, c, h * r, w * r]`, PyTorch's channel order (Shi et al. 2016).
fn pixel_shuffle<B: Backend>(x: Tensor<B, 4>, factor: usize) -> Tensor<B, 4> {
    if factor == 1 {
        return x;
    }
    let [n, channels, h, w] = x.dims();
    let c = channels / (factor * factor);
    let split: Tensor<B, 6> = x.reshape([n, c, factor, factor, h, w]);
    split.permute([0, 1, 4, 2, 5, 3]).reshape([n, c, h * factor, w * factor])
}
