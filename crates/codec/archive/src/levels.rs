//! How likely each level of a quantized value is: a bell, corrected by what has been seen.
//!
//! A bell around a predicted centre, as wide as the values hereabouts, carries what the context knows. It cannot know that
//! histograms of trained integers are combs (a rate term in the loss pulls them to some of the levels) or that they have
//! heavier tails than it has. So every level has a factor beside it: how often it was met, over how often the bells expected
//! it. The product of both is the prediction, over the whole histogram and in every context at once.

use mixing::{BitCoder, Corrupt};

use crate::family_mixer::FamilyMixer;
use crate::math::{bell, log_odds};
use crate::value::{REACH, Window};

/// Predictions that are mixed: the bell as it is, then corrected with little and with much trust in it.
const PREDICTIONS: usize = 3;
/// By how much more often than the bells expected a corrected prediction takes a level to have been met, and expected,
/// in units of `2^-24`.
const TRUST: [u64; 2] = [1 << 21, 8 << 24];
/// Largest factor, in units of `2^-24`.
const LARGEST_FACTOR: u64 = 1 << 38;
/// Factors are brought up to date in turn, one in so many with each symbol.
const STRIDE: usize = 16;

/// Highest bits of a symbol whose values select weights of their own.
const NAMED_BITS: u32 = 5;
/// How often an interval was met, in powers of two, beyond which it makes no difference to the mixer.
const FAMILIAR: usize = 10;
/// Distance between a bell's centre and the middle of an interval, in fourths of the bell's spread, beyond which it makes
/// no difference to the mixer.
const DISTANT: i64 = 40;
/// Sets of weights in the families of a [`LevelMixer`].
const SETS: [usize; 3] = [(1 << NAMED_BITS) + 8, (FAMILIAR + 1) * 8, (DISTANT as usize + 1) * 8];

/// What [`Levels::code`] mixes its predictions with: sets of weights for the interval itself, for how often it was met and
/// for how far off it lies.
pub(crate) type LevelMixer = FamilyMixer<PREDICTIONS, { SETS.len() }>;

/// Where a symbol is expected.
#[derive(Clone, Copy)]
pub(crate) struct Bell {
    /// Centre, in units of `2^-16` of a level.
    pub centre: i64,
    /// Mean absolute deviation, in units of `2^-16` of a level.
    pub spread: i64,
}

/// A mixer for [`Levels::code`] that starts with the given weights, in units of `2^-16`.
pub(crate) fn mixer(weights: [i32; PREDICTIONS]) -> LevelMixer {
    FamilyMixer::new(SETS, weights)
}

/// Symbols of some bits, met and expected.
#[derive(Clone)]
pub(crate) struct Levels {
    bits: u8,
    /// How often each level was met, behind the numbers of the intervals that are its halves, fourths...: the interval
    /// of all is number 1, the halves of interval `i` are `2i` and `2i + 1`.
    met: Vec<u64>,
    /// How often the bells expected it, in units of `2^-24`.
    expected: Vec<u64>,
    /// The quotients, for each of [`TRUST`], in units of `2^-24`.
    factors: [Vec<u64>; 2],
    /// Whose turn it is among the [`STRIDE`].
    turn: usize,
}

impl Levels {
    /// For symbols of `bits` bits, 1 to 8.
    pub fn new(bits: u8) -> Self {
        let levels = 1 << bits;
        let factors = [vec![1 << 24; levels], vec![1 << 24; levels]];
        Self { bits, met: vec![0; 2 * levels], expected: vec![0; levels], factors, turn: 0 }
    }

    /// Codes a symbol, its highest bit first, and returns it.
    pub fn code(
        &mut self,
        coder: &mut impl BitCoder,
        mixer: &mut LevelMixer,
        bell: Bell,
        symbol: u8,
    ) -> Result<u8, Corrupt> {
        let density = self.density(bell);
        let sums = self.sums(&density);
        let low = self.descend(&sums, bell, symbol, |select, odds, bit| mixer.code(coder, select, odds, bit))?;
        self.learn(&density, low);
        Ok(low as u8)
    }

    /// Bits that each symbol within [`REACH`] of `symbol` would take; infinite where there is none.
    pub fn window(&self, mixer: &LevelMixer, bell: Bell, symbol: u8) -> Window {
        let sums = self.sums(&self.density(bell));
        std::array::from_fn(|i| {
            let other = usize::from(symbol) + i;
            let Some(other) = other.checked_sub(REACH).filter(|&other| other < 1 << self.bits) else {
                return f32::INFINITY;
            };
            let mut bits = 0.0;
            let coded = self.descend(&sums, bell, other as u8, |select, odds, bit| {
                bits += mixer.probability(select, odds).bits(bit);
                Ok(bit)
            });
            if coded.is_ok() { bits as f32 } else { f32::INFINITY }
        })
    }

    /// Goes from the interval of all to that of one symbol. `code` gets the sets of weights, the predictions and the bit, and
    /// says which bit it is.
    fn descend(
        &self,
        sums: &[[u64; 257]; PREDICTIONS],
        bell: Bell,
        symbol: u8,
        mut code: impl FnMut([usize; SETS.len()], &[i32; PREDICTIONS], bool) -> Result<bool, Corrupt>,
    ) -> Result<usize, Corrupt> {
        let (mut low, mut width, mut node) = (0, 1 << self.bits, 1usize);
        for depth in 0..usize::from(self.bits) {
            width /= 2;
            let odds = sums.each_ref().map(|sum| {
                let [start, middle, end] = [low, low + width, low + 2 * width].map(|level| sum[level]);
                log_odds(end - middle, middle - start)
            });
            let named = if node < 1 << NAMED_BITS { node } else { (1 << NAMED_BITS) + depth };
            let familiar = (self.met[node] + 1).ilog2().min(FAMILIAR as u32) as usize;
            let offset = ((low + width) as i64) << 16;
            let distance = ((offset - bell.centre).abs() * 4 / (bell.spread + 1)).min(DISTANT) as usize;
            let bit = usize::from(symbol) >> (usize::from(self.bits) - 1 - depth) & 1 == 1;
            let bit = code([named, familiar * 8 + depth, distance * 8 + depth], &odds, bit)?;
            node = 2 * node + usize::from(bit);
            low += usize::from(bit) * width;
        }
        Ok(low)
    }

    /// The bell's height at each level; 65536 at its top, nowhere 0.
    fn density(&self, bell_: Bell) -> [u32; 256] {
        let levels = 1i64 << self.bits;
        let centre = (bell_.centre >> 8).clamp(0, (levels - 1) << 8);
        // The standard deviation in 1/256 of a level: sqrt(pi / 2) of the mean absolute one, and a tenth of a level, since
        // no past rules out a change.
        let deviation = ((bell_.spread * 321) >> 16).clamp(0, 1 << 16) + 26;
        let scale = (1 << 38) / (deviation * deviation);
        let mut density = [0; 256];
        for (level, height) in (0..levels).zip(&mut density) {
            let distance = (level << 8) - centre;
            *height = bell(((distance * distance * scale) >> 32) as u64);
        }
        density
    }

    /// For each prediction the weights of all levels below each level.
    fn sums(&self, density: &[u32; 256]) -> [[u64; 257]; PREDICTIONS] {
        let mut sums = [[0; 257]; PREDICTIONS];
        let mut running = [0; PREDICTIONS];
        let factors = self.factors[0].iter().zip(&self.factors[1]);
        for (level, (&height, (&first, &second))) in density.iter().zip(factors).enumerate() {
            for (i, factor) in [1 << 24, first, second].into_iter().enumerate() {
                running[i] += u64::from(height) * factor;
                sums[i][level + 1] = running[i];
            }
        }
        sums
    }

    fn learn(&mut self, density: &[u32; 256], symbol: usize) {
        let levels = self.expected.len();
        let height: u64 = density[..levels].iter().map(|&height| u64::from(height)).sum();
        let scale = (1 << 32) / height.max(1);
        for (expected, &height) in self.expected.iter_mut().zip(density) {
            *expected += (u64::from(height) * scale) >> 8;
        }
        for shift in 0..=self.bits {
            self.met[(levels + symbol) >> shift] += 1;
        }
        self.correct(symbol);
        for level in (self.turn..levels).step_by(STRIDE) {
            self.correct(level);
        }
        self.turn = (self.turn + 1) % STRIDE;
    }

    fn correct(&mut self, level: usize) {
        let met = self.met[self.expected.len() + level] << 24;
        for (factors, trust) in self.factors.iter_mut().zip(TRUST) {
            let factor = (u128::from(met + trust) << 24) / u128::from(self.expected[level] + trust);
            factors[level] = factor.clamp(1, LARGEST_FACTOR.into()) as u64;
        }
    }
}

#[cfg(test)]
mod tests {
    use mixing::Counter;

    use super::*;

    fn bits(levels: &mut Levels, mixer: &mut LevelMixer, bell: Bell, symbol: u8) -> f64 {
        let mut counter = Counter::default();
        assert_eq!(levels.code(&mut counter, mixer, bell, symbol).unwrap(), symbol);
        counter.bits
    }

    #[test]
    fn predictions_are_distributions_that_peak_at_the_centre() {
        for (size, centre, spread) in [(8, 77, 10), (8, 255, 300), (8, 0, 0), (4, 9, 1), (2, 1, 0)] {
            let bell = Bell { centre: centre << 16, spread: spread << 16 };
            let costs: Vec<f64> = (0..=(255u8 >> (8 - size)))
                .map(|symbol| bits(&mut Levels::new(size), &mut mixer([65536, 0, 0]), bell, symbol))
                .collect();
            let sum: f64 = costs.iter().map(|bits| (-bits).exp2()).sum();
            assert!((sum - 1.0).abs() < 1e-9, "{sum}");
            assert!(costs.iter().all(|&bits| bits >= costs[centre as usize]));
        }
    }

    #[test]
    fn a_comb_is_learned_wherever_the_bell_stands() {
        let (mut levels, mut mixer) = (Levels::new(8), mixer([0, 32768, 32768]));
        let (mut cost, mut random) = (0.0, 1u32);
        for i in 0..6000 {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            // A fourth of the levels, sixteen of them around a centre that wanders.
            let centre = 64 + i / 50;
            let symbol = (centre - 32 + (random >> 26) as i64) / 4 * 4;
            let bell = Bell { centre: centre << 16, spread: 16 << 16 };
            cost = 0.99 * cost + 0.01 * bits(&mut levels, &mut mixer, bell, symbol as u8);
        }
        assert!(cost < 4.7, "{cost} bits for one of sixteen levels");
    }

    #[test]
    fn what_never_changes_costs_ever_less() {
        let (mut levels, mut mixer) = (Levels::new(8), mixer([21845; 3]));
        let bell = Bell { centre: 128 << 16, spread: 40 << 16 };
        let costs: Vec<f64> = (0..3000).map(|_| bits(&mut levels, &mut mixer, bell, 3)).collect();
        // An eighth of a symbol for each of 256 levels that might still come: 32 / n of a symbol, 32 log2(n) bits in all.
        assert!(costs[2999] < 0.03 && costs.iter().sum::<f64>() < 500.0, "{}", costs.iter().sum::<f64>());
    }
}
