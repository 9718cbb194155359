//! Context mixing: what a lossless coder of bits is put together from.
//!
//! - [`Slot`], [`Estimate`] and [`Chance`] learn the probability of a bit: a slot is two bytes that also count, for the many
//!   contexts met a few times; an estimate is four, for those met often and all but certain; a chance is what a few thousand bits
//!   share.
//! - [`Mixer`] weighs the log-odds of many predictors and learns the weights; [`Refiner`] corrects the outcome by what
//!   really came (secondary estimation).
//! - [`BitCoder`] is the seam between a model and its coding: the same model code writes ([`Encoder`]), reads
//!   ([`Decoder`]) or counts ([`Counter`]), so that a cost can never drift from the bytes.
//!
//! All is integer arithmetic without an operation that depends on the machine: every processor computes the same
//! probabilities. The approach is that of the PAQ family (Mahoney, "Adaptive weighing of context models for lossless data
//! compression", 2005).

mod coder;
mod counter;
mod logistic;
mod mixer;
mod refiner;

pub use coder::{BitCoder, Corrupt, Counter, Decoder, Encoder, Probability};
pub use counter::{Chance, Estimate, Slot};
pub use logistic::{FINE, UNIT, squash, stretch, stretch_wide};
pub use mixer::Mixer;
pub use refiner::Refiner;
