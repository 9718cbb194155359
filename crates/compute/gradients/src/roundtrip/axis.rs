//! Both interpolations along one axis: from the decoder's frames to the clip's, and from there to the evaluator's.

use kernels::{Tap, taps};

use super::diagonals::Entry;

/// Two source positions and their weights.
pub(super) struct Pair {
    pub index: [usize; 2],
    pub weight: [f32; 2],
}

/// One axis of both interpolations.
pub(super) struct Axis {
    /// Bicubic, of every position of the clip.
    pub up: Vec<Tap>,
    /// Bilinear, of every position of the result: the clip's positions.
    pub down: Vec<Pair>,
}

/// A row of the result that reads a source row.
pub(super) struct Reader {
    pub y: usize,
    /// Through the lower and the upper of the clip's rows.
    pub weight: [f32; 2],
}

impl Axis {
    pub(super) fn new([native, camera, input]: [usize; 3]) -> Self {
        let scale = camera as f32 / input as f32;
        let pair = |i: usize| {
            let source = (scale * (i as f32 + 0.5) - 0.5).max(0.0);
            let lower = (source as usize).min(camera - 1);
            let t = (source - lower as f32).clamp(0.0, 1.0);
            Pair { index: [lower, (lower + 1).min(camera - 1)], weight: [1.0 - t, t] }
        };
        Self { up: taps(native, camera), down: (0..input).map(pair).collect() }
    }

    /// The bicubic taps of one side, lower or upper, of every position of the result.
    pub(super) fn entries(&self, side: usize) -> impl Iterator<Item = Entry> {
        let taps = self.down.iter().map(move |pair| &self.up[pair.index[side]]);
        taps.enumerate()
            .flat_map(|(at, tap)| (tap.first..).zip(tap.weight).map(move |(from, weight)| Entry { at, from, weight }))
    }

    /// The bicubic taps of the lower and the upper side of position `i` of the result.
    pub(super) fn sides(&self, i: usize) -> [&Tap; 2] {
        self.down[i].index.map(|index| &self.up[index])
    }

    /// The first source position that position `i` of the result reads, and the one after the last.
    pub(super) fn span(&self, i: usize) -> (usize, usize) {
        let [lower, upper] = self.sides(i);
        (lower.index[0], upper.index[3] + 1)
    }

    /// Who reads each of the `native` source positions.
    pub(super) fn readers(&self, native: usize) -> Vec<Vec<Reader>> {
        let mut readers: Vec<Vec<Reader>> = (0..native).map(|_| Vec::new()).collect();
        for (y, pair) in self.down.iter().enumerate() {
            for (side, tap) in self.sides(y).into_iter().enumerate() {
                for (&from, weight) in tap.index.iter().zip(tap.weight) {
                    let readers = &mut readers[from];
                    if readers.last().is_none_or(|reader| reader.y != y) {
                        readers.push(Reader { y, weight: [0.0; 2] });
                    }
                    let last = readers.len() - 1;
                    readers[last].weight[side] += pair.weight[side] * weight;
                }
            }
        }
        readers
    }
}
