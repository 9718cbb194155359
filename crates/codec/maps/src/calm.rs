//! Pixels whose neighbours agree: is this one of the same class?

use mixing::{BitCoder, Corrupt, Estimate, Mixer, Probability, UNIT, squash};

use crate::memory::{hash, opinion, table_bits};
use crate::pixel::Pixel;
use crate::plane::LONGEST;

/// Contexts.
const CONTEXTS: usize = 8;
/// What a mixer mixes: of each context its estimate, and the same as far as it is trusted; a constant.
const INPUTS: usize = (2 * CONTEXTS + 1).next_multiple_of(16);
/// Most bits of a context's table.
const TABLE_BITS: u32 = 16;
/// Runs that are told apart.
const RUNS: u8 = 7;
/// How fast the mixers learn.
const RATE: i32 = 20;
/// Distances from the next other class that are told apart deep inside.
const DEPTHS: usize = 8;
/// Classes with estimates of their own there.
const CLASSES: usize = 16;

/// All that is learned of such pixels.
pub(crate) struct Calm {
    /// Deep inside an area: by class, age and depth.
    deep: Vec<Estimate>,
    table_bits: u32,
    /// Near its edges: a table for each context.
    tables: Vec<Estimate>,
    mixers: [Mixer<INPUTS>; 2],
}

impl Calm {
    /// Nothing is known of so many pixels in all.
    pub fn new(pixels: usize) -> Self {
        let table_bits = table_bits(pixels, TABLE_BITS);
        Self {
            table_bits,
            deep: vec![Estimate::FRESH; CLASSES * (LONGEST as usize + 1) * DEPTHS],
            tables: vec![Estimate::FRESH; CONTEXTS << table_bits],
            mixers: [Mixer::new(64, 8), Mixer::new(256, 8)],
        }
    }

    /// Codes whether a pixel is of the class that its neighbours are of. Learns nothing from it unless it is to `LEARN`.
    #[inline(always)]
    pub fn code<const LEARN: bool>(
        &mut self,
        coder: &mut impl BitCoder,
        pixel: &Pixel<'_>,
        same: bool,
    ) -> Result<bool, Corrupt> {
        let Pixel { now, before, at, .. } = *pixel;
        let class = pixel.now(-1, 0);
        // Around the five of the map before, as bits: is it of the class?
        let is = |others: &[u8]| others.iter().fold(0u64, |bits, &other| bits << 1 | u64::from(other == class));
        let p = |dx, dy| pixel.before(dx, dy);
        let ring = is(&[p(1, 1), p(-1, 1), p(1, -1), p(-1, -1), p(2, 0), p(0, 2), p(-2, 0), p(0, -2)]);
        let above = at - now.stride();
        let (right, up) = (now.right(above), now.up(above));
        let around = [before.right(at), before.down(at), before.left(at), before.up(at)];
        let deep = ring == 255 && right >= 5 && pixel.run >= 5 && up >= 3 && around[..2].iter().all(|&run| run >= 5);
        if deep && around[2..].iter().all(|&run| run >= 4) {
            let [a, b, c] = [right, around[0], around[1]].map(|run| usize::from(run.min(8)));
            let depth = (a + b + c + usize::from(around[2].min(8))) / 4 - 4;
            let place = (usize::from(class) % CLASSES * (usize::from(LONGEST) + 1) + usize::from(pixel.age)) * DEPTHS;
            let estimate = &mut self.deep[place + depth];
            let same = coder.code(same, Probability::clamped(estimate.get().into()))?;
            if LEARN {
                estimate.learn(same, Estimate::MOST);
            }
            return Ok(same);
        }
        let n = |dx, dy| pixel.now(dx, dy);
        let beside = is(&[n(-2, 0), n(0, -2), n(2, -1), n(-2, -1), n(3, -1)]);
        let q = |dx, dy| pixel.earlier(dx, dy);
        let cross = is(&[q(0, 0), q(1, 0), q(0, 1), q(-1, 0), q(0, -1)]);
        let runs = |runs: [u8; 4]| runs.iter().fold(0u64, |key, &run| key << 3 | u64::from(run.min(RUNS)));
        let [pr, pd, pl, pu] = around;
        let (age, y, x) = (u64::from(pixel.age), pixel.y as u64, pixel.x as u64);
        let contexts: [u64; CONTEXTS] = [
            ring << 5 | beside,
            runs([pr, pl, pd, right]),
            (y << 16) | (x / 8),
            runs([pixel.run, up, right, pr]),
            ring << 5 | cross,
            age << 12 | runs([0, 0, pr, pd]),
            runs([pd, pu, pl, pr]),
            age << 5 | beside,
        ];
        let mut places = [0; CONTEXTS];
        let mut inputs = [0i16; INPUTS];
        inputs[2 * CONTEXTS] = UNIT as i16;
        for (k, (place, &context)) in places.iter_mut().zip(&contexts).enumerate() {
            let hashed = hash(context << 8 | u64::from(class), self.table_bits);
            *place = k << self.table_bits | hashed;
            let estimate = self.tables[*place];
            (inputs[k], inputs[CONTEXTS + k]) = opinion(estimate);
        }
        let sets = [runs([0, 0, pr, pd]) as usize, beside as usize * 8 + cross.count_ones() as usize];
        let odds = self.mixers.iter_mut().zip(sets).map(|(mixer, set)| mixer.mix(&inputs, set)).sum::<i32>() / 2;
        let same = coder.code(same, Probability::clamped(squash(odds)))?;
        if LEARN {
            self.mixers.iter_mut().for_each(|mixer| mixer.learn(&inputs, same, RATE));
            places.iter().for_each(|&place| self.tables[place].learn(same, Estimate::MOST));
        }
        Ok(same)
    }
}
