//! Products with a matrix that is almost a diagonal.

use kernels::Aligned;
use kernels::simd::{MAX_LANES, Simd};

/// One weight of a linear map from one row to another.
#[derive(Clone, Copy)]
pub(super) struct Entry {
    /// Position in the result.
    pub at: usize,
    /// Position in the source.
    pub from: isize,
    pub weight: f32,
}

/// A linear map between rows whose matrix is almost a diagonal, cut into blocks of one vector of results.
///
/// A block holds every diagonal that one of its results needs, as a vector of weights, and reads the source as
/// consecutive values at that diagonal's place: no value is gathered. Weights of 0 for the other results leave the sums of
/// finite values as they are, so the bits do not depend on the number of lanes.
pub(super) struct Diagonals {
    blocks: Vec<Block>,
    /// `[diagonal][lane]`, block after block.
    weights: Vec<f32>,
}

pub(super) struct Block {
    /// Where in a row of [`Diagonals::row`] the first lane reads the first diagonal.
    start: usize,
    /// Number of diagonals.
    count: usize,
    /// Where the weights begin.
    weights: usize,
}

impl Diagonals {
    /// Values that a source row has on either side: taps reach 2 beyond an edge, a vector beside them once more a vector.
    pub(super) const PAD: usize = 2 * MAX_LANES;

    /// A source row of `width` values between zeros.
    pub(super) fn row(width: usize) -> Aligned {
        Aligned::zeros(Self::PAD + width + Self::PAD)
    }

    /// The map to `width` results. The entries of one result add up in ascending order of the source.
    pub(super) fn new(lanes: usize, width: usize, entries: &[Entry]) -> Self {
        let place = |entry: &Entry| (entry.at / lanes, entry.from - (entry.at % lanes) as isize);
        let mut ranges = vec![(isize::MAX, isize::MIN); width.div_ceil(lanes)];
        for (block, diagonal) in entries.iter().map(place) {
            let (first, last) = ranges[block];
            ranges[block] = (first.min(diagonal), last.max(diagonal));
        }
        let mut count = 0;
        let block = |(first, last): (isize, isize)| {
            if first > last {
                return Block { start: 0, count: 0, weights: 0 };
            }
            let diagonals = (last - first) as usize + 1;
            count += diagonals;
            let start = (Self::PAD as isize + first) as usize;
            Block { start, count: diagonals, weights: (count - diagonals) * lanes }
        };
        let blocks: Vec<Block> = ranges.iter().copied().map(block).collect();
        let mut weights = vec![0.0; count * lanes];
        for entry in entries {
            let (block, diagonal) = place(entry);
            let number = (diagonal - ranges[block].0) as usize;
            weights[blocks[block].weights + number * lanes + entry.at % lanes] += entry.weight;
        }
        Self { blocks, weights }
    }

    /// `sum` and one vector of results, of a source row as [`row`](Self::row) makes it.
    #[inline(always)]
    pub(super) fn add<S: Simd>(&self, s: S, block: usize, row: &[f32], mut sum: S::V) -> S::V {
        let Block { start, count, weights } = self.blocks[block];
        let weights = self.weights[weights..][..count * S::LANES].chunks_exact(S::LANES);
        for (diagonal, weight) in weights.enumerate() {
            sum = s.fma(s.load(&row[start + diagonal..]), s.load(weight), sum);
        }
        sum
    }
}
