//! Linear prediction that both sides learn alike: least squares in integers.

/// Bits behind the point of a weight.
pub(crate) const WEIGHT_BITS: u32 = 14;
/// Largest magnitude of a weight: 4.
const LARGEST_WEIGHT: i64 = 4 << WEIGHT_BITS;
/// Largest magnitude of a value: half a range of 8 bits above and below it, in sixteenths.
const LARGEST_VALUE: i64 = 1 << 12;
/// Sums of squares beyond which the past is halved.
const LARGEST_SUM: i64 = 1 << 38;

/// Predicts each entry of a vector from the entries before it, by ridge regression over all vectors seen.
///
/// All rows share one Gram matrix: the regression of entry `j` needs its leading `j` rows and columns and, as its right-hand
/// side, row `j`. A sweep of Gauss-Seidel over a row of weights, started from its last values, takes the place of solving
/// it; the matrix changes so little from one vector to the next that it stays solved. Sums are exact, nothing can blow up.
#[derive(Clone)]
pub(crate) struct Regression {
    /// What is added to the sum of squares of an entry when others are predicted from it.
    ridge: Vec<i64>,
    /// Sums of products, symmetric, row-major.
    gram: Vec<i64>,
    /// One row for each entry, in units of `2^-14`.
    weights: Vec<i64>,
    /// Vectors seen, by entry.
    seen: Vec<u32>,
}

impl Regression {
    /// For vectors of `ridge.len()` entries.
    pub fn new(ridge: Vec<i64>) -> Self {
        let n = ridge.len();
        Self { ridge, gram: vec![0; n * n], weights: vec![0; n * n], seen: vec![0; n] }
    }

    /// Entries of a vector.
    pub fn len(&self) -> usize {
        self.ridge.len()
    }

    /// Entry `before.len()` of a vector, given those before it; in units of `2^-14` of theirs.
    pub fn predict(&self, before: &[i64]) -> i64 {
        let row = before.len() * self.len();
        before.iter().zip(&self.weights[row..]).map(|(x, w)| x * w).sum()
    }

    /// Takes in entry `before.len()` of a vector. With `fit`, improves its weights.
    pub fn learn(&mut self, before: &[i64], value: i64, fit: bool) {
        let (j, n) = (before.len(), self.len());
        for (i, x) in before.iter().enumerate() {
            self.gram[j * n + i] += x * value;
            self.gram[i * n + j] = self.gram[j * n + i];
        }
        self.gram[j * n + j] += value * value;
        if self.gram[j * n + j] > LARGEST_SUM {
            self.fade();
        }
        self.seen[j] = self.seen[j].saturating_add(1);
        // The more is known, the less a vector changes.
        if fit && self.seen[j].is_multiple_of(1 + self.seen[j] / 512) {
            self.sweep(j);
        }
    }

    /// Halves the weight of all that has been seen.
    pub fn fade(&mut self) {
        self.gram.iter_mut().for_each(|sum| *sum >>= 1);
    }

    fn sweep(&mut self, j: usize) {
        let n = self.len();
        for i in 0..j {
            let row = &self.gram[i * n..i * n + j];
            let weights = &mut self.weights[j * n..j * n + j];
            let explained: i64 = row.iter().zip(&*weights).map(|(g, w)| g * w).sum();
            let rest = (self.gram[j * n + i] << WEIGHT_BITS) - explained - self.ridge[i] * weights[i];
            let change = rest / (row[i] + self.ridge[i]);
            weights[i] = (weights[i] + change).clamp(-LARGEST_WEIGHT, LARGEST_WEIGHT);
        }
    }
}

/// Brings a value into the range that a [`Regression`] takes.
pub(crate) fn limited(value: i64) -> i64 {
    value.clamp(-LARGEST_VALUE, LARGEST_VALUE)
}

/// [`Regression`] for vectors of any length: cut into pieces, each on its own, so that the time an entry takes is bounded.
pub(crate) struct Whitening {
    pieces: Vec<Regression>,
    /// The entries before the one that was predicted last, in its piece.
    before: Vec<i64>,
}

impl Whitening {
    /// Entries of a piece.
    const PIECE: usize = 64;

    /// For vectors of `len` entries.
    pub fn new(len: usize, ridge: i64) -> Self {
        let pieces = (0..len).step_by(Self::PIECE).map(|start| vec![ridge; Self::PIECE.min(len - start)]);
        Self { pieces: pieces.map(Regression::new).collect(), before: Vec::with_capacity(Self::PIECE) }
    }

    /// Entry `j`, where `entry` gives those before it; in units of `2^-14` of theirs.
    pub fn predict(&mut self, j: usize, entry: impl Fn(usize) -> i64) -> i64 {
        self.before.clear();
        self.before.extend((j - j % Self::PIECE..j).map(entry));
        self.pieces[j / Self::PIECE].predict(&self.before)
    }

    /// Takes in entry `j`, which has been predicted last.
    pub fn learn(&mut self, j: usize, value: i64) {
        self.pieces[j / Self::PIECE].learn(&self.before, value, true);
    }

    /// Halves the weight of all that has been seen.
    pub fn fade(&mut self) {
        self.pieces.iter_mut().for_each(Regression::fade);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noise(state: &mut u32) -> i64 {
        *state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        i64::from(*state >> 20) - 2048
    }

    #[test]
    fn a_linear_relation_is_found() {
        let mut regression = Regression::new(vec![1 << 16; 3]);
        let mut state = 1;
        for _ in 0..300 {
            let (a, b) = (noise(&mut state), noise(&mut state));
            let vector = [a, a / 2 + b / 4, (3 * a - b) / 4];
            for j in 0..3 {
                regression.learn(&vector[..j], vector[j], true);
            }
        }
        let predicted = regression.predict(&[800, 500]) >> WEIGHT_BITS;
        // a = 800 and b = 400 make 500.
        assert!((predicted - 500).abs() < 10, "{predicted}");
    }

    #[test]
    fn extremes_neither_overflow_nor_settle_on_nonsense() {
        let mut whitening = Whitening::new(64, 1 << 20);
        for i in 0..2000i64 {
            let value = if i % 3 == 0 { LARGEST_VALUE } else { -LARGEST_VALUE };
            for j in 0..64 {
                whitening.predict(j, |_| value);
                whitening.learn(j, value);
            }
        }
        whitening.pieces[0].gram.iter().for_each(|sum| assert!(sum.abs() <= 2 * LARGEST_SUM));
        let predicted = whitening.predict(63, |_| 1000) >> WEIGHT_BITS;
        assert!((predicted - 1000).abs() < 50, "{predicted}");
    }
}
