//! An ONNX graph as differentiable burn operations: read at run time, on any backend, its weights frozen, its gradient that
//! of the input.
//!
//! - [`Network`]: a model, ready to run; [`Signature`] says what it takes and gives.
//! - [`Operations`]: what a backend has to offer; every burn backend can have it.
//! - [`graph`]: the nodes that run. A file's many operations become few kinds of them.
//!
//! ONNX Runtime is faster where no gradient is needed.

mod build;
mod composed;
mod constant;
mod error;
mod fused;
pub mod graph;
mod layer;
mod model;
mod network;
mod optimize;
pub mod pointwise;
mod proto;
#[cfg(test)]
mod tests;

pub use error::{OnnxError, Problem};
pub use layer::{Layer, Operations};
pub use model::Signature;
pub use network::Network;
