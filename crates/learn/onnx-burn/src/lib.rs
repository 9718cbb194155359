//! An ONNX graph as differentiable burn operations: read at run time, on any backend, its weights frozen, its gradient that
//! of the input.
//!
//! - [`Network`]: a model, ready to run; [`Signature`] says what it takes and gives.
//! - [`graph`]: the nodes that run. A file's many operations become few kinds of them: those of [`ops::frozen`], which say what a
//!   backend has to offer.
//!
//! ONNX Runtime is faster where no gradient is needed.
//!
//! ```
//! use burn_autodiff::Autodiff;
//! use burn_core::tensor::Tensor;
//! use burn_flex::Flex;
//! use onnx_burn::Network;
//!
//! type B = Autodiff<Flex>;
//!
//! let device = Default::default();
//! let input = [1, 12, 192, 256];
//! let posenet = Network::<B>::read(&testdata::asset("posenet-demo.onnx"), input, &device)?;
//! let pair = Tensor::<B, 4>::full(input, 128.0, &device).require_grad();
//! let pose: Tensor<B, 2> = posenet.forward(pair.clone())?;
//! assert_eq!(pose.dims(), [1, 12]);
//! let gradient = pair.grad(&pose.sum().backward()).expect("it was asked for");
//! assert_eq!(gradient.dims(), input);
//! # Ok::<(), onnx_burn::OnnxError>(())
//! ```

mod build;
mod constant;
mod error;
pub mod graph;
mod model;
mod network;
mod optimize;
mod proto;
#[cfg(test)]
mod tests;

pub use error::{OnnxError, Problem};
pub use model::Signature;
pub use network::Network;
