//! The operations on the processor under autodiff: one node each, forward and backward through [`gradients`].

mod autodiff;
mod decoder;
mod frozen;
mod metric;
