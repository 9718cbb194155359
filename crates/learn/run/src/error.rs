//! Why a run fails.

use std::path::PathBuf;

use dataset::DatasetError;
use decoder::DecoderError;
use engine::{EngineError, UnquantizableError};
use evaluate::EvaluateError;
use metric::StackError;
use onnx_burn::OnnxError;
use recipe::RecipeError;
use report::ReportError;
use repr::{RepresentationError, limits};
use solve::SolveError;
use thiserror::Error;

use crate::checkpoint::CheckpointError;

/// Why a run cannot start or go on.
#[derive(Debug, Error)]
pub enum RunError {
    /// The folder holds a run already.
    #[error("{0} holds a run already; go on with --resume, or give another --out")]
    Exists(PathBuf),
    /// A file of a run is gone without which another is of no use.
    #[error("{path} is absent, and {of} is of no use without it; put it back, or start anew with another --out")]
    Lost {
        /// The file.
        path: PathBuf,
        /// The other.
        of: PathBuf,
    },
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
    /// A resumed run was started on a clip of the same name, length and size, but with other frames.
    #[error("{folder} was started on another clip than this {name}; give that one, or start anew with another --out")]
    OtherFrames {
        /// The run folder.
        folder: PathBuf,
        /// The clip's name.
        name: String,
    },
    /// A resumed run was started with another evaluator.
    #[error("{folder} was started with another {role}; give that one, or start anew with another --out")]
    OtherNetwork {
        /// The run folder.
        folder: PathBuf,
        /// Which.
        role: &'static str,
    },
    /// The clip cannot be made ready.
    #[error(transparent)]
    Dataset(#[from] DatasetError),
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
    /// The clip's class maps hold classes that the decoder is not fed with.
    #[error(
        "SegNet sees classes 0 to {} in the clip, decoder.stem.classes is {expected}; give as many as SegNet has, at most {}",
        .found - 1,
        limits::CLASSES
    )]
    OtherClasses {
        /// Classes in the clip, up to the highest one.
        found: usize,
        /// Those of the decoder.
        expected: usize,
    },
    /// The clip's class maps are of one class.
    #[error(
        "SegNet sees one class alone in {0}, so that its class maps say nothing; give another SegNet, or a decoder without classes"
    )]
    OneClass(String),
    /// The clip holds no frames.
    #[error("{0} holds no frames; give another clip")]
    NoFrames(String),
    /// The clip holds no pair, and evaluators look at pairs.
    #[error("{0} is a single frame, evaluators look at pairs; give a longer clip")]
    NoPair(String),
    /// The loss or the weights are no numbers any more, or none that an archive may hold.
    #[error(
        "training diverged in epoch {epoch}, stage {stage:?}: {what}; lower learning_rate in this stage, and start anew with \
         another --out"
    )]
    Diverged {
        /// What shows it.
        what: String,
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
    /// A carrier's coefficients cannot be solved.
    #[error(transparent)]
    Solve(#[from] SolveError),
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

impl RunError {
    /// Whether this is the program's own fault: nothing that a user could mend leads there.
    pub fn is_internal(&self) -> bool {
        match self {
            Self::Dataset(error) => error.is_internal(),
            // What training made, or what the program wrote a moment before.
            Self::Quantize(UnquantizableError::Tensors(_) | UnquantizableError::Representation(_))
            | Self::Archive(_)
            | Self::Decoder(_)
            | Self::Evaluate(EvaluateError::Decoder(_))
            | Self::Solve(SolveError::Decoder(_) | SolveError::Representation(_))
            | Self::Engine(EngineError::NoEvaluators)
            | Self::Recipe(RecipeError::Unwritable(_)) => true,
            _ => false,
        }
    }
}
