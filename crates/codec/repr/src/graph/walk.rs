//! The walk over a layer table that makes the graph.

use std::ops::Range;

use kernels::{PLACES, Skip};

use super::{
    Activation, ArchitectureError, CarrierNode, Convolution, Graph, Node, Operation, Parameter, ParameterId,
    ParameterKind, ParameterRole,
};
use crate::limits;
use crate::table::{Carrier, Head, Layer, LayerTable, Refine, Residual, Stage, Stem};

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
            let dimensions = [classes + PLACES + numbers, channels, 1];
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
