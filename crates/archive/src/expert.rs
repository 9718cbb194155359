//! What predicts the bits of a symbol: trees that count, bells that assume a shape.
//!
//! A symbol of `n` bits is coded from its highest bit down, so each bit halves an interval of symbols. An [`Expert`] is
//! asked for the log-odds of the upper half, then told which half it was.

use crate::logistic::{UNIT, distribution, stretch};

/// Predicts the bits of a symbol, the highest first.
pub(crate) trait Expert {
    /// Log-odds that the next bit is set, in units of 1/256.
    fn predict(&mut self) -> i32;

    /// Tells the bit that [`Expert::predict`] was asked for last.
    fn learn(&mut self, bit: bool);
}

/// Probability of a bit from all bits seen in its place: the first moves it half the way, the n-th 1/(n+1) of it
/// (the estimator of Krichevsky and Trofimov), from some point on all by the same share.
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

    /// In units of `2^-32`.
    pub fn probability(self) -> u32 {
        self.p
    }

    /// Moves towards `bit`.
    pub fn learn(&mut self, bit: bool) {
        let target = if bit { i64::from(u32::MAX) } else { 0 };
        let p = i64::from(self.p);
        self.p = (p + (target - p) / (i64::from(self.seen) + 2)) as u32;
        self.seen = (self.seen + 1).min(Self::MEMORY);
    }
}

/// Counts the symbols themselves, whatever shape their histogram has.
pub(crate) struct Tree {
    nodes: Vec<Adaptive>,
    node: usize,
}

impl Tree {
    /// For symbols of `bits` bits.
    pub fn new(bits: u8) -> Self {
        Self { nodes: vec![Adaptive::NEW; 1 << bits], node: 1 }
    }
}

impl Expert for Tree {
    fn predict(&mut self) -> i32 {
        stretch(self.nodes[self.node].probability())
    }

    fn learn(&mut self, bit: bool) {
        self.nodes[self.node].learn(bit);
        self.node = 2 * self.node + usize::from(bit);
        if self.node >= self.nodes.len() {
            self.node = 1;
        }
    }
}

/// Expects one symbol from a logistic distribution.
pub(crate) struct Bell {
    centre: i64,
    scale: i64,
    /// Least symbol of the interval and the distribution function half a symbol below it.
    low: (i64, u64),
    /// The distribution function half a symbol below the middle.
    middle: u64,
    /// The distribution function at the interval's end.
    high: u64,
    /// Symbols in the interval.
    width: i64,
}

impl Bell {
    /// For one symbol of `bits` bits, expected at `centre`, with mean absolute deviation `spread`, both in units of `2^-16`.
    pub fn new(bits: u8, centre: i32, spread: i32) -> Self {
        // The mean absolute deviation is 2 ln 2 scales; an eighth of a symbol more, since no past rules out a change.
        let scale = i64::from(spread) * 45 / 64 + (1 << 13);
        let mut bell = Self { centre: i64::from(centre), scale, low: (0, 0), middle: 0, high: 0, width: 1 << bits };
        bell.low.1 = bell.below(0);
        bell.high = bell.below(bell.width);
        bell
    }

    /// The distribution function half a symbol below `symbol`.
    fn below(&self, symbol: i64) -> u64 {
        let distance = (symbol << 16) - (1 << 15) - self.centre;
        distribution(distance * i64::from(UNIT) / self.scale)
    }
}

impl Expert for Bell {
    fn predict(&mut self) -> i32 {
        self.middle = self.below(self.low.0 + self.width / 2);
        // One unit for each half keeps both possible where the distribution has run out.
        let (upper, all) = (self.high - self.middle + 1, self.high - self.low.1 + 2);
        stretch(((upper << 32) / all).min(u64::from(u32::MAX)) as u32)
    }

    fn learn(&mut self, bit: bool) {
        self.width /= 2;
        if bit {
            self.low = (self.low.0 + self.width, self.middle);
        } else {
            self.high = self.middle;
        }
    }
}

/// Mean of the newest samples: of all of them until there are `window`, then weighted exponentially.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Average {
    /// In units of `2^-16`.
    value: i32,
    seen: i32,
}

impl Average {
    /// Starts at `value`, which counts as one sample.
    pub fn new(value: i32) -> Self {
        Self { value: value << 16, seen: 1 }
    }

    /// The mean, in units of `2^-16`.
    pub fn get(self) -> i32 {
        self.value
    }

    /// Takes in a sample, given in units of `2^-16`.
    pub fn learn(&mut self, sample: i32, window: i32) {
        self.seen = (self.seen + 1).min(window);
        self.value += (sample - self.value) / self.seen;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sum over all symbols of the probability that `expert` gives, by its log-odds.
    fn total(bits: u8, mut expert: impl FnMut() -> Box<dyn Expert>) -> f64 {
        let chance = |symbol: u32| {
            let mut expert = expert();
            let mut p = 1.0;
            for i in (0..bits).rev() {
                let odds = (f64::from(expert.predict()) / 256.0).exp();
                let bit = symbol >> i & 1 == 1;
                p *= if bit { odds / (1.0 + odds) } else { 1.0 / (1.0 + odds) };
                expert.learn(bit);
            }
            p
        };
        (0..1 << bits).map(chance).sum()
    }

    #[test]
    fn a_bell_is_a_distribution_wherever_it_stands() {
        for (centre, spread) in [(128, 20), (0, 1), (255, 300), (40, 0)] {
            let sum = total(8, || Box::new(Bell::new(8, centre << 16, spread << 16)));
            assert!((sum - 1.0).abs() < 1e-9, "{sum}");
        }
    }

    #[test]
    fn a_bell_expects_its_centre_and_a_tree_what_it_saw() {
        let path = |expert: &mut dyn Expert, symbol: u8| {
            for i in (0..8).rev() {
                expert.predict();
                expert.learn(symbol >> i & 1 == 1);
            }
        };
        let likeliest = |expert: &mut dyn Expert| {
            (0..8).fold(0u8, |symbol, _| {
                let bit = expert.predict() > 0;
                expert.learn(bit);
                symbol << 1 | u8::from(bit)
            })
        };
        assert_eq!(likeliest(&mut Bell::new(8, 77 << 16, 1 << 16)), 77);
        let mut tree = Tree::new(8);
        for _ in 0..5 {
            path(&mut tree, 200);
        }
        path(&mut tree, 3);
        assert_eq!(likeliest(&mut tree), 200);
    }

    #[test]
    fn an_adaptive_bit_stays_possible() {
        let mut ones = Adaptive::NEW;
        let mut zeros = Adaptive::NEW;
        for _ in 0..1_000_000 {
            ones.learn(true);
            zeros.learn(false);
        }
        assert!(ones.probability() > u32::MAX - 5000 && zeros.probability() < 5000);
        ones.learn(false);
        assert!(ones.probability() < u32::MAX - 1_000_000);
    }
}
