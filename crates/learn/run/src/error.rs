//! Why a run fails.

use std::path::PathBuf;

use decoder::DecoderError;
use engine::{EngineError, UnquantizableError};
use evaluate::EvaluateError;
use metric::StackError;
use onnx_burn::OnnxError;
use recipe::RecipeError;
use report::ReportError;
use repr::RepresentationError;
use thiserror::Error;

use crate::checkpoint::CheckpointError;

/// Why a run cannot start or go on.
#[derive(Debug, Error)]
pub enum RunError {
    /// The folder holds a run already.
    #[error("{0} holds a run already; go on with --resume, or give another --out")]
    Exists(PathBuf),
    /// Another process trains into the folder.
    #[error("another process is training in {0}; wait for it, or give another --out")]
    Busy(PathBuf),
    /// A resumed run was started with another recipe.
    #[error("{folder} was started with another recipe ({difference}); give that one, or start anew with another --out")]
    OtherRecipe {
        /// The run folder.
        folder: PathBuf,
        /// The first line that differs.
        difference: String,
    },
    /// A resumed run was started on another clip.
    #[error("{folder} was started on {expected}, this is {found}; give that clip, or start anew with another --out")]
    OtherClip {
        /// The run folder.
        folder: PathBuf,
        /// The clip it was started on.
        expected: String,
        /// The clip given.
        found: String,
    },
    /// The clip's cache was made for another decoder.
    #[error(
        "the target cache holds frames of {found}, the decoder makes {expected} (rows x columns); make it again with \
         hnerv targets --size {expected}"
    )]
    OtherSize {
        /// Rows and columns of the cache.
        found: String,
        /// Rows and columns of the decoder.
        expected: String,
    },
    /// The clip's outputs are missing, or another network's.
    #[error(
        "the target cache {found} of the evaluators in [evaluators]; make it again with \
         hnerv targets --segnet S.onnx --posenet P.onnx"
    )]
    OtherEvaluators {
        /// What it holds.
        found: &'static str,
    },
    /// The clip holds no frames.
    #[error("{0} holds no frames; give another clip")]
    NoFrames(String),
    /// The clip holds no pair, and evaluators look at pairs.
    #[error("{0} is a single frame, evaluators look at pairs; give a longer clip")]
    NoPair(String),
    /// The loss is no number any more.
    #[error(
        "the loss is not finite in epoch {epoch} of stage {stage:?}; lower its learning_rate and --resume is not possible: start anew"
    )]
    Diverged {
        /// The stage.
        stage: String,
        /// The epoch, from 1, over all stages.
        epoch: usize,
    },
    /// The clip cannot be represented.
    #[error(transparent)]
    Clip(#[from] RepresentationError),
    /// The recipe.
    #[error(transparent)]
    Recipe(#[from] RecipeError),
    /// A checkpoint.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// Quantization.
    #[error(transparent)]
    Quantize(#[from] UnquantizableError),
    /// The archive.
    #[error(transparent)]
    Archive(#[from] archive::ArchiveError),
    /// Decoding or scoring for an evaluation.
    #[error(transparent)]
    Evaluate(#[from] EvaluateError),
    /// The evaluators, as a stack that judges frames.
    #[error(transparent)]
    Stack(#[from] StackError),
    /// The evaluators, as differentiable networks.
    #[error(transparent)]
    Onnx(#[from] OnnxError),
    /// A step of the training.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// A file cannot be written.
    #[error(transparent)]
    Output(#[from] output::OutputError),
    /// A file of the run folder cannot be read or written.
    #[error("{path}: {source}; check the folder's permissions and the free space")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The metrics or the report.
    #[error(transparent)]
    Report(#[from] ReportError),
    /// Decoding for the report.
    #[error(transparent)]
    Decoder(#[from] DecoderError),
    /// The device cannot be used.
    #[error("{0}")]
    Device(String),
}
