//! What lies behind the header: every tensor, then the latents, in one range-coded run of bits.
//!
//! [`code`] walks a representation and passes each value through the coder, putting back what the coder returns. A
//! writing or counting coder returns what it got; a reading one fills in what the archive says.

use repr::{MAX_BITS, MIN_BITS, ParameterRole, QuantizedLatents, QuantizedTensor, Representation};

use crate::coder::{BitCoder, Corrupt};
use crate::expert::{Adaptive, Average, Bell, Expert, Tree};
use crate::mixer::{Mixer, code_bit};

/// Codes the whole payload; `after` is called behind each tensor, in order, and behind the latents.
///
/// Architecture and clip of `representation` must be valid. Shapes and values of the parts must fit them, except that the
/// steps of a tensor to be read may have any number.
pub(crate) fn code<C: BitCoder>(
    representation: &mut Representation,
    coder: &mut C,
    mut after: impl FnMut(&C),
) -> Result<(), Corrupt> {
    let roles = representation.architecture.parameters().into_iter().map(|parameter| parameter.role);
    let mut model = TensorModel::new();
    for (tensor, role) in representation.parameters.iter_mut().zip(roles) {
        model.code(coder, tensor, role)?;
        after(coder);
    }
    code_latents(coder, &mut representation.latents)?;
    after(coder);
    Ok(())
}

/// What is learned from one tensor to the next.
struct TensorModel {
    bits: FieldModel,
    per_channel: Adaptive,
    steps: FloatModel,
    weights: Mixer<2>,
    biases: Mixer<2>,
}

impl TensorModel {
    /// Samples over which the magnitude of a tensor's values is averaged.
    const WINDOW: i32 = 16;

    fn new() -> Self {
        Self {
            bits: FieldModel::new(3),
            per_channel: Adaptive::NEW,
            steps: FloatModel::new(),
            weights: Mixer::new(),
            biases: Mixer::new(),
        }
    }

    fn code(
        &mut self,
        coder: &mut impl BitCoder,
        tensor: &mut QuantizedTensor,
        role: ParameterRole,
    ) -> Result<(), Corrupt> {
        let bits = MIN_BITS + self.bits.code(coder, u32::from(tensor.bits - MIN_BITS))? as u8;
        if bits > MAX_BITS {
            return Err(Corrupt);
        }
        tensor.bits = bits;
        let per_channel = code_bit(coder, &mut self.per_channel, tensor.steps.len() > 1)?;
        tensor.steps.resize(if per_channel { tensor.shape.first().copied().unwrap_or(1) } else { 1 }, 0.0);
        for step in &mut tensor.steps {
            *step = self.steps.code(coder, *step)?;
        }

        let mixer = if role == ParameterRole::Bias { &mut self.biases } else { &mut self.weights };
        let half = 1i16 << (bits - 1);
        // Histograms of trained weights are no smooth curves (a rate term in the loss pulls them to some of the integers),
        // and each tensor has its own: it starts with an empty tree. The bell adds how large values are hereabouts, and
        // helps as long as the tree is empty.
        let mut tree = Tree::new(bits);
        let mut magnitude = Average::new(i32::from(half / 4));
        for value in &mut tensor.values {
            let mut bell = Bell::new(bits, i32::from(half) << 16, magnitude.get());
            let experts: &mut [&mut dyn Expert; 2] = &mut [&mut tree, &mut bell];
            let symbol = mixer.code(coder, experts, bits, (*value + half) as u8)?;
            *value = i16::from(symbol) - half;
            magnitude.learn(i32::from(value.unsigned_abs()) << 16, Self::WINDOW);
        }
        Ok(())
    }
}

/// Bits of a latent's integer.
const LATENT_BITS: u8 = 8;
/// Samples over which a dimension's mean is taken.
const MEAN_WINDOW: i32 = 200;
/// Samples over which the error of a guess is averaged.
const ERROR_WINDOW: i32 = 50;

/// Past of one latent dimension. Three guesses, each with its usual error: the value before, the one before that, the
/// mean. Mixed, bells around them do the work of a linear prediction whose coefficients are learned.
#[derive(Clone)]
struct Dimension {
    before: [Option<u8>; 2],
    mean: Average,
    errors: [Average; 3],
}

impl Dimension {
    fn new() -> Self {
        Self { before: [None; 2], mean: Average::new(128), errors: [Average::new(16); 3] }
    }

    /// In units of `2^-16`.
    fn guesses(&self) -> [i32; 3] {
        let mean = self.mean.get();
        let [last, second] = self.before.map(|value| value.map_or(mean, |v| i32::from(v) << 16));
        [last, second, mean]
    }

    fn learn(&mut self, value: u8) {
        let sample = i32::from(value) << 16;
        let guesses = self.guesses();
        for (error, guess) in self.errors.iter_mut().zip(guesses) {
            error.learn((sample - guess).abs(), ERROR_WINDOW);
        }
        self.mean.learn(sample, MEAN_WINDOW);
        self.before = [Some(value), self.before[0]];
    }
}

fn code_latents(coder: &mut impl BitCoder, latents: &mut QuantizedLatents) -> Result<(), Corrupt> {
    for values in [&mut latents.minimum, &mut latents.step] {
        let mut model = FloatModel::new();
        for value in values.iter_mut() {
            *value = model.code(coder, *value)?;
        }
    }
    let dim = latents.dim();
    let mut dimensions = vec![Dimension::new(); dim];
    let mut mixer = Mixer::new();
    for row in latents.values.chunks_mut(dim) {
        for (value, dimension) in row.iter_mut().zip(&mut dimensions) {
            let (guesses, errors) = (dimension.guesses(), dimension.errors);
            let [mut last, mut second, mut mean] =
                [0, 1, 2].map(|i| Bell::new(LATENT_BITS, guesses[i], errors[i].get()));
            *value = mixer.code(coder, &mut [&mut last, &mut second, &mut mean], LATENT_BITS, *value)?;
            dimension.learn(*value);
        }
    }
    Ok(())
}

/// A small unsigned number, by counting.
struct FieldModel {
    bits: u8,
    nodes: Vec<Adaptive>,
}

impl FieldModel {
    /// For numbers of `bits` bits.
    fn new(bits: u8) -> Self {
        Self { bits, nodes: vec![Adaptive::NEW; 1 << bits] }
    }

    fn code(&mut self, coder: &mut impl BitCoder, value: u32) -> Result<u32, Corrupt> {
        let mut node = 1;
        for shift in (0..self.bits).rev() {
            let bit = code_bit(coder, &mut self.nodes[node], value >> shift & 1 == 1)?;
            node = 2 * node + usize::from(bit);
        }
        Ok(node as u32 - (1 << self.bits))
    }
}

/// An f32, bit by bit: sign, exponent, then each bit of the fraction by its position. Exponents that resemble each other
/// and fractions that end in zeros (numbers that came from 16 bits) cost little.
struct FloatModel {
    sign: Adaptive,
    exponent: FieldModel,
    fraction: [Adaptive; 23],
}

impl FloatModel {
    fn new() -> Self {
        Self { sign: Adaptive::NEW, exponent: FieldModel::new(8), fraction: [Adaptive::NEW; 23] }
    }

    fn code(&mut self, coder: &mut impl BitCoder, value: f32) -> Result<f32, Corrupt> {
        let value = value.to_bits();
        let sign = u32::from(code_bit(coder, &mut self.sign, value >> 31 == 1)?);
        let exponent = self.exponent.code(coder, value >> 23 & 0xff)?;
        let mut coded = sign << 8 | exponent;
        for (shift, model) in (0..23).rev().zip(&mut self.fraction) {
            coded = coded << 1 | u32::from(code_bit(coder, model, value >> shift & 1 == 1)?);
        }
        Ok(f32::from_bits(coded))
    }
}
