//! The perception stack in ONNX Runtime: [`Evaluators`] are SegNet and PoseNet from ONNX files, a
//! [`metric::PerceptionStack`].
//!
//! - [`Evaluators::load`]; what can be wrong is a [`PerceptionError`], of an evaluator in one [`Role`] or the other.
//! - [`use_library`]: a given ONNX Runtime rather than the one that is found; what can be wrong is a [`RuntimeError`].
//!
//! The ONNX Runtime library is loaded when the first evaluator is: from ORT_DYLIB_PATH, else from the nearest
//! `.onnxruntime/` from the program's folder upwards, else from the system; or from where [`use_library`] says.

mod error;
mod evaluators;
mod message;
mod runtime;
mod signature;

pub use error::PerceptionError;
pub use evaluators::Evaluators;
pub use runtime::{RuntimeError, use_library};
pub use signature::Role;
