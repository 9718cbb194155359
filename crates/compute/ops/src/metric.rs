//! What lies between the decoder's frames and a loss of the metric.

use burn_core::tensor::backend::Backend;
use burn_core::tensor::{Int, Tensor};

pub use gradients::{Hard, PixelLoss};

/// Sizes on a frame's way through the clip's size to the evaluators, rows and columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RoundTripSizes {
    /// Of the clip's frames.
    pub camera: (usize, usize),
    /// Of the evaluators' inputs.
    pub input: (usize, usize),
}

/// A loss over the pixels that a segmentation network classifies.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SegmentationLoss {
    /// Of a pixel.
    pub pixel: PixelLoss,
    /// Weights of pixels, where they differ.
    pub hard: Option<Hard>,
}

/// What a [`SegmentationLoss`] comes to.
pub struct Segmented<B: Backend> {
    /// Mean over all pixels of all samples, `[1]`.
    pub loss: Tensor<B, 1>,
    /// Pixels of each sample whose class (that of the largest logit, the first of several) differs, `[n]`.
    pub wrong: Tensor<B, 1, Int>,
}

/// A backend that leads frames to the evaluators, and their answers to a loss.
pub trait MetricOps: Backend {
    /// Frames as the metric hands them to the evaluators: `x` `[n, c, h, w]` in 0..1, bicubically enlarged to the clip's size,
    /// clamped and rounded to 0..255, bilinearly reduced to the evaluators' size. The gradient passes straight through the
    /// rounding.
    fn round_trip(x: Tensor<Self, 4>, sizes: RoundTripSizes) -> Tensor<Self, 4>;

    /// PoseNet's input `[n, 12, h / 2, w / 2]` of two RGB frames `[n, 6, h, w]` in 0..255, see [`frames::yuv6`].
    fn yuv6(x: Tensor<Self, 4>) -> Tensor<Self, 4>;

    /// The loss of `logits` `[n, classes, h, w]` where `classes` `[n, h, w]`, each below their number, are the original's.
    fn segmentation(logits: Tensor<Self, 4>, classes: Tensor<Self, 3, Int>, loss: &SegmentationLoss)
    -> Segmented<Self>;
}
