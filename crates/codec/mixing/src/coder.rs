//! The seam between models and coding.

use std::num::NonZeroU16;

use constriction::backends::ReadWords;
use constriction::stream::model::{DecoderModel, EncoderModel, EntropyModel};
use constriction::stream::queue::{RangeDecoder, RangeEncoder};
use constriction::stream::{Decode, Encode};
use constriction::{Queue, UnwrapInfallible};

/// Bits of a probability.
const PRECISION: usize = 16;

/// The probability that a bit is set, in units of `2^-16`; neither value of a bit is ever impossible.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Probability(NonZeroU16);

impl Probability {
    /// The nearest probability that is neither 0 nor 1.
    #[inline]
    pub fn clamped(p: i32) -> Self {
        Self(NonZeroU16::new(p.clamp(1, (1 << PRECISION) - 1) as u16).unwrap_or(NonZeroU16::MIN))
    }

    /// In units of `2^-16`.
    #[inline]
    pub fn get(self) -> i32 {
        i32::from(self.0.get())
    }

    /// Information content of a bit that has this probability of being set.
    #[inline]
    pub fn bits(self, bit: bool) -> f64 {
        let one = 1 << PRECISION;
        let chance = if bit { self.get() } else { one - self.get() };
        -(f64::from(chance) / f64::from(one)).log2()
    }

    /// The probability that the bit is not set.
    #[inline]
    fn complement(self) -> NonZeroU16 {
        NonZeroU16::new(self.0.get().wrapping_neg()).unwrap_or(NonZeroU16::MIN)
    }
}

impl EntropyModel<PRECISION> for Probability {
    type Symbol = bool;
    type Probability = u16;
}

impl EncoderModel<PRECISION> for Probability {
    #[inline]
    fn left_cumulative_and_probability(&self, bit: impl std::borrow::Borrow<bool>) -> Option<(u16, NonZeroU16)> {
        Some(if *bit.borrow() { (0, self.0) } else { (self.0.get(), self.complement()) })
    }
}

impl DecoderModel<PRECISION> for Probability {
    #[inline]
    fn quantile_function(&self, quantile: u16) -> (bool, u16, NonZeroU16) {
        if quantile < self.0.get() { (true, 0, self.0) } else { (false, self.0.get(), self.complement()) }
    }
}

/// The payload holds what no encoder writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Corrupt;

/// What a model is run with.
pub trait BitCoder {
    /// Codes one bit whose probability of being set is `p` and returns it. A reading coder ignores `bit`.
    fn code(&mut self, bit: bool, p: Probability) -> Result<bool, Corrupt>;

    /// Codes the lowest `count` bits of `value` (at most 32), highest first, at even odds, and returns them.
    fn code_flat(&mut self, value: u32, count: u32) -> Result<u32, Corrupt> {
        (0..count.min(u32::BITS)).rev().try_fold(0, |coded, shift| {
            let bit = self.code(value >> shift & 1 == 1, Probability::clamped(1 << (PRECISION - 1)))?;
            Ok(coded << 1 | u32::from(bit))
        })
    }
}

/// 64 bits of state leave the probabilities 32 bits below the range: nothing is lost to rounding.
type Writer = RangeEncoder<u16, u64>;

/// Writes.
#[derive(Default)]
pub struct Encoder(Writer);

impl Encoder {
    /// The payload: 16-bit words, the high byte first.
    pub fn finish(self) -> Vec<u8> {
        let words = self.0.into_compressed().unwrap_infallible();
        words.into_iter().flat_map(u16::to_be_bytes).collect()
    }
}

impl BitCoder for Encoder {
    #[inline]
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

    #[inline]
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
pub struct Decoder<'a>(RangeDecoder<u16, u64, Words<'a>>);

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
    #[inline]
    fn code(&mut self, _: bool, p: Probability) -> Result<bool, Corrupt> {
        self.0.decode_symbol(p).map_err(|_| Corrupt)
    }
}

/// Counts.
#[derive(Default)]
pub struct Counter {
    /// Information content so far, in bits.
    pub bits: f64,
}

impl BitCoder for Counter {
    #[inline]
    fn code(&mut self, bit: bool, p: Probability) -> Result<bool, Corrupt> {
        self.bits += p.bits(bit);
        Ok(bit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn bits_come_back_at_the_cost_that_was_counted(bits in prop::collection::vec((any::<bool>(), 0..=65536), 0..2000)) {
            let (mut encoder, mut counter) = (Encoder::default(), Counter::default());
            for &(bit, p) in &bits {
                prop_assert_eq!(encoder.code(bit, Probability::clamped(p)), Ok(bit));
                prop_assert_eq!(counter.code(bit, Probability::clamped(p)), Ok(bit));
            }
            let payload = encoder.finish();
            prop_assert!(payload.len() as f64 * 8.0 < counter.bits * 1.0001 + 64.0);
            let mut decoder = Decoder::new(&payload).unwrap();
            for &(bit, p) in &bits {
                prop_assert_eq!(decoder.code(false, Probability::clamped(p)), Ok(bit));
            }
            prop_assert_eq!(decoder.finish(), Ok(()));
        }

        #[test]
        fn flat_bits_come_back(value: u32, count in 0u32..=32) {
            let kept = value & u32::MAX.checked_shr(32 - count).unwrap_or(0);
            let mut encoder = Encoder::default();
            prop_assert_eq!(encoder.code_flat(value, count), Ok(kept));
            prop_assert_eq!(Decoder::new(&encoder.finish()).unwrap().code_flat(0, count), Ok(kept));
        }
    }

    #[test]
    fn a_decoder_that_runs_past_its_payload_stops() {
        let mut decoder = Decoder::new(&[]).unwrap();
        let even = Probability::clamped(1 << 15);
        assert!((0..200).any(|_| decoder.code(false, even).is_err()));
        assert!(Decoder::new(&[0; 3]).is_err());
        let mut fresh = Decoder::new(&[1; 40]).unwrap();
        assert!(fresh.code(false, even).is_ok());
        assert_eq!(fresh.finish(), Err(Corrupt));
    }
}
