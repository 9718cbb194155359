//! What a question is asked in view of.

use super::candidates::Candidates;
use super::motion::{self, SHIFTS, Source};
use crate::memory::hash;
use crate::pixel::Pixel;

/// Contexts.
pub(super) const CONTEXTS: usize = 32;
/// Mixers that choose their weights by what surrounds a pixel.
pub(super) const MIXERS: usize = 6;
/// Sets of weights of each.
pub(super) const SETS: usize = 1 << 12;
/// Sets of weights of the mixer behind them, and contexts of the first refiner.
pub(super) const LAST_SETS: usize = 32;
/// Bits of the second refiner's contexts, which are hashed.
pub(super) const REFINED_BITS: u32 = 16;
/// Contexts that depend on the class that is asked about.
const ASKED: usize = 2;
/// Classes that are told apart where weights are chosen.
const CLASSES: usize = 8;
/// Ends of runs that are told apart.
const RUNS: [u8; 3] = [8, 10, 7];

/// Which question is asked.
#[derive(Clone, Copy)]
pub(super) struct Question {
    /// Is it this class?
    pub class: u8,
    /// How many classes it is not.
    pub rank: usize,
    /// The first one that it is not.
    pub first: Option<u8>,
}

/// What surrounds a pixel.
pub(super) struct Contexts<'a> {
    pixel: &'a Pixel<'a>,
    /// Its neighbours agreed.
    calm: bool,
    source: Source,
    /// West, north, north-west, north-east.
    near: [u8; 4],
    /// Here, east, south, west and north in the map before.
    cross: [u8; 5],
    /// Where it seems to come from, and to the right of that.
    moved: [u8; 2],
    /// Hashes that no question changes.
    keys: [u64; CONTEXTS - ASKED],
    /// Runs to the left; in the map before right, left, down; in the row above right.
    runs: [usize; 5],
}

/// A number and classes as one.
#[inline(always)]
fn key(start: u64, classes: &[u8]) -> u64 {
    let next = |key: u64, &class: &u8| key.wrapping_mul(0x0100_0000_01b3).wrapping_add(u64::from(class) + 1);
    classes.iter().fold(start, next)
}

/// Numbers, each below 256, as one.
#[inline(always)]
fn numbers(numbers: &[u8]) -> u64 {
    numbers.iter().fold(0, |key, &number| key << 8 | u64::from(number))
}

impl<'a> Contexts<'a> {
    /// Looks around a pixel.
    #[inline(always)]
    pub fn new(pixel: &'a Pixel<'a>, calm: bool) -> Self {
        let Pixel { now, before, at, y, x, run, age, .. } = *pixel;
        let source = if calm { motion::unmoved(pixel) } else { motion::find(pixel) };
        let n = |dx, dy| pixel.now(dx, dy);
        let p = |dx, dy| pixel.before(dx, dy);
        let q = |dx, dy| pixel.earlier(dx, dy);
        let s = |dx, dy| before.at(source.at, dx, dy);
        let near @ [w, north, nw, ne] = [n(-1, 0), n(0, -1), n(-1, -1), n(1, -1)];
        let cross @ [here, east, south, west, p_north] = [p(0, 0), p(1, 0), p(0, 1), p(-1, 0), p(0, -1)];
        let moved @ [m, m_east] = [s(0, 0), s(1, 0)];
        let (m_south, m_west, m_far, m_north) = (s(0, 1), s(-1, 0), s(1, 1), s(0, -1));
        let (ww, nn, n2, nw2) = (n(-2, 0), n(0, -2), n(2, -1), n(-2, -1));
        let (se, sw) = (p(1, 1), p(-1, 1));
        let old = [q(0, 0), q(1, 0), q(0, 1), q(-1, 0), q(0, -1)];
        let stride = now.stride();
        let end = |run: u8, most: u8| run.min(most);
        let [pr, pl, pd] = [before.right(at), before.left(at), before.down(at)].map(|run| end(run, RUNS[0]));
        let up = now.up(at - stride);
        let [nr, nl] = [now.right(at - stride), now.left(at - stride)].map(|run| end(run, RUNS[0]));
        let (n2r, n3r) = (end(now.right(at - 2 * stride), RUNS[0]), end(now.right(at - 3 * stride), RUNS[1]));
        let (row, tile) = ((y as u64) << 16, |size: usize| ((y / size) as u64) << 16 | (x / size) as u64);
        let alike = [w == west, north == p_north, ne == p(1, -1), nw == p(-1, -1)];
        let alike = alike.iter().fold(0, |bits, &same| bits << 1 | u64::from(same));
        let keys = [
            key(0, &near),
            key(0, &[w, north, nw, ne, ww, nn]),
            key(0, &[w, north, here, east, south]),
            key(0, &[w, north, nw, ne, here, east, south, west, p_north]),
            key(0, &[w, north, ne, here, east, south, se, sw, old[0]]),
            key(0, &[w, north, nw, ne, ww, nn, n2, nw2, n(1, -2), n(-1, -2)]),
            key(0, &[w, north, here, east, south, west, p_north, se, sw, p(1, -1), p(-1, -1)]),
            key(0, &[w, north, ne, here, east, south, p(2, 0), p(0, 2), se]),
            key(0, &[w, north, here, east, south, old[0], old[1], old[2]]),
            key(alike, &[w, north, here, east, south]),
            key(row | (x / 8) as u64, &[w, north]),
            key(tile(4), &[w, here]),
            key(numbers(&[pr, nr, run]), &[w, north, here]),
            key(numbers(&[pr, nr, nl, pl]), &[w, north, here, ne]),
            key(numbers(&[nr, n2r, n3r]), &[w, north, nn]),
            key(source.shift as u64, &[w, north, m, m_east, here]),
            key(0, &[w, north, nw, ne, m, m_east]),
            key(numbers(&[up, pd, pr]), &[w, north, here, m]),
            key(row, &[w, north, here]),
            key(key(0, &cross), &old),
            key(numbers(&[run, up, nr]), &[w, north, ne, m]),
            key(0, &[w, ww, n(-3, 0), north, ne, n2, n(3, -1), n(4, -1)]),
            key(0, &[w, north, ne, m, m_east, m_south, m_west, m_far]),
            key(0, &[w, north, nw, ne, m, m_east, m_south, m_west, here, old[0]]),
            key(key(0, &[m, m_east, m_south, m_west, m_far, m_north]), &[w, north, here]),
            key(age.into(), &[w, north, here, east, south]),
            key(numbers(&[nr, up]), &[w, north, here, east, south]),
            key(0, &[w, north, nn, n(0, -3), n(1, -2), n(1, -3), ne, n(2, -3)]),
            key(0, &[old[0], old[1], old[2], m, m_east, w, north, ne]),
            key(0, &[w, north, here, p(1, 2), p(2, 1), p(2, 2), p(-1, 2), se]),
        ];
        let runs = [run, pr, pl, pd, nr].map(|run| usize::from(end(run, RUNS[2])));
        Self { pixel, calm, source, near, cross, moved, keys, runs }
    }

    /// The classes around, with what speaks for them.
    #[inline(always)]
    pub fn candidates(&self) -> Candidates {
        let mut candidates = Candidates::new();
        let [w, north, nw, ne] = self.near;
        let [here, east, south, west, p_north] = self.cross;
        for (class, weight) in [
            (w, 5),
            (north, 5),
            (here, 6),
            (ne, 2),
            (nw, 1),
            (east, 3),
            (south, 3),
            (west, 1),
            (p_north, 1),
            (self.pixel.earlier(0, 0), 2),
            (self.moved[0], if self.calm { 0 } else { 5 }),
        ] {
            candidates.add(class, weight);
        }
        candidates.sorted()
    }

    /// The keys of all contexts for a question.
    #[inline(always)]
    pub fn keys(&self, question: Question) -> [u64; CONTEXTS] {
        let Self {
            pixel, near: [w, north, nw, ne], cross: [here, east, south, west, p_north], moved: [m, m_east], ..
        } = *self;
        let n = |dx, dy| pixel.now(dx, dy);
        let p = |dx, dy| pixel.before(dx, dy);
        let q = |dx, dy| pixel.earlier(dx, dy);
        let is =
            |others: &[u8]| others.iter().fold(1u64, |bits, &other| bits << 1 | u64::from(other == question.class));
        let asked = [
            is(&[
                w,
                north,
                nw,
                ne,
                n(-2, 0),
                n(0, -2),
                n(2, -1),
                n(-2, -1),
                n(1, -2),
                n(-1, -2),
                here,
                east,
                south,
                west,
                p_north,
                p(1, 1),
                m,
                q(0, 0),
            ]),
            is(&[
                w,
                north,
                nw,
                ne,
                here,
                east,
                south,
                west,
                p_north,
                p(1, 1),
                p(-1, 1),
                p(2, 0),
                p(0, 2),
                q(0, 0),
                q(1, 0),
                q(0, 1),
                m,
                m_east,
                p(1, 2),
                p(2, 1),
                n(3, -1),
            ]),
        ];
        let first = question.first.map_or(0, |class| u64::from(class) + 1);
        let salt = (u64::from(question.class) << 2 | question.rank.min(3) as u64) << 9 | first;
        std::array::from_fn(|k| {
            let key = if k < CONTEXTS - ASKED { self.keys[k] } else { asked[k + ASKED - CONTEXTS] };
            key.wrapping_mul(0x2545_f491_4f6c_dd1d).wrapping_add(salt)
        })
    }

    /// How many of ten neighbours are of the class.
    #[inline(always)]
    fn agreeing(&self, question: Question) -> usize {
        let all = self.near.iter().chain(&self.cross).chain(&self.moved[..1]);
        all.filter(|&&class| class == question.class).count()
    }

    /// The sets of weights of the first mixers.
    #[inline(always)]
    pub fn sets(&self, question: Question) -> [usize; MIXERS] {
        let [run, pr, pl, pd, nr] = self.runs;
        let (class, later) = (usize::from(question.class) % CLASSES, usize::from(question.rank > 0));
        let around = self.near.iter().chain(&self.cross[..3]).chain(&self.moved[..1]);
        let around = around.fold(0, |bits, &other| bits << 1 | usize::from(other == question.class));
        let band = 64 * self.pixel.y / self.pixel.rows;
        [
            (later * 11 + self.agreeing(question)) * CLASSES + class,
            around | later << 8 | usize::from(self.calm) << 9,
            (run * 8 + pr) * 8 + nr,
            (self.source.shift * 2 + later) * CLASSES + class,
            (band * CLASSES + class) * 2 + later,
            (pd * 8 + pl) * 8 + pr,
        ]
    }

    /// The set of weights of the last mixer, and the context of the first refiner.
    #[inline(always)]
    pub fn last_set(&self, question: Question) -> usize {
        usize::from(question.rank > 0) * 11 + self.agreeing(question)
    }

    /// The context of the second refiner.
    #[inline(always)]
    pub fn refined(&self, question: Question) -> usize {
        let [w, north, _, ne] = self.near;
        let [here, east, south, ..] = self.cross;
        hash(key(question.class.into(), &[w, north, here, self.moved[0], ne, east, south]), REFINED_BITS)
    }
}

// Every set lies within what there is.
const _: () = assert!(22 <= LAST_SETS && SHIFTS * 2 * CLASSES <= SETS && 64 * CLASSES * 2 <= SETS);
