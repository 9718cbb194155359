//! Weighs predictions of a bit against each other.

use crate::coder::{BitCoder, Corrupt, ONE};
use crate::logistic::squash;

/// Largest magnitude of a weight, in units of `2^-16`.
const LARGEST_WEIGHT: i64 = 1 << 20;

/// Mixes `N` log-odds linearly; the weights follow the gradient of the coding cost (Mahoney, "Adaptive weighing of context
/// models for lossless data compression", 2005). There are two families of weights; each bit selects one set of either,
/// and the mean of both sums counts.
pub(crate) struct Mixer<const N: usize> {
    families: [Vec<Weights<N>>; 2],
}

#[derive(Clone, Copy)]
struct Weights<const N: usize> {
    /// In units of `2^-16`.
    values: [i32; N],
    seen: u32,
}

impl<const N: usize> Mixer<N> {
    /// Families of so many sets of weights, all of which are `weights` (in units of `2^-16`) at first.
    pub fn new(sets: [usize; 2], weights: [i32; N]) -> Self {
        Self { families: sets.map(|count| vec![Weights { values: weights, seen: 0 }; count]) }
    }

    /// Codes one bit whose log-odds are predicted as `odds`, with the `select`-ed sets, and returns it.
    pub fn code(
        &mut self,
        coder: &mut impl BitCoder,
        select: [usize; 2],
        odds: &[i32; N],
        bit: bool,
    ) -> Result<bool, Corrupt> {
        let [first, second] = &mut self.families;
        let sets = [&mut first[select[0]], &mut second[select[1]]];
        let sums = [sets[0].sum(odds), sets[1].sum(odds)];
        let bit = coder.code(bit, squash((sums[0] + sums[1]) >> 1))?;
        for (set, sum) in sets.into_iter().zip(sums) {
            set.learn(odds, sum, bit);
        }
        Ok(bit)
    }
}

impl<const N: usize> Weights<N> {
    fn sum(&self, odds: &[i32; N]) -> i64 {
        self.values.iter().zip(odds).map(|(&w, &x)| i64::from(w) * i64::from(x)).sum::<i64>() >> 16
    }

    fn learn(&mut self, odds: &[i32; N], sum: i64, bit: bool) {
        let error = i64::from(i32::from(bit) * ONE - squash(sum).get());
        let rate = 200 + 200_000 / (100 + i64::from(self.seen));
        for (weight, &x) in self.values.iter_mut().zip(odds) {
            let change = (error * rate * i64::from(x) + (1 << 23)) >> 24;
            *weight = (i64::from(*weight) + change).clamp(-LARGEST_WEIGHT, LARGEST_WEIGHT) as i32;
        }
        self.seen = self.seen.saturating_add(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::coder::Counter;

    #[test]
    fn the_better_prediction_wins() {
        let mut mixer = Mixer::new([1, 2], [ONE / 2; 2]);
        let mut counter = Counter::default();
        let mut random = 1u32;
        for i in 0..10_000 {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let bit = random >> 31 == 1;
            let odds = [if bit { 512 } else { -512 }, if random >> 30 & 1 == 1 { 512 } else { -512 }];
            mixer.code(&mut counter, [0, i % 2], &odds, bit).unwrap();
        }
        assert!(counter.bits < 300.0, "{} bits for 10,000 that one prediction knows", counter.bits);
    }
}
