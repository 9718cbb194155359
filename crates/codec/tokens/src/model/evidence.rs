//! Logistic regression on the classes of the neighbours, learned as the tokens come.

use mixing::{FINE, UNIT, squash};

use super::sizes::SLOTS;
use super::table::CHUNK;

/// Classes of a neighbour: 5 bits, and one for none.
const CLASSES: usize = 33;
/// Bits beyond fine log-odds that a weight has.
const EXTRA: u32 = 2;
/// Share of the error that a weight moves by, in units of `2^-16` fine log-odds with [`EXTRA`] bits each.
const RATE: i32 = (FINE << EXTRA) * 60 / 1000;

/// Depth of the code tree up to which there is evidence; deeper it gives even odds.
const DEPTH: u32 = 2 * CHUNK;
/// Weights of a class: for each beginning of a code that a chunk of bits follows, a tree of weights side by side in a cache
/// line, its root at 1.
const NODES: usize = (1 + (1 << CHUNK)) << CHUNK;

/// Each neighbour's class speaks for or against each bit, whatever the others are; where contexts count what is frequent, this
/// learns what each neighbour adds (maximum entropy).
pub(super) struct Evidence {
    /// For each slot, class and node of the code tree: log-odds, in units of 1/([`FINE`] << [`EXTRA`]).
    weights: Vec<[i16; NODES]>,
    rows: [usize; SLOTS],
    node: Option<usize>,
    p: i32,
}

impl Evidence {
    /// Speaks for nothing.
    pub fn new() -> Self {
        Self { weights: vec![[0; NODES]; SLOTS * CLASSES], rows: [0; SLOTS], node: None, p: 0 }
    }

    /// Sets the neighbours' classes, for all bits of a token.
    #[inline(always)]
    pub fn set(&mut self, classes: &[usize; SLOTS]) {
        self.rows = std::array::from_fn(|slot| slot * CLASSES + classes[slot]);
    }

    /// Log-odds of the bit at `depth` after `prefix`, in units of 1/[`UNIT`].
    #[inline(always)]
    pub fn predict(&mut self, depth: u32, prefix: u32) -> i16 {
        self.node = (depth < DEPTH).then(|| {
            let tree = if depth < CHUNK { 0 } else { 1 + (prefix >> (depth % CHUNK)) };
            let within = depth % CHUNK;
            (tree << CHUNK | 1 << within | prefix & ((1 << within) - 1)) as usize
        });
        let Some(node) = self.node else { return 0 };
        let sum: i32 = self.rows.iter().map(|&row| i32::from(self.weights[row][node])).sum();
        self.p = squash(sum >> EXTRA);
        let largest = 8 * UNIT - 1;
        (sum / ((FINE / UNIT) << EXTRA)).clamp(-largest, largest) as i16
    }

    /// Tells the bit that [`predict`](Self::predict) was asked for last.
    #[inline(always)]
    pub fn learn(&mut self, bit: bool) {
        let Some(node) = self.node else { return };
        let error = (i32::from(bit) << 16) - self.p;
        let step = (error * RATE + (1 << 15)) >> 16;
        for &row in &self.rows {
            let weight = &mut self.weights[row][node];
            *weight = (i32::from(*weight) + step).clamp(i32::from(i16::MIN), i32::from(i16::MAX)) as i16;
        }
    }

    /// All weights.
    pub fn weights_mut(&mut self) -> impl Iterator<Item = &mut i16> {
        self.weights.as_flattened_mut().iter_mut()
    }
}
