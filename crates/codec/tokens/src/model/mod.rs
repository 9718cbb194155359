//! Predicts tokens, bit by bit.
//!
//! A token is a code of a few bits, coded from the highest down, so each bit is a decision at a node of a binary tree over
//! all codes; the codebook's order (crate `tokens`, `order`) sees to it that similar tokens share subtrees. For each
//! decision these give log-odds:
//!
//! - [`CONTEXTS`] contexts, each with a slot for the node: what came after the same neighbours;
//! - [`CANDIDATES`] candidates: a code that stood here or nearby a moment ago votes for its own bit while it is still
//!   possible, with the weight that its rank and its past earn;
//! - [`Evidence`]: a regression on the classes of the neighbours.
//!
//! Mixers, each with its own choice of weights, merge them; a last mixer merges the mixers; refiners correct the outcome.

mod evidence;
mod history;
mod neighbours;
mod sizes;
mod table;

use kernels::Level;
use kernels::simd::{Kernel, Simd};
use mixing::{BitCoder, Chance, Corrupt, FINE, Mixer, Probability, Refiner, Slot, UNIT, squash, stretch};

use evidence::Evidence;

use history::Place;
pub(crate) use neighbours::Grid;
use neighbours::Neighbours;
use sizes::{CANDIDATES, CONTEXTS};
use table::{CHUNK, Table};

/// What a mixer mixes: contexts, candidates, evidence, a constant, and zeros up to a multiple of 16.
const INPUTS: usize = (CONTEXTS + CANDIDATES + 2).next_multiple_of(16);
/// First mixers.
const MIXERS: usize = 6;
/// What the last mixer mixes.
const MIXED: usize = MIXERS.next_multiple_of(8);
/// Depth of the tree up to which every node has its own weights.
const NODE_BITS: u32 = 10;
/// Candidates whose survival selects weights: so many of the recent ones, so many of those around.
const SURVIVORS: [usize; 2] = [8, 4];
/// Contexts of the second refiner, which are hashed.
const REFINED: u32 = 1 << 16;

/// Widest vectors of f32 for which the model is compiled: the integers that it mixes fill few vectors, and compiled for 16
/// lanes (AVX-512) it took longer than for 8 (AVX2).
const LANES: usize = 8;

/// Largest magnitude of a weight's upper half that a mixer can come to; a prior may say more.
const MOST_WEIGHT: i16 = 0x7000;
/// Most codes that memory is set aside for before they have been read.
const MOST_RESERVED: usize = 1 << 20;

/// Most bits of a table's size.
pub(crate) const MAX_TABLE_BITS: u32 = 17;

/// Size of the tables for a group of so many tokens: a commaVQ segment gets `2^16` buckets for each context.
pub(crate) fn table_bits(tokens: usize) -> u32 {
    (usize::BITS - tokens.leading_zeros()).saturating_sub(2).min(MAX_TABLE_BITS)
}

/// Most bits of a code.
pub(crate) const MAX_BITS: u32 = 16;

/// All that is learned about tokens of so many bits.
pub(crate) struct Model {
    bits: u32,
    tables: [Table; CONTEXTS],
    /// For each context, depth and history of a slot.
    histories: Vec<[Chance; Slot::HISTORIES]>,
    /// For each candidate and depth, by how it fared lately, anywhere and here: the probability that it votes right.
    candidates: Vec<[Chance; Place::HITS * Place::HITS]>,
    /// How candidates fared anywhere, as in [`Place`].
    hits: [u8; CANDIDATES],
    evidence: Evidence,
    mixers: [Mixer<INPUTS>; MIXERS],
    last: Mixer<MIXED>,
    refiners: [Refiner; 3],
    /// Tokens learned from, up to a limit.
    age: i32,
}

impl Model {
    /// Knows nothing yet. Codes have `bits` bits (at most [`MAX_BITS`]); every context gets `2^table_bits` buckets.
    pub fn new(bits: u32, table_bits: u32) -> Self {
        let depths = bits as usize;
        let nodes = node_sets(bits);
        let history = std::array::from_fn(Slot::expected);
        let sets = [depths << 7, depths << SURVIVORS[0], depths, depths * 33, depths * 33, depths * 33 * 4];
        Self {
            bits,
            tables: std::array::from_fn(|_| Table::new(table_bits)),
            histories: vec![history; CONTEXTS * depths],
            candidates: vec![[Chance::new(1 << 15); Place::HITS * Place::HITS]; CANDIDATES * depths],
            hits: [0; CANDIDATES],
            evidence: Evidence::new(),
            mixers: sets.map(|sets| Mixer::new(sets, 3)),
            last: Mixer::new(nodes, 100 / MIXERS as i32),
            refiners: [nodes, REFINED as usize, depths << (SURVIVORS[0] + SURVIVORS[1])].map(Refiner::new),
            age: 0,
        }
    }

    /// Size of the tables: `2^table_bits` buckets for each context.
    pub fn table_bits(&self) -> u32 {
        self.tables.first().map_or(0, Table::bits)
    }

    /// All that was learned, as numbers of 16 bits; the tables' counts only with `tables`. Of a weight, only the upper half
    /// is told, and the lower half is cleared.
    pub fn visit(&mut self, tables: bool, visit: &mut impl FnMut(&mut u16)) {
        let refiners = self.refiners.iter_mut().flat_map(Refiner::chances_mut);
        let chances =
            self.histories.as_flattened_mut().iter_mut().chain(self.candidates.as_flattened_mut()).chain(refiners);
        for chance in chances {
            let mut p = chance.get();
            visit(&mut p);
            *chance = Chance::new(p);
        }
        for weight in self.mixers.iter_mut().flat_map(Mixer::weights_mut).chain(self.last.weights_mut()) {
            let mut upper = (*weight >> 16) as u16;
            visit(&mut upper);
            *weight = i32::from((upper as i16).clamp(-MOST_WEIGHT, MOST_WEIGHT)) << 16;
        }
        for weight in self.evidence.weights_mut() {
            let mut bits = *weight as u16;
            visit(&mut bits);
            *weight = bits as i16;
        }
        let mut age = self.age.min(i32::from(u16::MAX)) as u16;
        visit(&mut age);
        self.age = age.into();
        if tables {
            self.tables.iter_mut().for_each(|table| table.visit(visit));
        }
    }

    /// Codes a video of `count` codes in frames of `grid`, in the order in which they lie, and returns it. `source` is the
    /// video; a reading coder takes an empty one.
    pub fn code(
        &mut self,
        coder: &mut impl BitCoder,
        grid: Grid,
        count: usize,
        source: &[u16],
    ) -> Result<Vec<u16>, Corrupt> {
        Level::detect_up_to(LANES).run(Video { model: self, coder, grid, count, source })
    }

    /// Codes the next token, whose code is `code`, and returns it. `codes` are all before it.
    #[inline(always)]
    fn code_next(
        &mut self,
        coder: &mut impl BitCoder,
        codes: &[u16],
        grid: Grid,
        place: &mut Place,
        code: u16,
    ) -> Result<u16, Corrupt> {
        let near = Neighbours::new(codes, grid, self.bits, place);
        let keys = near.contexts();
        let candidates = near.candidates();
        let [w, n, e1] = near.selectors();
        let same = near.same as usize;
        self.evidence.set(&near.evidence());

        let mut inputs = [0i16; INPUTS];
        inputs[CONTEXTS + CANDIDATES + 1] = UNIT as i16;
        let mut votes = Votes::new(&candidates, near.none(), place, &self.hits);
        let mut prefix = 0u32;
        let rate = 80 + 100 * 4000 / (4000 + self.age);
        self.age = (self.age + 1).min(1 << 20);

        for depth in 0..self.bits {
            let level = depth as usize;
            if depth % CHUNK == 0 {
                let seed = (prefix + (depth << MAX_BITS)).wrapping_mul(0x85eb_ca6b);
                Table::seek(&mut self.tables, &keys, seed);
            }
            let within = depth % CHUNK;
            let node = (1 << within | prefix & ((1 << within) - 1)) as usize;
            let tree = (1 << depth | prefix) as usize;
            let set = node_set(depth, prefix);

            let mut histories = [0u16; CONTEXTS];
            let chances = self.histories[level * CONTEXTS..][..CONTEXTS].iter();
            for (i, (table, chances)) in self.tables.iter().zip(chances).enumerate() {
                let history = table.slot(node).history();
                histories[i] = history as u16;
                inputs[i] = stretch(chances[history].get());
            }
            let shift = self.bits - 1 - depth;
            let chances = &mut self.candidates[level * CANDIDATES..][..CANDIDATES];
            let survivors = votes.cast(chances, shift, &mut inputs[CONTEXTS..][..CANDIDATES]);
            inputs[CONTEXTS + CANDIDATES] = self.evidence.predict(depth, prefix);

            let sets = [
                level << 7 | same & 127,
                level << SURVIVORS[0] | survivors & ((1 << SURVIVORS[0]) - 1),
                level,
                level * 33 + w,
                level * 33 + n,
                (level * 33 + e1) << 2 | same & 3,
            ];
            let mut mixed = [0i16; MIXED];
            for ((mixer, set), mixed) in self.mixers.iter_mut().zip(sets).zip(&mut mixed) {
                let largest = 8 * UNIT - 1;
                *mixed = (mixer.mix(&inputs, set) / (FINE / UNIT)).clamp(-largest, largest) as i16;
            }
            let odds = self.last.mix(&mixed, set);
            let [by_node, by_earlier, by_survivors] = &mut self.refiners;
            let refined = 2 * by_node.refine(odds, set)
                + by_earlier.refine(odds, (near.earlier(tree as u32) % REFINED) as usize)
                + by_survivors.refine(odds, level << (SURVIVORS[0] + SURVIVORS[1]) | survivors);
            let p = Probability::clamped((4 * squash(odds) + refined) >> 3);

            let bit = coder.code(code >> shift & 1 == 1, p)?;

            self.refiners.iter_mut().for_each(|refiner| refiner.learn(bit));
            self.last.learn(&mixed, bit, 12);
            self.mixers.iter_mut().for_each(|mixer| mixer.learn(&inputs, bit, rate));
            self.evidence.learn(bit);
            let chances = self.histories[level * CONTEXTS..][..CONTEXTS].iter_mut();
            for ((table, chances), &history) in self.tables.iter_mut().zip(chances).zip(&histories) {
                chances[usize::from(history)].learn::<6>(bit);
                table.learn(node, bit);
            }
            votes.learn(&mut self.candidates[level * CANDIDATES..][..CANDIDATES], shift, bit);
            prefix = prefix << 1 | u32::from(bit);
        }

        let code = prefix as u16;
        for (hits, &candidate) in self.hits.iter_mut().zip(&candidates) {
            *hits = *hits << 1 | u8::from(candidate == u32::from(code));
        }
        place.push(code, &candidates);
        Ok(code)
    }
}

/// A video to be coded, compiled for several levels of vector instructions.
struct Video<'a, C> {
    model: &'a mut Model,
    coder: &'a mut C,
    grid: Grid,
    count: usize,
    source: &'a [u16],
}

impl<C: BitCoder> Kernel for Video<'_, C> {
    type Output = Result<Vec<u16>, Corrupt>;

    #[inline(always)]
    fn run<S: Simd>(self, _: S) -> Self::Output {
        let Self { model, coder, grid, count, source } = self;
        let mut places = vec![Place::EMPTY; grid.len().min(count)];
        let mut codes = Vec::with_capacity(count.min(MOST_RESERVED));
        for i in 0..count {
            let code = source.get(i).copied().unwrap_or(0);
            let code = model.code_next(coder, &codes, grid, &mut places[i % grid.len()], code)?;
            codes.push(code);
        }
        Ok(codes)
    }
}

/// Nodes with weights of their own: all down to [`NODE_BITS`], then one for each depth.
fn node_sets(bits: u32) -> usize {
    (1 << bits.min(NODE_BITS)) + bits.saturating_sub(NODE_BITS) as usize
}

/// Which of the [`node_sets`] serves the node at `depth` after `prefix`.
fn node_set(depth: u32, prefix: u32) -> usize {
    if depth < NODE_BITS { (1 << depth | prefix) as usize } else { (1 << NODE_BITS) + (depth - NODE_BITS) as usize }
}

/// The candidates of one token that are still possible.
struct Votes<'a> {
    candidates: &'a [u32; CANDIDATES],
    /// How each fared.
    past: [u16; CANDIDATES],
    /// A bit for each that is still possible.
    alive: u32,
}

impl<'a> Votes<'a> {
    fn new(candidates: &'a [u32; CANDIDATES], none: u32, place: &Place, hits: &[u8; CANDIDATES]) -> Self {
        let past = std::array::from_fn(|i| ((usize::from(hits[i]) % Place::HITS * Place::HITS) + place.hits(i)) as u16);
        let alive = (0..CANDIDATES).filter(|&i| candidates[i] != none).fold(0, |alive, i| alive | 1 << i);
        Self { candidates, past, alive }
    }

    /// Indices of those alive.
    #[inline(always)]
    fn alive(&self) -> impl Iterator<Item = usize> + use<> {
        let mut left = self.alive;
        std::iter::from_fn(move || {
            let i = left.trailing_zeros() as usize;
            left &= left.wrapping_sub(1);
            (i < CANDIDATES).then_some(i)
        })
    }

    /// Fills in the log-odds of the bit `shift`, 0 for those that are out, and tells which of [`SURVIVORS`] are alive.
    #[inline(always)]
    fn cast(&self, chances: &[[Chance; Place::HITS * Place::HITS]], shift: u32, odds: &mut [i16]) -> usize {
        odds.fill(0);
        for i in self.alive() {
            let odd = stretch(chances[i][usize::from(self.past[i])].get());
            odds[i] = if self.candidates[i] >> shift & 1 == 1 { odd } else { -odd };
        }
        let around = self.alive >> Place::RECENT & ((1 << SURVIVORS[1]) - 1);
        (self.alive & ((1 << SURVIVORS[0]) - 1) | around << SURVIVORS[0]) as usize
    }

    /// Tells the bit; those that voted otherwise are out.
    #[inline(always)]
    fn learn(&mut self, chances: &mut [[Chance; Place::HITS * Place::HITS]], shift: u32, bit: bool) {
        for i in self.alive() {
            let right = (self.candidates[i] >> shift & 1 == 1) == bit;
            chances[i][usize::from(self.past[i])].learn::<6>(right);
            if !right {
                self.alive &= !(1 << i);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mixing::{Decoder, Encoder};

    const GRID: Grid = Grid { height: 8, width: 16 };

    fn codes(bits: u32) -> Vec<u16> {
        let code = |i: u32| ((i % 128 * 5 + (i.wrapping_mul(2_654_435_761) >> 30)) & ((1 << bits) - 1)) as u16;
        (0..128 * 20).map(code).collect()
    }

    #[test]
    fn vector_instructions_give_the_same_bytes() {
        for bits in [1, 7, 10, 16] {
            let codes = codes(bits);
            let coded = |level: Level| {
                let (model, mut coder) = (&mut Model::new(bits, 8), Encoder::default());
                level.run(Video { model, coder: &mut coder, grid: GRID, count: codes.len(), source: &codes }).unwrap();
                coder.finish()
            };
            let plain = coded(Level::SCALAR);
            for level in Level::available() {
                assert_eq!(coded(level), plain, "{bits} bits at {level}");
            }
        }
    }

    #[test]
    fn codes_of_any_size_come_back() {
        for bits in 0..=MAX_BITS {
            let codes = codes(bits);
            let mut encoder = Encoder::default();
            Model::new(bits, 8).code(&mut encoder, GRID, codes.len(), &codes).unwrap();
            let payload = encoder.finish();
            assert!(payload.len() < codes.len() / 2, "{bits} bits: {} bytes", payload.len());
            let mut decoder = Decoder::new(&payload).unwrap();
            assert_eq!(Model::new(bits, 8).code(&mut decoder, GRID, codes.len(), &[]).unwrap(), codes);
        }
    }
}
