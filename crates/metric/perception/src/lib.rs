//! The perception stack in ONNX Runtime: [`Evaluators`] are SegNet and PoseNet from ONNX files, a
//! [`metric::PerceptionStack`].
//!
//! - [`Evaluators::load`]; what can be wrong is a [`PerceptionError`], of an evaluator in one [`Role`] or the other.
//! - [`use_library`]: a given ONNX Runtime rather than the one that is found; what can be wrong is a [`RuntimeError`].
//!
//! The ONNX Runtime library is loaded when the first evaluator is: from ORT_DYLIB_PATH, else from the nearest
//! `.onnxruntime/` from the program's folder upwards, else from the system; or from where [`use_library`] says.
//!
//! ```
//! use frames::RgbFrame;
//! use metric::{PerceptionStack, evaluator_input};
//! use perception::{Evaluators, use_library};
//!
//! # let Some(library) = testdata::onnxruntime() else { return Ok(()) };
//! use_library(&library)?;
//! let model = |name: &str| testdata::asset_of("metric/perception", name);
//! let mut evaluators = Evaluators::load(&model("segnet.onnx"), &model("posenet.onnx"), 1)?;
//! let frame = evaluator_input(&RgbFrame::new(40, 30, [200, 90, 10].repeat(40 * 30))?);
//! let outputs = evaluators.evaluate([&frame, &frame])?;
//! assert_eq!(outputs.classes.len(), 384 * 512);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod error;
mod evaluators;
mod message;
mod runtime;
mod signature;

pub use error::PerceptionError;
pub use evaluators::Evaluators;
pub use runtime::{RuntimeError, use_library};
pub use signature::Role;
