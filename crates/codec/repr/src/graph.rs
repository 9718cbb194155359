//! The decoder as a graph of typed nodes: what one walk over the layer table makes of it.
//!
//! Sizes, parameters and costs come from this walk alone; the coder, the decoder, the trainer and the encoder fold over its
//! nodes. A new kind of layer is a row of the table, an arm of [`Walk::layer`] and an [`Operation`].

use std::ops::Range;

use kernels::{Nonlinearity, Skip};
use thiserror::Error;

use crate::limits;
use crate::table::{Carrier, Head, Layer, LayerTable, Refine, Residual, Stage, Stem};

/// What a stem on a class map knows of a pixel's place.
pub const COORDINATES: usize = 4;

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

/// What makes the first frame of a pair, see [`Carrier`]: `linear(coefficients)`, `[3, height, width]` in row-major order, or one channel for
/// all three, enlarged;
/// RGB is 127.5 plus 255 times that.
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

impl Activation {
    fn pixels(self) -> usize {
        self.height * self.width
    }

    fn checked(self) -> Result<Self, ArchitectureError> {
        at_most("values in an activation", self.channels * self.pixels(), limits::ACTIVATION)?;
        Ok(self)
    }
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
    /// The linear layer, weight `[out, latent_dim]`.
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

fn in_range(what: impl Into<String>, value: usize, low: usize, high: usize) -> Result<(), ArchitectureError> {
    if (low..=high).contains(&value) {
        return Ok(());
    }
    Err(ArchitectureError::OutOfRange {
        what: what.into(),
        value: value.to_string(),
        range: format!("{low} to {high}"),
    })
}

fn check_kernel(i: usize, kernel: usize) -> Result<(), ArchitectureError> {
    if [1, 3, 5].contains(&kernel) {
        return Ok(());
    }
    Err(ArchitectureError::OutOfRange {
        what: format!("layers[{i}].kernel"),
        value: kernel.to_string(),
        range: "1, 3 or 5".into(),
    })
}

fn at_most(what: &'static str, value: usize, limit: usize) -> Result<(), ArchitectureError> {
    if value <= limit { Ok(()) } else { Err(ArchitectureError::TooLarge { what, value, limit }) }
}

impl Graph {
    /// Walks a table, and checks every entry and the sums against [`limits`].
    pub(crate) fn of(table: &LayerTable) -> Result<Self, ArchitectureError> {
        let mut walk = Walk::begin(table)?;
        for (i, layer) in table.layers.iter().enumerate() {
            walk.layer(i, *layer)?;
        }
        let carried = usize::from(table.carrier.is_some());
        walk.heads(carried..table.frames, table.head);
        if let Some(carrier) = table.carrier {
            walk.carrier(carrier);
        }
        at_most("parameters", walk.graph.parameter_count(), limits::PARAMETERS)?;
        Ok(walk.graph)
    }

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

/// The walk so far.
struct Walk {
    graph: Graph,
    /// What the last node gives.
    at: Activation,
    stages: usize,
    refines: usize,
    blocks: usize,
}

impl Walk {
    fn begin(table: &LayerTable) -> Result<Self, ArchitectureError> {
        let Stem { channels, height, width, linear, classes } = table.stem;
        let coefficients = Self::check_carrier(table)?;
        in_range("latent_dim", table.latent_dim, 1, limits::LATENT_DIM)?;
        in_range("frames", table.frames, 1, 2)?;
        in_range("stem.channels", channels, 1, limits::CHANNELS)?;
        in_range("stem.height", height, 1, limits::SIDE)?;
        in_range("stem.width", width, 1, limits::SIDE)?;
        in_range("the number of layers", table.layers.len(), 0, limits::LAYERS)?;
        let values = channels * height * width;
        at_most("values in the stem", values, limits::ACTIVATION)?;
        let stem = Activation { channels, height, width };
        let latent = Activation { channels: table.latent_dim, height: 1, width: 1 };
        let graph =
            Graph { nodes: Vec::new(), carrier: None, convolutions: Vec::new(), parameters: Vec::new(), flops: 0 };
        if classes > 0 {
            in_range("stem.classes", classes, 1, limits::CLASSES)?;
            if !linear {
                return Err(ArchitectureError::OutOfRange {
                    what: "stem.linear".into(),
                    value: "false".into(),
                    range: "true, where there are classes".into(),
                });
            }
            let numbers = table.latent_dim - coefficients;
            let mut walk =
                Self { graph, at: Activation { channels: numbers, ..latent }, stages: 0, refines: 0, blocks: 0 };
            let dimensions = [classes + COORDINATES + numbers, channels, 1];
            let linear = walk.convolution("stem".into(), ParameterRole::Stem, dimensions, 1, stem);
            walk.node(Operation::Classes { linear, classes }, stem);
            return Ok(walk);
        }
        if !linear {
            if table.latent_dim != values {
                return Err(ArchitectureError::OutOfRange {
                    what: "latent_dim".into(),
                    value: table.latent_dim.to_string(),
                    range: format!("{values}, as many as the values of a stem that is not linear"),
                });
            }
            return Ok(Self { graph, at: stem, stages: 0, refines: 0, blocks: 0 });
        }
        let mut walk = Self { graph, at: latent, stages: 0, refines: 0, blocks: 0 };
        let linear = walk.convolution("stem".into(), ParameterRole::Stem, [table.latent_dim, values, 1], 1, latent);
        // Its rows are grouped by channel as those before a pixel shuffle are.
        walk.phases(linear, height * width, width);
        walk.node(Operation::Stem { linear }, stem);
        Ok(walk)
    }

    /// The values of a latent that are a carrier's, if it has one that can be.
    fn check_carrier(table: &LayerTable) -> Result<usize, ArchitectureError> {
        let Some(Carrier { coefficients, height, width, channels, bits }) = table.carrier else { return Ok(0) };
        in_range("carrier.coefficients", coefficients, 1, table.latent_dim.saturating_sub(1))?;
        in_range("carrier.height", height, 1, limits::SIDE)?;
        in_range("carrier.width", width, 1, limits::SIDE)?;
        if channels != 1 && channels != 3 {
            return Err(ArchitectureError::OutOfRange {
                what: "carrier.channels".into(),
                value: channels.to_string(),
                range: "1 or 3".into(),
            });
        }
        in_range("carrier.bits", bits.into(), 8, limits::COEFFICIENT_BITS.into())?;
        in_range("frames beside a carrier", table.frames, 2, 2)?;
        at_most("values in the carrier's image", 3 * height * width, limits::ACTIVATION)?;
        if table.stem.classes == 0 {
            return Err(ArchitectureError::OutOfRange {
                what: "stem.classes".into(),
                value: "0".into(),
                range: "the number of classes, where there is a carrier".into(),
            });
        }
        Ok(coefficients)
    }

    fn carrier(&mut self, carrier: Carrier) {
        let Carrier { coefficients, height, width, channels, .. } = carrier;
        let latent = Activation { channels: coefficients, height: 1, width: 1 };
        let dimensions = [coefficients, channels * height * width, 1];
        let linear = self.convolution("carrier".into(), ParameterRole::Stem, dimensions, 1, latent);
        self.phases(linear, height * width, width);
        self.graph.carrier = Some(CarrierNode { linear, height, width });
    }

    fn layer(&mut self, i: usize, layer: Layer) -> Result<(), ArchitectureError> {
        let input = self.at;
        match layer {
            Layer::Stage(Stage { channels, upscale, kernel, skip, activation }) => {
                in_range(format!("layers[{i}].channels"), channels, 1, limits::CHANNELS)?;
                in_range(format!("layers[{i}].upscale"), upscale, 1, limits::UPSCALE)?;
                check_kernel(i, kernel)?;
                let (height, width) = (input.height * upscale, input.width * upscale);
                in_range(format!("the number of rows behind layers[{i}]"), height, 1, limits::SIDE)?;
                in_range(format!("the number of columns behind layers[{i}]"), width, 1, limits::SIDE)?;
                let output = Activation { channels, height, width }.checked()?;

                let (name, phases) = (format!("blocks.{}", self.stages), upscale * upscale);
                let dimensions = [input.channels, channels * phases, kernel];
                let conv = self.convolution(name, ParameterRole::Hidden, dimensions, 1, input);
                self.phases(conv, phases, 1);
                let name = format!("skips.{}", self.stages);
                let skip = match (skip, channels == input.channels) {
                    (false, _) => Skip::None,
                    (true, true) => Skip::Input,
                    (true, false) => {
                        let dimensions = [input.channels, channels, 1];
                        Skip::Convolution(self.convolution(name, ParameterRole::Skip, dimensions, 1, output))
                    }
                };
                self.node(Operation::Stage { conv, skip, upscale, nonlinearity: activation }, output);
                self.stages += 1;
            }
            Layer::Refine(Refine { hidden, dilation, gain }) => {
                in_range(format!("layers[{i}].hidden"), hidden, 1, limits::CHANNELS)?;
                in_range(format!("layers[{i}].dilation"), dilation, 1, limits::DILATION)?;
                if !gain.is_finite() || gain.abs() > 1e6 {
                    return Err(ArchitectureError::OutOfRange {
                        what: format!("layers[{i}].gain"),
                        value: gain.to_string(),
                        range: "finite and at most 1e6 in magnitude".into(),
                    });
                }
                Activation { channels: hidden, ..input }.checked()?;

                let names = [self.refines, self.refines + 1].map(|number| format!("refine.{number}"));
                let ([first, second], role) = (names, ParameterRole::Hidden);
                let first = self.convolution(first, role, [input.channels, hidden, 3], dilation, input);
                let second = self.convolution(second, role, [hidden, input.channels, 3], 1, input);
                self.node(Operation::Refine { first, second, gain }, input);
                self.refines += 2;
            }
            Layer::Residual(Residual { hidden, kernel, dilation, activation }) => {
                in_range(format!("layers[{i}].hidden"), hidden, 1, limits::CHANNELS)?;
                in_range(format!("layers[{i}].dilation"), dilation, 1, limits::DILATION)?;
                check_kernel(i, kernel)?;
                Activation { channels: hidden, ..input }.checked()?;

                let names = [0, 1].map(|half| format!("residual.{}.{half}", self.blocks));
                let ([first, second], role) = (names, ParameterRole::Hidden);
                let first = self.convolution(first, role, [input.channels, hidden, kernel], dilation, input);
                let second = self.convolution(second, role, [hidden, input.channels, 1], 1, input);
                self.node(Operation::Residual { first, second, nonlinearity: activation }, input);
                self.blocks += 1;
            }
        }
        Ok(())
    }

    fn heads(&mut self, frames: Range<usize>, head: Head) {
        let gain = match head {
            Head::Sigmoid => 1.0,
            Head::Tanh => 2.0,
        };
        let input = self.at;
        let head =
            |frame| self.convolution(format!("rgb_{frame}"), ParameterRole::Head, [input.channels, 3, 3], 1, input);
        let heads: Vec<Convolution> = frames.map(head).collect();
        let channels = 3 * heads.len();
        self.node(Operation::Heads { heads, gain }, Activation { channels, ..input });
    }

    fn node(&mut self, operation: Operation, output: Activation) {
        let input = std::mem::replace(&mut self.at, output);
        self.graph.nodes.push(Node { operation, input, output });
    }

    /// A convolution of so many inputs and outputs with a kernel of that side; it costs what it does at the size of `counted`.
    fn convolution(
        &mut self,
        name: String,
        role: ParameterRole,
        [inputs, outputs, kernel]: [usize; 3],
        dilation: usize,
        counted: Activation,
    ) -> Convolution {
        let shape = match role {
            ParameterRole::Stem => vec![outputs, inputs],
            _ => vec![outputs, inputs, kernel, kernel],
        };
        let weight = self.parameter(format!("{name}.weight"), shape, role, ParameterKind::Weight);
        let bias = self.parameter(format!("{name}.bias"), vec![outputs], role, ParameterKind::Bias);
        let convolution = Convolution { weight, bias, inputs, outputs, kernel, dilation };
        self.graph.flops += 2 * (outputs * convolution.fan_in() * counted.pixels()) as u64;
        self.graph.convolutions.push(convolution);
        convolution
    }

    fn parameter(&mut self, name: String, shape: Vec<usize>, role: ParameterRole, kind: ParameterKind) -> ParameterId {
        let id = ParameterId(self.graph.parameters.len());
        self.graph.parameters.push(Parameter { id, name, shape, role, kind, phases: 1, columns: 1 });
        id
    }

    /// Says that so many rows of a convolution make up one channel, on a grid of so many columns.
    fn phases(&mut self, convolution: Convolution, phases: usize, columns: usize) {
        for id in [convolution.weight, convolution.bias] {
            let parameter = &mut self.graph.parameters[id.index()];
            (parameter.phases, parameter.columns) = (phases, columns);
        }
    }
}
