//! Weighs predictors against each other.

use crate::coder::Probability;
use crate::logistic::{FINE, UNIT, squash};

/// One, as a weight.
const ONE: i32 = 1 << 28;
/// Largest magnitude of a weight, just below what its upper half can hold.
const LARGEST: i32 = 7 * ONE;
/// Shift from a weight's upper half (times log-odds) to fine log-odds.
const SHIFT: u32 = (ONE >> 16).ilog2() - (FINE / UNIT).ilog2();
/// Shift from an error times a rate to what log-odds are multiplied with.
const RATE_SHIFT: u32 = 10;

/// Mixes the log-odds of `N` predictors linearly, with one of several sets of weights; the set that was used follows
/// the gradient of the coding cost.
///
/// `N` should be a multiple of 16, for the vector units' sake; inputs that are always 0 cost no bits.
pub struct Mixer<const N: usize> {
    sets: Vec<[i32; N]>,
    chosen: usize,
    p: i32,
}

impl<const N: usize> Mixer<N> {
    /// `sets` sets of weights, all of them `percent` / 100.
    pub fn new(sets: usize, percent: i32) -> Self {
        Self { sets: vec![[ONE / 100 * percent; N]; sets.max(1)], chosen: 0, p: 0 }
    }

    /// Fine log-odds of the bit by the weights of `set`, from those of the predictors (units of 1/[`UNIT`]).
    #[inline(always)]
    pub fn mix(&mut self, inputs: &[i16; N], set: usize) -> i32 {
        self.chosen = set;
        let sum = self.sets[set]
            .iter()
            .zip(inputs)
            .fold(0i32, |sum, (&weight, &input)| sum.wrapping_add(i32::from((weight >> 16) as i16) * i32::from(input)));
        let odds = sum >> SHIFT;
        self.p = squash(odds);
        odds
    }

    /// The probability that [`mix`](Self::mix) came to.
    #[inline(always)]
    pub fn probability(&self) -> Probability {
        Probability::clamped(self.p)
    }

    /// Tells the bit that [`mix`](Self::mix) was asked for last, with the same inputs. A `rate` of 1 moves a weight by
    /// `2^-8` of error times log-odds, and so on in proportion.
    #[inline(always)]
    pub fn learn(&mut self, inputs: &[i16; N], bit: bool, rate: i32) {
        let error = (((i32::from(bit) << 16) - self.p) * rate) >> RATE_SHIFT;
        let error = i32::from(error.clamp(-i32::from(i16::MAX), i32::from(i16::MAX)) as i16);
        for (weight, &input) in self.sets[self.chosen].iter_mut().zip(inputs) {
            *weight = (*weight + i32::from(input) * error).clamp(-LARGEST, LARGEST);
        }
    }

    /// All weights, one set after the other; 2^28 is one.
    pub fn weights_mut(&mut self) -> impl Iterator<Item = &mut i32> {
        self.sets.as_flattened_mut().iter_mut()
    }
}
