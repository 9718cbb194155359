//! Pixels whose neighbours differ: which class is it? Candidates are asked about one after the other, the likeliest first.

mod candidates;
mod contexts;
mod motion;

use mixing::{BitCoder, Chance, Corrupt, Estimate, FINE, Mixer, Probability, Refiner, Slot, UNIT, squash, stretch};

use crate::memory::{hash, opinion, table_bits};
use crate::pixel::Pixel;
use contexts::{CONTEXTS, Contexts, LAST_SETS, MIXERS, Question, REFINED_BITS, SETS};

/// What a mixer mixes: of each context its estimate, the same as far as it is trusted, and what its history says; a constant.
const INPUTS: usize = (3 * CONTEXTS + 1).next_multiple_of(16);
/// What the last mixer mixes.
const MIXED: usize = MIXERS.next_multiple_of(8);
/// Most bits of a context's table.
const TABLE_BITS: u32 = 18;
/// Bits that an estimate of a context counts.
const LIMIT: u32 = 255;
/// How fast the mixers learn.
const RATES: (i32, i32) = (45, 14);

/// What one context remembers.
#[derive(Clone, Copy)]
struct Memory {
    estimate: Estimate,
    slot: Slot,
}

/// All that is learned of such pixels.
pub(crate) struct Busy {
    classes: usize,
    table_bits: u32,
    /// A table for each context.
    tables: Vec<Memory>,
    /// For each context and history of a slot.
    histories: Vec<[Chance; Slot::HISTORIES]>,
    mixers: [Mixer<INPUTS>; MIXERS],
    last: Mixer<MIXED>,
    refiners: [Refiner; 2],
    /// For each likeliest class those that came although no neighbour was of them, the last one first.
    strangers: Vec<Vec<u8>>,
}

impl Busy {
    /// Nothing is known of so many classes and pixels in all.
    pub fn new(classes: usize, pixels: usize) -> Self {
        let table_bits = table_bits(pixels, TABLE_BITS);
        Self {
            classes,
            table_bits,
            tables: vec![Memory { estimate: Estimate::FRESH, slot: Slot::FRESH }; CONTEXTS << table_bits],
            histories: vec![std::array::from_fn(Slot::expected); CONTEXTS],
            mixers: std::array::from_fn(|_| Mixer::new(SETS, 6)),
            last: Mixer::new(LAST_SETS, 100 / MIXERS as i32),
            refiners: [LAST_SETS, 1 << REFINED_BITS].map(Refiner::new),
            strangers: vec![Vec::new(); classes],
        }
    }

    /// Codes the class of a pixel, which is not `excluded`, and returns it. Learns nothing from it unless it is to `LEARN`.
    pub fn code<const LEARN: bool>(
        &mut self,
        coder: &mut impl BitCoder,
        pixel: &Pixel<'_>,
        excluded: Option<u8>,
        class: u8,
    ) -> Result<u8, Corrupt> {
        let contexts = Contexts::new(pixel, excluded.is_some());
        let candidates = contexts.candidates();
        let likeliest = candidates.get(0).unwrap_or_default();
        let (mut out, mut first) = ([false; 256], excluded);
        let mut rank = 0;
        if let Some(class) = excluded {
            out[usize::from(class)] = true;
            rank = 1;
        }
        let mut stranger = 0;
        let mut next = 0;
        let found = loop {
            if rank + 1 == self.classes {
                // All classes but one are out.
                break (0..self.classes).find(|&class| !out[class]).unwrap_or_default() as u8;
            }
            let known = &self.strangers[usize::from(likeliest)];
            let candidate = match candidates.get(next) {
                Some(class) => {
                    next += 1;
                    class
                }
                None => match known.get(stranger) {
                    Some(&class) => {
                        stranger += 1;
                        class
                    }
                    None => break self.code_flat(coder, &out, class)?,
                },
            };
            if out[usize::from(candidate)] {
                continue;
            }
            let question = Question { class: candidate, rank, first };
            if self.ask::<LEARN>(coder, &contexts, question, class == candidate)? {
                break candidate;
            }
            out[usize::from(candidate)] = true;
            first = first.or(Some(candidate));
            rank += 1;
        };
        if LEARN && !candidates.contains(found) {
            let known = &mut self.strangers[usize::from(likeliest)];
            known.retain(|&class| class != found);
            known.insert(0, found);
        }
        Ok(found)
    }

    /// Codes a class that was never met here, at even odds.
    fn code_flat(&self, coder: &mut impl BitCoder, out: &[bool; 256], class: u8) -> Result<u8, Corrupt> {
        let bits = usize::BITS - (self.classes - 1).leading_zeros();
        let coded = coder.code_flat(class.into(), bits)? as usize;
        if coded < self.classes && !out[coded] { Ok(coded as u8) } else { Err(Corrupt) }
    }

    /// Codes the answer to one question.
    #[inline(always)]
    fn ask<const LEARN: bool>(
        &mut self,
        coder: &mut impl BitCoder,
        contexts: &Contexts<'_>,
        question: Question,
        yes: bool,
    ) -> Result<bool, Corrupt> {
        let keys = contexts.keys(question);
        let mut places = [0; CONTEXTS];
        for (k, (place, &key)) in places.iter_mut().zip(&keys).enumerate() {
            *place = k << self.table_bits | hash(key, self.table_bits);
        }
        let mut inputs = [0i16; INPUTS];
        let mut histories = [0; CONTEXTS];
        inputs[3 * CONTEXTS] = UNIT as i16;
        for (k, &place) in places.iter().enumerate() {
            let Memory { estimate, slot } = self.tables[place];
            (inputs[k], inputs[CONTEXTS + k]) = opinion(estimate);
            histories[k] = slot.history();
            inputs[2 * CONTEXTS + k] = stretch(self.histories[k][histories[k]].get());
        }
        let sets = contexts.sets(question);
        let mut mixed = [0i16; MIXED];
        for ((mixer, set), mixed) in self.mixers.iter_mut().zip(sets).zip(&mut mixed) {
            let largest = 12 * UNIT - 1;
            *mixed = (mixer.mix(&inputs, set) / (FINE / UNIT)).clamp(-largest, largest) as i16;
        }
        let set = contexts.last_set(question);
        let odds = self.last.mix(&mixed, set);
        let [by_agreement, by_neighbours] = &mut self.refiners;
        let refined = by_agreement.refine(odds, set) + by_neighbours.refine(odds, contexts.refined(question));
        let p = Probability::clamped((2 * squash(odds) + refined) >> 2);

        let yes = coder.code(yes, p)?;
        if !LEARN {
            return Ok(yes);
        }

        self.refiners.iter_mut().for_each(|refiner| refiner.learn(yes));
        self.last.learn(&mixed, yes, RATES.1);
        self.mixers.iter_mut().for_each(|mixer| mixer.learn(&inputs, yes, RATES.0));
        for (k, &place) in places.iter().enumerate() {
            let Memory { estimate, slot } = &mut self.tables[place];
            estimate.learn(yes, LIMIT);
            slot.learn(yes);
            self.histories[k][histories[k]].learn::<6>(yes);
        }
        Ok(yes)
    }
}
