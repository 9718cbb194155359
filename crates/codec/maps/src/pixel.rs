//! A pixel and its neighbours.

use crate::plane::Plane;

/// A pixel that is to be coded.
pub(crate) struct Pixel<'a> {
    pub now: &'a Plane,
    pub before: &'a Plane,
    pub earlier: &'a Plane,
    /// Its index in the planes.
    pub at: usize,
    pub y: usize,
    pub x: usize,
    /// Rows of the map.
    pub rows: usize,
    /// Pixels of the same class that end left of it.
    pub run: u8,
    /// For how many maps there has been the same class here.
    pub age: u8,
}

impl Pixel<'_> {
    /// A pixel of this map, coded before.
    #[inline(always)]
    pub fn now(&self, dx: isize, dy: isize) -> u8 {
        self.now.at(self.at, dx, dy)
    }

    /// A pixel of the map before.
    #[inline(always)]
    pub fn before(&self, dx: isize, dy: isize) -> u8 {
        self.before.at(self.at, dx, dy)
    }

    /// A pixel of the map before that.
    #[inline(always)]
    pub fn earlier(&self, dx: isize, dy: isize) -> u8 {
        self.earlier.at(self.at, dx, dy)
    }

    /// Whether the four neighbours in this map and the five of the map before agree.
    #[inline(always)]
    pub fn is_calm(&self) -> bool {
        let class = self.now(-1, 0);
        let near = [self.now(0, -1), self.now(-1, -1), self.now(1, -1)];
        let cross = [self.before(0, 0), self.before(1, 0), self.before(0, 1), self.before(-1, 0), self.before(0, -1)];
        near.iter().chain(&cross).fold(0, |differs, other| differs | (class ^ other)) == 0
    }
}
