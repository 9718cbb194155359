//! What a representation is worth: its frames, through the decoder that `inflate` runs, against a [`Dataset`](dataset::Dataset).
//!
//! - [`evaluate`]: an [`Evaluation`] of the whole clip, by the pixels and, with a perception stack, by the metric.
//! - [`SquaredError`]: the error of single samples, as the whole is made of.

mod evaluation;
mod squared_error;

pub use evaluation::{EvaluateError, Evaluation, evaluate};
pub use squared_error::SquaredError;
