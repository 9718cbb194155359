//! The decoder as a graph of typed nodes: what one walk over the layer table makes of it.
//!
//! Sizes, parameters and costs come from this walk alone; the coder, the decoder, the trainer and the encoder fold over its
//! nodes. A new kind of layer is a row of the table, an arm of `Walk::layer` and an [`Operation`].

mod walk;

use kernels::{Nonlinearity, Skip};
use thiserror::Error;

#[cfg(doc)]
use crate::table::{Carrier, Head, Refine, Residual, Stage, Stem};

/// The operations of a decoder in order, and the parameters that they have.
#[derive(Clone, Debug, PartialEq)]
pub struct Graph {
    nodes: Vec<Node>,
    carrier: Option<CarrierNode>,
    convolutions: Vec<Convolution>,
    parameters: Vec<Parameter>,
    flops: u64,
}

/// One operation, with the shapes of what goes in and what comes out.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// What it computes.
    pub operation: Operation,
    /// The output of the node before it; of the first one the latent, for a stem as channels of a single pixel.
    pub input: Activation,
    /// What it gives.
    pub output: Activation,
}

/// What a node computes of its input `x`.
#[derive(Clone, Debug, PartialEq)]
pub enum Operation {
    /// `sin(linear(x))`, the first node where the latent is no image: a vector, seen as the node's output in row-major order.
    Stem {
        /// The linear layer, as a convolution of one pixel.
        linear: Convolution,
    },
    /// A linear layer at each pixel of the sample's class map, the first node where there is one; see [`Stem::classes`].
    Classes {
        /// 1x1, of as many inputs as classes, four coordinates, and the latent's values but a carrier's.
        linear: Convolution,
        /// Number of classes.
        classes: usize,
    },
    /// `f(pixel_shuffle(conv(x)) + upsample(skip(x)))`, see [`Stage`].
    Stage {
        /// To `upscale^2` times the output's channels.
        conv: Convolution,
        /// A 1x1 convolution where the channels change.
        skip: Skip<Convolution>,
        /// Factor of the pixel shuffle and of the bilinear upsampling.
        upscale: usize,
        /// The function at the end.
        nonlinearity: Nonlinearity,
    },
    /// `x + gain * sin(second(first(x)))`, see [`Refine`].
    Refine {
        /// The dilated convolution.
        first: Convolution,
        /// The one back to the channels of `x`.
        second: Convolution,
        /// Weight of the branch.
        gain: f32,
    },
    /// `x + second(f(first(x)))`, see [`Residual`].
    Residual {
        /// The dilated convolution.
        first: Convolution,
        /// 1x1, back to the channels of `x`.
        second: Convolution,
        /// The function between them.
        nonlinearity: Nonlinearity,
    },
    /// `255 * sigmoid(gain * head(x))`, the last node: red, green and blue of each frame of the latent, a carrier's aside.
    Heads {
        /// One for each frame.
        heads: Vec<Convolution>,
        /// 1, or 2 where the head ends with [`Head::Tanh`]: `(tanh(x) + 1) / 2` is `sigmoid(2 * x)`. Both are powers of two, so
        /// that weights and biases can take the factor without rounding.
        gain: f32,
    },
}

/// What makes the first frame of a pair, see [`Carrier`]: `linear(coefficients)`, `[3, height, width]` in row-major order, or one
/// channel for all three, enlarged; RGB is 127.5 plus 255 times that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CarrierNode {
    /// From the last values of a latent; the bias is the base image.
    pub linear: Convolution,
    /// Rows of the coarse image.
    pub height: usize,
    /// Columns of the coarse image.
    pub width: usize,
}

/// A convolution with zero padding that keeps the size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Convolution {
    /// Its weight.
    pub weight: ParameterId,
    /// Its bias.
    pub bias: ParameterId,
    /// Channels that go in.
    pub inputs: usize,
    /// Channels that come out.
    pub outputs: usize,
    /// Side of the kernel.
    pub kernel: usize,
    /// Distance of the kernel's taps.
    pub dilation: usize,
}

impl Convolution {
    /// Values that feed one output.
    pub fn fan_in(&self) -> usize {
        self.inputs * self.kernel * self.kernel
    }
}

/// Shape of what lies between two nodes, `[channels, height, width]` for one sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Activation {
    /// Channels.
    pub channels: usize,
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
}

/// A parameter of an architecture: its place in [`Graph::parameters`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ParameterId(usize);

impl ParameterId {
    /// The place.
    pub fn index(self) -> usize {
        self.0
    }
}

/// Where in the decoder a parameter stands; the trainer groups by it, the coder models by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ParameterRole {
    /// A linear layer, weight `[out, in]`: that of the stem, of a latent's values, and of a class map and a place where it is fed with
    /// them; that of a carrier, of its coefficients.
    Stem,
    /// A convolution inside a layer, weight `[out, in, kernel, kernel]`.
    Hidden,
    /// The 1x1 convolution of a skip, weight `[out, in, 1, 1]`.
    Skip,
    /// A convolution to RGB, weight `[3, in, 3, 3]`.
    Head,
}

/// What a parameter is in its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ParameterKind {
    /// What the inputs are multiplied with.
    Weight,
    /// What is added, `[out]`.
    Bias,
}

/// What there is to say about one parameter tensor but its values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameter {
    /// Its place among all.
    pub id: ParameterId,
    /// Name, the one that public archives of this family use (`blocks.0.weight`, `skips.2.bias`, `rgb_1.weight`).
    pub name: String,
    /// Shape in PyTorch's order: `[out, in, kernel, kernel]`, `[out, in]` or `[out]`.
    pub shape: Vec<usize>,
    /// Where it stands.
    pub role: ParameterRole,
    /// What it is there.
    pub kind: ParameterKind,
    /// How many consecutive rows (of `shape[0]`) make up one channel: those that a pixel shuffle spreads over the pixels, or
    /// the stem over its grid.
    pub phases: usize,
    /// Columns of the grid that the stem spreads those rows over; 1 elsewhere.
    pub columns: usize,
}

impl Parameter {
    /// Number of values.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// True for a tensor without values; no architecture has one.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Values that feed one output: the product of all dimensions but the first (1 for a bias).
    pub fn fan_in(&self) -> usize {
        self.shape[1..].iter().product()
    }
}

/// Why a layer table cannot be used.
#[derive(Debug, Error, PartialEq)]
pub enum ArchitectureError {
    /// A number lies outside its range.
    #[error("{what} is {value}, must be {range}")]
    OutOfRange {
        /// The entry, with its layer where it has one.
        what: String,
        /// What was given.
        value: String,
        /// What is allowed.
        range: String,
    },
    /// The whole is larger than the limits allow.
    #[error("the layer table needs {value} {what}, the limit is {limit}")]
    TooLarge {
        /// What there is too much of.
        what: &'static str,
        /// How much.
        value: usize,
        /// The limit.
        limit: usize,
    },
}

impl Graph {
    /// The nodes in order of evaluation: a stem, unless the latent is an image; the layers; the heads.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// What makes the first frame, where it is no head.
    pub fn carrier(&self) -> Option<&CarrierNode> {
        self.carrier.as_ref()
    }

    /// All convolutions in the order of their parameters, a stem's linear layer first, a carrier's last.
    pub fn convolutions(&self) -> &[Convolution] {
        &self.convolutions
    }

    /// Every parameter in the order in which archives and checkpoints hold them: a weight, then its bias.
    pub fn parameters(&self) -> &[Parameter] {
        &self.parameters
    }

    /// Number of parameters' values, latents not counted.
    pub fn parameter_count(&self) -> usize {
        self.parameters.iter().map(Parameter::len).sum()
    }

    /// Floating-point operations for one latent: two per multiply-add of the linear layer and the convolutions. A skip's
    /// 1x1 convolution counts at the upsampled size, as published figures do, though running it before the upsampling
    /// gives the same values for a quarter of that.
    pub fn flops(&self) -> u64 {
        self.flops
    }
}
