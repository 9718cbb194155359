use decoder::DecoderError;
use evaluate::EvaluateError;
use metric::StackError;
use repr::RepresentationError;
use solve::SolveError;
use thiserror::Error;

/// Why a source cannot be encoded.
#[derive(Debug, Error)]
pub enum EncodeError {
    /// Floats and their plain quantization are not of one decoder and clip.
    #[error("the floats are not those that the plain quantization was made of")]
    Source,
    /// A result is impossible.
    #[error(transparent)]
    Representation(#[from] RepresentationError),
    /// A result cannot be decoded.
    #[error(transparent)]
    Decoder(#[from] DecoderError),
    /// The perception stack failed.
    #[error(transparent)]
    Stack(#[from] StackError),
    /// A carrier's coefficients cannot be solved.
    #[error(transparent)]
    Solve(#[from] SolveError),
    /// The evaluation failed.
    #[error(transparent)]
    Evaluate(#[from] EvaluateError),
    /// The original was not shown to the evaluators that judge.
    #[error(
        "the original holds no outputs of these evaluators; give the clip itself, or make it anew with hnerv targets"
    )]
    OtherEvaluators,
    /// Nothing whose class maps could be searched.
    #[error(
        "class maps are searched by the metric alone, and where there are some; give --segnet, --posenet and --original"
    )]
    Maps,
    /// No quantization that is worth having is that small.
    #[error("{target} bytes cannot be reached: the coarsest quantization takes {least}; train a smaller decoder")]
    Unreachable {
        /// What was asked for.
        target: usize,
        /// The fewest bytes met.
        least: usize,
    },
    /// Originals of another clip or size.
    #[error("the original has {found} where the representation needs {needed}; give the clip it was trained on")]
    Original {
        /// What the original has.
        found: String,
        /// What is needed.
        needed: String,
    },
}

impl EncodeError {
    /// Whether this is the program's own fault: nothing that a user could mend leads there.
    pub fn is_internal(&self) -> bool {
        matches!(
            self,
            Self::Solve(SolveError::Decoder(_) | SolveError::Representation(_))
                | Self::Source
                | Self::Representation(_)
                | Self::Decoder(_)
                | Self::Evaluate(EvaluateError::Decoder(_))
        )
    }
}
