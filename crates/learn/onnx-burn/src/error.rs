//! What can be wrong with a model.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

/// A model that cannot be used, with its file.
#[derive(Debug, Error)]
#[error("{}: {problem}", path.display())]
pub struct OnnxError {
    /// The file.
    pub path: PathBuf,
    /// What is wrong.
    pub problem: Problem,
}

/// Why a model cannot be used.
#[derive(Debug, Error)]
pub enum Problem {
    /// The file cannot be read.
    #[error("cannot read: {0}; check the path")]
    Read(#[from] io::Error),
    /// The file is no ONNX model, or damaged.
    #[error("not an ONNX model that can be used: {0}; export it again")]
    Damaged(String),
    /// An operation that this crate does not know.
    #[error("node '{node}' is a {operation}, which cannot be differentiated here; export the model without it")]
    Unknown {
        /// Name of the node, or of its first output.
        node: String,
        /// Operation, with its domain where it is not ONNX's own.
        operation: String,
    },
    /// A known operation used in a way that is not supported or makes no sense.
    #[error("node '{node}' ({operation}): {detail}; export the model another way")]
    Node {
        /// Name of the node, or of its first output.
        node: String,
        /// Operation.
        operation: String,
        /// What is wrong with it.
        detail: String,
    },
    /// An input that the model does not take.
    #[error("the model takes {takes}, not one input of {given:?}; give another model")]
    Input {
        /// Names and dimensions of its inputs.
        takes: String,
        /// Dimensions of the input given.
        given: Vec<usize>,
    },
    /// Another output than is needed.
    #[error("the model gives an output of {found:?}, {needed} is needed; give another model")]
    Output {
        /// Its dimensions.
        found: Vec<usize>,
        /// What they must be.
        needed: String,
    },
}
