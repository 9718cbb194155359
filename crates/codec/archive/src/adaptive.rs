//! Bits that are predicted by their own past alone, and the small numbers made of them.

use mixing::{BitCoder, Corrupt, Probability};

use crate::math::log_odds;

/// Probability of a bit from all bits seen in its place (the estimator of Krichevsky and Trofimov), from some point on
/// with the past fading.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Adaptive {
    /// In units of `2^-32`.
    p: u32,
    /// Bits seen, up to [`Adaptive::MEMORY`].
    seen: u16,
}

impl Adaptive {
    /// Bits beyond which the past fades.
    const MEMORY: u16 = 4094;

    /// Nothing seen: even odds.
    pub const NEW: Self = Self { p: 1 << 31, seen: 0 };

    /// Log-odds that the next bit is set, in units of 1/[`UNIT`](mixing::UNIT).
    pub fn odds(self) -> i32 {
        log_odds(self.p.into(), (1 << 32) - u64::from(self.p))
    }

    /// Moves towards `bit`.
    pub fn learn(&mut self, bit: bool) {
        let target = if bit { i64::from(u32::MAX) } else { 0 };
        let p = i64::from(self.p);
        self.p = (p + 2 * (target - p) / (2 * i64::from(self.seen) + 3)) as u32;
        self.seen = (self.seen + 1).min(Self::MEMORY);
    }

    /// Codes a bit and learns it.
    pub fn code(&mut self, coder: &mut impl BitCoder, bit: bool) -> Result<bool, Corrupt> {
        let bit = coder.code(bit, Probability::clamped((self.p >> 16) as i32))?;
        self.learn(bit);
        Ok(bit)
    }
}

/// A small unsigned number, by counting.
pub(crate) struct Field {
    bits: u8,
    nodes: Vec<Adaptive>,
}

impl Field {
    /// For numbers of `bits` bits.
    pub fn new(bits: u8) -> Self {
        Self { bits, nodes: vec![Adaptive::NEW; 1 << bits] }
    }

    /// Codes a number, its highest bit first.
    pub fn code(&mut self, coder: &mut impl BitCoder, value: u32) -> Result<u32, Corrupt> {
        let mut node = 1;
        for shift in (0..self.bits).rev() {
            let bit = self.nodes[node].code(coder, value >> shift & 1 == 1)?;
            node = 2 * node + usize::from(bit);
        }
        Ok(node as u32 - (1 << self.bits))
    }
}

/// An f32, bit by bit: sign, exponent, then each bit of the fraction by its position. Exponents that resemble each other
/// and fractions that end in zeros (numbers that came from 16 bits) cost little.
pub(crate) struct Float {
    sign: Adaptive,
    exponent: Field,
    fraction: [Adaptive; 23],
}

impl Float {
    pub fn new() -> Self {
        Self { sign: Adaptive::NEW, exponent: Field::new(8), fraction: [Adaptive::NEW; 23] }
    }

    /// Codes a number, any pattern of bits.
    pub fn code(&mut self, coder: &mut impl BitCoder, value: f32) -> Result<f32, Corrupt> {
        let value = value.to_bits();
        let sign = u32::from(self.sign.code(coder, value >> 31 == 1)?);
        let exponent = self.exponent.code(coder, value >> 23 & 0xff)?;
        let mut coded = sign << 8 | exponent;
        for (shift, model) in (0..23).rev().zip(&mut self.fraction) {
            coded = coded << 1 | u32::from(model.code(coder, value >> shift & 1 == 1)?);
        }
        Ok(f32::from_bits(coded))
    }
}

#[cfg(test)]
mod tests {
    use mixing::Counter;

    use super::*;

    #[test]
    fn an_adaptive_bit_stays_possible() {
        let mut ones = Adaptive::NEW;
        let mut zeros = Adaptive::NEW;
        for _ in 0..1_000_000 {
            ones.learn(true);
            zeros.learn(false);
        }
        assert!(ones.p > u32::MAX - 5000 && zeros.p < 5000 && zeros.p > 0);
        assert_eq!(ones.odds(), -zeros.odds());
        ones.learn(false);
        assert!(ones.p < u32::MAX - 1_000_000);
    }

    #[test]
    fn what_repeats_costs_little() {
        let mut counter = Counter::default();
        let (mut field, mut float) = (Field::new(5), Float::new());
        for _ in 0..100 {
            field.code(&mut counter, 21).unwrap();
            float.code(&mut counter, 0.5).unwrap();
        }
        // 37 bits of a kind, each 1 + log2(pi * 100) / 2 at most.
        assert!(counter.bits < 37.0 * 5.2, "{}", counter.bits);
    }
}
