//! The parameters: which order their integers come in, and what is known about each.
//!
//! Trained weights are nearly noise, yet not quite. Convolutions before a pixel shuffle make several outputs of each
//! channel (*phases*), and what the phases and taps do to one pair of channels resembles each other; so do input channels
//! and output channels that carry similar signals; so do the weights of a stage and those of its skip, and the heads of
//! both frames. Three regressions, one behind the other, take that out, and leave numbers whose magnitude depends on row,
//! column and place in the kernel.

use mixing::Corrupt;
use repr::{MAX_BITS, MIN_BITS, Parameter, ParameterKind, ParameterRole, QuantizedTensor};

use crate::adaptive::{Adaptive, Field, Float};
use crate::levels::{Bell, LevelMixer, Levels, mixer};
use crate::regression::{Regression, WEIGHT_BITS, Whitening, limited};
use crate::value::ValueCoder;

/// Bits behind the point of a value that regressions see; a full range of integers is as large as one of 8 bits.
const VALUE_BITS: u8 = 4;
/// Mean square that a value is expected to have, as regressions see it.
const MEAN_SQUARE: i64 = 1 << 18;
/// Ridges of the regressions across cells, inputs and channels, and across the stem's grid, in vectors.
const RIDGES: [i64; 4] = [50, 300, 600, 20];
/// Values that the mean magnitude of all counts as, in that of a row, a column or a cell.
const SHRINKAGE: i64 = 80;

/// What is known about the tensors so far.
pub(crate) struct TensorModel {
    bits: Field,
    per_channel: Adaptive,
    steps: Float,
    weights: Part,
    biases: Part,
}

impl TensorModel {
    pub fn new() -> Self {
        Self {
            bits: Field::new(3),
            per_channel: Adaptive::NEW,
            steps: Float::new(),
            weights: Part::new(),
            biases: Part::new(),
        }
    }

    /// Codes the tensor of a parameter, which must have its number of values.
    pub fn code(
        &mut self,
        coder: &mut impl ValueCoder,
        parameter: &Parameter,
        tensor: &mut QuantizedTensor,
    ) -> Result<(), Corrupt> {
        let bits = MIN_BITS + self.bits.code(coder, u32::from(tensor.bits - MIN_BITS))? as u8;
        if bits > MAX_BITS {
            return Err(Corrupt);
        }
        tensor.bits = bits;
        let per_channel = self.per_channel.code(coder, tensor.steps.len() > 1)?;
        let rows = parameter.shape[0];
        tensor.steps.resize(if per_channel { rows } else { 1 }, 0.0);
        for step in &mut tensor.steps {
            *step = self.steps.code(coder, *step)?;
        }
        let (part, inputs) = match parameter.kind {
            ParameterKind::Weight => (&mut self.weights, parameter.shape[1]),
            ParameterKind::Bias => (&mut self.biases, 1),
        };
        let (phases, taps) = (parameter.phases, tensor.values.len() / (rows * inputs));
        let shape = Shape { channels: rows / phases, phases, inputs, taps };
        let mut group = Group::enter(part.group.take(), parameter.role, shape, parameter.columns);
        group.code(coder, &mut part.mixer, shape, bits, &mut tensor.values)?;
        part.group = Some(group);
        Ok(())
    }
}

/// Dimensions of a tensor, `[channels, phases, inputs, taps]`.
#[derive(Clone, Copy, PartialEq)]
struct Shape {
    channels: usize,
    phases: usize,
    inputs: usize,
    taps: usize,
}

impl Shape {
    /// Values for each pair of channel and input.
    fn cells(self) -> usize {
        self.phases * self.taps
    }

    fn index(self, channel: usize, cell: usize, input: usize) -> usize {
        let row = channel * self.phases + cell / self.taps;
        (row * self.inputs + input) * self.taps + cell % self.taps
    }
}

/// The weights, or the biases.
struct Part {
    mixer: LevelMixer,
    group: Option<Group>,
}

impl Part {
    fn new() -> Self {
        Self { mixer: mixer([1 << 14, 3 << 13, 3 << 13]), group: None }
    }
}

/// Tensors between the same channels: a stage's convolution and its skip, the heads, or one alone.
struct Group {
    /// Of the first tensor.
    role: ParameterRole,
    /// Of the first tensor.
    shape: Shape,
    /// The cells of the tensors so far, each `[channels, inputs]`, as regressions see them.
    cells: Vec<Vec<i64>>,
    across_cells: Across,
    across_inputs: Whitening,
    across_channels: Whitening,
}

impl Group {
    /// The group of a tensor: the one before, if the tensor belongs to it, or a new one.
    fn enter(before: Option<Self>, role: ParameterRole, shape: Shape, columns: usize) -> Self {
        let [cell, input, channel, grid] = RIDGES.map(|ridge| ridge * MEAN_SQUARE);
        let mut across_cells = None;
        if let Some(group) = before {
            let same = (group.shape.channels, group.shape.inputs) == (shape.channels, shape.inputs);
            match (group.role, role) {
                (ParameterRole::Hidden, ParameterRole::Skip) | (ParameterRole::Head, ParameterRole::Head) if same => {
                    return group;
                }
                // Kernels resemble each other from layer to layer.
                (ParameterRole::Hidden, ParameterRole::Hidden)
                    if (group.shape.phases, group.shape.taps) == (shape.phases, shape.taps) =>
                {
                    across_cells = Some(group.across_cells.faded());
                }
                _ => {}
            }
        }
        let new = || match role {
            ParameterRole::Stem => Across::Grid(Grid::new(grid, columns)),
            ParameterRole::Hidden => Across::Cells(Whitening::new(shape.cells() + 1, cell)),
            ParameterRole::Head => Across::Cells(Whitening::new(repr::FRAMES_PER_SAMPLE * shape.cells(), cell)),
            ParameterRole::Skip => Across::Cells(Whitening::new(shape.cells(), cell)),
        };
        Self {
            role,
            shape,
            cells: Vec::new(),
            across_cells: across_cells.unwrap_or_else(new),
            across_inputs: Whitening::new(shape.inputs, input),
            across_channels: Whitening::new(shape.channels, channel),
        }
    }

    /// Codes the integers of a tensor of `shape`.
    fn code(
        &mut self,
        coder: &mut impl ValueCoder,
        mixer: &mut LevelMixer,
        shape: Shape,
        bits: u8,
        values: &mut [i16],
    ) -> Result<(), Corrupt> {
        let Shape { channels, inputs, .. } = shape;
        let half = 1i64 << (bits - 1);
        let shift = u32::from(VALUE_BITS + MAX_BITS - bits);
        let before = self.cells.len();
        self.cells.resize(before + shape.cells(), vec![0; channels * inputs]);
        let mut levels = Levels::new(bits);
        let mut magnitudes = Magnitudes::new(shape, half);
        // What the first regression leaves of a row, what the second leaves of all.
        let mut first = vec![0; inputs];
        let mut second = vec![0; values.len()];
        for channel in 0..channels {
            for cell in 0..shape.cells() {
                for input in 0..inputs {
                    let place = |channel: usize| (cell * channels + channel) * inputs + input;
                    let guesses = [
                        self.across_cells.predict(&self.cells, before + cell, [channel, input], inputs),
                        self.across_inputs.predict(input, |i| first[i]),
                        self.across_channels.predict(channel, |c| second[place(c)]),
                    ];
                    let guess = guesses.iter().sum::<i64>() >> (WEIGHT_BITS + shift - 16);
                    let centre = ((half << 16) + guess).clamp(0, ((2 * half) << 16) - 1);
                    let place_of = [channel * shape.phases + cell / shape.taps, input, cell];
                    let bell = magnitudes.bell(centre, place_of);
                    let index = shape.index(channel, cell, input);
                    let value = &mut values[index];
                    let symbol = (i64::from(*value) + half) as u8;
                    coder.value(index, || levels.window(mixer, bell, symbol));
                    let symbol = levels.code(coder, mixer, bell, symbol)?;
                    *value = i16::from(symbol) - half as i16;
                    magnitudes.learn(((i64::from(symbol) << 16) - centre).abs(), place_of);

                    let known = i64::from(*value) << shift;
                    let [rest, rest_of_rest] =
                        [guesses[0], guesses[0] + guesses[1]].map(|guess| limited(known - (guess >> WEIGHT_BITS)));
                    self.cells[before + cell][channel * inputs + input] = known;
                    first[input] = rest;
                    second[place(channel)] = rest_of_rest;
                    self.across_cells.learn(before + cell, known);
                    self.across_inputs.learn(input, rest);
                    self.across_channels.learn(channel, rest_of_rest);
                }
            }
        }
        Ok(())
    }
}

/// The first regression: from the cells before, or, where these are the pixels of a grid, from those around.
enum Across {
    Cells(Whitening),
    Grid(Grid),
}

impl Across {
    /// A cell's value at `[channel, input]`, from what is known of `cells`, each `[channels, inputs]`.
    fn predict(&mut self, cells: &[Vec<i64>], cell: usize, at: [usize; 2], inputs: usize) -> i64 {
        match self {
            Self::Cells(whitening) => whitening.predict(cell, |other| cells[other][at[0] * inputs + at[1]]),
            Self::Grid(grid) => grid.predict(cells, cell, at, inputs),
        }
    }

    /// Takes in what was predicted last.
    fn learn(&mut self, cell: usize, value: i64) {
        match self {
            Self::Cells(whitening) => whitening.learn(cell, value),
            Self::Grid(grid) => grid.learn(value),
        }
    }

    /// The same, with half the trust in what was seen.
    fn faded(mut self) -> Self {
        if let Self::Cells(whitening) = &mut self {
            whitening.fade();
        }
        self
    }
}

/// Predicts a pixel of a grid from those around it and from the same pixel one channel before.
struct Grid {
    regression: Regression,
    width: usize,
    around: [i64; Self::AROUND],
}

impl Grid {
    const AROUND: usize = 5;

    fn new(ridge: i64, width: usize) -> Self {
        Self { regression: Regression::new(vec![ridge; Self::AROUND + 1]), width, around: [0; Self::AROUND] }
    }

    fn predict(&mut self, cells: &[Vec<i64>], pixel: usize, [channel, input]: [usize; 2], inputs: usize) -> i64 {
        let (width, at) = (self.width, channel * inputs + input);
        let (left, up, right) = (!pixel.is_multiple_of(width), pixel >= width, pixel % width + 1 < width);
        let value = |there: bool, back: usize| if there { cells[pixel - back][at] } else { 0 };
        self.around = [
            value(left, 1),
            value(up, width),
            value(up && left, width + 1),
            value(up && right, width.saturating_sub(1)),
            if channel > 0 { cells[pixel][at - inputs] } else { 0 },
        ];
        self.regression.predict(&self.around)
    }

    fn learn(&mut self, value: i64) {
        for (i, &neighbour) in self.around.iter().enumerate() {
            self.regression.learn(&self.around[..i], neighbour, false);
        }
        self.regression.learn(&self.around, value, true);
    }
}

/// Mean magnitudes of what the regressions leave, in units of `2^-16` of a level: of all, and for each row, input, cell.
struct Magnitudes {
    all: Mean,
    parts: [Vec<Mean>; 3],
}

/// A sum and its number of terms.
#[derive(Clone, Copy, Default)]
struct Mean(i64, i64);

impl Mean {
    fn add(&mut self, value: i64) {
        self.0 += value;
        self.1 += 1;
    }
}

impl Magnitudes {
    /// Starts at a fourth of the largest magnitude.
    fn new(shape: Shape, half: i64) -> Self {
        let lengths = [shape.channels * shape.phases, shape.inputs, shape.cells()];
        Self { all: Mean(half << 14, 1), parts: lengths.map(|length| vec![Mean::default(); length]) }
    }

    /// Around a centre, for a value in this row, input and cell: the mean of all, times what each deviates from it.
    fn bell(&self, centre: i64, place: [usize; 3]) -> Bell {
        let all = (self.all.0 / self.all.1).max(1);
        let spread = self.parts.iter().zip(place).fold(all, |spread, (part, at)| {
            let Mean(sum, count) = part[at];
            spread * ((sum + SHRINKAGE * all) / (count + SHRINKAGE)) / all
        });
        Bell { centre, spread }
    }

    fn learn(&mut self, magnitude: i64, place: [usize; 3]) {
        self.all.add(magnitude);
        for (part, at) in self.parts.iter_mut().zip(place) {
            part[at].add(magnitude);
        }
    }
}
