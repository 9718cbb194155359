//! The decoder's layers as differentiable operations, one definition for every backend.
//!
//! The provided methods of [`Layers`] compose burn's operations, so they run and differentiate on any device, and they say
//! what a layer is. A backend that has something faster overrides them (see `fused`); tests hold both together.

use burn_autodiff::Autodiff;
use burn_core::tensor::Tensor;
use burn_core::tensor::activation::sigmoid;
use burn_core::tensor::backend::Backend;
use burn_core::tensor::module::conv2d;
use burn_core::tensor::ops::ConvOptions;
use burn_flex::Flex;
use onnx_burn::Operations;

use crate::resample::upsample_bilinear;
use recipe::SegmentationTerm;

/// Weight `[out, in * kernel * kernel]` and bias `[out, 1]` of a convolution.
#[derive(Clone)]
pub struct ConvWeights<B: Backend> {
    /// `[out, in * kernel * kernel]`.
    pub weight: Tensor<B, 2>,
    /// `[out, 1]`.
    pub bias: Tensor<B, 2>,
}

impl<B: Backend> ConvWeights<B> {
    /// Number of output channels.
    pub fn outputs(&self) -> usize {
        self.weight.dims()[0]
    }
}

/// Sizes on the metric's way to the evaluators, rows and columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CameraChain {
    /// Of the clip's frames.
    pub camera: (usize, usize),
    /// Of the evaluators' inputs.
    pub input: (usize, usize),
}

/// The layers of [`repr::Architecture`], and what lies between the decoder and the loss.
pub trait Layers: Operations {
    /// `sin(pixel_shuffle(conv(x)) + bilinear(skip(x)))` for `x` `[n, c, h, w]`; without `skip` weights the skip is `x`.
    fn stage(
        x: Tensor<Self, 4>,
        conv: ConvWeights<Self>,
        skip: Option<ConvWeights<Self>>,
        kernel: usize,
        upscale: usize,
    ) -> Tensor<Self, 4> {
        composed_stage(x, conv, skip, kernel, upscale)
    }

    /// `x + gain * sin(second(first(x)))`, 3x3 convolutions, the first one dilated.
    fn refine(
        x: Tensor<Self, 4>,
        first: ConvWeights<Self>,
        second: ConvWeights<Self>,
        dilation: usize,
        gain: f32,
    ) -> Tensor<Self, 4> {
        composed_refine(x, first, second, dilation, gain)
    }

    /// `sigmoid(conv(x))`, a 3x3 convolution.
    fn heads(x: Tensor<Self, 4>, conv: ConvWeights<Self>) -> Tensor<Self, 4> {
        composed_heads(x, conv)
    }

    /// Frames as the metric hands them to the evaluators: `x` `[n, c, h, w]` in 0..1, bicubically enlarged to the clip's size,
    /// clamped and rounded to 0..255, bilinearly reduced to the evaluators' size. The gradient passes straight through the
    /// rounding.
    fn round_trip(x: Tensor<Self, 4>, chain: CameraChain) -> Tensor<Self, 4> {
        crate::chain::round_trip(x, chain)
    }

    /// PoseNet's input `[n, 12, h / 2, w / 2]` of two RGB frames `[n, 6, h, w]` in 0..255, see [`frames::yuv6`].
    fn yuv6(x: Tensor<Self, 4>) -> Tensor<Self, 4> {
        crate::chain::yuv6(x)
    }

    /// The mean over pixels that `config` describes (without its weight), `[1]`, and each sample's share of pixels whose class
    /// differs, for `logits` `[n, classes, h, w]` and the original's `classes` `[n, h, w]`.
    fn segmentation(
        logits: Tensor<Self, 4>,
        classes: Vec<u8>,
        config: &SegmentationTerm,
    ) -> (Tensor<Self, 1>, Vec<f64>) {
        crate::chain::segmentation(logits, classes, config)
    }
}

/// Without gradients nothing is worth fusing here: evaluations run in the `decoder` crate.
impl Layers for Flex {}

#[cfg(feature = "cuda")]
impl Layers for Autodiff<burn_cuda::Cuda> {}

#[cfg(feature = "wgpu")]
impl Layers for Autodiff<burn_wgpu::Wgpu> {}

impl Layers for Autodiff<Flex> {
    fn stage(
        x: Tensor<Self, 4>,
        conv: ConvWeights<Self>,
        skip: Option<ConvWeights<Self>>,
        kernel: usize,
        upscale: usize,
    ) -> Tensor<Self, 4> {
        crate::fused::stage(x, conv, skip, kernel, upscale)
    }

    fn refine(
        x: Tensor<Self, 4>,
        first: ConvWeights<Self>,
        second: ConvWeights<Self>,
        dilation: usize,
        gain: f32,
    ) -> Tensor<Self, 4> {
        crate::fused::refine(x, first, second, dilation, gain)
    }

    fn heads(x: Tensor<Self, 4>, conv: ConvWeights<Self>) -> Tensor<Self, 4> {
        crate::fused::heads(x, conv)
    }

    fn round_trip(x: Tensor<Self, 4>, chain: CameraChain) -> Tensor<Self, 4> {
        crate::fused::round_trip(x, chain)
    }

    fn yuv6(x: Tensor<Self, 4>) -> Tensor<Self, 4> {
        crate::fused::yuv6(x)
    }

    fn segmentation(
        logits: Tensor<Self, 4>,
        classes: Vec<u8>,
        config: &SegmentationTerm,
    ) -> (Tensor<Self, 1>, Vec<f64>) {
        crate::fused::segmentation(logits, &classes, config)
    }
}

fn conv<B: Backend>(x: Tensor<B, 4>, conv: ConvWeights<B>, kernel: usize, dilation: usize) -> Tensor<B, 4> {
    let (inputs, outputs) = (x.dims()[1], conv.outputs());
    let padding = dilation * (kernel / 2);
    let options = ConvOptions::new([1, 1], [padding, padding], [dilation, dilation], 1);
    let weight = conv.weight.reshape([outputs, inputs, kernel, kernel]);
    conv2d(x, weight, Some(conv.bias.reshape([outputs])), options)
}

/// [`Layers::stage`] out of burn's operations.
pub fn composed_stage<B: Backend>(
    x: Tensor<B, 4>,
    weights: ConvWeights<B>,
    skip: Option<ConvWeights<B>>,
    kernel: usize,
    upscale: usize,
) -> Tensor<B, 4> {
    let expanded = conv(x.clone(), weights, kernel, 1);
    // The 1x1 convolution runs before the upsampling: both are linear and the weights of a bilinear sample sum to one, so
    // the order does not matter, and here it costs 1/upscale^2.
    let skip = match skip {
        Some(weights) => conv(x, weights, 1, 1),
        None => x,
    };
    (pixel_shuffle(expanded, upscale) + upsample_bilinear(skip, upscale)).sin()
}

/// [`Layers::refine`] out of burn's operations.
pub fn composed_refine<B: Backend>(
    x: Tensor<B, 4>,
    first: ConvWeights<B>,
    second: ConvWeights<B>,
    dilation: usize,
    gain: f32,
) -> Tensor<B, 4> {
    let hidden = conv(x.clone(), first, 3, dilation);
    x + conv(hidden, second, 3, 1).sin() * gain
}

/// [`Layers::heads`] out of burn's operations.
pub fn composed_heads<B: Backend>(x: Tensor<B, 4>, weights: ConvWeights<B>) -> Tensor<B, 4> {
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
