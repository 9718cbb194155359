//! The seam between the model and whoever listens to it: a coder of bits that also hears where a value begins.

use mixing::{BitCoder, Counter, Decoder, Encoder};

/// Levels on either side of a value that are asked about.
pub(crate) const REACH: usize = 4;

/// Bits of the levels around a value, infinite where there is none.
pub(crate) type Window = [f32; 2 * REACH + 1];

/// A coder of values that are made of bits.
pub(crate) trait ValueCoder: BitCoder {
    /// Hears that the bits of value `index` of the tensor, or of the latents, come next, and what the levels around it would
    /// cost. Most coders do not ask, and then nothing is computed.
    fn value(&mut self, _index: usize, _costs: impl FnOnce() -> Window) {}
}

impl ValueCoder for Encoder {}
impl ValueCoder for Decoder<'_> {}
impl ValueCoder for Counter {}
