//! Weighs predictions of a bit against each other.

use mixing::{BitCoder, Corrupt, FINE, Probability, UNIT, squash};

/// One, as a weight or a probability.
pub(crate) const ONE: i32 = 1 << 16;
/// Largest magnitude of a weight, in units of `2^-16`.
const LARGEST_WEIGHT: i64 = 1 << 20;
/// Shift from a weight times log-odds to fine log-odds.
const SHIFT: u32 = (ONE / (FINE / UNIT)).ilog2();
/// Largest magnitude of a sum, far beyond what `squash` tells apart.
const LARGEST_SUM: i64 = 1 << 20;

/// Mixes `N` log-odds linearly; the weights follow the gradient of the coding cost (Mahoney, "Adaptive weighing of context
/// models for lossless data compression", 2005). There are `F` families of weights; each bit selects one set of each,
/// and the mean of their sums counts.
///
/// Not [`mixing::Mixer`], which is made for millions of bits and predictors by the dozen, at a rate that its caller sets for
/// all sets alike. Here a set sees a few thousand bits of a few predictors: its rate falls with the bits that it has seen
/// itself, and several families learn where one set for all that they select by would see too little.
pub(crate) struct FamilyMixer<const N: usize, const F: usize> {
    families: [Vec<Weights<N>>; F],
}

#[derive(Clone, Copy)]
struct Weights<const N: usize> {
    /// In units of `2^-16`.
    values: [i32; N],
    seen: u32,
}

impl<const N: usize, const F: usize> FamilyMixer<N, F> {
    /// Families of so many sets of weights, all of which are `weights` (in units of `2^-16`) at first.
    pub fn new(sets: [usize; F], weights: [i32; N]) -> Self {
        Self { families: sets.map(|count| vec![Weights { values: weights, seen: 0 }; count]) }
    }

    /// Fine log-odds by the `select`-ed set of each family.
    fn sums(&self, select: [usize; F], odds: &[i32; N]) -> [i32; F] {
        std::array::from_fn(|family| self.families[family][select[family]].sum(odds))
    }

    /// The probability that [`code`](Self::code) would code a bit with.
    pub fn probability(&self, select: [usize; F], odds: &[i32; N]) -> Probability {
        probability(&self.sums(select, odds))
    }

    /// Codes one bit whose log-odds are predicted as `odds`, with the `select`-ed sets, and returns it.
    pub fn code(
        &mut self,
        coder: &mut impl BitCoder,
        select: [usize; F],
        odds: &[i32; N],
        bit: bool,
    ) -> Result<bool, Corrupt> {
        let sums = self.sums(select, odds);
        let bit = coder.code(bit, probability(&sums))?;
        for ((family, set), sum) in self.families.iter_mut().zip(select).zip(sums) {
            family[set].learn(odds, sum, bit);
        }
        Ok(bit)
    }
}

/// What the mean of the families' sums comes to.
fn probability(sums: &[i32]) -> Probability {
    Probability::clamped(squash(sums.iter().sum::<i32>() / sums.len() as i32))
}

impl<const N: usize> Weights<N> {
    /// Fine log-odds.
    fn sum(&self, odds: &[i32; N]) -> i32 {
        let sum: i64 = self.values.iter().zip(odds).map(|(&w, &x)| i64::from(w) * i64::from(x)).sum();
        (sum >> SHIFT).clamp(-LARGEST_SUM, LARGEST_SUM) as i32
    }

    fn learn(&mut self, odds: &[i32; N], sum: i32, bit: bool) {
        let error = i64::from(i32::from(bit) * ONE - squash(sum));
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
    use mixing::Counter;

    use super::*;

    #[test]
    fn the_better_prediction_wins() {
        let mut mixer = FamilyMixer::new([1, 2], [ONE / 2; 2]);
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
