//! Why frames cannot be evaluated.

use std::io;
use std::path::PathBuf;

use metric::{INPUT_HEIGHT, INPUT_WIDTH};
use thiserror::Error;

use crate::runtime::RuntimeError;
use crate::signature::Role;

/// Why frames cannot be evaluated.
#[derive(Debug, Error)]
pub enum PerceptionError {
    /// ONNX Runtime cannot be used.
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
    /// A file cannot be read.
    #[error("{}: cannot read: {cause}; check the path", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        cause: io::Error,
    },
    /// A file that ONNX Runtime cannot load.
    #[error("{}: not an ONNX model that can be used as {role}: {detail}", path.display())]
    Model {
        /// The file.
        path: PathBuf,
        /// What it should be.
        role: Role,
        /// What ONNX Runtime says.
        detail: String,
    },
    /// A model with other inputs or outputs.
    #[error(
        "{}: this model has {found}, {role} needs {needed}{}", path.display(),
        if *swapped { "; are SegNet and PoseNet swapped?" } else { "" }
    )]
    Signature {
        /// The file.
        path: PathBuf,
        /// What it should be.
        role: Role,
        /// Its inputs and outputs.
        found: String,
        /// What they should be.
        needed: String,
        /// Whether it would do as the other evaluator.
        swapped: bool,
    },
    /// A model that fails on a frame, or gives what no evaluator may.
    #[error("{}: running this model as {role} failed: {detail}; give another model", path.display())]
    Run {
        /// The file.
        path: PathBuf,
        /// What it is used as.
        role: Role,
        /// What happened.
        detail: String,
    },
    /// An evaluator input of another size.
    #[error("an evaluator input of {found:?} where [3, {INPUT_HEIGHT}, {INPUT_WIDTH}] is needed")]
    Input {
        /// Channels, rows, columns.
        found: [usize; 3],
    },
}
