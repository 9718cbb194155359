//! What a representation is worth: its frames, through the decoder that `inflate` runs, against a [`Dataset`](dataset::Dataset).
//!
//! - [`evaluate`]: an [`Evaluation`] of the whole clip, by the pixels and, with a perception stack, by the metric.
//! - [`squared_error`]: the error of a single sample, as the whole is made of.

mod evaluation;

pub use evaluation::{EvaluateError, Evaluation, evaluate, squared_error};
