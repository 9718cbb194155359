//! An ONNX graph as differentiable burn operations: read at run time, on any backend, its weights frozen, its gradient that
//! of the input.
//!
//! - [`Network`]: a model, ready to run; [`Signature`] says what it takes and gives.
//! - [`graph`]: the nodes that run. A file's many operations become few kinds of them: those of [`ops::frozen`], which say what a
//!   backend has to offer.
//!
//! ONNX Runtime is faster where no gradient is needed.

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
