//! Weighs experts against each other.

use crate::coder::{BitCoder, Corrupt, ONE, Probability};
use crate::expert::{Adaptive, Expert};
use crate::logistic::{LARGEST, squash};

/// Largest magnitude of a weight, in units of `2^-16`.
const LARGEST_WEIGHT: i32 = 1 << 20;

/// Mixes the log-odds of `N` experts linearly; the weights follow the gradient of the coding cost (Mahoney, "Adaptive
/// weighing of context models for lossless data compression", 2005). Every bit position of a symbol has its own weights.
pub(crate) struct Mixer<const N: usize> {
    weights: [[i32; N]; 8],
}

impl<const N: usize> Mixer<N> {
    /// All experts weigh the same, one in sum.
    pub fn new() -> Self {
        Self { weights: [[ONE / N as i32; N]; 8] }
    }

    /// Codes a symbol of `bits` bits (at most 8), highest first, and returns it.
    pub fn code(
        &mut self,
        coder: &mut impl BitCoder,
        experts: &mut [&mut dyn Expert; N],
        bits: u8,
        symbol: u8,
    ) -> Result<u8, Corrupt> {
        let mut coded = 0;
        for (shift, weights) in (0..bits).rev().zip(&mut self.weights) {
            let odds = experts.each_mut().map(|expert| expert.predict());
            let p = mix(weights, &odds);
            let bit = coder.code(symbol >> shift & 1 == 1, p)?;
            learn(weights, &odds, p, bit);
            for expert in experts.iter_mut() {
                expert.learn(bit);
            }
            coded = coded << 1 | u8::from(bit);
        }
        Ok(coded)
    }
}

fn mix<const N: usize>(weights: &[i32; N], odds: &[i32; N]) -> Probability {
    let sum: i64 = weights.iter().zip(odds).map(|(&w, &x)| i64::from(w) * i64::from(x)).sum();
    squash((sum >> 16).clamp(-i64::from(LARGEST), i64::from(LARGEST)) as i32)
}

fn learn<const N: usize>(weights: &mut [i32; N], odds: &[i32; N], p: Probability, bit: bool) {
    let error = i32::from(bit) * ONE - p.get();
    for (weight, x) in weights.iter_mut().zip(odds) {
        *weight = (*weight + ((error * x + (1 << 15)) >> 16)).clamp(-LARGEST_WEIGHT, LARGEST_WEIGHT);
    }
}

/// Codes one bit by its own past alone.
pub(crate) fn code_bit(coder: &mut impl BitCoder, model: &mut Adaptive, bit: bool) -> Result<bool, Corrupt> {
    let bit = coder.code(bit, Probability::clamped((model.probability() >> 16) as i32))?;
    model.learn(bit);
    Ok(bit)
}
