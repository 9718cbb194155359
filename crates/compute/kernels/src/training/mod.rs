//! Fused operations on whole batches, forward and backward: the decoder's layers ([`Stage`], [`Refine`], [`Heads`]), its
//! frames' way into the evaluators ([`RoundTrip`], [`Yuv6`]), the loss behind one ([`Segmentation`]).
//!
//! Tensors are `[n, channels, height, width]` without gaps, weights `[outputs, inputs, kernel, kernel]`. The forward pass runs
//! the same row kernels as the inference and gives their bits; besides its result it returns the slope of its activation,
//! so that the backward pass needs no transcendental function. The gradient of a convolution's input is a convolution
//! too; that of its weights is a correlation over pixels, accumulated in registers.
//!
//! Every image is cut into bands of rows, each of them pulled through all steps of the layer while it is in the cache.
//! Bands are the unit of work of the threads (rayon's current pool). What is summed over bands is summed in their order,
//! and bands depend on the shape alone: results do not depend on the number of threads. At another [`Level`] the
//! gradients of the weights differ by rounding.

pub(crate) mod bands;
mod conv;
mod heads;
mod refine;
mod roundtrip;
mod segmentation;
mod stage;
#[cfg(test)]
mod tests;
mod yuv6;

pub use heads::{Heads, HeadsGradients};
pub use refine::{Refine, RefineGradients};
pub use roundtrip::{Kept, RoundTrip};
pub use segmentation::{Hard, PixelLoss, Segmentation, SegmentationValue};
pub use stage::{Stage, StageGradients};
pub use yuv6::Yuv6;

#[cfg(doc)]
use crate::Level;

/// A convolution's parameters.
#[derive(Clone, Copy, Debug)]
pub struct Weights<'a> {
    /// `[outputs, inputs, kernel, kernel]`.
    pub weight: &'a [f32],
    /// `[outputs]`.
    pub bias: &'a [f32],
}

/// Gradients of a convolution's parameters, in the order of [`Weights`].
#[derive(Clone, Debug, PartialEq)]
pub struct WeightGradients {
    /// `[outputs, inputs, kernel, kernel]`.
    pub weight: Vec<f32>,
    /// `[outputs]`.
    pub bias: Vec<f32>,
}
