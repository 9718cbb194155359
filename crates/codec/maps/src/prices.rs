//! What changes of maps cost, by what the coder has learned of all of them.

use mixing::Counter;
use repr::{ClassMaps, MapShape};

use crate::model::{Learned, Model};
use crate::pixel::Pixel;
use crate::plane::{LONGEST, Plane};

/// Maps whose prices a pixel of the first of them is part of: its own, and the two that look back at it.
const SEEN: usize = 3;
/// How far a pixel is seen along its row and its column, further than what few contexts look at: runs that end there.
const FAR: isize = 8;

/// What the coder has learned at the end of a clip's maps, so that changes of them have a price without coding them all again.
///
/// Prices are estimates: a real encoding learns on the way, at first knows less, and goes on to learn from what is changed.
pub struct Prices {
    shape: MapShape,
    learned: Learned,
}

impl Prices {
    /// Learns from all maps of a clip.
    pub fn of(maps: &ClassMaps) -> Self {
        let shape = *maps.shape();
        let mut model = Model::new(&shape);
        let mut values = Vec::new();
        for map in maps.values().chunks_exact(shape.pixels()) {
            values.clear();
            // A coder that counts takes every bit.
            let coded = model.code(&mut Counter::default(), map, &mut values);
            debug_assert!(coded.is_ok());
        }
        Self { shape, learned: model.into_learned() }
    }

    /// The prices of map `index`. `maps` may have been changed since what was learned was learned, but are of the same shape;
    /// nothing where they are not, or have no such map.
    pub fn at(&mut self, maps: &ClassMaps, index: usize) -> Option<MapPrices<'_>> {
        if *maps.shape() != self.shape || index >= self.shape.count() {
            return None;
        }
        let (rows, columns) = (self.shape.rows(), self.shape.columns());
        let seen = SEEN.min(self.shape.count() - index);
        let mut whole: Vec<Plane> = Vec::new();
        let mut open = Vec::new();
        for back in 0..2 + seen {
            // From two maps before on; before the first one there is what the coder begins with.
            let map = (index + back).checked_sub(2).and_then(|at| maps.map(at));
            let Some(map) = map else {
                whole.push(Plane::new(rows, columns));
                continue;
            };
            let mut plane = match whole.last() {
                Some(before) => Plane::of(map, before),
                None => Plane::of(map, &Plane::new(rows, columns)),
            };
            if back >= 2 {
                open.push(plane.clone());
            }
            plane.end();
            whole.push(plane);
        }
        let ages = (0..seen).map(|ahead| ages(maps, index + ahead)).collect();
        let known = vec![f64::NAN; seen * self.shape.pixels()];
        Some(MapPrices { prices: self, planes: Planes { rows, columns, whole, open, ages }, known, seen: Vec::new() })
    }
}

/// For how many maps before map `index` each pixel has been of its class.
fn ages(maps: &ClassMaps, index: usize) -> Vec<u8> {
    let mut ages = vec![0; maps.shape().pixels()];
    for at in index.saturating_sub(usize::from(LONGEST) + 1)..index {
        let now = maps.map(at).unwrap_or_default();
        let before = at.checked_sub(1).and_then(|before| maps.map(before));
        for (pixel, (age, &class)) in ages.iter_mut().zip(now).enumerate() {
            let same = class == before.map_or(0, |before| before[pixel]);
            *age = if same { (*age + 1).min(LONGEST) } else { 0 };
        }
    }
    ages
}

/// A map and those that look back at it, as the coder sees them.
struct Planes {
    rows: usize,
    columns: usize,
    /// From two maps before on, as later maps see them.
    whole: Vec<Plane>,
    /// From the map itself on, as they are while they are coded.
    open: Vec<Plane>,
    /// Of the pixels of those.
    ages: Vec<Vec<u8>>,
}

/// The prices of one map, and what changes of it make of them.
pub struct MapPrices<'a> {
    prices: &'a mut Prices,
    planes: Planes,
    /// Bits of each pixel as it is, of the map and those that look back at it, where they were asked for.
    known: Vec<f64>,
    /// Room for the pixels, of those maps, that see a change.
    seen: Vec<usize>,
}

impl MapPrices<'_> {
    /// Bits that the map takes as it is.
    pub fn bits(&mut self) -> f64 {
        (0..self.planes.rows * self.planes.columns).map(|pixel| self.known(pixel)).sum()
    }

    /// Bits that the maps would take more if pixels of this one were of other classes, the pixels that see them included: around
    /// and below them, and in the next two maps. A pixel or class that there is none of changes nothing.
    pub fn change(&mut self, edits: &[(usize, u8)]) -> f64 {
        self.look(edits);
        let seen = std::mem::take(&mut self.seen);
        let before: f64 = seen.iter().map(|&pixel| self.known(pixel)).sum();
        let old = self.put(edits);
        let after: f64 = seen.iter().map(|&pixel| self.price(pixel)).sum();
        // Backwards, should a pixel be there twice.
        old.into_iter().rev().for_each(|(pixel, class)| self.planes.set(pixel, class));
        self.seen = seen;
        after - before
    }

    /// Makes pixels be of other classes.
    pub fn apply(&mut self, edits: &[(usize, u8)]) {
        self.look(edits);
        self.put(edits);
        self.seen.iter().for_each(|&pixel| self.known[pixel] = f64::NAN);
    }

    /// Sets pixels and returns what they were.
    fn put(&mut self, edits: &[(usize, u8)]) -> Vec<(usize, u8)> {
        let (pixels, classes) = (self.planes.rows * self.planes.columns, self.prices.shape.classes());
        let valid = edits.iter().filter(|&&(pixel, class)| pixel < pixels && usize::from(class) < classes);
        let put = |&(pixel, class): &(usize, u8)| {
            let old = self.planes.class(pixel);
            self.planes.set(pixel, class);
            (pixel, old)
        };
        valid.map(put).collect()
    }

    /// Finds the pixels that see those of `edits`.
    fn look(&mut self, edits: &[(usize, u8)]) {
        let Planes { rows, columns, open, .. } = &self.planes;
        let (rows, columns) = (*rows, *columns);
        self.seen.clear();
        for &(pixel, _) in edits.iter().filter(|(pixel, _)| *pixel < rows * columns) {
            let (y, x) = (pixel / columns, pixel % columns);
            for ahead in 0..open.len() {
                for (dy, columns_seen) in around(ahead) {
                    for dx in columns_seen {
                        let (Some(y), Some(x)) = (y.checked_add_signed(dy), x.checked_add_signed(dx)) else { continue };
                        if y < rows && x < columns {
                            self.seen.push((ahead * rows + y) * columns + x);
                        }
                    }
                }
            }
        }
        if edits.len() > 1 {
            self.seen.sort_unstable();
            self.seen.dedup();
        }
    }

    /// What a pixel takes as it is.
    fn known(&mut self, pixel: usize) -> f64 {
        if self.known[pixel].is_nan() {
            self.known[pixel] = self.price(pixel);
        }
        self.known[pixel]
    }

    /// Bits of a pixel, of the map or of one that looks back at it.
    fn price(&mut self, pixel: usize) -> f64 {
        if self.prices.shape.classes() == 1 {
            return 0.0;
        }
        let Planes { rows, columns, whole, open, ages } = &self.planes;
        let (ahead, pixel) = (pixel / (rows * columns), pixel % (rows * columns));
        let (y, x) = (pixel / columns, pixel % columns);
        let now = &open[ahead];
        let at = now.row(y) + x;
        let pixel = Pixel {
            now,
            before: &whole[ahead + 1],
            earlier: &whole[ahead],
            at,
            y,
            x,
            rows: *rows,
            run: now.left(at - 1),
            age: ages[ahead][pixel],
        };
        let mut counter = Counter::default();
        let coded = self.prices.learned.code::<false>(&mut counter, &pixel, now.at(at, 0, 0));
        debug_assert!(coded.is_ok());
        counter.bits
    }
}

/// The rows, and in each of them the columns, relative to a pixel, in which contexts of the map so many maps ahead look at it.
fn around(ahead: usize) -> impl Iterator<Item = (isize, std::ops::RangeInclusive<isize>)> {
    let rows: &[(isize, isize, isize)] = match ahead {
        0 => &[
            (0, 0, FAR),
            (1, -FAR, 4),
            (2, -4, 2),
            (3, -4, 1),
            (4, 0, 0),
            (5, 0, 0),
            (6, 0, 0),
            (7, 0, 0),
            (FAR, 0, 0),
        ],
        1 => &[
            (-FAR, 0, 0),
            (-7, 0, 0),
            (-6, 0, 0),
            (-5, 0, 0),
            (-4, 0, 0),
            (-3, -4, 4),
            (-2, -4, 4),
            (-1, -4, 4),
            (0, -FAR, FAR),
            (1, -4, 4),
            (2, -4, 4),
            (3, -4, 4),
            (4, 0, 0),
            (5, 0, 0),
            (6, 0, 0),
            (7, 0, 0),
            (FAR, 0, 0),
        ],
        _ => &[(-1, 0, 0), (0, -2, 2), (1, 0, 0)],
    };
    rows.iter().map(|&(dy, first, last)| (dy, first..=last))
}

impl Planes {
    /// The class of a pixel of the map.
    fn class(&self, pixel: usize) -> u8 {
        let (y, x) = (pixel / self.columns, pixel % self.columns);
        self.open[0].classes(y)[x]
    }

    /// Sets a pixel of the map.
    fn set(&mut self, pixel: usize, class: u8) {
        let (y, x) = (pixel / self.columns, pixel % self.columns);
        if (1..self.rows - 1).contains(&y) && (1..self.columns - 1).contains(&x) {
            self.open[0].change(y, x, class);
            self.whole[2].change(y, x, class);
        } else if self.class(pixel) != class {
            // What surrounds a map is made of its edges.
            let mut values: Vec<u8> = (0..self.rows).flat_map(|y| self.open[0].classes(y)).copied().collect();
            values[pixel] = class;
            self.open[0] = Plane::of(&values, &self.whole[1]);
            self.whole[2] = self.open[0].clone();
            self.whole[2].end();
            if let (0, Some(next)) = (y, self.open.get_mut(1)) {
                let values: Vec<u8> = (0..self.rows).flat_map(|y| next.classes(y)).copied().collect();
                *next = Plane::of(&values, &self.whole[2]);
            }
        }
        for ahead in 1..self.ages.len() {
            let same = self.whole[ahead + 1].classes(y)[x] == self.whole[ahead].classes(y)[x];
            self.ages[ahead][pixel] = if same { (self.ages[ahead - 1][pixel] + 1).min(LONGEST) } else { 0 };
        }
    }
}
