//! The seam between models and coding: one model, run with a coder that writes, reads or counts.

use std::num::NonZeroU16;

use constriction::backends::ReadWords;
use constriction::stream::model::{DecoderModel, EncoderModel, EntropyModel};
use constriction::stream::queue::{RangeDecoder, RangeEncoder};
use constriction::stream::{Decode, Encode};
use constriction::{Queue, UnwrapInfallible};

/// Bits of a probability.
pub(crate) const PRECISION: usize = 16;
/// One, as a probability.
pub(crate) const ONE: i32 = 1 << PRECISION;

/// The probability that a bit is set, in units of `2^-16`; neither value of a bit is ever impossible.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Probability(NonZeroU16);

impl Probability {
    /// The nearest probability that is neither 0 nor 1.
    pub fn clamped(p: i32) -> Self {
        Self(NonZeroU16::new(p.clamp(1, ONE - 1) as u16).unwrap_or(NonZeroU16::MIN))
    }

    /// In units of `2^-16`.
    pub fn get(self) -> i32 {
        i32::from(self.0.get())
    }

    /// The probability that the bit is not set.
    fn complement(self) -> NonZeroU16 {
        NonZeroU16::new(self.0.get().wrapping_neg()).unwrap_or(NonZeroU16::MIN)
    }
}

impl EntropyModel<PRECISION> for Probability {
    type Symbol = bool;
    type Probability = u16;
}

impl EncoderModel<PRECISION> for Probability {
    fn left_cumulative_and_probability(&self, bit: impl std::borrow::Borrow<bool>) -> Option<(u16, NonZeroU16)> {
        Some(if *bit.borrow() { (0, self.0) } else { (self.0.get(), self.complement()) })
    }
}

impl DecoderModel<PRECISION> for Probability {
    fn quantile_function(&self, quantile: u16) -> (bool, u16, NonZeroU16) {
        if quantile < self.0.get() { (true, 0, self.0) } else { (false, self.0.get(), self.complement()) }
    }
}

/// The payload holds what no encoder writes.
#[derive(Debug)]
pub(crate) struct Corrupt;

/// What a model is run with. The same model code writes, reads and counts, so a cost can never drift from the bytes.
pub(crate) trait BitCoder {
    /// Codes one bit whose probability of being set is `p` and returns it. A reading coder ignores `bit`.
    fn code(&mut self, bit: bool, p: Probability) -> Result<bool, Corrupt>;
}

/// 64 bits of state leave the probabilities 32 bits below the range: nothing is lost to rounding.
type Writer = RangeEncoder<u16, u64>;

/// Writes.
#[derive(Default)]
pub(crate) struct Encoder(Writer);

impl Encoder {
    /// The payload: 16-bit words, the high byte first.
    pub fn finish(self) -> Vec<u8> {
        let words = self.0.into_compressed().unwrap_infallible();
        words.into_iter().flat_map(u16::to_be_bytes).collect()
    }
}

impl BitCoder for Encoder {
    fn code(&mut self, bit: bool, p: Probability) -> Result<bool, Corrupt> {
        self.0.encode_symbol(bit, p).map_err(|_| Corrupt)?;
        Ok(bit)
    }
}

/// Words that the decoder's state holds beyond what its encoder had to write.
const LOOKAHEAD: usize = 4;

/// The payload's words, then a few absent ones (the coder takes them for zeros), then an error: whoever needs more reads
/// a payload that no encoder wrote, and must not go on for as long as its header says.
struct Words<'a> {
    bytes: std::slice::ChunksExact<'a, u8>,
    absent: usize,
}

impl ReadWords<u16, Queue> for Words<'_> {
    type ReadError = Corrupt;

    fn read(&mut self) -> Result<Option<u16>, Corrupt> {
        match self.bytes.next() {
            Some(&[high, low]) => Ok(Some(u16::from_be_bytes([high, low]))),
            _ if self.absent == LOOKAHEAD => Err(Corrupt),
            _ => {
                self.absent += 1;
                Ok(None)
            }
        }
    }

    fn maybe_exhausted(&self) -> bool {
        self.bytes.len() == 0
    }
}

/// Reads.
pub(crate) struct Decoder<'a>(RangeDecoder<u16, u64, Words<'a>>);

impl<'a> Decoder<'a> {
    /// Starts at the payload's first byte.
    pub fn new(payload: &'a [u8]) -> Result<Self, Corrupt> {
        let bytes = payload.chunks_exact(2);
        if !bytes.remainder().is_empty() {
            return Err(Corrupt);
        }
        Ok(Self(RangeDecoder::with_backend(Words { bytes, absent: 0 })?))
    }

    /// Checks that nothing of the payload is left.
    pub fn finish(self) -> Result<(), Corrupt> {
        if self.0.maybe_exhausted() { Ok(()) } else { Err(Corrupt) }
    }
}

impl BitCoder for Decoder<'_> {
    fn code(&mut self, _: bool, p: Probability) -> Result<bool, Corrupt> {
        self.0.decode_symbol(p).map_err(|_| Corrupt)
    }
}

/// Counts.
#[derive(Default)]
pub(crate) struct Counter {
    /// Information content so far, in bits.
    pub bits: f64,
}

impl BitCoder for Counter {
    fn code(&mut self, bit: bool, p: Probability) -> Result<bool, Corrupt> {
        let chance = if bit { p.get() } else { ONE - p.get() };
        self.bits -= (f64::from(chance) / f64::from(ONE)).log2();
        Ok(bit)
    }
}
