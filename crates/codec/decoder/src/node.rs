//! A step of the row by row evaluation.

use kernels::{Conv, Nonlinearity, Upsample};

/// One step of the network, with the shape of what it computes.
pub(crate) struct RowNode {
    pub operation: RowOperation,
    /// The node that the convolution reads, or the resampling.
    pub input: usize,
    pub channels: usize,
    pub height: usize,
    pub width: usize,
    /// Rows of the output that its readers need at a time.
    pub window: usize,
}

pub(crate) enum RowOperation {
    /// A row of the first activation.
    Stem,
    /// A bare convolution.
    Conv(Conv),
    /// `f(conv(input))`.
    End(Conv, Nonlinearity),
    /// `x + conv(input)`.
    Sum { conv: Conv, x: usize },
    /// `f(pixel_shuffle(conv(input)) + upsample(skip))`.
    Stage { conv: Conv, upsample: Upsample, skip: Option<usize> },
    /// `x + gain * sin(conv(input))`.
    Residual { conv: Conv, gain: f32, x: usize },
    /// `255 * sigmoid(conv(input))`.
    Rgb(Conv),
    /// Bicubic resampling of the columns.
    Columns,
}

impl RowNode {
    pub fn conv(&self) -> Option<&Conv> {
        match &self.operation {
            RowOperation::Conv(conv) | RowOperation::End(conv, _) | RowOperation::Rgb(conv) => Some(conv),
            RowOperation::Stage { conv, .. } | RowOperation::Residual { conv, .. } => Some(conv),
            RowOperation::Sum { conv, .. } => Some(conv),
            RowOperation::Stem | RowOperation::Columns => None,
        }
    }

    /// Rows that one step computes.
    pub fn step(&self) -> usize {
        if let RowOperation::Stage { upsample, .. } = &self.operation { upsample.factor() } else { 1 }
    }

    /// The nodes that one step reads, with the rows it reads above and below its own.
    pub fn sources(&self) -> [Option<(usize, usize)>; 2] {
        let input = Some((self.input, self.conv().map_or(0, Conv::reach)));
        match self.operation {
            RowOperation::Stem => [None, None],
            RowOperation::Stage { skip, .. } => [input, skip.map(|skip| (skip, 1))],
            RowOperation::Residual { x, .. } | RowOperation::Sum { x, .. } => [input, Some((x, 0))],
            _ => [input, None],
        }
    }
}
