use decoder::DecoderError;
use metric::StackError;
use repr::RepresentationError;
use thiserror::Error;

/// Why coefficients cannot be solved.
#[derive(Debug, Error)]
pub enum SolveError {
    /// A sample cannot be decoded.
    #[error(transparent)]
    Decoder(#[from] DecoderError),
    /// The perception stack failed.
    #[error(transparent)]
    Stack(#[from] StackError),
    /// What comes out is impossible.
    #[error(transparent)]
    Representation(#[from] RepresentationError),
}
