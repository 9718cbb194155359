//! What of the past a token is predicted from.

use super::history::Place;
use super::sizes::{CANDIDATES, CONTEXTS, SLOTS};

/// Frames of `height` x `width` tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Grid {
    pub height: usize,
    pub width: usize,
}

impl Grid {
    /// Tokens of a frame.
    pub fn len(self) -> usize {
        self.height * self.width
    }
}

/// Codes around the next token. `xD` stands `D` frames earlier at the same place; `w`, `n`, `e`, `s` are its neighbours to
/// the west, north, east and south, with a number where they stand that many frames earlier. Where there is nothing:
/// [`Neighbours::none`].
pub(super) struct Neighbours {
    bits: u32,
    place: u32,
    row: u32,
    x: [u32; 5],
    w: u32,
    n: u32,
    nw: u32,
    ne: u32,
    ww: u32,
    nn: u32,
    nww: u32,
    nee: u32,
    w1: u32,
    n1: u32,
    e1: u32,
    s1: u32,
    nw1: u32,
    ne1: u32,
    sw1: u32,
    se1: u32,
    ww1: u32,
    ee1: u32,
    e2: u32,
    s2: u32,
    recent: [u32; Place::RECENT],
    /// What changed around: a bit each for w, n, nw, ne against the frame before, then for x1 against x2, x2 against x3,
    /// x1 against x3; a set bit means the same.
    pub same: u32,
}

impl Neighbours {
    /// Those of the next of `codes`, of `bits` bits, which hold all before it.
    pub fn new(codes: &[u16], grid: Grid, bits: u32, place: &Place) -> Self {
        let none = 1 << bits;
        let here = codes.len() % grid.len();
        let (row, column) = (here / grid.width, here % grid.width);
        let at = |frames: usize, down: isize, right: isize| {
            let inside = row.checked_add_signed(down).is_some_and(|row| row < grid.height)
                && column.checked_add_signed(right).is_some_and(|column| column < grid.width);
            let back = (frames * grid.len()) as isize - down * grid.width as isize - right;
            let index = codes.len().checked_add_signed(-back).filter(|_| inside);
            index.and_then(|index| codes.get(index)).map_or(none, |&code| u32::from(code))
        };
        let x = [none, at(1, 0, 0), at(2, 0, 0), at(3, 0, 0), at(4, 0, 0)];
        let (w, n, nw, ne) = (at(0, 0, -1), at(0, -1, 0), at(0, -1, -1), at(0, -1, 1));
        let (w1, n1, nw1, ne1) = (at(1, 0, -1), at(1, -1, 0), at(1, -1, -1), at(1, -1, 1));
        let equal = [w == w1, n == n1, nw == nw1, ne == ne1, x[1] == x[2], x[2] == x[3], x[1] == x[3]];
        let same = equal.iter().rev().fold(0, |same, &equal| same << 1 | u32::from(equal));
        let recent = std::array::from_fn(|rank| place.recent(rank).map_or(none, u32::from));
        Self {
            bits,
            place: here as u32,
            row: row as u32,
            x,
            w,
            n,
            nw,
            ne,
            ww: at(0, 0, -2),
            nn: at(0, -2, 0),
            nww: at(0, -1, -2),
            nee: at(0, -1, 2),
            w1,
            n1,
            e1: at(1, 0, 1),
            s1: at(1, 1, 0),
            nw1,
            ne1,
            sw1: at(1, 1, -1),
            se1: at(1, 1, 1),
            ww1: at(1, 0, -2),
            ee1: at(1, 0, 2),
            e2: at(2, 0, 1),
            s2: at(2, 1, 0),
            recent,
            same,
        }
    }

    /// Stands for a code that does not exist.
    pub fn none(&self) -> u32 {
        1 << self.bits
    }

    /// The class of a code: its upper `bits` bits. Similar tokens have codes with a common beginning.
    fn class(&self, code: u32, bits: u32) -> u32 {
        code >> self.bits.saturating_sub(bits)
    }

    /// Classes of 5 bits that select weights: to the west, to the north, to the east a frame earlier; 0 to 32.
    pub fn selectors(&self) -> [usize; 3] {
        [self.w, self.n, self.e1].map(|code| self.class(code, 5) as usize)
    }

    /// Classes of 5 bits that speak for or against each bit by themselves; 0 to 32.
    pub fn evidence(&self) -> [usize; SLOTS] {
        let &Self { x: [_, x1, x2, x3, _], w, n, nw, ne, ww, nn, nww, nee, w1, n1, e1, s1, .. } = self;
        let &Self { nw1, ne1, sw1, se1, ww1, ee1, e2, s2, recent, .. } = self;
        let codes = [
            x1, x2, w, n, e1, s1, w1, n1, nw, ne, se1, ne1, sw1, nw1, x3, ww, nn, recent[1], e2, s2, nww, nee, ee1, ww1,
        ];
        codes.map(|code| self.class(code, 5) as usize)
    }

    /// Codes that the token may well be equal to, the most recent ones of its place first. One that comes twice, or does
    /// not exist, is [`Neighbours::none`].
    pub fn candidates(&self) -> [u32; CANDIDATES] {
        let &Self { x: [_, _, x2, x3, _], w, n, nw, ne, w1, n1, e1, s1, nw1, ne1, sw1, se1, .. } = self;
        let around = [w, n, nw, ne, e1, s1, w1, n1, se1, nw1, ne1, sw1, x2, x3];
        let mut candidates = [self.none(); CANDIDATES];
        for (i, &code) in self.recent.iter().chain(&around).enumerate() {
            if !candidates[..i].contains(&code) {
                candidates[i] = code;
            }
        }
        candidates
    }

    /// A hash of each context that counts bits.
    pub fn contexts(&self) -> [u32; CONTEXTS] {
        let &Self { place, row, x: [_, x1, x2, x3, x4], w, n, same, .. } = self;
        let &Self { w1, n1, e1, s1, recent: [_, r1, ..], .. } = self;
        let c5 = |code| self.class(code, 5);
        let c6 = |code| self.class(code, 6);
        let c7 = |code| self.class(code, 7);
        let c8 = |code| self.class(code, 8);
        let contexts: [&[u32]; CONTEXTS] = [
            &[],
            &[place],
            &[x1],
            &[x1, s1],
            &[x2, place],
            &[place, w],
            &[place, n],
            &[e1],
            &[w1],
            &[s1],
            &[n1],
            &[row, x1],
            &[r1, place],
            &[x1, same],
            &[x1, c6(x2), c6(w), c6(n)],
            &[c7(w), c7(n)],
            &[place, c5(x1)],
            &[c5(x1), c5(x2), c5(x3), c5(x4)],
            &[c8(x1)],
        ];
        let mut index = 0;
        contexts.map(|values| {
            index += 1;
            hash(index, values)
        })
    }

    /// A hash of the code a frame earlier and of `prefix`.
    pub fn earlier(&self, prefix: u32) -> u32 {
        hash(0, &[self.x[1], prefix])
    }
}

/// A hash of `values`, another one for each `seed`.
fn hash(seed: u32, values: &[u32]) -> u32 {
    values.iter().fold(seed.wrapping_mul(0x9e37_79b9), |hash, value| {
        let hash = (hash ^ value).wrapping_mul(0x2545_f491);
        hash ^ hash >> 13
    })
}
