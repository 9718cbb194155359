//! A map with what surrounds it, and how far its pixels are alike.

/// Pixels around a map, so that neighbours need no check.
const PAD: usize = 8;
/// Longest run that is told apart.
pub(crate) const LONGEST: u8 = 15;

/// A map, at first full of class 0, in a frame of its repeated edges.
///
/// For each pixel it says how many pixels there are from it on, itself included, of the same class to the right and to the left, as
/// soon as its row is whole; upwards likewise; downwards once the map is whole. Each is at most [`LONGEST`], and goes on beyond the
/// edges of the map.
#[derive(Clone)]
pub(crate) struct Plane {
    rows: usize,
    columns: usize,
    values: Vec<u8>,
    right: Vec<u8>,
    left: Vec<u8>,
    up: Vec<u8>,
    down: Vec<u8>,
}

/// A run one longer than the one next to it, or of one pixel.
fn run(same: bool, next: u8) -> u8 {
    if same { (next + 1).min(LONGEST) } else { 1 }
}

impl Plane {
    /// Of so many rows and columns.
    pub fn new(rows: usize, columns: usize) -> Self {
        let len = (rows + 2 * PAD) * (columns + 2 * PAD);
        let full = || vec![LONGEST; len];
        Self { rows, columns, values: vec![0; len], right: full(), left: full(), up: full(), down: full() }
    }

    /// The map of these pixels behind the map `before`, all its rows whole.
    pub fn of(values: &[u8], before: &Self) -> Self {
        let mut plane = Self::new(before.rows, before.columns);
        plane.begin(before);
        for (y, row) in values.chunks_exact(before.columns).enumerate() {
            plane.begin_row(y);
            let first = plane.row(y);
            plane.values[first..][..row.len()].copy_from_slice(row);
            plane.end_row(y);
        }
        plane
    }

    /// Distance between rows.
    pub fn stride(&self) -> usize {
        self.columns + 2 * PAD
    }

    /// Index of the first pixel of row `y`.
    pub fn row(&self, y: usize) -> usize {
        (y + PAD) * self.stride() + PAD
    }

    /// The class so far to the right of and below pixel `at`, up to [`PAD`] each way.
    #[inline(always)]
    pub fn at(&self, at: usize, dx: isize, dy: isize) -> u8 {
        self.values[at.wrapping_add_signed(dy * self.stride() as isize + dx)]
    }

    /// Pixels of the same class from `at` to the right.
    #[inline(always)]
    pub fn right(&self, at: usize) -> u8 {
        self.right[at]
    }

    /// Pixels of the same class from `at` to the left.
    #[inline(always)]
    pub fn left(&self, at: usize) -> u8 {
        self.left[at]
    }

    /// Pixels of the same class from `at` upwards.
    #[inline(always)]
    pub fn up(&self, at: usize) -> u8 {
        self.up[at]
    }

    /// Pixels of the same class from `at` downwards.
    #[inline(always)]
    pub fn down(&self, at: usize) -> u8 {
        self.down[at]
    }

    /// Writes a pixel.
    #[inline(always)]
    pub fn set(&mut self, at: usize, class: u8) {
        self.values[at] = class;
    }

    /// The classes of row `y`.
    pub fn classes(&self, y: usize) -> &[u8] {
        let first = self.row(y);
        &self.values[first..first + self.columns]
    }

    /// Begins anew behind the map `before`: above the first row stands that map's.
    pub fn begin(&mut self, before: &Self) {
        let (stride, top) = (self.stride(), before.row(0) - PAD);
        for y in 0..PAD {
            let here = y * stride..(y + 1) * stride;
            self.values[here.clone()].copy_from_slice(&before.values[top..top + stride]);
            self.right[here.clone()].copy_from_slice(&before.right[top..top + stride]);
            self.left[here.clone()].copy_from_slice(&before.left[top..top + stride]);
            self.up[here].fill(LONGEST);
        }
    }

    /// Begins row `y`: to the left of it stands what is above its first pixel.
    pub fn begin_row(&mut self, y: usize) {
        let first = self.row(y);
        let above = self.values[first - self.stride()];
        self.values[first - PAD..first].fill(above);
    }

    /// Row `y` is whole.
    pub fn end_row(&mut self, y: usize) {
        let (stride, start) = (self.stride(), self.row(y) - PAD);
        let last = start + PAD + self.columns - 1;
        let edge = self.values[last];
        self.values[last + 1..start + stride].fill(edge);
        let mut next = LONGEST;
        for at in (start..start + stride - 1).rev() {
            next = run(self.values[at] == self.values[at + 1], next);
            self.right[at] = next;
        }
        next = LONGEST;
        for at in start + 1..start + stride {
            next = run(self.values[at] == self.values[at - 1], next);
            self.left[at] = next;
        }
        for at in start..start + stride {
            self.up[at] = run(self.values[at] == self.values[at - stride], self.up[at - stride]);
        }
    }

    /// All rows are whole.
    pub fn end(&mut self) {
        let stride = self.stride();
        let (top, bottom) = (self.row(0) - PAD, self.row(self.rows - 1) - PAD);
        for pad in 0..PAD {
            self.values.copy_within(top..top + stride, pad * stride);
            self.values.copy_within(bottom..bottom + stride, bottom + (pad + 1) * stride);
        }
        for at in (0..self.values.len() - stride).rev() {
            self.down[at] = run(self.values[at] == self.values[at + stride], self.down[at + stride]);
        }
    }

    /// Changes a pixel of a map whose rows are whole, one that is not at an edge.
    pub fn change(&mut self, y: usize, x: usize, class: u8) {
        let (stride, at) = (self.stride(), self.row(y) + x);
        self.values[at] = class;
        let row = self.row(y) - PAD;
        let reach = usize::from(LONGEST);
        for at in (row.max(at.saturating_sub(reach))..=at).rev() {
            self.right[at] = run(self.values[at] == self.values[at + 1], self.right[at + 1]);
        }
        for at in at..=(at + reach).min(row + stride - 1) {
            self.left[at] = run(self.values[at] == self.values[at - 1], self.left[at - 1]);
        }
        let bottom = self.row(self.rows);
        for at in (at..bottom).step_by(stride).take(reach + 1) {
            self.up[at] = run(self.values[at] == self.values[at - stride], self.up[at - stride]);
        }
        let mut here = at;
        for _ in 0..=reach {
            self.down[here] = run(self.values[here] == self.values[here + stride], self.down[here + stride]);
            let Some(above) = here.checked_sub(stride) else { break };
            here = above;
        }
    }
}
