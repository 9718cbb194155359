//! Which pixels of a map might better be of another class: those around what SegNet gets wrong.

use metric::{INPUT_HEIGHT, INPUT_WIDTH, PIXELS};

/// Pixels that are set together, as (row, column) from the first one: alone, and along rows and columns.
const SHAPES: [&[(usize, usize)]; 5] =
    [&[(0, 0)], &[(0, 0), (0, 1)], &[(0, 0), (1, 0)], &[(0, 0), (0, 1), (0, 2)], &[(0, 0), (1, 0), (2, 0)]];
/// Wrong pixels around a proposal, and within it, that are told apart.
const COUNTS: (usize, usize) = (8, 4);
/// Kinds of proposals: by shape, and by how many wrong pixels there are around and within.
pub(super) const KINDS: usize = SHAPES.len() * COUNTS.0 * COUNTS.1;

/// Some pixels of a map that are to be of one class.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Proposal {
    /// Its first pixel.
    pub pixel: u32,
    /// Which of the shapes.
    pub shape: u8,
    /// What its pixels are to be.
    pub class: u8,
}

impl Proposal {
    /// The pixels that it changes in a map of so many columns.
    pub fn edits(&self, map: &[u8], columns: usize) -> Vec<(usize, u8)> {
        let first = self.pixel as usize;
        let pixels = SHAPES[usize::from(self.shape) % SHAPES.len()].iter().map(|(dy, dx)| first + dy * columns + dx);
        pixels
            .filter(|&pixel| map.get(pixel).is_some_and(|&old| old != self.class))
            .map(|at| (at, self.class))
            .collect()
    }
}

/// Where the pixels of a map lie among those that SegNet classifies.
#[derive(Clone, Copy)]
pub(super) struct Grid {
    pub rows: usize,
    pub columns: usize,
}

impl Grid {
    /// Row and column of SegNet's pixel in the middle of one of a map.
    pub fn seen(&self, pixel: usize) -> (usize, usize) {
        let middle = |at: usize, of: usize, all: usize| (2 * at + 1) * all / (2 * of);
        let (y, x) = (pixel / self.columns, pixel % self.columns);
        (middle(y, self.rows, INPUT_HEIGHT), middle(x, self.columns, INPUT_WIDTH))
    }

    /// Row and column of the map's pixel at one of SegNet's.
    fn of_seen(&self, seen: usize) -> (usize, usize) {
        (seen / INPUT_WIDTH * self.rows / INPUT_HEIGHT, seen % INPUT_WIDTH * self.columns / INPUT_WIDTH)
    }
}

/// What SegNet should see, and what it sees.
pub(super) struct Sight<'a> {
    pub original: &'a [u8],
    pub seen: &'a [u8],
}

impl Sight<'_> {
    /// How many pixels it gets wrong.
    pub fn wrong(&self) -> usize {
        self.original.iter().zip(self.seen).filter(|(original, seen)| original != seen).count()
    }

    /// How many within `reach` rows and columns of a pixel.
    pub fn wrong_near(&self, (y, x): (usize, usize), reach: usize) -> i32 {
        let columns = x.saturating_sub(reach)..(x + reach + 1).min(INPUT_WIDTH);
        let rows = y.saturating_sub(reach)..(y + reach + 1).min(INPUT_HEIGHT);
        let places = rows.flat_map(|y| columns.clone().map(move |x| y * INPUT_WIDTH + x));
        places.filter(|&at| self.original.get(at) != self.seen.get(at)).count() as i32
    }
}

/// All proposals for a map of `classes` classes, each once, with its kind: around every pixel that SegNet gets wrong, to be what it
/// should see there.
pub(super) fn proposals(map: &[u8], grid: Grid, classes: usize, sight: &Sight<'_>) -> Vec<(Proposal, usize)> {
    let Grid { rows, columns } = grid;
    let mut wanted = vec![u8::MAX; rows * columns];
    let mut found = Vec::new();
    let wrong = (0..PIXELS).filter(|&at| sight.original.get(at) != sight.seen.get(at));
    for at in wrong {
        let (y, x) = grid.of_seen(at);
        let Some(&class) = sight.original.get(at).filter(|&&class| usize::from(class) < classes) else { continue };
        wanted[y * columns + x] = class;
        for (shape, pixels) in (0u8..).zip(SHAPES) {
            let (dy, dx) = pixels[pixels.len() - 1];
            // Every place where one of its pixels is the wrong one or next to it.
            for top in (y.saturating_sub(1 + dy)..=y + 1).filter(|top| top + dy < rows) {
                for left in (x.saturating_sub(1 + dx)..=x + 1).filter(|left| left + dx < columns) {
                    found.push(Proposal { pixel: (top * columns + left) as u32, shape, class });
                }
            }
        }
    }
    found.sort_unstable();
    found.dedup();
    let kind = |proposal: Proposal| {
        let edits = proposal.edits(map, columns);
        let pixels = SHAPES[usize::from(proposal.shape)];
        // A shape of which some pixels are that class already is another shape.
        (edits.len() == pixels.len()).then(|| (proposal, kind(proposal, pixels, grid, &wanted)))
    };
    found.into_iter().filter_map(kind).collect()
}

/// The kind of a proposal, `wanted` being what SegNet should see where it is wrong.
fn kind(proposal: Proposal, pixels: &[(usize, usize)], grid: Grid, wanted: &[u8]) -> usize {
    let Grid { rows, columns } = grid;
    let (y, x) = (proposal.pixel as usize / columns, proposal.pixel as usize % columns);
    let (dy, dx) = pixels[pixels.len() - 1];
    let wants = |y: usize, x: usize| wanted[y * columns + x] == proposal.class;
    let (top, left) = (y.saturating_sub(1), x.saturating_sub(1));
    let around =
        (top..(y + dy + 2).min(rows)).map(|y| (left..(x + dx + 2).min(columns)).filter(|&x| wants(y, x)).count());
    let within = pixels.iter().filter(|(dy, dx)| wants(y + dy, x + dx)).count();
    let (around, within) = (around.sum::<usize>().min(COUNTS.0 - 1), within.min(COUNTS.1 - 1));
    (usize::from(proposal.shape) * COUNTS.0 + around) * COUNTS.1 + within
}
