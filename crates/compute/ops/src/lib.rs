//! The operations that training needs of a burn backend: traits with tensors of the device in and out, what they mean, and who
//! runs them.
//!
//! - [`DecoderOps`]: the decoder's layers, its carrier among them; [`MetricOps`]: the way from its frames to the evaluators and to
//!   a loss; [`FrozenOps`]: the [operations](frozen::Op) of networks whose weights never change. [`Ops`] is all of them.
//! - [`composed`]: what each operation means, out of burn's own, on any device and differentiable there.
//! - The processor's implementations run the kernels of [`gradients`], one autodiff node each; tests hold both together.
//!
//! A backend joins as [`composed::Composed`]; one that gets kernels of its own implements the traits instead, and nothing outside
//! of this crate changes.
//!
//! ```
//! use burn_autodiff::Autodiff;
//! use burn_core::tensor::Tensor;
//! use burn_flex::Flex;
//! use ops::{MetricOps, RoundTripSizes};
//!
//! // A frame as the evaluators see it, and what reaches the decoder of a loss behind that.
//! let frame = Tensor::<Autodiff<Flex>, 4>::full([1, 3, 6, 8], 0.5, &Default::default()).require_grad();
//! let seen = Autodiff::<Flex>::round_trip(frame.clone(), RoundTripSizes { camera: (13, 17), input: (12, 16) });
//! assert_eq!(seen.dims(), [1, 3, 12, 16]);
//! let gradient = frame.grad(&seen.mean().backward()).expect("it was asked for");
//! assert!((gradient.sum().into_scalar() - 255.0).abs() < 1e-2);
//! ```

pub mod composed;
mod decoder;
pub mod frozen;
mod metric;
mod processor;
#[cfg(test)]
mod tests;

pub use decoder::{CarrierSizes, ClassInputs, ConvWeights, DecoderOps, RefineLayer, ResidualLayer, StageLayer};
pub use frozen::FrozenOps;
pub use metric::{Hard, MetricOps, PixelLoss, RoundTripSizes, SegmentationLoss, Segmented};

/// A backend that has all operations.
pub trait Ops: DecoderOps + MetricOps + FrozenOps {}

impl<B: DecoderOps + MetricOps + FrozenOps> Ops for B {}
