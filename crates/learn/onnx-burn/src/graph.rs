//! The graph that runs: few kinds of nodes, every shape known.

use std::ops::Range;

use crate::constant::elements;
use crate::pointwise::Program;

pub use gradients::frozen::{ConvShape, ConvSource};

/// Index of a node and of the tensor it makes.
pub type Id = usize;

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

    /// The result's dimensions, or what is wrong with the inputs. Whatever passes here runs.
    pub(crate) fn shape(&self, inputs: &[&[usize]]) -> Result<Vec<usize>, String> {
        let misfit = || format!("inputs of {inputs:?} do not fit");
        match (self, inputs) {
            (Self::Input { shape }, []) => Ok(shape.clone()),
            (Self::Constant { shape, values }, []) if elements(shape) == Some(values.len()) => Ok(shape.clone()),
            (Self::Conv(conv), inputs) => conv_shape(conv, inputs).ok_or_else(misfit),
            (Self::Pointwise(_) | Self::Log, [x]) => Ok(x.to_vec()),
            (Self::Binary(_), [a, b]) if a.len() == b.len() => broadcast(a, b).ok_or_else(misfit),
            (Self::MatMul, [[a @ .., rows, inner], [b @ .., inner_b, columns]])
                if inner == inner_b && a.len() == b.len() =>
            {
                let mut shape = broadcast(a, b).ok_or_else(misfit)?;
                shape.extend([rows, columns]);
                Ok(shape)
            }
            (Self::Reduce { axes, .. }, [x]) if axes.iter().all(|&axis| axis < x.len()) => {
                Ok(x.iter().enumerate().map(|(axis, &dim)| if axes.contains(&axis) { 1 } else { dim }).collect())
            }
            (Self::MaxPool { kernel, stride, padding, dilation }, [[n, channels, rows, columns]]) => {
                // Of a window with nothing but border there is no maximum.
                let inside = (0..2).all(|axis| 2 * padding[axis] <= kernel[axis]);
                let [above, left] = *padding;
                let window = ConvShape {
                    kernel: *kernel,
                    stride: *stride,
                    padding: [above, left, above, left],
                    dilation: *dilation,
                    ..Conv::channelwise(Vec::new(), Vec::new()).shape
                };
                let [rows, columns] = window.output_size([*rows, *columns]).filter(|_| inside).ok_or_else(misfit)?;
                Ok(vec![*n, *channels, rows, columns])
            }
            (Self::Upsample { factor }, [[n, channels, rows, columns]]) => {
                let sides = [rows, columns].map(|side| side.checked_mul(*factor));
                let [Some(rows), Some(columns)] = sides else { return Err(misfit()) };
                Ok(vec![*n, *channels, rows, columns])
            }
            (Self::Interpolate { axis, size, matrix }, [x]) => match x.get(*axis) {
                Some(&before) if elements(&[*size, before]) == Some(matrix.len()) => Ok(with(x, *axis, *size)),
                _ => Err(misfit()),
            },
            (Self::Concat { axis }, [first, rest @ ..]) if *axis < first.len() => {
                let fits = |x: &&[usize]| x.len() == first.len() && with(x, *axis, 0) == with(first, *axis, 0);
                if !rest.iter().all(fits) {
                    return Err(misfit());
                }
                let total = inputs.iter().try_fold(0usize, |sum, x| sum.checked_add(x[*axis]));
                Ok(with(first, *axis, total.ok_or_else(misfit)?))
            }
            (Self::Slice { axis, start, size }, [x]) => {
                let fits = x.get(*axis).is_some_and(|&dim| start.checked_add(*size).is_some_and(|end| end <= dim));
                if fits { Ok(with(x, *axis, *size)) } else { Err(misfit()) }
            }
            (Self::Select { axis, indices }, [x]) => {
                let fits = x.get(*axis).is_some_and(|&dim| indices.iter().all(|&index| index < dim));
                if fits { Ok(with(x, *axis, indices.len())) } else { Err(misfit()) }
            }
            (Self::Pad { before, after, .. }, [x]) if before.len() == x.len() && after.len() == x.len() => {
                let padded = x.iter().zip(before).zip(after).map(|((x, b), a)| x.checked_add(*b)?.checked_add(*a));
                padded.collect::<Option<_>>().ok_or_else(misfit)
            }
            (Self::Reshape { shape }, [x]) if elements(shape) == elements(x) => Ok(shape.clone()),
            (Self::Transpose { order }, [x]) => {
                let mut sorted = order.clone();
                sorted.sort_unstable();
                if !sorted.into_iter().eq(0..x.len()) {
                    return Err(misfit());
                }
                Ok(order.iter().map(|&axis| x[axis]).collect())
            }
            (Self::Expand { shape }, [x]) if x.len() == shape.len() => {
                let fits = x.iter().zip(shape).all(|(x, shape)| x == shape || *x == 1);
                if fits { Ok(shape.clone()) } else { Err(misfit()) }
            }
            (Self::Softmax { axis }, [x]) if *axis < x.len() => Ok(x.to_vec()),
            _ => Err(misfit()),
        }
    }
}

fn conv_shape(conv: &Conv, inputs: &[&[usize]]) -> Option<Vec<usize>> {
    let shape = &conv.shape;
    let mut seen: Option<(usize, [usize; 2])> = None;
    for (&input, source) in inputs.iter().zip(&shape.sources) {
        let &[n, channels, rows, columns] = input else { return None };
        let size = [rows.checked_mul(source.upsample)?, columns.checked_mul(source.upsample)?];
        if channels != source.channels || seen.is_some_and(|seen| seen != (n, size)) {
            return None;
        }
        seen = Some((n, size));
    }
    let (n, size) = seen.filter(|_| inputs.len() == shape.sources.len() && inputs.len() <= MAX_SOURCES)?;
    let [per_group, outputs_per_group] = [conv.inputs(), shape.outputs].map(|count| count.checked_div(shape.groups));
    let weight = [shape.outputs, per_group?, shape.kernel[0], shape.kernel[1]];
    let fits = per_group? * shape.groups == conv.inputs()
        && outputs_per_group? * shape.groups == shape.outputs
        && elements(&weight)? == conv.weight.len()
        && conv.bias.len() == shape.outputs
        && shape.dilation.iter().all(|&step| step > 0);
    let [rows, columns] = shape.output_size(size).filter(|_| fits)?;
    Some(vec![n, shape.outputs, rows, columns])
}

/// The dimensions that two tensors of the same rank have together.
pub fn broadcast(a: &[usize], b: &[usize]) -> Option<Vec<usize>> {
    a.iter().zip(b).map(|(&a, &b)| (a == b || a == 1 || b == 1).then_some(if a == 1 { b } else { a })).collect()
}

/// The same dimensions, one of them changed.
fn with(shape: &[usize], axis: usize, size: usize) -> Vec<usize> {
    let mut shape = shape.to_vec();
    shape[axis] = size;
    shape
}

/// An operation with what it reads and the dimensions it makes.
#[derive(Clone, Debug)]
pub struct Node {
    /// The operation.
    pub op: Op,
    /// The nodes it reads, all before it.
    pub inputs: Vec<Id>,
    /// Dimensions of its result.
    pub shape: Vec<usize>,
    /// Name of the file's node it was last made of.
    pub name: String,
}

/// Nodes, each after those it reads.
#[derive(Clone, Debug, Default)]
pub struct Graph {
    nodes: Vec<Node>,
    /// How often each node is read; the output counts.
    uses: Vec<usize>,
    output: Id,
}

impl Graph {
    /// Adds a node, or says why its inputs do not fit.
    pub fn add(&mut self, op: Op, inputs: Vec<Id>, name: &str) -> Result<Id, String> {
        let shapes: Vec<&[usize]> = inputs.iter().map(|&input| self.shape(input)).collect();
        let shape = op.shape(&shapes)?;
        match elements(&shape) {
            None => return Err(format!("a tensor of {shape:?} is too large")),
            Some(0) => return Err(format!("a tensor of {shape:?} has nothing in it")),
            Some(_) => {}
        }
        inputs.iter().for_each(|&input| self.uses[input] += 1);
        self.nodes.push(Node { op, inputs, shape, name: name.into() });
        self.uses.push(0);
        Ok(self.nodes.len() - 1)
    }

    /// The network's input, which must be added first.
    pub fn input(&self) -> Id {
        0
    }

    /// Makes a node the output.
    pub fn set_output(&mut self, output: Id) {
        self.output = output;
        self.uses[output] += 1;
    }

    /// The node that makes the output.
    pub fn output(&self) -> Id {
        self.output
    }

    /// All nodes in their order, dropped ones included.
    pub fn ids(&self) -> Range<Id> {
        0..self.nodes.len()
    }

    /// The nodes that are left, in their order.
    pub fn live(&self) -> impl DoubleEndedIterator<Item = Id> {
        self.ids().filter(|&id| self.uses[id] > 0)
    }

    /// A node.
    pub fn node(&self, id: Id) -> &Node {
        &self.nodes[id]
    }

    /// Dimensions of a node's result.
    pub fn shape(&self, id: Id) -> &[usize] {
        &self.nodes[id].shape
    }

    /// How often a node is read.
    pub fn uses(&self, id: Id) -> usize {
        self.uses[id]
    }

    /// The convolution that a node is.
    pub fn conv(&self, id: Id) -> Option<&Conv> {
        match &self.nodes[id].op {
            Op::Conv(conv) => Some(conv),
            _ => None,
        }
    }

    /// Replaces what a node does by something that makes the same. What nobody reads any more is dropped.
    pub fn replace(&mut self, id: Id, op: Op, inputs: Vec<Id>) {
        debug_assert_eq!(
            op.shape(&inputs.iter().map(|&input| self.shape(input)).collect::<Vec<_>>()).as_ref(),
            Ok(&self.nodes[id].shape)
        );
        inputs.iter().for_each(|&input| self.uses[input] += 1);
        self.nodes[id].op = op;
        let before = std::mem::replace(&mut self.nodes[id].inputs, inputs);
        self.release(before);
    }

    /// Drops all nodes that the output does not need.
    pub fn sweep(&mut self) {
        for id in self.ids().rev() {
            if self.uses[id] == 0 {
                let inputs = std::mem::take(&mut self.nodes[id].inputs);
                self.release(inputs);
            }
        }
    }

    fn release(&mut self, mut inputs: Vec<Id>) {
        while let Some(id) = inputs.pop() {
            self.uses[id] -= 1;
            if self.uses[id] == 0 {
                inputs.append(&mut self.nodes[id].inputs);
            }
        }
    }
}
