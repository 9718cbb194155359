//! The decoder's layers.

use burn_core::tensor::Tensor;
use burn_core::tensor::backend::Backend;

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

/// A backend that runs the decoder's layers.
pub trait DecoderOps: Backend {
    /// `sin(pixel_shuffle(conv(x)) + bilinear(skip(x)))` for `x` `[n, c, h, w]`; without `skip` weights the skip is `x`.
    fn stage(
        x: Tensor<Self, 4>,
        conv: ConvWeights<Self>,
        skip: Option<ConvWeights<Self>>,
        kernel: usize,
        upscale: usize,
    ) -> Tensor<Self, 4>;

    /// `x + gain * sin(second(first(x)))`, 3x3 convolutions, the first one dilated.
    fn refine(
        x: Tensor<Self, 4>,
        first: ConvWeights<Self>,
        second: ConvWeights<Self>,
        dilation: usize,
        gain: f32,
    ) -> Tensor<Self, 4>;

    /// `sigmoid(conv(x))`, a 3x3 convolution.
    fn heads(x: Tensor<Self, 4>, conv: ConvWeights<Self>) -> Tensor<Self, 4>;
}
