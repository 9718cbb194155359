//! What training runs on the processor: fused operations on whole batches, forward and backward. No automatic differentiation,
//! no I/O.
//!
//! - the decoder's layers: [`ClassesShape`], [`StageShape`], [`RefineShape`], [`ResidualShape`], [`HeadsShape`], [`CarrierShape`],
//!   with parameters as [`Weights`] and [`WeightGradients`];
//! - its frames' way into the evaluators: [`RoundTrip`], [`Yuv6`];
//! - the loss behind one: [`Segmentation`], of a [`PixelLoss`];
//! - the evaluators themselves, networks whose weights never change: [`frozen`].
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
//!
//! ```
//! use gradients::Yuv6;
//!
//! // One sample, both frames grey: PoseNet's view of it, and what a loss that adds up luma wants of every colour.
//! let view = Yuv6 { height: 2, width: 2 };
//! let frames = [100.0; 6 * 4];
//! let planes = view.forward(1, &frames);
//! assert!(planes[..4].iter().all(|y| (y - 100.0).abs() < 1e-4));
//! let gradient: Vec<f32> = (0..12).map(|plane| if plane < 4 { 1.0 } else { 0.0 }).collect();
//! let wanted = view.backward(1, &frames, &gradient);
//! assert!((wanted[0] - 0.299).abs() < 1e-6 && wanted[12] == 0.0);
//! ```

mod bands;
mod carrier;
mod classes;
mod correlation;
mod ends;
pub mod frozen;
mod heads;
mod math;
#[cfg(test)]
mod noise;
mod refine;
mod residual;
mod roundtrip;
mod segmentation;
mod slope;
mod stage;
#[cfg(test)]
mod tests;
mod weights;
mod yuv6;

pub use carrier::{CarrierGradients, CarrierShape};
pub use classes::{ClassesGradients, ClassesShape};
pub use heads::{HeadsGradients, HeadsShape};
pub use refine::{RefineGradients, RefineShape};
pub use residual::{ResidualGradients, ResidualShape, ResidualValues};
pub use roundtrip::{Kept, RoundTrip};
pub use segmentation::{Hard, PixelLoss, Segmentation, SegmentationValue};
pub use stage::{StageGradients, StageShape};
pub use weights::{WeightGradients, Weights};
pub use yuv6::Yuv6;

#[cfg(doc)]
use kernels::Level;
