//! A convolution's parameters and their gradients.

/// A convolution's parameters.
#[derive(Clone, Copy, Debug)]
pub struct Weights<'a> {
    /// `[outputs, inputs, kernel, kernel]`.
    pub weight: &'a [f32],
    /// `[outputs]`.
    pub bias: &'a [f32],
}

/// Gradients of a convolution's parameters, in the order of [`Weights`].
#[derive(Clone, Debug, PartialEq)]
pub struct WeightGradients {
    /// `[outputs, inputs, kernel, kernel]`.
    pub weight: Vec<f32>,
    /// `[outputs]`.
    pub bias: Vec<f32>,
}
