//! The decoder's layers.

use burn_core::tensor::backend::Backend;
use burn_core::tensor::{Int, Tensor};
use kernels::{Nonlinearity, Skip};

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

/// An upsampling layer: its weights, and what it does with them.
#[derive(Clone)]
pub struct StageLayer<B: Backend> {
    /// To `upscale^2` times the layer's channels.
    pub conv: ConvWeights<B>,
    /// 1x1 to the layer's channels; where it is the input, that must have as many.
    pub skip: Skip<ConvWeights<B>>,
    /// Side of the convolution's kernel, 1, 3 or 5.
    pub kernel: usize,
    /// Factor of the pixel shuffle and of the bilinear upsampling.
    pub upscale: usize,
    /// The function at the end.
    pub nonlinearity: Nonlinearity,
}

/// A residual refinement: its weights, and what it does with them.
#[derive(Clone)]
pub struct RefineLayer<B: Backend> {
    /// To the hidden channels, 3x3.
    pub first: ConvWeights<B>,
    /// Back to the input's channels, 3x3.
    pub second: ConvWeights<B>,
    /// Of the first convolution.
    pub dilation: usize,
    /// Weight of the branch.
    pub gain: f32,
}

/// A residual block: its weights, and what it does with them.
#[derive(Clone)]
pub struct ResidualLayer<B: Backend> {
    /// To the hidden channels.
    pub first: ConvWeights<B>,
    /// Back to the input's channels, 1x1.
    pub second: ConvWeights<B>,
    /// Side of the first convolution's kernel, 1, 3 or 5.
    pub kernel: usize,
    /// Of the first convolution.
    pub dilation: usize,
    /// The function between them.
    pub nonlinearity: Nonlinearity,
}

/// What a sample is made of where it has a class map.
#[derive(Clone)]
pub struct ClassInputs<B: Backend> {
    /// The maps, `[n, h, w]`.
    pub maps: Tensor<B, 3, Int>,
    /// Number of classes.
    pub classes: usize,
    /// Numbers that all pixels of a sample share, `[n, numbers]`; at least one.
    pub numbers: Tensor<B, 2>,
}

/// Rows and columns of a carrier's coarse image, and of what it is enlarged to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CarrierSizes {
    /// The coarse image.
    pub coarse: (usize, usize),
    /// The frame.
    pub frame: (usize, usize),
}

/// A backend that runs the decoder's layers.
pub trait DecoderOps: Backend {
    /// `1 / 2 + enlarged(linear(coefficients))`, see [`kernels::Carrier`]: `[n, 3, h, w]` for `[n, coefficients]`.
    fn carrier(coefficients: Tensor<Self, 2>, linear: ConvWeights<Self>, sizes: CarrierSizes) -> Tensor<Self, 4>;

    /// A linear layer of `classes + 4 + numbers` inputs at each pixel of class maps, see [`kernels::Classes`]: `[n, c, h, w]`.
    fn classes(inputs: ClassInputs<Self>, linear: ConvWeights<Self>) -> Tensor<Self, 4>;

    /// `x + second(f(first(x)))` for `x` `[n, c, h, w]`.
    fn residual(x: Tensor<Self, 4>, layer: ResidualLayer<Self>) -> Tensor<Self, 4>;

    /// `f(pixel_shuffle(conv(x)) + bilinear(skip(x)))` for `x` `[n, c, h, w]`.
    fn stage(x: Tensor<Self, 4>, layer: StageLayer<Self>) -> Tensor<Self, 4>;

    /// `x + gain * sin(second(first(x)))` for `x` `[n, c, h, w]`.
    fn refine(x: Tensor<Self, 4>, layer: RefineLayer<Self>) -> Tensor<Self, 4>;

    /// `sigmoid(conv(x))`, a 3x3 convolution.
    fn heads(x: Tensor<Self, 4>, conv: ConvWeights<Self>) -> Tensor<Self, 4>;
}
