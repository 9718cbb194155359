//! The operations of a frozen network: few kinds, every dimension known.

use gradients::frozen::{ConvShape, ConvSource, Step};

use super::pointwise::Program;

/// Most tensors that a convolution reads.
pub const MAX_SOURCES: usize = 3;

/// An operation.
#[derive(Clone, Debug, PartialEq)]
pub enum Op {
    /// The network's input.
    Input {
        /// Its dimensions.
        shape: Vec<usize>,
    },
    /// A constant.
    Constant {
        /// Its dimensions.
        shape: Vec<usize>,
        /// Its values, row-major.
        values: Vec<f32>,
    },
    /// A convolution over rows and columns, of one tensor or of several.
    Conv(Box<Conv>),
    /// A function of every element.
    Pointwise(Program),
    /// Natural logarithm of every element.
    Log,
    /// Two tensors of the same rank, element by element; dimensions of 1 are repeated.
    Binary(Binary),
    /// Matrix products over the last two dimensions; the others are batches, dimensions of 1 are repeated.
    MatMul,
    /// A reduction; the reduced dimensions stay as 1.
    Reduce {
        /// What becomes of the elements.
        reduction: Reduction,
        /// The reduced axes, ascending.
        axes: Vec<usize>,
    },
    /// Maxima of windows of rows and columns.
    MaxPool {
        /// Size of a window.
        kernel: [usize; 2],
        /// Step from window to window.
        stride: [usize; 2],
        /// Rows above and below, columns left and right that are smaller than everything.
        padding: [usize; 2],
        /// Step within a window.
        dilation: [usize; 2],
    },
    /// Rows and columns, each repeated `factor` times.
    Upsample {
        /// How many times.
        factor: usize,
    },
    /// An axis multiplied by a matrix: how any other resizing is expressed.
    Interpolate {
        /// The axis.
        axis: usize,
        /// Size of the axis afterwards.
        size: usize,
        /// `[size, size before]`, row-major.
        matrix: Vec<f32>,
    },
    /// Tensors one after another.
    Concat {
        /// Along this axis.
        axis: usize,
    },
    /// A range of an axis.
    Slice {
        /// The axis.
        axis: usize,
        /// First index.
        start: usize,
        /// How many.
        size: usize,
    },
    /// Chosen indices of an axis, in any order and number.
    Select {
        /// The axis.
        axis: usize,
        /// The indices.
        indices: Vec<usize>,
    },
    /// A constant border.
    Pad {
        /// Elements before the first, by axis.
        before: Vec<usize>,
        /// Elements after the last, by axis.
        after: Vec<usize>,
        /// The border's value.
        value: f32,
    },
    /// The same elements under other dimensions.
    Reshape {
        /// The dimensions.
        shape: Vec<usize>,
    },
    /// Axes in another order.
    Transpose {
        /// The old axis for each new one.
        order: Vec<usize>,
    },
    /// Dimensions of 1 repeated.
    Expand {
        /// The dimensions afterwards.
        shape: Vec<usize>,
    },
    /// exp(x) over its sum along an axis.
    Softmax {
        /// The axis.
        axis: usize,
    },
}

/// An operation on two tensors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Binary {
    /// Sum.
    Add,
    /// Difference.
    Sub,
    /// Product.
    Mul,
    /// Quotient.
    Div,
}

impl Binary {
    /// The same of one value's steps `a` and `b`.
    pub fn step(self, a: usize, b: usize) -> Step {
        match self {
            Self::Add => Step::Add(a, b),
            Self::Sub => Step::Sub(a, b),
            Self::Mul => Step::Mul(a, b),
            Self::Div => Step::Div(a, b),
        }
    }
}

/// What becomes of the elements along reduced axes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reduction {
    /// Their sum.
    Sum,
    /// Their mean.
    Mean,
}

/// A convolution, what it reads and what is applied to its result.
#[derive(Clone, Debug, PartialEq)]
pub struct Conv {
    /// Sources, sizes, strides, groups.
    pub shape: ConvShape,
    /// `[outputs, inputs / groups, kernel rows, kernel columns]`, row-major.
    pub weight: Vec<f32>,
    /// One for each output channel.
    pub bias: Vec<f32>,
    /// Applied to the result.
    pub activation: Option<Program>,
}

impl Conv {
    /// `scale * x + shift` of every channel, as a convolution.
    pub fn channelwise(scale: Vec<f32>, shift: Vec<f32>) -> Self {
        let channels = scale.len();
        let shape = ConvShape {
            sources: vec![ConvSource { channels, upsample: 1 }],
            outputs: channels,
            kernel: [1, 1],
            stride: [1, 1],
            padding: [0; 4],
            dilation: [1, 1],
            groups: channels,
        };
        Self { shape, weight: scale, bias: shift, activation: None }
    }

    /// Number of input channels.
    pub fn inputs(&self) -> usize {
        self.shape.sources.iter().map(|source| source.channels).sum()
    }

    /// Whether it only scales and shifts channels.
    pub fn is_channelwise(&self) -> bool {
        let ConvShape { sources, outputs, kernel, stride, padding, groups, .. } = &self.shape;
        [*outputs, self.inputs()] == [*groups; 2]
            && [*kernel, *stride] == [[1, 1]; 2]
            && *padding == [0; 4]
            && self.activation.is_none()
            && matches!(sources.as_slice(), [ConvSource { upsample: 1, .. }])
    }
}

impl Op {
    /// The kind, for people.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Input { .. } => "input",
            Self::Constant { .. } => "constant",
            Self::Conv(conv) if conv.is_channelwise() => "scale and shift",
            Self::Conv(conv) if conv.shape.groups > 1 => "grouped convolution",
            Self::Conv(conv) if conv.shape.kernel == [1, 1] => "1x1 convolution",
            Self::Conv(_) => "convolution",
            Self::Pointwise(_) => "pointwise",
            Self::Log => "logarithm",
            Self::Binary(Binary::Add) => "sum",
            Self::Binary(Binary::Sub) => "difference",
            Self::Binary(Binary::Mul) => "product",
            Self::Binary(Binary::Div) => "quotient",
            Self::MatMul => "matrix product",
            Self::Reduce { .. } => "reduction",
            Self::MaxPool { .. } => "max pooling",
            Self::Upsample { .. } => "upsampling",
            Self::Interpolate { .. } => "interpolation",
            Self::Concat { .. } => "concatenation",
            Self::Slice { .. } => "slice",
            Self::Select { .. } => "selection",
            Self::Pad { .. } => "padding",
            Self::Reshape { .. } => "reshape",
            Self::Transpose { .. } => "transposition",
            Self::Expand { .. } => "expansion",
            Self::Softmax { .. } => "softmax",
        }
    }
}
