//! The metric: what a perception stack still sees in reconstructed frames.
//!
//! - [`Evaluators`]: SegNet and PoseNet from ONNX files, run by ONNX Runtime, frames in, [`SampleOutputs`] out;
//!   [`evaluator_input`] is the view of a frame that they share.
//! - [`Distortions`], [`score()`], [`Report`]: the official figures. `score` and the trainer's evaluation both take them
//!   from here.
//! - [`OutputCache`]: the evaluators' outputs for original clips, kept on disk.
//! - [`targets`]: a clip made ready for training, in one file.
//!
//! The ONNX Runtime library is loaded when the first evaluator is: from ORT_DYLIB_PATH, else from the nearest
//! `.onnxruntime/` from the program's folder upwards, else from the system; or from where [`use_library`] says.

mod cache;
mod evaluators;
mod metric;
mod runtime;
pub mod targets;

use std::error::Error;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use thiserror::Error;

pub use cache::{ClipOutputs, OutputCache};
pub use evaluators::{Evaluators, INPUT_HEIGHT, INPUT_WIDTH, PIXELS, POSE_LEN, Role, SampleOutputs, evaluator_input};
pub use metric::{Distortions, Report, Score, score};
pub use runtime::{RuntimeError, use_library};

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
    #[error("{}: running this model as {role} failed: {detail}", path.display())]
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

/// Reads a regular file of at most `limit` bytes.
fn read_limited(path: &Path, limit: u64) -> Result<Vec<u8>, PerceptionError> {
    let read = || -> io::Result<Vec<u8>> {
        let file = File::open(path)?;
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(io::Error::other("not a regular file"));
        }
        if metadata.len() > limit {
            return Err(io::Error::other(format!("{} bytes, at most {limit} are possible", metadata.len())));
        }
        let mut bytes = Vec::new();
        file.take(limit).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    read().map_err(|cause| PerceptionError::Read { path: path.into(), cause })
}

/// A library's message and those of its causes, on one line of bearable length.
fn one_line(error: &(dyn Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |&error| error.source()).map(|error| error.to_string());
    let text = causes.collect::<Vec<_>>().join(": ").split_whitespace().collect::<Vec<_>>().join(" ");
    match text.char_indices().nth(300) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text,
    }
}
